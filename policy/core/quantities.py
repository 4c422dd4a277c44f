"""Kubernetes quantities of CPU (`4`, `3920m`, `0.5`, `1e3`, `2k`, `1Ki`) as whole millicores."""

import re
from typing import Final

_FORM: Final = re.compile(
    r"([+-]?)([0-9]{0,30})(?:\.([0-9]{0,30}))?(?:([eE][+-]?[0-9]{1,2})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?",
    re.ASCII,
)
_TENS: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_MILLI: Final = 3


def millicores(text: str) -> int:
    """Return a quantity of CPU in thousandths of a core, rounded down.

    Raises:
        ValueError: it is no quantity, or negative.
    """
    parts = _FORM.fullmatch(text)
    if parts is None or not (parts[2] or parts[3]) or parts[1] == "-":
        raise ValueError(f"{text!r} is no quantity of CPU")
    fraction = parts[3] or ""
    number = int((parts[2] or "") + fraction)
    exponent = _MILLI - len(fraction)
    suffix = parts[5]
    if suffix in _BINARY:
        number <<= 10 * (_BINARY.index(suffix) + 1)
    elif suffix is not None:
        exponent += _TENS[suffix]
    elif parts[4]:
        exponent += int(parts[4][1:])
    power: int = 10 ** abs(exponent)
    return number * power if exponent >= 0 else number // power
