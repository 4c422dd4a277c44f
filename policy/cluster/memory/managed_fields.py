"""Which manager owns which fields of an object of the in-memory cluster, as server-side apply has it.

It is the record of Kubernetes, `metadata.managedFields`, without times, written from the first apply on, or
from the first write that sets `spec.shutdown`, which the controller looks for there: to write it always would
cost most of a write. Earlier fields belong to `before-first-apply`, and every later write that is no apply
owns the fields that it changes. Owned are leaves; a list is one leaf. Of the metadata only labels and
annotations count, and the status does not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeAlias

import msgspec

from policy.cluster.errors import Conflict, FieldConflict
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject, JsonValue

_Path: TypeAlias = tuple[str, ...]
_BEFORE: Final = "before-first-apply"
_WRITER: Final = "somebody"
"""The manager of a write that is no apply; callers of the in-memory cluster have no names."""
_APPLY: Final = "Apply"
_UPDATE: Final = "Update"
_OWNABLE_METADATA: Final = ("labels", "annotations")


class _OwnedFields(msgspec.Struct, frozen=True):
    """What one manager owns by one kind of operation."""

    manager: str
    operation: str
    fields: frozenset[_Path]


def _owner(owned: _OwnedFields, obj: JsonObject) -> str:
    """Return who owns fields; who wrote them without an apply is named with the version that was written."""
    return f'"{owned.manager}"' + ("" if owned.operation == _APPLY else f" using {obj.get('apiVersion')}")


def _conflict_text(conflicts: Sequence[FieldConflict]) -> str:
    """Return the message of the API server (managedfields, conflictmanager)."""
    if len(conflicts) == 1:
        return f"Apply failed with 1 conflict: conflict with {conflicts[0].owner}: {conflicts[0].field}"
    parts = [
        "\n".join([f"conflicts with {owner}:", *(f"- {each.field}" for each in theirs)])
        for owner, theirs in groupby(conflicts, key=lambda each: each.owner)
    ]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(parts)


def first_applied(config: JsonObject, manager: str) -> JsonObject:
    """Return the object to create for an apply that finds none."""
    return _with(config, [_OwnedFields(manager, _APPLY, frozenset(_leaves(config)))])


def applied(current: JsonObject, config: JsonObject, manager: str, *, force: bool) -> JsonObject:
    """Return an object after an apply of `config`; `current` is the caller's own copy and is changed.

    Raises:
        Conflict: another manager owns a field that would become another value, and `force` is not set.
    """
    wanted = _leaves(config)
    present = _leaves(current)
    owners = _managed(current) or [_OwnedFields(_BEFORE, _UPDATE, frozenset(present))]
    mine = _OwnedFields(manager, _APPLY, frozenset())
    others: list[_OwnedFields] = []
    for each in owners:
        if (each.manager, each.operation) == (manager, _APPLY):
            mine = each
        else:
            others.append(each)
    changed = {path for path, value in wanted.items() if path in present and present[path] != value}
    conflicts = [
        FieldConflict(_owner(each, current), f".{'.'.join(path)}")
        for each in others
        for path in sorted(each.fields & changed)
    ]
    if conflicts and not force:
        raise Conflict(_conflict_text(conflicts), fields=conflicts)
    others = [msgspec.structs.replace(each, fields=each.fields - changed) for each in others]
    remaining = frozenset(wanted).union(*(each.fields for each in others))
    for path in mine.fields - remaining:
        _remove(current, _unowned(path, remaining))
    for path, value in wanted.items():
        _set(current, path, value)
    return _with(current, [*others, _OwnedFields(manager, _APPLY, frozenset(wanted))])


def _unowned(path: _Path, owned: Iterable[_Path]) -> _Path:
    """Return the longest part above a path, itself included, in which nobody owns anything.

    What was filled in beside a field goes with the last that somebody owns.
    """
    for end in range(1, len(path)):
        part = path[:end]
        if part != ("metadata",) and not any(each[:end] == part for each in owned):
            return part
    return path


def is_managed(metadata: bytes, content: bytes) -> bool:
    """Return whether the owners of an object with these parts, as stored, are recorded."""
    return b'"managedFields"' in metadata or b'"shutdown"' in content


def rewritten(before: JsonObject, after: JsonObject, manager: str = "") -> JsonValue:
    """Return the record of ownership after a write that was no apply, of a manager or of somebody."""
    manager = manager or _WRITER
    old, new = _leaves(before), _leaves(after)
    owned = _managed(before) or [_OwnedFields(_BEFORE, _UPDATE, frozenset(old))]
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    remaining = [
        msgspec.structs.replace(
            each, fields=frozenset(p for p in each.fields if p in new and p not in changed)
        )
        for each in owned
    ]
    owners = {(each.manager, each.operation): each for each in remaining}
    own = owners.get((manager, _UPDATE), _OwnedFields(manager, _UPDATE, frozenset()))
    owners[manager, _UPDATE] = msgspec.structs.replace(own, fields=own.fields | changed)
    return _record(owners.values(), after)


def _with(obj: JsonObject, managed: Iterable[_OwnedFields]) -> JsonObject:
    return {**obj, "metadata": {**metadata_of(obj), "managedFields": _record(managed, obj)}}


def _record(managed: Iterable[_OwnedFields], obj: JsonObject) -> JsonValue:
    return [
        {
            "manager": each.manager,
            "operation": each.operation,
            "apiVersion": obj.get("apiVersion"),
            "fieldsType": "FieldsV1",
            "fieldsV1": _nested(each.fields),
        }
        for each in managed
        if each.fields
    ]


def _managed(obj: JsonObject) -> list[_OwnedFields]:
    listed = metadata_of(obj).get("managedFields")
    return [
        _OwnedFields(str(each["manager"]), str(each["operation"]), frozenset(_paths(each["fieldsV1"])))
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
    ]


def _nested(fields: Iterable[_Path]) -> JsonObject:
    """Return paths as FieldsV1 writes them: `{"f:data": {"f:key": {}}}`."""
    nested: JsonObject = {}
    for path in sorted(fields):
        level = nested
        for part in path:
            below = level.setdefault(f"f:{part}", {})
            level = below if isinstance(below, dict) else {}
    return nested


def _paths(nested: JsonValue, above: _Path = ()) -> Iterator[_Path]:
    """Yield the paths of a FieldsV1 of ours."""
    if not isinstance(nested, dict) or not nested:
        yield above
        return
    for part, below in nested.items():
        yield from _paths(below, (*above, part.removeprefix("f:")))


def _leaves(obj: JsonObject) -> Mapping[_Path, JsonValue]:
    """Return what can be owned, by path."""
    found: dict[_Path, JsonValue] = {}
    for name, value in obj.items():
        if name == "metadata" and isinstance(value, dict):
            for part in _OWNABLE_METADATA:
                _collect(value.get(part), (name, part), found)
        elif name not in ("apiVersion", "kind", "status"):
            _collect(value, (name,), found)
    return found


def _collect(value: JsonValue, path: _Path, found: dict[_Path, JsonValue]) -> None:
    if isinstance(value, dict):
        for part, below in value.items():
            _collect(below, (*path, part), found)
    elif value is not None:
        found[path] = value


def _set(obj: JsonObject, path: _Path, value: JsonValue) -> None:
    *above, last = path
    for part in above:
        below = obj.get(part)
        if not isinstance(below, dict):
            below = obj[part] = {}
        obj = below
    obj[last] = value


def _remove(obj: JsonObject, path: _Path) -> None:
    """Remove a leaf, and what is empty without it."""
    part, *rest = path
    below = obj.get(part)
    if rest and isinstance(below, dict):
        _remove(below, tuple(rest))
    if not rest or below == {}:
        obj.pop(part, None)
