"""The queues of locks as people and programs read them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from lockkeeper.process.output import aligned
from policy.core.lock_queues.lock_queues import LiveDeadlock, LockQueue
from policy.core.values.durations import written

_SHOWN: Final = 3
"""Workflows that a cell of the table names."""
_HEADER: Final = ("LOCK", "LIMIT", "HELD", "WAITING", "OLDEST WAIT", "HOLDERS", "NEXT")


class ShownHolder(msgspec.Struct, frozen=True):
    """Who holds a lock; `node` is empty for the Workflow itself."""

    workflow: str
    node: str


class ShownWaiter(msgspec.Struct, frozen=True):
    """Who waits for a lock, and how long; `deadlocked` says that it will for ever."""

    workflow: str
    node: str
    seconds: int
    deadlocked: bool


class ShownLock(msgspec.Struct, frozen=True):
    """One lock."""

    lock: str
    limit: int | None
    holders: tuple[ShownHolder, ...]
    waiters: tuple[ShownWaiter, ...]


class ShownDeadlock(msgspec.Struct, frozen=True):
    """A Workflow that waits for ever."""

    workflow: str
    locks: tuple[str, ...]
    message: str


class ShownLocks(msgspec.Struct, frozen=True):
    """All that is shown."""

    locks: tuple[ShownLock, ...]
    deadlocks: tuple[ShownDeadlock, ...]


def shown(found: Sequence[LockQueue], stuck: Sequence[LiveDeadlock], now: datetime) -> ShownLocks:
    """Return what programs read."""
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
            )
            for queue in found
        ),
        tuple(ShownDeadlock(each.workflow.key, each.locks, each.text) for each in stuck),
    )


def table(found: Sequence[LockQueue], stuck: Sequence[LiveDeadlock], now: datetime) -> str:
    """Return what people read: a line a lock, then the deadlocks."""
    if not found:
        return "no lock is held or waited for"
    rows = [_HEADER, *(_row(queue, now) for queue in found)]
    lines = [aligned(rows)]
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
