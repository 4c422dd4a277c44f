"""Which Workflows that wait for a lock are to be touched, because Argo would not look at them by itself.

Argo wakes the head of a queue when a holder gives the lock back, and those that name a ConfigMap when it
changes. It overlooks who reaches the lock by templateRef, inline, in another namespace or by a key that is
worked out (argo-verified 4), and the deadline of one that waits (argo-verified 6). Any change of an
annotation makes it look. Touches are few: one head of each queue, later and later.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.lock_queues.live_workflow import Traced
from policy.core.lock_queues.lock_queues import LockQueue
from policy.core.values.backoff import RetryTimes

OVERLOOKED_AFTER: Final = timedelta(seconds=3)
"""How long a lock may be free before a head that Argo overlooks is touched."""
NAMED_AFTER: Final = timedelta(seconds=30)
"""The same for a head that Argo knows of: it has its own ten seconds, and its own limits of requests."""
_DEADLINE_AFTER: Final = timedelta(seconds=5)
"""How long a deadline may be over."""
FIRST_AGAIN: Final = timedelta(seconds=10)
LAST_AGAIN: Final = timedelta(minutes=10)
"""Until a Workflow is touched again: the first, doubled each time up to the last."""
MOST_AT_ONCE: Final = 10


class Why(StrEnum):
    """What a touch is for."""

    FREE = "free"
    DEADLINE = "deadline"


class Touch(msgspec.Struct, frozen=True):
    """A Workflow to touch."""

    workflow: Traced
    why: Why


def touches(
    found: Iterable[LockQueue],
    *,
    free_since: Mapping[str, datetime],
    before: RetryTimes[str, datetime, None],
    now: datetime,
) -> tuple[Touch, ...]:
    """Return who is to be touched now.

    `free_since` tells since when a lock has room and waiters, `before` who was touched and how often.
    """
    due: dict[str, Touch] = {}
    for queue in found:
        for waiter in queue.waiters:
            deadline = waiter.workflow.deadline
            if deadline is not None and now - _DEADLINE_AFTER >= deadline:
                due.setdefault(waiter.workflow.uid, Touch(waiter.workflow, Why.DEADLINE))
        since = free_since.get(queue.lock)
        if since is None or not queue.waiters:
            continue
        head = queue.waiters[0].workflow
        patience = NAMED_AFTER if queue.lock in head.indexed else OVERLOOKED_AFTER
        if now >= since + patience:
            due.setdefault(head.uid, Touch(head, Why.FREE))
    ripe = [each for each in due.values() if not before.is_early(each.workflow.uid, now)]
    return tuple(ripe[:MOST_AT_ONCE])


def none_touched() -> RetryTimes[str, datetime, None]:
    """Return the touches of a term that begins; each touch counts as one that did not help."""
    return RetryTimes(first=FIRST_AGAIN.total_seconds(), last=LAST_AGAIN.total_seconds())


def free_locks(
    found: Iterable[LockQueue], since: Mapping[str, datetime], now: datetime
) -> Mapping[str, datetime]:
    """Return since when each lock has room and waiters at once."""
    return {queue.lock: since.get(queue.lock, now) for queue in found if queue.free and queue.waiters}
