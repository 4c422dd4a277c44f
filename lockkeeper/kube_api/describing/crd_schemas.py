"""The schemas of our CRDs: which fields an object has, what the API server fills in, what `explain` shows.

They are those of the chart, kept in `crd_schemas.json` so that they are in the wheel; a test compares both,
and says how to write the file anew. What a value must be is not checked here but by the webhook for policies.
"""

from collections.abc import Iterator
from copy import deepcopy
from importlib.resources import files
from typing import Any, Final

import msgspec

from policy.core.objects.json_patch import JsonObject, JsonValue

_FILE: Final = files("lockkeeper.kube_api.describing") / "crd_schemas.json"
SCHEMAS: Final[dict[str, JsonObject]] = msgspec.json.decode(
    _FILE.read_bytes(), type=dict[str, dict[str, Any]]
)
"""By the kind."""
_ANY: Final = "x-kubernetes-preserve-unknown-fields"
_IDENTITY: Final = ("apiVersion", "kind", "metadata")


def pruned(obj: JsonObject, kind: str) -> tuple[JsonObject, tuple[str, ...]]:
    """Return an object without the fields that its kind has not, and the paths of those."""
    schema = SCHEMAS.get(kind)
    if schema is None:
        return obj, ()
    below = {key: value for key, value in obj.items() if key not in _IDENTITY}
    kept = deepcopy(below)
    unknown = tuple(_prune(kept, schema, ""))
    return {**{key: obj[key] for key in obj if key in _IDENTITY}, **kept}, unknown


def defaulted(obj: JsonObject, kind: str, *, only_in_lists: bool = False) -> JsonObject:
    """Return an object with what its schema fills in; also only in what lists have, which are owned whole."""
    schema = SCHEMAS.get(kind)
    if schema is None:
        return obj
    filled = deepcopy(obj)
    _fill(filled, schema, fills=not only_in_lists)
    return filled


def _prune(value: JsonValue, schema: JsonObject, path: str) -> Iterator[str]:
    """Remove what the schema does not have, and yield its paths."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _prune(each, _part(schema, "items"), f"{path}[{index}]")
    if not isinstance(value, dict) or schema.get(_ANY):
        return
    every, properties = _part(schema, "additionalProperties"), _part(schema, "properties")
    if schema.get("additionalProperties") is True:
        return
    for key in [*value]:
        here = f"{path}.{key}" if path else key
        below = properties.get(key, every or None)
        if isinstance(below, dict):
            yield from _prune(value[key], below, here)
        else:
            del value[key]
            yield here


def _fill(value: JsonValue, schema: JsonObject, *, fills: bool) -> None:
    """Set what is absent and has a default; a null is absent."""
    if isinstance(value, list):
        for each in value:
            _fill(each, _part(schema, "items"), fills=True)
    if not isinstance(value, dict):
        return
    properties = _part(schema, "properties")
    for key, below in properties.items():
        if fills and isinstance(below, dict) and "default" in below and value.get(key) is None:
            value[key] = deepcopy(below["default"])
    for key, each in value.items():
        below = properties.get(key, schema.get("additionalProperties"))
        if isinstance(below, dict):
            _fill(each, below, fills=fills)


def _part(schema: JsonObject, key: str) -> JsonObject:
    part = schema.get(key)
    return part if isinstance(part, dict) else {}
