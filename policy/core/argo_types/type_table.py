"""The Go types of Argo and Kubernetes: the structs of the two tables, and what decodes as each scalar.

An entry names a struct and its fields, `Name = field field:type ...`; indented lines continue it. A field
without a type is a string. A type is a scalar, the name of a struct, `[type]` for a list or `{type}` for a
map from strings. `+Other` embeds the fields of a struct above it, as Go does.

A scalar is checked as Argo's two decoders see it, its controller's converter and encoding/json: a value has
to suit both. Null suits every type, as its zero. Numbers are as the API server writes them: a whole number
without a fraction.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from policy.core.argo_types.argo_table import ARGO, EARLIER
from policy.core.argo_types.kubernetes_table import KUBERNETES
from policy.core.objects.json_patch import JsonValue


class Scalar(StrEnum):
    """A type without fields; the values are the words of the table."""

    STRING = "string"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    UINT64 = "uint64"
    BYTES = "bytes"
    TIME = "time"
    QUANTITY = "quantity"
    INT_OR_STRING = "intstr"
    ANY_STRING = "any"
    PLUGIN = "plugin"
    RAW = "raw"


class StructType(msgspec.Struct, frozen=True):
    """A struct of the table, by name: a template contains templates."""

    name: str


class ListType(msgspec.Struct, frozen=True):
    """A list of values of one type."""

    entry: "Type"


class MapType(msgspec.Struct, frozen=True):
    """A map from strings to values of one type."""

    entry: "Type"


Type: TypeAlias = Scalar | StructType | ListType | MapType
Fields: TypeAlias = Mapping[str, Type]

KINDS: Final = frozenset({"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"})
"""The kinds of object that are checked, each a struct of the table."""
STRICT: Final = frozenset({"WorkflowStep"})
"""Structs that do not decode with an unknown field: Argo reads steps by a decoder of its own.

That decoder is encoding/json, which also takes `Name` for `name`, in a step and in everything below it.
"""


def read(*texts: str) -> dict[str, dict[str, Type]]:
    """Return the structs that texts describe; a struct that several describe has the fields of all."""
    structs: dict[str, dict[str, Type]] = {}
    for entry in "\n".join(texts).replace("\n  ", " ").splitlines():
        name, sign, words = entry.partition(" =")
        fields: dict[str, Type] = {}
        for word in words.split():
            field, _, written = word.partition(":")
            fields |= structs[field[1:]] if field[0] == "+" else {field: _type(written or Scalar.STRING)}
        if sign:
            structs.setdefault(name, {}).update(sorted(fields.items()))
    return structs


def _type(written: str) -> Type:
    if written.startswith("["):
        return ListType(_type(written[1:-1]))
    if written.startswith("{"):
        return MapType(_type(written[1:-1]))
    try:
        return Scalar(written)
    except ValueError:
        return StructType(written)


STRUCTS: Final[Mapping[str, Fields]] = read(KUBERNETES, ARGO, EARLIER)

BOUNDS: Final[Mapping[Scalar, tuple[int, int]]] = {
    Scalar.INT32: (-(2**31), 2**31 - 1),
    Scalar.INT64: (-(2**63), 2**63 - 1),
    Scalar.UINT64: (0, 2**64 - 1),
}
QUANTITY: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?0*[0-9]{1,3})?"
"""A quantity. Argo takes longer exponents too, and would compute their power of ten for hours."""
BASE64: Final = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_BASE64: Final = re.compile(BASE64, re.ASCII)
_QUANTITY: Final = re.compile(QUANTITY, re.ASCII)
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,][0-9]+)?"
    r"(?:Z|[+-]([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_BYTE: Final = 255
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def whole(value: JsonValue) -> int | None:
    """Return a number without a fraction as an integer; 5.0 is one: the API server writes it as 5."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _is_integer(scalar: Scalar) -> Callable[[JsonValue], bool]:
    low, high = BOUNDS[scalar]

    def within(value: JsonValue) -> bool:
        number = whole(value)
        return number is not None and low <= number <= high

    return within


_INT32: Final = _is_integer(Scalar.INT32)


def _is_quantity(value: JsonValue) -> bool:
    if isinstance(value, str):
        return _QUANTITY.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: JsonValue) -> bool:
    """Return whether Go's time.Parse accepts it as RFC 3339; it has a few forms more."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    year, month, day, hour, minute, second, zone_hours, zone_minutes = (
        int(part or 0) for part in found.groups()
    )
    if not 1 <= month <= len(_DAYS):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = _DAYS[month - 1] - (month == 2 and not leap)  # noqa: PLR2004 - February
    in_clock = hour < 24 and minute < 60 and second < 60  # noqa: PLR2004 - a day has 24 hours
    return 1 <= day <= days and in_clock and zone_hours <= 24 and zone_minutes <= 60  # noqa: PLR2004 - as Go has it


def _is_bytes(value: JsonValue) -> bool:
    if isinstance(value, list):
        return all((number := whole(each)) is not None and 0 <= number <= _BYTE for each in value)
    return isinstance(value, str) and _BASE64.fullmatch(value.replace("\r", "").replace("\n", "")) is not None


def _is_anything(_value: JsonValue) -> bool:
    # Argo reads a list or a map in place of a string as "": the value is lost, but nothing fails.
    return True


DECODES: Final[Mapping[Scalar, Callable[[JsonValue], bool]]] = {
    Scalar.STRING: lambda value: isinstance(value, str),
    Scalar.BOOL: lambda value: isinstance(value, bool),
    **{scalar: _is_integer(scalar) for scalar in BOUNDS},
    Scalar.BYTES: _is_bytes,
    Scalar.TIME: _is_time,
    Scalar.QUANTITY: _is_quantity,
    Scalar.INT_OR_STRING: lambda value: isinstance(value, str) or _INT32(value),
    Scalar.ANY_STRING: _is_anything,
    Scalar.PLUGIN: lambda value: isinstance(value, dict) and len(value) == 1,
    Scalar.RAW: _is_anything,
}
"""Whether a value other than null decodes as the scalar."""
