"""Which Workflows that wait for a lock are touched, because Argo would not reconcile them by itself.

Argo reconciles the head of a queue when a holder releases the lock, and the Workflows that name a ConfigMap
when it changes. It overlooks a Workflow that gets the lock by templateRef, inline, in another namespace or by
a key with parameters (argo-verified 4), and the deadline of one that waits (argo-verified 6). Any change of
an annotation triggers it. Touches are few: the head of each queue, with growing pauses.
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
"""The same for a head that Argo finds by itself, within ten seconds and its own request limits."""
_DEADLINE_AFTER: Final = timedelta(seconds=5)
"""How long after its deadline a Workflow is touched."""
FIRST_AGAIN: Final = timedelta(seconds=10)
LAST_AGAIN: Final = timedelta(minutes=10)
"""Pause until a Workflow is touched again: the first is doubled each time, up to the last."""
MOST_AT_ONCE: Final = 10


class Why(StrEnum):
    """The reason of a touch."""

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
    """Return the Workflows to touch now.

    `free_since` has the locks that are free and have waiters, since when; `before` the earlier touches.
    """
    due: dict[str, Touch] = {}
    for queue in found:
        for waiter in queue.waiters:
            deadline = waiter.workflow.deadline
            if deadline is not None and now - _DEADLINE_AFTER >= deadline:
                due.setdefault(waiter.workflow.uid, Touch(waiter.workflow, Why.DEADLINE))
        since = free_since.get(queue.lock)
        if since is None or not queue.waiters or queue.poisoned:
            continue
        head = queue.waiters[0].workflow
        pause = NAMED_AFTER if queue.lock in head.indexed else OVERLOOKED_AFTER
        if now >= since + pause:
            due.setdefault(head.uid, Touch(head, Why.FREE))
    not_early = [each for each in due.values() if not before.is_early(each.workflow.uid, now)]
    return tuple(not_early[:MOST_AT_ONCE])


def none_touched() -> RetryTimes[str, datetime, None]:
    """Return no touches, for a term that begins; each touch counts as a failed attempt."""
    return RetryTimes(first=FIRST_AGAIN.total_seconds(), last=LAST_AGAIN.total_seconds())


def free_locks(
    found: Iterable[LockQueue], since: Mapping[str, datetime], now: datetime
) -> Mapping[str, datetime]:
    """Return the locks that are free and have waiters, each with the time since when."""
    return {queue.lock: since.get(queue.lock, now) for queue in found if queue.free and queue.waiters}
