"""How much time a review has, and how much of it is left.

The API server appends `?timeout=5s` to the webhook's URL (client-go). A review that takes long asks its turn
whether it may continue (`turns`). Where no time is left, a part of the work raises `TimeSpentError`, which
`http_errors.OutOfTime` (504) answers.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

from policy.core.values.budget import Part, TimeSpentError
from webhook.turns import ALONE, Turn

DEFAULT_TIMEOUT: Final = timedelta(seconds=10)
"""The API server's default for admissionregistration/v1."""
SHARE: Final = 0.85
"""Part of the time that we use ourselves: the answer has to travel, and the API server to read it."""
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST_TEXT: Final = 1000
"""Characters of a duration that is read."""
LONGEST: Final = timedelta(seconds=30)
"""The API server allows no webhook more than this."""


class TimeLeft:
    """The budget of one review, which takes a slot of its turn when it takes long, until `done`."""

    __slots__ = ("_clock", "_entered", "_next", "_turn", "_until")

    def __init__(self, clock: Callable[[], float], seconds: float, turn: Turn = ALONE) -> None:
        self._clock = clock
        self._turn = turn
        started = clock()
        self._until = started + seconds - turn.waited
        self._next = min(started + turn.long, self._until)
        self._entered = False

    def check(self, part: Part) -> None:
        """Raise TimeSpentError where no time is left."""
        now = self._clock()
        if now > self._next:  # Nearly always this is all.
            self._continue(part, now)

    def _continue(self, part: Part, now: float) -> None:
        if now > self._until:
            raise TimeSpentError(part)
        self._next = self._until
        self._entered = self._turn.enter(self._until - now)
        if not self._entered:
            raise TimeSpentError(Part.WAITING)

    def done(self) -> None:
        """Release the slot, if one was taken."""
        if self._entered:
            self._entered = False
            self._turn.leave()


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
    if len(text) > _LONGEST_TEXT or not _DURATION.fullmatch(text):
        return None
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return timedelta(seconds=min(seconds, 86_400.0)) if seconds > 0 else None
