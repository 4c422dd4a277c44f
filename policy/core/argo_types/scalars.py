"""Whether a JSON value decodes as one of the scalar types, exactly as Argo's decoders see it.

Two decoders read an object: the controller's converter and encoding/json; a value has to suit both. Null
suits every type, as its zero. Numbers are as the API server writes them: a whole number without a fraction.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from policy.core.argo_types.type_table import Scalar
from policy.core.objects.json_patch import JsonValue

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
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY: Final = 2
_BYTE: Final = 255


def whole(value: JsonValue) -> int | None:
    """Return a number without a fraction as an integer; 5.0 is one, which the API server writes as 5."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
    return _is_number(value)


def _is_time(value: JsonValue) -> bool:
    """Return whether Go's time.Parse takes it as RFC 3339: a few forms more than the standard has."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    year, month, day, hour, minute, second, zone_hours, zone_minutes = (
        int(part or 0) for part in found.groups()
    )
    if not 1 <= month <= len(_DAYS):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 28 if month == _FEBRUARY and not leap else _DAYS[month - 1]
    in_clock = hour < 24 and minute < 60 and second < 60  # noqa: PLR2004 - a day has 24 hours
    return 1 <= day <= days and in_clock and zone_hours <= 24 and zone_minutes <= 60  # noqa: PLR2004 - as Go has it


def _is_bytes(value: JsonValue) -> bool:
    if isinstance(value, list):
        return all((number := whole(each)) is not None and 0 <= number <= _BYTE for each in value)
    return isinstance(value, str) and _BASE64.fullmatch(value.replace("\r", "").replace("\n", "")) is not None


def _is_anything(_value: JsonValue) -> bool:
    # Argo reads a list or a map where it wants any string as "", which loses it but stops nothing.
    return True


DECODES: Final[Mapping[Scalar, Callable[[JsonValue], bool]]] = {
    Scalar.STRING: lambda value: isinstance(value, str),
    Scalar.BOOL: lambda value: isinstance(value, bool),
    Scalar.INT32: _INT32,
    Scalar.INT64: _is_integer(Scalar.INT64),
    Scalar.UINT64: _is_integer(Scalar.UINT64),
    Scalar.BYTES: _is_bytes,
    Scalar.TIME: _is_time,
    Scalar.QUANTITY: _is_quantity,
    Scalar.INT_OR_STRING: lambda value: isinstance(value, str) or _INT32(value),
    Scalar.ANY_STRING: _is_anything,
    Scalar.PLUGIN: lambda value: isinstance(value, dict) and len(value) == 1,
    Scalar.RAW: _is_anything,
}
"""Whether a value other than null decodes as the scalar."""
