"""Which metrics the queues of locks have, by docs/metrics.md: shown by the leader, from its last pass.

Names of locks are the users' own, so only so many are shown: those with the longest queues first. They are
read at each scrape, and a lock that no Workflow uses any more has no series: none pile up.
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy.core.lock_queues.deadlock_circles import circles
from policy.core.lock_queues.lock_queues import LockQueue
from policy.core.lock_queues.touches import Why
from policy.service.locks.lock_watch import NOTHING_SEEN, LocksView
from policy.service.status.metrics import NAMESPACE

_MOST_LOCKS: Final = 500
_LABELS: Final = (NAMESPACE, "lock")


class LockMetrics(Collector):
    """The metrics of locks of one controller process; a LockRecorder."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._view: Callable[[], LocksView] = lambda: NOTHING_SEEN
        touches = Counter(
            "lockkeeper_lock_touches",
            "Workflows that wait for a lock and were touched, so that Argo looks at them: by reason.",
            ["reason"],
            registry=registry,
        )
        self._touched = {each: touches.labels(each.value) for each in Why}
        self._deadlocks = Counter(
            "lockkeeper_lock_deadlocks", "Deadlocks of Workflows that were reported.", registry=registry
        )
        registry.register(self)

    def show(self, view: Callable[[], LocksView]) -> None:
        """Show what `view` gives from now on."""
        self._view = view

    def touched(self, why: Why) -> None:
        """Count a touch."""
        self._touched[why].inc()

    def deadlocked(self) -> None:
        """Count a deadlock."""
        self._deadlocks.inc()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read a view."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges of all locks, as far as they are shown."""
        view = self._view()
        shown = sorted(view.queues, key=lambda each: (-len(each.waiters), -len(each.holders), each.lock))
        for name, text, value in (
            ("lockkeeper_lock_limit", "Limit of a lock.", lambda each: each.limit),
            ("lockkeeper_lock_holders", "Who holds a lock now.", lambda each: len(each.holders)),
            ("lockkeeper_lock_waiters", "Who waits for a lock.", lambda each: len(each.waiters)),
            (
                "lockkeeper_lock_poisoned",
                "1 for a lock that Argo gives to nobody until its controller is restarted.",
                lambda each: 1.0 if each.poisoned else None,
            ),
            (
                "lockkeeper_lock_oldest_wait_timestamp_seconds",
                "Since when the one who waits longest has waited; none where nobody waits.",
                lambda each: None if each.oldest is None else each.oldest.timestamp(),
            ),
        ):
            yield _family(name, text, shown[:_MOST_LOCKS], value)
        locks = GaugeMetricFamily("lockkeeper_locks", "Locks that are held or waited for.")
        locks.add_metric([], len(view.queues))
        yield locks
        stuck = GaugeMetricFamily(
            "lockkeeper_lock_deadlocked_workflows",
            "Workflows that wait for locks which never come free.",
            labels=[NAMESPACE],
        )
        for namespace, count in Counts(each.workflow.namespace for each in view.deadlocks).items():
            stuck.add_metric([namespace], count)
        yield stuck
        lasting = GaugeMetricFamily(
            "lockkeeper_lock_deadlocks_now", "Deadlocks that last, each circle of Workflows counted once."
        )
        lasting.add_metric([], len(circles(view.deadlocks)))
        yield lasting


def _family(
    name: str, text: str, shown: Iterable[LockQueue], value: Callable[[LockQueue], float | None]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=_LABELS)
    for each in shown:
        namespace, _, lock = each.lock.partition("/")
        found = value(each)
        if found is not None:
            family.add_metric([namespace, lock], found)
    return family
