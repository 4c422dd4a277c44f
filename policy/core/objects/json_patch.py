"""Explicit JSON Patch operations (RFC 6902), never the diff of a re-serialised model; and applying them."""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]
_INDEX: Final = re.compile(r"/(\d+)(?=/|$)")
_END: Final = "-"
"""In a pointer, the place behind the last entry of a list."""


class Op(StrEnum):
    """The operations that Lockkeeper emits."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"
    TEST = "test"
    COPY = "copy"


class PatchOp(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation; `value` is absent for `remove` and `copy`, which has `from_` instead."""

    op: Op
    path: str
    value: "JsonValue | msgspec.UnsetType" = msgspec.UNSET
    from_: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="from")


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of a path, with `~` and `/` escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def field_path(pointer: str) -> str:
    """Return a JSON pointer as Kubernetes writes field paths: `spec.templates[3].dag.tasks[0]`."""
    return _INDEX.sub(r"[\1]", pointer).replace("/", ".").lstrip(".").replace("~1", "/").replace("~0", "~")


@lru_cache(maxsize=256)
def _below(path: str, key: str) -> str:
    """Return the pointer of an entry; the same few of our own names are needed all the time."""
    return path + pointer(key)


def set_entries(path: str, present: object | None, entries: Iterable[tuple[str, str]]) -> list[PatchOp]:
    """Return operations that set string entries of the map at `path`, making the map where it is absent.

    `present` is the map as it is (None when absent or null). Entries that already have their value
    give no operation, so applying the result twice changes nothing.
    """
    current = present if isinstance(present, dict) else None
    if current is None:
        made: dict[str, JsonValue] = dict(entries)
        return [PatchOp(Op.ADD, path, made)] if made else []
    return [PatchOp(Op.ADD, _below(path, key), value) for key, value in entries if current.get(key) != value]


def with_entries(
    patch: tuple[PatchOp, ...], path: str, present: object | None, entries: Iterable[tuple[str, str]]
) -> tuple[PatchOp, ...]:
    """Return a patch that sets string entries of the map at `path` as well, which it may make itself."""
    added = dict(entries)
    if present is None:
        for number, each in enumerate(patch):
            if each.path == path and isinstance(each.value, dict):
                made = PatchOp(each.op, path, {**each.value, **added})
                return (*patch[:number], made, *patch[number + 1 :])
    return (*patch, *set_entries(path, present, added.items()))


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
