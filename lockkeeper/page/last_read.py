"""What was read last: read again when it is old and somebody asks, by one reader for all who ask."""

from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

import msgspec

from policy.cluster.errors import ClusterError

Value = TypeVar("Value")

FRESH_SECONDS: Final = 2.0
"""What is not older is not read again."""
_IDLE: Final = 10.0
"""After a read that took one second of CPU there is none for so many; so reading takes a tenth at most."""


class Latest(msgspec.Struct, Generic[Value], frozen=True):
    """The `value` that was read last, None where none was; and the `error` of the last read, if it failed."""

    value: Value | None = None
    error: ClusterError | None = None


class LastRead(Generic[Value]):
    """Keeps what was read last. `read` gets the value before; `cost` is the CPU time of this thread."""

    def __init__(
        self,
        *,
        read: Callable[[Value | None], Value],
        stopwatch: Callable[[], float],
        cost: Callable[[], float],
    ) -> None:
        self._read = read
        self._stopwatch = stopwatch
        self._cost = cost
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
        begin = self._cost()
        try:
            return Latest(self._read(before))
        except ClusterError as error:
            return Latest(before, error)
        finally:
            self._next = self._stopwatch() + max(FRESH_SECONDS, _IDLE * (self._cost() - begin))
