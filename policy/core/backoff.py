"""How long to wait until something that failed is tried again: twice as long each time, up to a bound."""

from datetime import timedelta
from typing import Final, TypeVar

Span = TypeVar("Span", float, timedelta)
MOST_DOUBLINGS: Final = 10
"""A thousand times the first wait is as good as the last, and no number grows without bound."""


def backoff(failures: int, *, first: Span, last: Span) -> Span:
    """Return the wait after so many failures in a row: `first` after one, `last` at most."""
    return min(last, first * 2.0 ** min(max(0, failures - 1), MOST_DOUBLINGS))
