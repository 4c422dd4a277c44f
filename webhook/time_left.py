"""How much time a review has, and what is left of it while it goes on.

The API server appends `?timeout=5s` to the webhook's URL (client-go). A review that has taken longer than
LONG needs a place among the long ones (`webhook.time_left`) to go on.
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
    """Where reviews that take long get their places; see `webhook.time_left.LongReviewPlaces`."""

    def enter(self, seconds: float) -> bool:
        """Wait for a place, and tell whether there was one in time."""
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...


class _Unlimited:
    """Places for all reviews: without a server there are no permits to share."""

    def enter(self, _seconds: float) -> bool:
        """Go on."""
        return True

    def leave(self) -> None:
        """Nothing was taken."""


UNLIMITED: Final[LongReviews] = _Unlimited()


def long_reviews_of(environ: WSGIEnvironment) -> LongReviews:
    """Return the places of the worker that serves a request; its socket knows them."""
    found: LongReviews | None = getattr(environ.get("gunicorn.socket"), "long_reviews", None)
    return found or UNLIMITED


class TimeLeft:
    """The budget of one review, which has a place among the long ones when it takes long, until `done`."""

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
            self._go_on(part, now)

    def _go_on(self, part: Part, now: float) -> None:
        if now > self._until:
            raise TimeSpentError(part)
        self._next = self._until
        self._entered = self._long_reviews.enter(self._until - now)
        if not self._entered:
            raise TimeSpentError(Part.WAITING)

    def done(self) -> None:
        """Give the place back, if one was taken."""
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
    """A counting semaphore made of a queue of tokens, which is several times faster than threading's."""

    def __init__(self, most: int) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._tokens.put(None)

    def acquire(self) -> None:
        """Wait for a permit."""
        self._tokens.get()

    def release(self) -> None:
        """Give the permit to another thread."""
        self._tokens.put(None)


class LongReviewPlaces:
    """So many places for reviews that take long, beside the permits of a worker."""

    def __init__(self, permits: Permits, places: int) -> None:
        self._permits = permits
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._places.put(None)

    def enter(self, seconds: float) -> bool:
        """Take a free place, or wait for one without a permit; tell whether there was one in time."""
        try:
            self._places.get_nowait()
        except Empty:
            return self._wait(seconds)
        return True

    def leave(self) -> None:
        """Give the place back."""
        self._places.put(None)

    def _wait(self, seconds: float) -> bool:
        self._permits.release()
        try:
            self._places.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        finally:
            self._permits.acquire()
        return True
