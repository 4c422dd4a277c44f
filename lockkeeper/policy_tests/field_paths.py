"""Values of fields by their paths, as messages write them: `spec.templates[0].name`, `labels["a/b"]`."""

import json
import re
from typing import Final

from msgspec import UNSET, UnsetType

from policy.core.objects.json_patch import JsonValue

_STEP: Final = re.compile(
    r'(?P<dot>\.)?(?P<key>[A-Za-z_][A-Za-z0-9_-]*)|\[(?P<index>[0-9]{1,9})\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]'
)
_FORM: Final = 'write it as spec.templates[0].name, and other keys in quotes: metadata.labels["app.io/name"]'


def steps_of(path: str) -> tuple[str | int, ...]:
    """Return the keys and positions of a path. Raises ValueError."""
    found: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (match["key"] and bool(match["dot"]) != bool(found)):
            raise ValueError(f"{path!r} is no path of a field: {_FORM}")
        if match["index"]:
            found.append(int(match["index"]))
        else:
            found.append(json.loads(match["quoted"]) if match["quoted"] else match["key"])
        at = match.end()
    if not found:
        raise ValueError(f"{path!r} is no path of a field: {_FORM}")
    return tuple(found)


def value_at(value: JsonValue, path: str) -> "JsonValue | UnsetType":
    """Return the value of a field, UNSET where there is none. Raises ValueError."""
    for step in steps_of(path):
        if isinstance(value, list) and isinstance(step, int):
            found = value[step] if step < len(value) else UNSET
        else:
            found = value.get(str(step), UNSET) if isinstance(value, dict) else UNSET
        if found is UNSET:
            return UNSET
        value = found
    return value
