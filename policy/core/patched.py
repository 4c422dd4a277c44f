"""What a patch of ours makes of an object: the operations that Lockkeeper emits, applied to plain JSON."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from policy.core.patches import JsonObject, Op, PatchOp

_END: Final = "-"
"""Stands in a pointer for the place behind the last entry of a list."""


def patched(obj: JsonObject, patch: Iterable[PatchOp]) -> JsonObject:
    """Return the object after every operation in order; the object that was given stays as it is.

    Raises:
        LookupError: an operation names a place that does not exist.
    """
    made: JsonObject = _copy(obj)
    for operation in patch:
        *way, last = _parts(operation.path)
        place = _at(made, way)
        if operation.op is Op.REMOVE:
            del place[_key(place, last)]
            continue
        value = _at(made, _parts(str(operation.from_))) if operation.op is Op.COPY else operation.value
        _set(place, last, _copy(value), inserts=operation.op is not Op.REPLACE)
    return made


def _set(place: Any, last: str, value: Any, *, inserts: bool) -> None:
    if isinstance(place, list) and last == _END:
        place.append(value)
    elif isinstance(place, list) and inserts:
        place.insert(int(last), value)
    else:
        place[_key(place, last)] = value


def _at(place: Any, way: Iterable[str]) -> Any:
    for step in way:
        place = place[_key(place, step)]
    return place


def _key(place: Any, step: str) -> str | int:
    return int(step) if isinstance(place, list) else step


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _copy(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
