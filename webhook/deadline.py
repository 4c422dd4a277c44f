"""How much time a review has: the API server appends `?timeout=5s` to the webhook's URL (client-go)."""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

DEFAULT_TIMEOUT: Final = timedelta(seconds=10)
"""The API server's default for admissionregistration/v1."""
SHARE: Final = 0.85
"""Part of the time that we use ourselves: the answer has to travel, and the API server to read it."""
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
LONGEST_TEXT: Final = 1000
"""Characters of a duration that is read."""
LONGEST: Final = timedelta(seconds=30)
"""The API server allows no webhook more than this."""


@lru_cache(maxsize=64)
def budget_of(query: str) -> timedelta:
    """Return the time a review may take, from the query string of its URL.

    Without a timeout, or with one that is no Go duration, the API server's default is taken.
    """
    written = parse_qs(query).get("timeout", [""])[-1]
    timeout = parse_duration(written) or DEFAULT_TIMEOUT
    return min(timeout, LONGEST) * SHARE


def parse_duration(text: str) -> timedelta | None:
    """Return a Go duration (`1m30s`, `500ms`), or None where the text is none or not above zero."""
    if len(text) > LONGEST_TEXT or not _DURATION.fullmatch(text):
        return None
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return timedelta(seconds=min(seconds, 86_400.0)) if seconds > 0 else None
