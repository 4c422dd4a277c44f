"""Objects that fit, drawn from the table of types, and one value in them that does not."""

import copy
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from hypothesis import strategies as st

from policy.core.argo_types.type_table import STRUCTS, ListType, MapType, Scalar, StructType, Type
from policy.core.objects.json_patch import JsonValue

Steps: TypeAlias = tuple[str | int, ...]

RIGHT: Final[Mapping[Scalar, tuple[JsonValue, ...]]] = {
    Scalar.STRING: ("", "text", "5"),
    Scalar.BOOL: (True, False),
    Scalar.INT32: (0, -1, 2**31 - 1, 5.0),
    Scalar.INT64: (0, -1, 2**63 - 1, 5.0),
    Scalar.UINT64: (0, 2**64 - 1),
    Scalar.BYTES: ("", "aGVsbG8="),
    Scalar.TIME: ("2026-01-31T08:00:00Z", "2024-02-29T08:00:00.5+01:00"),
    Scalar.QUANTITY: ("500m", "2Gi", "1237Ki", "1e3", 4, 0.5),
    Scalar.INT_OR_STRING: ("50%", 5),
    Scalar.ANY_STRING: ("text", 5, 1.5, True),
    Scalar.PLUGIN: ({"slack": {"text": [1]}},),
    Scalar.RAW: (1, "item", [1, "a"], {"a": {"b": 1}}),
}
WRONG: Final[Mapping[Scalar, tuple[JsonValue, ...]]] = {
    Scalar.STRING: (5, 1.5, True, [], {}, ["text"]),
    Scalar.BOOL: ("true", 1, [], {}),
    Scalar.INT32: ("5", 2**31, 1.5, True, [], {}),
    Scalar.INT64: ("5", 2**63, 1.5, False, [], {}),
    Scalar.UINT64: ("5", -1, 2**64, 1.5, True, [], {}),
    Scalar.BYTES: ("a", 5, True, {}),
    Scalar.TIME: ("yesterday", "", "2026-02-29T08:00:00Z", 5, True, [], {}),
    Scalar.QUANTITY: ("", "5x", "2GB", True, [], {}),
    Scalar.INT_OR_STRING: (1.5, True, 2**31, [], {}),
    Scalar.ANY_STRING: (),
    Scalar.PLUGIN: ("slack", 5, True, [], {}, {"a": 1, "b": 2}),
    Scalar.RAW: (),
}
_DEEP: Final = 8


def fitting(wanted: Type, depth: int = 0) -> st.SearchStrategy[JsonValue]:
    """Draw a value that decodes as a type: few fields of each struct, and now and then null."""
    match wanted:
        case Scalar():
            return st.sampled_from([*RIGHT[wanted], None])
        case ListType(entry):
            return st.none() | st.lists(st.deferred(lambda: fitting(entry, depth + 1)), max_size=2)
        case MapType(entry):
            keys = st.sampled_from(["a", "example.com/b"])
            return st.none() | st.dictionaries(
                keys, st.deferred(lambda: fitting(entry, depth + 1)), max_size=2
            )
        case StructType(name):
            fields = STRUCTS[name]
            if depth > _DEEP or not fields:
                return st.just({})
            few = st.sets(st.sampled_from(sorted(fields)), max_size=3)
            return few.flatmap(
                lambda chosen: st.fixed_dictionaries(
                    {field: fitting(fields[field], depth + 1) for field in sorted(chosen)}
                )
            )


def wrong(wanted: Type) -> tuple[JsonValue, ...]:
    """Return values that do not decode as a type."""
    match wanted:
        case Scalar():
            return WRONG[wanted]
        case ListType():
            return ("text", 5, 1.5, True, {}, {"a": 1})
        case _:
            return ("text", 5, 1.5, True, [], ["a"])


def places(value: JsonValue, wanted: Type, steps: Steps = ()) -> Iterator[tuple[Steps, Type]]:
    """Yield every place of a value that a type describes, with what is wanted there."""
    if steps:
        yield steps, wanted
    match wanted:
        case StructType(name) if isinstance(value, dict):
            for key, each in value.items():
                if key in STRUCTS[name]:
                    yield from places(each, STRUCTS[name][key], (*steps, key))
        case MapType(entry) if isinstance(value, dict):
            for key, each in value.items():
                yield from places(each, entry, (*steps, key))
        case ListType(entry) if isinstance(value, list):
            for index, each in enumerate(value):
                yield from places(each, entry, (*steps, index))
        case _:
            return


def with_value(obj: JsonValue, steps: Steps, value: JsonValue) -> JsonValue:
    """Return a copy of an object with another value at a place."""
    changed = copy.deepcopy(obj)
    at = changed
    for step in steps[:-1]:
        at = at[step]  # type: ignore[index]  # The steps come from the object itself.
    at[steps[-1]] = value  # type: ignore[index]
    return changed


def written(steps: Steps) -> str:
    """Return a place as messages write it."""
    parts = []
    for step in steps:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if step.replace("_", "").replace("-", "").isalnum() else f'["{step}"]')
    return "".join(parts).removeprefix(".")
