"""For which locks one Workflow waits, in sentences: who holds them, and how many are before it."""

from collections.abc import Callable, Iterator
from datetime import datetime

from lockkeeper.locks.live_locks import SemaphoreLimits, live_traces
from policy.cluster.protocol import Cluster
from policy.core.cluster_view.story import SeenWorkflow
from policy.core.lock_queues.lock_queues import LockQueue, live_deadlocks, lock_queues, poisoned_text
from policy.core.values.durations import written


def lock_sentences(cluster: Cluster, seen: SeenWorkflow, clock: Callable[[], datetime]) -> Iterator[str]:
    """Yield a sentence for each lock that a Workflow waits for, and for each deadlock that it is in."""
    if not seen.may_wait_for_lock:
        return
    now = clock()
    found = lock_queues(live_traces(cluster, seen.metadata.namespace, clock), SemaphoreLimits(cluster))
    for queue in found:
        for number, waiter in enumerate(queue.waiters):
            if waiter.workflow.uid == seen.metadata.uid:
                yield _sentence(queue, number, waiter.waits.since, now)
    for each in live_deadlocks(found):
        if each.workflow.uid == seen.metadata.uid:
            yield f"it {each.text}"


def _sentence(queue: LockQueue, number: int, since: datetime, now: datetime) -> str:
    limit = "of unknown limit" if queue.limit is None else f"with a limit of {queue.limit}"
    holders = sorted({each.workflow.name for each in queue.holders})
    held = f"held by {', '.join(holders)}" if holders else "held by none just now"
    ahead = f"{number} waiters are before it" if number else "it is the next"
    waits = f"it waits for {queue.lock} ({limit}) for {written(max(now - since, now - now))}: "
    return waits + (f"the lock {poisoned_text(queue)}" if queue.poisoned else f"{held}; {ahead}")
