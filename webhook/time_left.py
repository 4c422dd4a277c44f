"""How much time a review has, how much of it is left, and how many reviews may take long at once.

The API server appends `?timeout=5s` to the webhook's URL (client-go). A review that has taken longer than
LONG needs one of the few slots for long reviews to continue. Where no time is left, a part of the work raises
`TimeSpentError`, which `http_errors.OutOfTime` (504) answers.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Final, Protocol
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

from policy.core.values.budget import Part, TimeSpentError

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

LONG: Final = 0.1
"""Seconds after which a review counts as one that takes long; nearly all take a thousandth of it."""


class LongReviews(Protocol):
    """Where reviews that take long get their slots; see `LongReviewSlots`."""

    def enter(self, seconds: float) -> bool:
        """Wait for a slot, and return whether there was one in time."""

    def leave(self) -> None:
        """Release the slot."""


class _Unlimited:
    """Slots for all reviews: without a server there are no permits to share."""

    def enter(self, _seconds: float) -> bool:
        """Continue."""
        return True

    def leave(self) -> None:
        """Nothing was taken."""


UNLIMITED: Final[LongReviews] = _Unlimited()


def long_reviews_of(environ: WSGIEnvironment) -> LongReviews:
    """Return the slots of the worker that serves a request; its socket knows them."""
    found: LongReviews | None = getattr(environ.get("gunicorn.socket"), "long_reviews", None)
    return found or UNLIMITED


class TimeLeft:
    """The budget of one review, which takes a slot for long reviews when it takes long, until `done`."""

    __slots__ = ("_clock", "_entered", "_long_reviews", "_next", "_until")

    def __init__(self, clock: Callable[[], float], seconds: float, long_reviews: LongReviews) -> None:
        self._clock = clock
        self._long_reviews = long_reviews
        started = clock()
        self._until = started + seconds
        self._next = started + min(LONG, seconds)
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
        self._entered = self._long_reviews.enter(self._until - now)
        if not self._entered:
            raise TimeSpentError(Part.WAITING)

    def done(self) -> None:
        """Release the slot, if one was taken."""
        if self._entered:
            self._entered = False
            self._long_reviews.leave()


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


class Permits:
    """A counting semaphore built on a queue of tokens, which is several times faster than threading's."""

    def __init__(self, most: int) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._tokens.put(None)

    def acquire(self) -> None:
        """Wait for a permit."""
        self._tokens.get()

    def release(self) -> None:
        """Release the permit for another thread."""
        self._tokens.put(None)


class LongReviewSlots:
    """So many slots for reviews that take long, beside the permits of a worker."""

    def __init__(self, permits: Permits, slots: int) -> None:
        self._permits = permits
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(slots):
            self._slots.put(None)

    def enter(self, seconds: float) -> bool:
        """Take a free slot, or wait for one without a permit; return whether there was one in time."""
        try:
            self._slots.get_nowait()
        except Empty:
            return self._wait(seconds)
        return True

    def leave(self) -> None:
        """Release the slot."""
        self._slots.put(None)

    def _wait(self, seconds: float) -> bool:
        self._permits.release()
        try:
            self._slots.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        finally:
            self._permits.acquire()
        return True
