"""Durations as Go and Kubernetes write them (`10h`, `1h30m`, `90s`), and also days (`7d`).

A day is 24 hours: these are elapsed times, not calendar days. The largest unit is first and each is used
once, so that a CRD can state the same with one pattern.
"""

import re
from datetime import timedelta
from typing import Final

_PATTERN: Final = r"^([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,9}s)?$"
"""The form, also in the CRDs; they require at least one character besides."""
_FORM: Final = 'a number of d, h, m and s, the largest first, as in "10h", "1h30m" or "90s"'
_LONGEST: Final = timedelta(days=36_500)
_PARTS: Final = re.compile(_PATTERN, re.ASCII)


def duration(text: str) -> timedelta:
    """Return the duration in a text; it may be zero.

    Raises:
        ValueError: it is not of that form, or longer than a hundred years.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None or not text:
        raise ValueError(f"{text!r} is no duration: write {_FORM}")
    days, hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in parts.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > _LONGEST:
        raise ValueError(f"{text!r} is longer than {_LONGEST.days}d")
    return length


def written(length: timedelta) -> str:
    """Return a duration as text in the same form: whole seconds, without parts that are zero."""
    minutes, seconds = divmod(length // timedelta(seconds=1), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in units if count) or "0s"
