"""What was read last: read again when it is old and somebody asks, by one reader for all who ask.

`LastRead` keeps it; `UnlessUnchanged` saves the reading of what nobody has changed since.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from policy.cluster.errors import ClusterError, Forbidden

Value = TypeVar("Value")
Timed = TypeVar("Timed", bound="AtOneTime")

FRESH_SECONDS: Final = 2.0
"""What is not older is not read again."""
LASTS: Final = timedelta(seconds=30)
"""What nobody has changed is read anew after so long."""
_IDLE: Final = 10.0
"""After a read that took one second of CPU there is none for so many; so reading takes a tenth at most."""
_IDLE_OF_ALL: Final = 2.0
"""The same for all viewers together: they take half of a core at most."""
_LONGEST_IDLE: Final = 60.0
"""What is shown is no older than this, however costly it is, and neither are the rights that it needs."""
_AT_ONCE: Final = 4
"""Readings of different viewers at the same time; the others wait for their turn."""


class Latest(msgspec.Struct, Generic[Value], frozen=True):
    """The `value` that was read last, None where none was; and the `error` of the last read, if it failed."""

    value: Value | None = None
    error: ClusterError | None = None


class ReadingShare:
    """What readings may take in all, where there are so many `viewers` now."""

    def __init__(self, viewers: Callable[[], int] = lambda: 1) -> None:
        self._viewers = viewers
        self.turns = BoundedSemaphore(_AT_ONCE)

    def idle_after(self, cost: float) -> float:
        """Return for how many seconds nothing is read after a reading of this cost."""
        idle = max(_IDLE, _IDLE_OF_ALL * self._viewers())
        return min(_LONGEST_IDLE, max(FRESH_SECONDS, idle * cost))


class LastRead(Generic[Value]):
    """Keeps what was read last. `read` gets the value before; `cost` is the CPU time of this thread."""

    def __init__(
        self,
        *,
        read: Callable[[Value | None], Value],
        stopwatch: Callable[[], float],
        cost: Callable[[], float],
        share: ReadingShare | None = None,
    ) -> None:
        self._read = read
        self._stopwatch = stopwatch
        self._cost = cost
        self._share = share or ReadingShare()
        self._reading = Lock()
        self._latest: Latest[Value] | None = None
        self._next = 0.0

    def current(self) -> Latest[Value]:
        """Return what there is; where that is old, it is read anew, or another thread is doing that."""
        if not self._reading.acquire(blocking=self._latest is None):
            return self._latest or Latest()
        try:
            if self._latest is None or self._stopwatch() >= self._next:
                self._latest = self._again(None if self._latest is None else self._latest.value)
            return self._latest
        finally:
            self._reading.release()

    def _again(self, before: Value | None) -> Latest[Value]:
        with self._share.turns:
            begin = self._cost()
            try:
                return Latest(self._read(before))
            except ClusterError as error:
                # What may not be read any more may not be shown any more.
                return Latest(None if isinstance(error, Forbidden) else before, error)
            finally:
                self._next = self._stopwatch() + self._share.idle_after(self._cost() - begin)


class Changes(Protocol):
    """Tells whether anything was changed."""

    @property
    def unchanged(self) -> bool:
        """Whether nothing was changed since `begin`; False where that is not known."""
        ...

    def begin(self) -> None:
        """Look for changes from now on."""
        ...


class AtOneTime(msgspec.Struct, frozen=True):
    """Something that was so at a time."""

    at: datetime


class UnlessUnchanged(Generic[Timed]):
    """A `read` for `LastRead`: what was read before is so now, too, while nothing is changed.

    Limits and ages change by themselves, so it is read anew after a while all the same. Without `changes` it
    is always read anew.
    """

    def __init__(
        self,
        read: Callable[[Timed | None], Timed],
        *,
        clock: Callable[[], datetime],
        changes: Changes | None,
    ) -> None:
        self._read = read
        self._clock = clock
        self._changes = changes
        self._read_at: datetime | None = None

    def __call__(self, before: Timed | None) -> Timed:
        """Return what is so now.

        Raises:
            ClusterError: it cannot be read.
        """
        now = self._clock()
        if before is not None and self._at_rest(now):
            return msgspec.structs.replace(before, at=now)
        self._read_at = None  # Should it fail, it is not known what was changed meanwhile.
        if self._changes is not None:
            self._changes.begin()
        found = self._read(before)
        self._read_at = now
        return found

    def _at_rest(self, now: datetime) -> bool:
        if self._changes is None or self._read_at is None or now - self._read_at >= LASTS:
            return False
        return self._changes.unchanged
