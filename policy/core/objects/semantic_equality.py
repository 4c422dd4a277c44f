"""Whether two versions of a part of a Workflow mean the same: Argo writes objects back in its own form.

Its controller decodes a Workflow into Go types and writes them out again. This adds empty objects, drops
empty values, turns parameter values into strings and gives quantities one form (argo-verified 13). A change
must not be missed, so nothing is ignored that any rule reads: zero and false are not empty here.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import msgspec

from policy.core.objects.json_patch import JsonValue
from policy.core.values.budget import UNBOUNDED, Budget, Part

Parts = Mapping[str, msgspec.Raw]
_QUANTITIES: Final = frozenset({"requests", "limits"})
_QUANTITY: Final = re.compile(
    r"([+-]?[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE]([+-]?[0-9]{1,2})|([KMGTPE]i?|[munk]))?"
)
_SCALE: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = "KMGTPE"


class UnreadableError(Exception):
    """A value that is JSON and cannot be decoded: a number of thousands of digits, or nested too deep.

    Such a request is wrong, whatever its object is; the API server sends none like it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def value_of(raw: msgspec.Raw | None) -> JsonValue:
    """Return a part of an object as plain values; None for an absent one.

    Raises:
        UnreadableError: it cannot be decoded.
    """
    if raw is None:
        return None
    try:
        value: JsonValue = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"a part of the object cannot be read: {error}") from error
    return value


def changed(old: Parts | None, new: Parts | None, budget: Budget = UNBOUNDED) -> frozenset[str]:
    """Return the names of the parts that differ; bytes that are equal are not decoded.

    Raises:
        UnreadableError: a part cannot be decoded.
        TimeSpentError: they are too large to compare.
    """
    before, after = old or {}, new or {}
    names = set()
    for name in before.keys() | after.keys():
        budget.check(Part.COMPARING)
        one, other = before.get(name), after.get(name)
        if one is not None and other is not None and bytes(one) == bytes(other):
            continue
        if canonical(value_of(one), budget=budget) != canonical(value_of(other), budget=budget):
            names.add(name)
    return frozenset(names)


def canonical(value: JsonValue, *, quantities: bool = False, budget: Budget = UNBOUNDED) -> JsonValue:
    """Return a value in one form; None means everything empty."""
    if isinstance(value, dict):
        budget.check(Part.COMPARING)
        entries = (
            (key, canonical(each, quantities=key in _QUANTITIES, budget=budget))
            for key, each in value.items()
        )
        if quantities:
            entries = ((key, _quantity(each)) for key, each in value.items())
        return {key: each for key, each in entries if each is not None} or None
    if isinstance(value, list):
        budget.check(Part.COMPARING)
        return [canonical(each, budget=budget) for each in value] or None
    if value is None or value == "":
        return None
    return _text(value)


def _text(value: float | str) -> str:
    """Return a scalar, JSON's true and false included, as Go writes it into a string.

    5 and "5" are the same parameter.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _quantity(value: JsonValue) -> JsonValue:
    """Return a quantity as an exact number, anything else as it is."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return canonical(value)
    found = _QUANTITY.fullmatch(_text(value))
    if found is None:
        return canonical(value)
    number = Fraction(found[1])
    suffix = found[3] or ""
    if suffix.endswith("i"):
        number *= 1024 ** (_BINARY.index(suffix[0]) + 1)
    else:
        number *= Fraction(10) ** (_SCALE.get(suffix, 0) + int(found[2] or 0))
    return str(number)
