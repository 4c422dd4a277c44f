"""Explicit JSON Patch operations (RFC 6902); never the diff of a re-serialised model."""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]
_INDEX: Final = re.compile(r"/(\d+)(?=/|$)")


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
    """Return the pointer of an entry; the same few of our own names are asked for all the time."""
    return path + pointer(key)


def set_entries(path: str, present: object | None, entries: Iterable[tuple[str, str]]) -> list[PatchOp]:
    """Return operations that set string entries of the map at `path`, making the map where it is absent.

    `present` is the map as it stands (None when absent or null). Entries that already have their value
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
