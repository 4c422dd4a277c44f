"""Messages about a value that does not decode: what is there, what Argo reads, and what to write."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from policy.core.argo_types.lost_locks import lock_word
from policy.core.argo_types.suggested_values import field_of, integer, list_of_strings, quoted
from policy.core.argo_types.type_table import (
    BOUNDS,
    STRUCTS,
    ListType,
    MapType,
    Scalar,
    StructType,
    Type,
    whole,
)
from policy.core.objects.json_patch import JsonValue
from policy.core.values.problems import nearest

_NOUNS: Final[Mapping[Scalar, str]] = {
    Scalar.STRING: "a string",
    Scalar.BOOL: "true or false",
    Scalar.INT32: "a whole number",
    Scalar.INT64: "a whole number",
    Scalar.UINT64: "a whole number, not negative",
    Scalar.BYTES: "base64",
    Scalar.TIME: "a time",
    Scalar.QUANTITY: "a quantity",
    Scalar.INT_OR_STRING: "a whole number or a string",
    Scalar.ANY_STRING: "a string, a number or a boolean",
    Scalar.PLUGIN: "a map with one entry",
    Scalar.RAW: "anything",
}
_EXAMPLES: Final[Mapping[Scalar, str]] = {
    Scalar.BYTES: "the bytes in base64",
    Scalar.TIME: 'it as "2026-01-31T08:00:00Z"',
    Scalar.QUANTITY: 'a number and its unit, as "500m" or "2Gi"',
    Scalar.PLUGIN: "one entry, the plugin's name with its settings below",
}
_JSON_TYPES: Final = {bool: "boolean", int: "number", float: "number", str: "string", list: "list"}
_YES: Final = ("yes", "on", "y", "true")
_NO: Final = ("no", "off", "n", "false")
_SHOWN: Final = 60
_FIELDS_SHOWN: Final = 4
_LONGEST: Final = 64
"""Bits of the longest integer that is shown; Python refuses to print thousands of digits."""


def mismatch(value: JsonValue, wanted: Type, path: str) -> tuple[str, str]:
    """Return the types of a value that does not decode, the same before and after an edit, and a sentence.

    `path` is that of its field, which shows what a text may mean.
    """
    noun = _noun(wanted)
    fix = _fix(value, wanted, field_of(path))
    return f"{_json_type(value)} for {noun}", f"is {_found(value)}, Argo reads {noun}: write {fix}"


def lost(value: JsonValue) -> str:
    """Return the sentence about a list or map where Argo reads any string."""
    return f"is {_found(value)}, which Argo reads as an empty string: write it as one string"


def unknown_in_step(field: str, known: Iterable[str]) -> str:
    """Return the sentence about a field of a step that the struct lacks."""
    near = _nearest(field, known)
    advice = f'did you mean "{near}"?' if near else "remove it"
    if lock_word(field):
        advice = "move it into the template that the step calls"
    return f"is no field of a step, and Argo reads no step with an unknown field: {advice}"


def unknown(field: str, known: Iterable[str], *, always: bool = False) -> str:
    """Return the sentence about a field that is dropped, or nothing where no known one is like it.

    With `always` there is one: every field of the struct matters.
    """
    near = _nearest(field, known)
    if near:
        return f'is no field that Argo knows, and is dropped: did you mean "{near}"?'
    return f"is no field that Argo knows, and is dropped: known are {', '.join(known)}" if always else ""


def _nearest(field: str, known: Iterable[str]) -> str:
    folded = {each.casefold(): each for each in known}
    near = nearest(field[:_SHOWN].casefold(), folded, likeness=0.8)
    return folded[near] if near else ""


def _noun(wanted: Type) -> str:
    match wanted:
        case ListType(Scalar.STRING):
            return "a list of strings"
        case ListType():
            return "a list"
        case MapType(Scalar.STRING):
            return "a map of strings"
        case MapType() | StructType():
            return "a map"
        case Scalar():
            return _NOUNS[wanted]


def _json_type(value: JsonValue) -> str:
    return _JSON_TYPES.get(type(value), "map")


def _found(value: JsonValue) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a map" if value else "an empty map"
    return f"the {_json_type(value)} {_shown(value)}"


def _shown(value: JsonValue) -> str:
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return "of many digits"
    if isinstance(value, str) and len(value) > _SHOWN:
        value = f"{value[:_SHOWN]}…"
    return json.dumps(value, ensure_ascii=False)


def _fix(value: JsonValue, wanted: Type, field: str) -> str:
    match wanted:
        case ListType(entry):
            fix = _as_list(value, entry, field)
        case MapType():
            fix = "a map, name: value"
        case StructType(name):
            fix = f"a map{_fields(name)}"
        case Scalar.STRING if isinstance(value, bool | int | float):
            fix = quoted(value, _LONGEST)
        case Scalar.INT_OR_STRING:
            fix = "a whole number"
        case Scalar.BOOL:
            fix = _as_bool(value)
        case Scalar.INT32 | Scalar.INT64 | Scalar.UINT64:
            fix = _as_integer(value, wanted, field)
        case _:
            fix = _EXAMPLES.get(wanted, "one string")
    return fix


def _as_list(value: JsonValue, entry: Type, field: str) -> str:
    if entry is Scalar.STRING and isinstance(value, str):
        return list_of_strings(value, field)
    return "a list, each entry with a dash before it" if isinstance(value, dict) else "a list, [...]"


def _fields(name: str) -> str:
    fields = list(STRUCTS[name])
    more = ", ..." if len(fields) > _FIELDS_SHOWN else ""
    return f" of {', '.join(fields[:_FIELDS_SHOWN])}{more}" if fields else ", {}"


def _as_bool(value: JsonValue) -> str:
    word = value.strip().casefold() if isinstance(value, str) else ""
    meant = "true" if word in _YES else "false" if word in _NO else "true or false"
    return f"{meant}, without quotes"


def _as_integer(value: JsonValue, wanted: Scalar, field: str) -> str:
    bounds = BOUNDS[wanted]
    if whole(value) is not None:
        return f"one from {bounds[0]} to {bounds[1]}"
    return integer(value, field, bounds)
