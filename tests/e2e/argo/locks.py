"""Argo's locks: semaphores with a limit in a ConfigMap, and mutexes, each with one strict queue.

A block of locks is taken whole or not at all. Only the Workflow at the head of a queue may take, so a head
that waits for another lock holds the free one up for everybody, as in Argo.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from tests.e2e.argo.shapes import (
    LockStatus,
    MutexHolding,
    MutexStatus,
    SemaphoreHolding,
    SemaphoreStatus,
    Synchronization,
    Workflow,
)

Order: TypeAlias = tuple[int, datetime, str]
LimitOf: TypeAlias = Callable[[str, str, str], int | None]
"""Returns the limit in a key of a ConfigMap (namespace, name, key), or None where there is no usable one."""
_MUTEX: Final = "/Mutex/"
_CONFIG_MAP: Final = "/ConfigMap/"


class LimitError(Exception):
    """A semaphore whose limit cannot be used at its first use; the Workflow fails with this text."""


class Waiting(msgspec.Struct, frozen=True):
    """The first lock that was not to be had, and what Argo says about it."""

    lock: str
    message: str


class Queue:
    """The holders of one lock and who waits for it, by holder key."""

    def __init__(self) -> None:
        self.holders: list[str] = []
        self.waiting: dict[str, Order] = {}

    @property
    def head(self) -> str:
        """The holder key that may take next; there has to be one."""
        return min(self.waiting, key=lambda key: self.waiting[key])


class Locks:
    """Every lock that was asked for. `stirred` collects the keys of Workflows that may get on now."""

    def __init__(self, *, limit_of: LimitOf) -> None:
        self._limit_of = limit_of
        self._queues: dict[str, Queue] = {}
        self._readable: dict[str, int] = {}
        self._poisoned: set[str] = set()
        self._named: dict[str, frozenset[str]] = {}
        self.stirred: set[str] = set()

    def acquire(self, holder: str, wanted: tuple[str, ...], *, order: Order) -> Waiting | None:
        """Take all wanted locks for a holder, or queue for them and return what it waits for.

        Raises:
            LimitError: a semaphore has no usable limit.
        """
        obstacle = next((Waiting(each, _poisoned(each)) for each in wanted if each in self._poisoned), None)
        if obstacle is not None:
            return obstacle
        for name in wanted:
            limit = self._limit(name)
            queue = self._queues.setdefault(name, Queue())
            if holder in queue.holders:
                continue
            queue.waiting[holder] = order
            if obstacle is None and not (
                limit is not None
                and len(queue.holders) < limit
                and workflow_of(queue.head) == workflow_of(holder)
            ):
                obstacle = Waiting(name, _message(name, limit, len(queue.holders)))
        if obstacle is None:
            for name in wanted:
                self._take(name, holder)
        return obstacle

    def release(self, holder: str) -> None:
        """Free what a holder key has, and let the next ones know."""
        for name, queue in self._queues.items():
            if queue.waiting.pop(holder, None) is not None:
                self._stir(name)
            if holder in queue.holders:
                queue.holders.remove(holder)
                self._stir(name)

    def forget(self, workflow: str) -> None:
        """Free everything of a Workflow that ended or is no longer seen."""
        self._named.pop(workflow, None)
        keys = {key for queue in self._queues.values() for key in (*queue.holders, *queue.waiting)}
        for key in keys:
            if workflow_of(key) == workflow:
                self.release(key)

    def restore(self, workflow: Workflow) -> None:
        """Take over what a status says about holders; for a start on Workflows that run already."""
        status = workflow.status.synchronization or LockStatus()
        semaphores = status.semaphore.holding if status.semaphore else []
        mutexes = status.mutex.holding if status.mutex else []
        for held in semaphores:
            if held.holders and held.semaphore not in self._queues:
                self._set_up(held.semaphore)
            for holder in held.holders:
                self._take(held.semaphore, holder)
        for mutex in mutexes:
            self._take(mutex.mutex, mutex.holder)

    def index(self, workflow: str, named: Iterable[str]) -> None:
        """Note the locks that a Workflow names itself: by no others it is found when a ConfigMap changes."""
        self._named[workflow] = frozenset(named)

    def config_map_changed(self, namespace: str, name: str) -> None:
        """Let those at the head of its semaphores look again, unless they reach them by another template."""
        for lock, queue in self._queues.items():
            if not lock.startswith(f"{namespace}{_CONFIG_MAP}{name}/") or not queue.waiting:
                continue
            if lock in self._named.get(workflow_of(queue.head), ()):
                self._stir(lock)

    def status_of(self, workflow: str) -> LockStatus | None:
        """Return what a Workflow's status says about its locks; None where it has and wants none."""
        semaphore, mutex = SemaphoreStatus(), MutexStatus()
        for name, queue in sorted(self._queues.items()):
            own = [key for key in queue.holders if workflow_of(key) == workflow]
            waits = any(workflow_of(key) == workflow for key in queue.waiting)
            if _MUTEX in name:
                mutex.holding += [MutexHolding(name, key) for key in own]
                mutex.waiting += [MutexHolding(name, key) for key in queue.holders if waits]
                continue
            semaphore.holding += [SemaphoreHolding(name, own)] if own else []
            semaphore.waiting += [SemaphoreHolding(name, list(queue.holders))] if waits else []
        if semaphore == SemaphoreStatus() and mutex == MutexStatus():
            return None
        return LockStatus(
            semaphore if semaphore != SemaphoreStatus() else None, mutex if mutex != MutexStatus() else None
        )

    def _take(self, name: str, holder: str) -> None:
        queue = self._queues.setdefault(name, Queue())
        queue.waiting.pop(holder, None)
        if holder not in queue.holders:
            queue.holders.append(holder)
            self._stir(name)

    def _stir(self, name: str) -> None:
        if self._queues[name].waiting:
            self.stirred.add(workflow_of(self._queues[name].head))

    def _set_up(self, name: str) -> None:
        """Take up a semaphore that somebody held before a restart; poison it if its limit is unreadable."""
        try:
            self._limit(name)
        except LimitError:
            self._poisoned.add(name)

    def _limit(self, name: str) -> int | None:
        """Return the limit: of a known semaphore the last that could be read, None where that is 0.

        Raises:
            LimitError: it is new, and has no usable limit.
        """
        if _MUTEX in name:
            return 1
        namespace, _, config_map, key = name.split("/", 3)
        limit = self._limit_of(namespace, config_map, key)
        if limit is None:
            limit = self._readable.get(name)
        if limit is not None and limit < 0:
            raise LimitError("semaphore: n < 0")
        if limit is None or (not limit and name not in self._readable):
            raise LimitError(f"failed to initialize semaphore {name} with limit")
        self._readable[name] = limit
        return limit or None


def names_of(block: Synchronization | None, namespace: str) -> tuple[str, ...]:
    """Return Argo's names of the locks of a block."""
    if block is None:
        return ()
    names = [
        f"{each.namespace or namespace}{_CONFIG_MAP}{each.config_map_key_ref.name or ''}/"
        f"{each.config_map_key_ref.key or ''}"
        for each in block.semaphores or ()
    ]
    names += [f"{each.namespace or namespace}{_MUTEX}{each.name or ''}" for each in block.mutexes or ()]
    return tuple(dict.fromkeys(names))


def workflow_of(holder: str) -> str:
    """Return the Workflow of a holder key: `namespace/name` or `namespace/name/node`."""
    return "/".join(holder.split("/", 2)[:2])


def _poisoned(name: str) -> str:
    why = f"controller could not initialize lock at startup: failed to initialize semaphore {name} with limit"
    return f"lock {name} is in a poisoned state: {why}; manual intervention required"


def _message(name: str, limit: int | None, held: int) -> str:
    if limit is None:
        return f"Failed to get semaphore limit for {name}"
    return f"Waiting for {name} lock. Lock status: {limit - held}/{limit}"
