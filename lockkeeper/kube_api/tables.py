"""Objects as the table that `kubectl get` prints (meta.k8s.io/v1 Table)."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from lockkeeper.kube_api.served_kinds import Column, ServedKind
from policy.core.objects.json_patch import JsonObject, JsonValue

_NAME: Final[JsonObject] = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": "",
    "priority": 0,
}
_COUNT: Final = "[#]"
_TIMES: Final = ("creationTimestamp", "eventTime")
"""Shown as the time that has passed since."""
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_FEW: Final = 3
"""Below so many of a unit the next smaller one is shown as well, as kubectl does."""


class Include(StrEnum):
    """What of an object a row of a table has."""

    METADATA = "Metadata"
    OBJECT = "Object"
    NONE = "None"


def table(
    kind: ServedKind,
    objects: Iterable[JsonObject],
    version: str,
    now: datetime,
    *,
    include: Include = Include.METADATA,
    **more: JsonValue,
) -> JsonObject:
    """Return objects of a kind as a table; `include` is what of each object its row has beside the cells."""
    columns: list[JsonValue] = [_NAME, *map(_definition, kind.columns)]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version, **more},
        "columnDefinitions": columns,
        "rows": [_row(kind, each, now, include) for each in objects],
    }


def _definition(column: Column) -> JsonObject:
    return {
        "name": column.name,
        "type": column.type,
        "format": "",
        "description": "",
        "priority": column.priority,
    }


def _row(kind: ServedKind, obj: JsonObject, now: datetime, include: Include) -> JsonObject:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else ""
    parts: dict[Include, JsonValue] = {
        Include.METADATA: {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
        },
        Include.OBJECT: obj,
        Include.NONE: None,
    }
    return {"cells": [name, *(_cell(each, obj, now) for each in kind.columns)], "object": parts[include]}


def _cell(column: Column, obj: JsonObject, now: datetime) -> JsonValue:
    value: JsonValue = obj
    for key in column.path:
        if key == _COUNT:
            value = len(value) if isinstance(value, dict) else 0
        elif key.startswith("["):
            value = _condition(value, key.strip("[]"))
        else:
            value = value.get(key) if isinstance(value, dict) else None
    if column.path[-1] in _TIMES and isinstance(value, str):
        return age(datetime.fromisoformat(value), now)
    return value


def _condition(conditions: JsonValue, type_: str) -> JsonValue:
    listed = conditions if isinstance(conditions, list) else []
    found = (each for each in listed if isinstance(each, dict) and each.get("type") == type_)
    return next((each.get("status") for each in found), None)


def age(since: datetime, now: datetime) -> str:
    """Return how old something is, in the short form of kubectl (duration.HumanDuration)."""
    seconds = max(0, int((now - since).total_seconds()))
    for index, (length, unit) in enumerate(_UNITS):
        count, rest = divmod(seconds, length)
        if not count:
            continue
        if count < _FEW and index + 1 < len(_UNITS):
            smaller, name = _UNITS[index + 1]
            return f"{count}{unit}{rest // smaller}{name}" if rest >= smaller else f"{count}{unit}"
        return f"{count}{unit}"
    return "0s"
