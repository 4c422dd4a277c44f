"""The text that Argo makes of the value of a parameter, whose JSON may be a number or a boolean."""

from decimal import Decimal
from typing import Any


def parameter_text(value: Any) -> str | None:
    """Return a value as Argo reads it (`AnyString.UnmarshalJSON`), None where it has no text.

    Argo reads every number as a float64 and writes it with the fewest digits, without an exponent: so two
    integers beyond 2**53 may have the same text.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        try:
            text = f"{Decimal(repr(float(value))):f}"
        except OverflowError:
            return None  # Go reads no number that is above all of its floats.
        return text.removesuffix(".0")
    return None
