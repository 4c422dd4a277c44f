"""How long a failed operation waits for its next try: twice as long each time, up to a bound."""

from collections.abc import Collection, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar, overload

import msgspec

Key = TypeVar("Key", bound=Hashable)
Time = TypeVar("Time", float, datetime)
About = TypeVar("About")
MOST_DOUBLINGS: Final = 10
"""A thousand times the first wait is enough, and no number grows without bound."""


def backoff(failures: int, *, first: float, last: float) -> float:
    """Return the wait after `failures` in a row: `first` after one, `last` at most."""
    return min(last, first * 2.0 ** min(max(0, failures - 1), MOST_DOUBLINGS))


class Failure(msgspec.Struct, Generic[Time, About], frozen=True):
    """How often an operation has failed in a row, when its next try is due, and what is known about it."""

    times: int
    due: Time
    about: About


class RetryTimes(Generic[Key, Time, About]):
    """The operations that failed, each with its own delay, so that none delays another.

    Times are those of a clock, or the seconds of a stopwatch; `first` and `last` are seconds.
    """

    def __init__(self, *, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._failures: dict[Key, Failure[Time, About]] = {}

    def failed(self, key: Key, now: Time, about: About) -> Failure[Time, About]:
        """Delay the next try, longer each time."""
        before = self._failures.get(key)
        times = 1 if before is None else before.times + 1
        wait = backoff(times, first=self._first, last=self._last)
        self._failures[key] = Failure(times, _later(now, wait), about)
        return self._failures[key]

    def forget(self, key: Key) -> None:
        """Remove an operation that succeeded or is not needed any more."""
        self._failures.pop(key, None)

    def keep(self, keys: Collection[Key]) -> None:
        """Remove all others."""
        self._failures = {key: each for key, each in self._failures.items() if key in keys}

    def get(self, key: Key) -> Failure[Time, About] | None:
        """Return what is known about an operation that failed, else None."""
        return self._failures.get(key)

    def is_early(self, key: Key, now: Time) -> bool:
        """Return whether the next try is not due yet."""
        failure = self._failures.get(key)
        return failure is not None and now < failure.due

    def next_due(self) -> Time | None:
        """Return when the next try of any is due."""
        return min((each.due for each in self._failures.values()), default=None)

    def about(self) -> Iterator[tuple[Key, About]]:
        """Yield what is known about each that failed."""
        return ((key, each.about) for key, each in self._failures.items())

    def __iter__(self) -> Iterator[Key]:
        return iter(self._failures)

    def __len__(self) -> int:
        return len(self._failures)


@overload
def _later(now: datetime, seconds: float) -> datetime: ...
@overload
def _later(now: float, seconds: float) -> float: ...
def _later(now: float | datetime, seconds: float) -> float | datetime:
    return now + timedelta(seconds=seconds) if isinstance(now, datetime) else now + seconds
