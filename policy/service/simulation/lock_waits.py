"""Who holds and who waits for every lock, on a virtual clock: as Argo's controller gives them.

A step takes all of its locks together or none. Of those that wait, the one with the highest priority goes
first, then the oldest. A semaphore whose limit is not known holds nobody up; it is told that it was so.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from heapq import merge
from typing import TypeAlias

import msgspec

LimitAt: TypeAlias = Callable[[str], int | None]
Place: TypeAlias = tuple[int, datetime, str, str]
"""The place in every queue of Argo: priority, age, name; and the uid."""


class StepWaiter(msgspec.Struct, frozen=True, order=True):
    """A run that waits for the locks of its next step."""

    place: Place
    wanted: frozenset[str] = frozenset()
    since: float = 0.0

    @property
    def uid(self) -> str:
        """The uid of the run."""
        return self.place[3]


class LockWaits:
    """Holders and waiters of every lock; `limit_of` returns the limit that is in force."""

    def __init__(self, *, limit_of: LimitAt) -> None:
        self._limit_of = limit_of
        self.held: dict[str, int] = {}
        self.unlimited: set[str] = set()
        self._queues: dict[str, list[StepWaiter]] = {}

    def take(self, waiter: StepWaiter) -> bool:
        """Take all locks of a step, or join the queues of all of them."""
        if self._take(waiter.wanted):
            return True
        for lock in waiter.wanted:
            insort(self._queues.setdefault(lock, []), waiter)
        return False

    def free(self, locks: Iterable[str]) -> Iterator[StepWaiter]:
        """Free locks, and yield those that have theirs by it."""
        freed = list(locks)
        for lock in freed:
            self.held[lock] -= 1
        yield from self.granted(freed)

    def granted(self, locks: Iterable[str] | None = None) -> Iterator[StepWaiter]:
        """Yield those that wait for some locks, or for any, and have theirs now."""
        names = list(self._queues if locks is None else locks)
        last: StepWaiter | None = None
        for waiter in merge(*(list(self._queues[each]) for each in names if each in self._queues)):
            if waiter == last:  # It waits in several of these queues.
                continue
            last = waiter
            if self._take(waiter.wanted):
                self._leave(waiter)
                yield waiter
            elif not any(map(self._has_room, names)):
                return

    def waiting(self) -> Iterator[StepWaiter]:
        """Yield each that waits."""
        found = {waiter.uid: waiter for queue in self._queues.values() for waiter in queue}
        yield from found.values()

    def withdraw(self, uid: str) -> bool:
        """Let a run wait no longer, which ends before it has its locks; return whether it did wait."""
        found = [waiter for waiter in self.waiting() if waiter.uid == uid]
        for waiter in found:
            self._leave(waiter)
        return bool(found)

    def _leave(self, waiter: StepWaiter) -> None:
        for lock in waiter.wanted:
            queue = self._queues[lock]
            del queue[bisect_left(queue, waiter)]
            if not queue:
                del self._queues[lock]

    def _take(self, locks: Iterable[str]) -> bool:
        wanted = tuple(locks)
        if not all(map(self._has_room, wanted)):
            return False
        for lock in wanted:
            self.held[lock] = self.held.get(lock, 0) + 1
        return True

    def _has_room(self, lock: str) -> bool:
        limit = self._limit_of(lock)
        if limit is None:
            self.unlimited.add(lock)
            return True
        return self.held.get(lock, 0) < limit
