"""Metrics of the webhook, named in docs/metrics.md. Label sets of the hot path are bound once."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy.core.decision.decision import Decision, Outcome, Side
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.usage_view import EMPTY_QUEUE
from policy.core.values.budget import Part
from webhook.wire import Received

DURATION_BUCKETS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.5,
    1.0,
    5.0,
)
"""Seconds; a review takes tens of microseconds, a reservation a few milliseconds."""


class SnapshotState(Collector):
    """Gauges read from the current snapshot when they are scraped: policy age, usage, queues and limits."""

    def __init__(
        self,
        *,
        snapshot: Callable[[], Snapshot],
        loaded_at: Callable[[], datetime],
        clock: Callable[[], datetime],
    ) -> None:
        self._snapshot = snapshot
        self._loaded_at = loaded_at
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known only with a snapshot, and registering must not read one."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges of the current snapshot."""
        snapshot = self._snapshot()
        age = GaugeMetricFamily(
            "lockkeeper_snapshot_age_seconds", "Time since the policies in force were loaded."
        )
        age.add_metric([], (self._clock() - self._loaded_at()).total_seconds())
        yield age
        yield from self._namespaces(snapshot)
        yield from self._quotas(snapshot)

    def _namespaces(self, snapshot: Snapshot) -> Iterable[Metric]:
        running = GaugeMetricFamily(
            "lockkeeper_running_workflows", "Workflows that run, by namespace.", labels=["namespace"]
        )
        queued = GaugeMetricFamily(
            "lockkeeper_queued_workflows",
            "Workflows that wait in the queue, by namespace.",
            labels=["namespace"],
        )
        view = snapshot.usage
        for namespace in sorted({*view.queues, *view.running, *snapshot.quotas}):
            usage = view.running.get(namespace)
            running.add_metric([namespace], usage.workflows if usage else 0)
            queued.add_metric([namespace], view.queues.get(namespace, EMPTY_QUEUE).depth)
        passed = GaugeMetricFamily(
            "lockkeeper_not_admitted_workflows",
            "Workflows that bypassed admission and are not completed, by namespace.",
            labels=["namespace"],
        )
        for namespace, count in sorted(view.not_admitted.items()):
            passed.add_metric([namespace], count)
        yield running
        yield queued
        yield passed

    def _quotas(self, snapshot: Snapshot) -> Iterable[Metric]:
        labels = ["namespace", "quota", "resource"]
        used = GaugeMetricFamily(
            "lockkeeper_quota_used", "What a quota counts as used or reserved.", labels=labels
        )
        limit = GaugeMetricFamily(
            "lockkeeper_quota_limit", "The limit of a quota; +Inf is unlimited.", labels=labels
        )
        for account, usage in sorted(snapshot.usage.used.items()):
            if account.user:
                continue
            used.add_metric([account.namespace, account.quota, "workflows"], usage.workflows)
            used.add_metric([account.namespace, account.quota, "tasks"], usage.tasks)
        now = self._clock()
        seen = {
            quota.account: quota.limits_at(now)
            for namespace in snapshot.quotas
            for quota in snapshot.policies(namespace).quotas
        }
        for account, limits in sorted(seen.items(), key=lambda each: each[0]):
            for resource, amount in (("workflows", limits.workflows), ("tasks", limits.tasks)):
                value = float("inf") if amount.value is None else amount.value
                limit.add_metric([account.namespace, account.quota, resource], value)
        yield used
        yield limit


class Metrics:
    """The metric objects of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # A second series beside every counter that is of no use.
        self.registry = CollectorRegistry()

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, registry=self.registry)

        reviews = counter(
            "lockkeeper_reviews", "Answered admission reviews by outcome.", "webhook", "outcome", "dry_run"
        )
        self._reviews = {
            (side, outcome, dry_run): reviews.labels(side.value, outcome.value, str(dry_run).lower())
            for side in Side
            for outcome in Outcome
            for dry_run in (False, True)
        }
        durations = Histogram(
            "lockkeeper_review_duration_seconds",
            "Time from the read body to the encoded answer.",
            ["webhook"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._durations = {side: durations.labels(side.value) for side in Side}
        self._denials = counter("lockkeeper_denials", "Reasons of denials, by code.", "code")
        self._errors = counter(
            "lockkeeper_errors", "Requests answered with an HTTP error, by status.", "status"
        )
        unknown_callers = counter(
            "lockkeeper_unknown_callers",
            "Calls that were refused unread, because their path is not in the webhook configurations.",
            "webhook",
        )
        self._unknown_callers = {side: unknown_callers.labels(side.value) for side in Side}
        late = counter(
            "lockkeeper_reviews_out_of_time",
            "Reviews that were not answered in time, by the part of the review that spent it.",
            "part",
        )
        self._late = {part: late.labels(part.value) for part in Part}
        self._loads = counter("lockkeeper_policy_loads", "Loads of the policies, by result.", "result")

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Count an answered review."""
        review = received.review
        self._reviews[review.side, decision.outcome, review.dry_run].inc()
        self._durations[review.side].observe(seconds)
        for reason in decision.reasons:
            self._denials.labels(reason.code.value).inc()

    def failed(self, status: str) -> None:
        """Count a request that got an HTTP error; `status` is the status line."""
        self._errors.labels(status[:3]).inc()

    def unknown_caller(self, side: Side) -> None:
        """Count a call of a caller that is not known."""
        self._unknown_callers[side].inc()

    def out_of_time(self, part: Part) -> None:
        """Count a review that was not answered in time."""
        self._late[part].inc()

    def loaded(self, *, good: bool) -> None:
        """Count a load of the policies."""
        self._loads.labels("good" if good else "refused").inc()

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
