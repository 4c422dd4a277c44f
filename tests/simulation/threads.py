"""What the product takes from `threading` and `queue`, in virtual time.

The product's own code runs unchanged: while a simulation runs, the names that its modules have imported stand
for these classes, so every wait and every lock is a turn of the scheduler. It is what model checkers of
concurrent code do; nothing of the product is replaced but what blocks a thread.
"""

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, Generic, TypeVar

from tests.simulation.scheduler import SECOND, Actor, Scheduler

T = TypeVar("T")
PACKAGES: Final = ("policy.", "webhook.")
REAL: Final = ("policy.cluster.memory.memory_cluster", "policy.cluster.kube.kube_cluster")
"""The cluster in memory is the world that actors meet in; it never waits within one call."""


def ticks(seconds: float | None) -> int | None:
    """Return a time-out in microseconds."""
    return None if seconds is None else max(0, round(seconds * SECOND))


class Waiters:
    """Actors that wait for one thing, in the order in which they came."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._waiting: deque[Actor] = deque()

    def wait(self, timeout: int | None) -> bool:
        """Wait to be woken; tells whether it was."""
        me = self.scheduler.current
        self._waiting.append(me)
        try:
            return self.scheduler.block(timeout)
        finally:
            if me in self._waiting:
                self._waiting.remove(me)

    def wake(self, count: int | None = None) -> None:
        """Wake so many, or all."""
        while self._waiting and (count is None or count > 0):
            self.scheduler.wake(self._waiting.popleft())
            count = None if count is None else count - 1


class VirtualLock:
    """`threading.Lock`, and `RLock` where `reentrant`."""

    def __init__(self, scheduler: Scheduler, *, reentrant: bool = False) -> None:
        self._waiters = Waiters(scheduler)
        self._reentrant = reentrant
        self._owner: Actor | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as `Lock` has it
        me = self._waiters.scheduler.current
        if self._reentrant and self._owner is me:
            self._depth += 1
            return True
        while self._owner is not None:
            if not blocking or not self._waiters.wait(ticks(timeout) if timeout >= 0 else None):
                return False
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        if self._owner is None:
            raise RuntimeError("release unlocked lock")
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._waiters.wake(1)

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class VirtualCondition:
    """`threading.Condition`."""

    def __init__(self, scheduler: Scheduler, lock: VirtualLock | None = None) -> None:
        self._waiters = Waiters(scheduler)
        self._lock = lock or VirtualLock(scheduler, reentrant=True)

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.release()
        try:
            return self._waiters.wait(ticks(timeout))
        finally:
            self._lock.acquire()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        scheduler = self._waiters.scheduler
        end = None if timeout is None else scheduler.now + (ticks(timeout) or 0)
        while not (met := predicate()):
            left = None if end is None else (end - scheduler.now) / SECOND
            if left is not None and left <= 0:
                break
            self.wait(left)
        return met

    def notify(self, n: int = 1) -> None:
        self._waiters.wake(n)

    def notify_all(self) -> None:
        self._waiters.wake()


class VirtualEvent:
    """`threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._waiters = Waiters(scheduler)
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._waiters.wake()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._waiters.wait(ticks(timeout))
        return self._set


class VirtualQueue(Generic[T]):
    """`queue.SimpleQueue`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._waiters = Waiters(scheduler)
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        self._items.append(item)
        self._waiters.wake(1)

    def get(self, block: bool = True, timeout: float | None = None) -> T:  # noqa: FBT001, FBT002 - as `SimpleQueue` has it
        while not self._items:
            if not block or not self._waiters.wait(ticks(timeout)):
                raise queue.Empty
        return self._items.popleft()

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)


class VirtualThread:
    """`threading.Thread`: an actor in the process of the one that starts it."""

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        target: Callable[..., None],
        args: Iterable[object] = (),
        kwargs: Mapping[str, object] | None = None,
        name: str = "thread",
        daemon: bool = False,
    ) -> None:
        del daemon
        self._scheduler = scheduler
        self._body = partial(target, *args, **(kwargs or {}))
        self.name = name
        self._actor: Actor | None = None

    def start(self) -> None:
        process = self._scheduler.current.process
        name = f"{process.name}/{self.name}" if process is not None else self.name
        self._actor = self._scheduler.spawn(name, self._body, process=process)

    def is_alive(self) -> bool:
        return self._actor is not None and not self._actor.done

    def join(self, timeout: float | None = None) -> None:
        if self._actor is not None:
            self._scheduler.join(self._actor, ticks(timeout))


@contextmanager
def virtual_threads(scheduler: Scheduler) -> Iterator[None]:
    """Let the product wait in the scheduler's time, and put back what was there before."""
    doubles: dict[int, object] = {
        id(threading.Thread): partial(VirtualThread, scheduler),
        id(threading.Lock): partial(VirtualLock, scheduler),
        id(threading.RLock): partial(VirtualLock, scheduler, reentrant=True),
        id(threading.Condition): partial(VirtualCondition, scheduler),
        id(threading.Event): partial(VirtualEvent, scheduler),
        id(queue.SimpleQueue): partial(VirtualQueue, scheduler),
    }
    replaced = [
        (module, name, value)
        for key, module in sys.modules.items()
        if key.startswith(PACKAGES) and not key.startswith(REAL)
        for name, value in vars(module).items()
        if id(value) in doubles
    ]
    for module, name, value in replaced:
        setattr(module, name, doubles[id(value)])
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)
