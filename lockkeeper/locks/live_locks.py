"""Which Workflows hold and wait for the locks of a cluster now: read, and shown for people and programs."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from lockkeeper.process.console import aligned
from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, Cluster, ReadingAs, Selection
from policy.core.lock_model.semaphore_definitions import limit_named
from policy.core.lock_queues.live_workflow import LiveWorkflow, Traced
from policy.core.lock_queues.lock_queues import LiveDeadlock, LockQueue, poisoned_text
from policy.core.lock_queues.trace import trace
from policy.core.objects import well_known
from policy.core.values.durations import written
from policy.core.values.prepared import prepare
from policy.service.tracking.tracker import LIVE


class _Data(msgspec.Struct, frozen=True):
    """The data of a ConfigMap."""

    data: dict[str, str] | None = None


prepare(_Data)


class SemaphoreLimits:
    """Limits of locks by Argo's names; each ConfigMap is read once, and one that may not be is not known."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._read: dict[tuple[str, str], dict[str, str]] = {}

    def __call__(self, lock: str) -> int | None:
        """Return the limit of a lock, None where it is not known."""
        return limit_named(lock, lambda namespace, name, key: self._data(namespace, name).get(key))

    def _data(self, namespace: str, name: str) -> dict[str, str]:
        found = self._read.get((namespace, name))
        if found is None:
            try:
                obj = self._cluster.get(CONFIG_MAPS, name, namespace=namespace)
                found = msgspec.convert(obj, _Data).data or {}
            except (NotFound, Forbidden):
                found = {}
            self._read[namespace, name] = found
        return found


def live_traces(cluster: ReadingAs, namespace: str, clock: Callable[[], datetime]) -> list[Traced]:
    """Return the active Workflows of a namespace, or of all with ""; those that do not decode are skipped."""
    listing = cluster.list_as(Selection(WORKFLOWS, namespace, LIVE), LiveWorkflow)
    now = clock()
    return [trace(item, unborn=now) for item in listing.items if isinstance(item, LiveWorkflow)]


def queued(cluster: Cluster, namespace: str) -> int:
    """Return how many Workflows wait for quotas: they have not come to any lock yet."""
    selector = f"{well_known.INSTANCE_ID}={well_known.HOLD_VALUE},{LIVE}"
    found = cluster.list(WORKFLOWS, namespace=namespace, labels=selector, metadata_only=True)
    return len(found.items)


def queued_text(number: int) -> str:
    """Return where those are shown that wait for quotas and not for locks; "" where there are none."""
    if not number:
        return ""
    those = "1 Workflow waits" if number == 1 else f"{number} Workflows wait"
    return f"{those} for quotas, at no lock yet: lockkeeper queue shows them"


_SHOWN: Final = 3
"""Workflows that a cell of the table names."""
_HEADER: Final = ("LOCK", "LIMIT", "HELD", "WAITING", "OLDEST WAIT", "HOLDERS", "NEXT")


class ShownHolder(msgspec.Struct, frozen=True):
    """A holder of a lock; `node` is empty for the Workflow itself."""

    workflow: str
    node: str


class ShownWaiter(msgspec.Struct, frozen=True):
    """A waiter for a lock, and how long it waits; for ever where it is `deadlocked`."""

    workflow: str
    node: str
    seconds: int
    deadlocked: bool


class ShownLock(msgspec.Struct, frozen=True):
    """One lock; `poisoned` says what to do where Argo gives it to nobody, "" where it does."""

    lock: str
    limit: int | None
    holders: tuple[ShownHolder, ...]
    waiters: tuple[ShownWaiter, ...]
    poisoned: str = ""


class ShownDeadlock(msgspec.Struct, frozen=True):
    """A Workflow that waits for ever."""

    workflow: str
    locks: tuple[str, ...]
    message: str


class ShownLocks(msgspec.Struct, frozen=True):
    """All that is shown; `queued` is how many Workflows wait for quotas instead of locks."""

    locks: tuple[ShownLock, ...]
    deadlocks: tuple[ShownDeadlock, ...]
    queued: int = 0


def shown(
    found: Sequence[LockQueue], stuck: Sequence[LiveDeadlock], now: datetime, *, queued: int = 0
) -> ShownLocks:
    """Return what programs read; `queued` is how many Workflows wait for quotas instead."""
    return ShownLocks(
        tuple(
            ShownLock(
                queue.lock,
                queue.limit,
                tuple(ShownHolder(each.workflow.key, each.held.node) for each in queue.holders),
                tuple(
                    ShownWaiter(
                        each.workflow.key, each.waits.node, _seconds(each.waits.since, now), each.stuck
                    )
                    for each in queue.waiters
                ),
                poisoned_text(queue) if queue.poisoned else "",
            )
            for queue in found
        ),
        tuple(ShownDeadlock(each.workflow.key, each.locks, each.text) for each in stuck),
        queued,
    )


def table(found: Sequence[LockQueue], stuck: Sequence[LiveDeadlock], now: datetime) -> str:
    """Return what people read: a line a lock, then the poisoned ones and the deadlocks."""
    if not found:
        return "no lock is held or waited for"
    rows = [_HEADER, *(_row(queue, now) for queue in found)]
    lines = [aligned(rows)]
    poisoned = [f"POISONED  {queue.lock} {poisoned_text(queue)}" for queue in found if queue.poisoned]
    lines += ["", *poisoned] if poisoned else []
    lines += ["", *(f"DEADLOCK  {each.workflow.key} {each.text}" for each in stuck)] if stuck else []
    return "\n".join(lines)


def _row(queue: LockQueue, now: datetime) -> tuple[str, ...]:
    oldest = queue.oldest
    waiting = f"{len(queue.waiters)} (deadlock)" if queue.deadlocked else str(len(queue.waiters))
    return (
        queue.lock,
        "?" if queue.limit is None else str(queue.limit),
        str(len(queue.holders)),
        waiting,
        "-" if oldest is None else written(timedelta(seconds=_seconds(oldest, now))),
        _some([each.workflow.name for each in queue.holders]),
        _some([each.workflow.name for each in queue.waiters]),
    )


def _some(names: Sequence[str]) -> str:
    """Return some names, each once, and how many more there are."""
    each_once = list(dict.fromkeys(names))
    more = len(each_once) - _SHOWN
    text = ", ".join(each_once[:_SHOWN])
    return f"{text} and {more} more" if more > 0 else text or "-"


def _seconds(since: datetime, now: datetime) -> int:
    return max(0, int((now - since).total_seconds()))
