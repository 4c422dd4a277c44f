"""What a scalar of YAML means to kubectl, Argo and Helm, which read it with one Go library (go-yaml v2).

    plain("on")       True: as in YAML 1.1, and so are y, n, yes, no, off
    plain("08")       8: no octal number, so it is read as a floating-point one
    plain("1e999")    "1e999": beyond the range of a number, so it stays text

The library makes JSON of what it has read: a whole number has no fraction there, dates are text, and
infinity cannot be written. The end-to-end tests compare this with the library itself.
"""

import math
import re
import struct
from base64 import b64decode
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[Mapping[str, bool | float | None]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_NUMERIC: Final = re.compile(r"[-+.0-9]")
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)|0[oO]?(?P<octal>[0-7]+)"
    r"|(?P<decimal>0|[1-9][0-9]*))\Z",
    re.ASCII,
)
_SIGN_INSIDE: Final = re.compile(r"0b(?P<number>[-+][01]+)\Z", re.ASCII)
"""The library also takes a sign after the prefix of a binary number."""
_BASES: Final[Mapping[str, int]] = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:[Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"| [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?)?\Z",
    re.ASCII,
)
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z", re.ASCII)
_NO_TEXT: Final = re.compile("[\udc80-\udcff]")
"""What Python makes of each byte that is no part of a text in UTF-8."""
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1
_HIGHEST_UNSIGNED: Final = 2**64 - 1
_LONGEST: Final = 65
"""Characters of the longest integer that fits: 64 digits in base 2, and a sign."""
_FIXED: Final = range(-4, 6)
"""Powers of ten of the numbers that the library writes without an exponent."""
_SHOWN: Final = 40


def plain(text: str) -> Scalar:
    """Return the value of a scalar without quotes and tag; infinite or no number where it is written so."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMERIC.match(text):
        return text
    # A number that starts with a dot is read by another function, which knows no underscores.
    digits = text if text[0] == "." else text.replace("_", "")
    whole = _integer(digits)
    if whole is not None:
        return whole
    if _FLOAT.match(digits):
        number = float(digits)
        return number if math.isfinite(number) else text
    return text


def tagged(name: str, text: str) -> Scalar:
    """Return the value of a scalar with a tag of YAML's own, such as `int` of `!!int`.

    Raises:
        ValueError: the text is not of that type; as text, what is wrong.
    """
    if name == "binary":
        return _decoded(text)
    if name not in ("bool", "int", "float", "null", "timestamp"):
        return text
    value = plain(text)
    fits = {
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, float) or (type(value) is int and _LOWEST <= value <= _HIGHEST),
        "null": value is None,
        "timestamp": _DATE.match(text) is not None,
    }
    if not fits[name]:
        raise ValueError(f"is tagged !!{name}, but {text[:_SHOWN]!r} is none")
    return float(value) if name == "float" and isinstance(value, int) else value


def as_json(value: Scalar) -> Scalar:
    """Return a value as JSON holds it and readers of JSON get it back: 5 for 5.0.

    Raises:
        ValueError: JSON cannot hold it; as text, what is wrong.
    """
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError("is no finite number, which JSON cannot hold: quote it, or give a number")
    # The library writes the fewest digits that tell a number from others, and zeros after them.
    whole = int(Decimal(repr(value))) if value.is_integer() else _HIGHEST + 1
    return whole if _LOWEST <= whole <= _HIGHEST else value


def key_text(value: Scalar) -> str:
    """Return the key of JSON's map that a scalar as a key of YAML's map becomes: "true" for `on`.

    Raises:
        ValueError: it becomes none; as text, what is wrong.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError("has the key null, which JSON cannot hold: quote it")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _short(value)
    if value > _HIGHEST:
        raise ValueError(f"has the key {value}, which is too large for a number: quote it")
    return str(value)


def _integer(digits: str) -> int | None:
    found = _INTEGER.match(digits)
    if found is None:
        inside = _SIGN_INSIDE.match(digits)
        return None if inside is None else _within(inside["number"], 2, _HIGHEST)
    kind = next(name for name in _BASES if found[name] is not None)
    highest = _HIGHEST if found["sign"] else _HIGHEST_UNSIGNED
    return _within(found["sign"] + (found[kind].lstrip("0") or "0"), _BASES[kind], highest)


def _within(digits: str, base: int, highest: int) -> int | None:
    if len(digits) > _LONGEST:
        return None
    number = int(digits, base)
    return number if _LOWEST <= number <= highest else None


def _decoded(text: str) -> str:
    digits = text.replace("\r", "").replace("\n", "")
    if not _BASE64.match(digits):
        raise ValueError(f"is tagged !!binary, but {text[:_SHOWN]!r} is no base64")
    decoded = b64decode(digits).decode(errors="surrogateescape")
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", decoded)


def _short(number: float) -> str:
    """Return a number with the fewest digits that tell it from others of 32 bits, as the library does."""
    if math.isnan(number):
        return ".nan"
    try:
        bits = struct.pack("f", number)
    except OverflowError:
        return ".inf" if number > 0 else "-.inf"
    (narrow,) = struct.unpack("f", bits)
    if math.isinf(narrow):
        return ".inf" if narrow > 0 else "-.inf"
    precision = next(digits for digits in range(9) if struct.pack("f", float(f"{narrow:.{digits}e}")) == bits)
    digits, _, exponent = f"{narrow:.{precision}e}".partition("e")
    power = int(exponent)
    if power in _FIXED:
        return f"{narrow:.{max(precision - power, 0)}f}"
    return f"{digits}e{'-' if power < 0 else '+'}{abs(power):02d}"
