"""JSON Patch operations (RFC 6902), explicit ones and never the diff of two models; and their application."""

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
"""In a pointer, the position after the last entry of a list."""


class Op(StrEnum):
    """The operations that Lockkeeper emits."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"
    TEST = "test"
    COPY = "copy"


class PatchOp(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation; `value` is absent for `remove`, and for `copy`, which has `from_`."""

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
    """Return the pointer of an entry; cached, because the same few names recur."""
    return path + pointer(key)


def set_entries(path: str, present: object | None, entries: Iterable[tuple[str, str]]) -> list[PatchOp]:
    """Return operations that set string entries of the map at `path`, and create the map if it is absent.

    `present` is the map as it is (None when absent or null). Entries that already have their value
    give no operation, so a second application changes nothing.
    """
    if not isinstance(present, dict):
        created: dict[str, JsonValue] = dict(entries)
        return [PatchOp(Op.ADD, path, created)] if created else []
    return [PatchOp(Op.ADD, _below(path, key), value) for key, value in entries if present.get(key) != value]


def with_entries(
    patch: tuple[PatchOp, ...], path: str, present: object | None, entries: Iterable[tuple[str, str]]
) -> tuple[PatchOp, ...]:
    """Return a patch that also sets string entries of the map at `path`, which it may itself create."""
    added = dict(entries)
    if present is None:
        for number, each in enumerate(patch):
            if each.path == path and isinstance(each.value, dict):
                merged = PatchOp(each.op, path, {**each.value, **added})
                return (*patch[:number], merged, *patch[number + 1 :])
    return (*patch, *set_entries(path, present, added.items()))


def patched(obj: JsonObject, patch: Iterable[PatchOp]) -> JsonObject:
    """Return a copy of the object after every operation in order.

    Raises:
        LookupError: an operation names a path that does not exist.
    """
    result: JsonObject = _copy(obj)
    for operation in patch:
        *parents, last = _parts(operation.path)
        container = _at(result, parents)
        if operation.op is Op.REMOVE:
            del container[_key(container, last)]
            continue
        value = _at(result, _parts(str(operation.from_))) if operation.op is Op.COPY else operation.value
        _set(container, last, _copy(value), inserts=operation.op is not Op.REPLACE)
    return result


def _set(container: Any, last: str, value: Any, *, inserts: bool) -> None:
    if isinstance(container, list) and last == _END:
        container.append(value)
    elif isinstance(container, list) and inserts:
        container.insert(int(last), value)
    else:
        container[_key(container, last)] = value


def _at(container: Any, steps: Iterable[str]) -> Any:
    for step in steps:
        container = container[_key(container, step)]
    return container


def _key(container: Any, step: str) -> str | int:
    return int(step) if isinstance(container, list) else step


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _copy(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
