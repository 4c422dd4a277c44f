"""What the controller counts, by docs/metrics.md, in a registry of its own.

Values of labels are of closed sets, and all of them are there from the start: an increase from nothing to one
is none to Prometheus. Namespaces are no closed set: those that had something last are told apart.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

from policy.cluster.errors import ClusterError, error_names
from policy.service.status.api_metrics import ApiMetrics
from policy.service.status.recent_namespaces import RecentNamespaces
from policy.service.status.usage_metrics import priority_class
from policy.service.tracking.tracked import Tracked

_DAY: Final = 24 * 3600
WAIT_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, _DAY / 2, _DAY, 2 * _DAY, 7 * _DAY)
"""Seconds; a queue moves when a Workflow ends, which is a matter of minutes or hours, or of a window."""
LATENCY_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Seconds from a free slot to the answer of the release; the last ones are of releases that failed."""
NAMESPACE: Final = "workflow_namespace"
"""The label of the namespace of Workflows: Prometheus gives every target a label `namespace` of its own."""


class ControllerMetrics:
    """The metrics of one controller process.

    `leading` returns whether this process leads, and `pool_of` the pool of a namespace; `collectors` add the
    metrics of other parts, and `texts` their text.
    """

    def __init__(
        self,
        *,
        leading: Callable[[], bool],
        clock: Callable[[], datetime],
        pool_of: Callable[[str], str] = lambda _: "",
        collectors: Iterable[Collector] = (),
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # A second series beside every counter, of no use here.
        self.registry = CollectorRegistry()
        self.api = ApiMetrics(registry=self.registry)
        self.texts: list[Callable[[], bytes]] = []
        self._clock = clock
        self._pool_of = pool_of
        Gauge("lockkeeper_leader", "1 where this process leads.", registry=self.registry).set_function(
            lambda: float(leading())
        )
        self._terms = self._counter("lockkeeper_leader_terms", "Terms that this process began to lead.")
        releases = self._counter("lockkeeper_releases", "Workflows released, by namespace.", NAMESPACE)
        waited = self._counter(
            "lockkeeper_waited_seconds",
            "Time from creation to release of those, summed up by namespace.",
            NAMESPACE,
        )
        given_up = self._counter(
            "lockkeeper_given_up", "Workflows that waited for longer than queue.maxWait.", NAMESPACE
        )
        superseded = self._counter(
            "lockkeeper_superseded",
            "Workflows that were ended, or asked to end, for a newer one with the same key of a group.",
            NAMESPACE,
        )
        self._expired = self._counter(
            "lockkeeper_reservations_expired",
            "Reservations of creates that ran out, since what they were for was never created.",
        )
        self._of_namespace = RecentNamespaces(counters=(releases, waited, given_up, superseded))
        self._waits = Histogram(
            "lockkeeper_release_wait_seconds",
            "Time from the creation of a Workflow to its release, by pool and class of priority.",
            ["pool", "priority"],
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        for priority in ("low", "normal", "high"):
            self._waits.labels("", priority)
        self._latency = Histogram(
            "lockkeeper_release_latency_seconds",
            "Time from the reservation of a free place to the answer of the release: our own delay.",
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._failures = self._of_errors(
            "lockkeeper_release_failures", "Releases that failed and are tried again, by the error."
        )
        self._retries = self._of_errors(
            "lockkeeper_retries", "Works of the controller that failed and are tried again, by the error."
        )
        for collector in collectors:
            self.registry.register(collector)

    def led(self) -> None:
        """Count a term that began."""
        self._terms.inc()

    def waits(self, workflow: Tracked) -> None:
        """Take note of a namespace with a queue: its counters begin at 0 before they count."""
        self._of_namespace.of(workflow.namespace)

    def released(self, workflow: Tracked, took: timedelta) -> None:
        """Count a release, how long the Workflow had waited by our clock, and how long its release `took`."""
        self._latency.observe(took.total_seconds())
        seconds = max(0.0, (self._clock() - workflow.created).total_seconds())
        releases, waited, *_ = self._of_namespace.of(workflow.namespace)
        releases.inc()
        waited.inc(seconds)
        priority = priority_class(workflow.usage_marks.priority)
        self._waits.labels(self._pool_of(workflow.namespace), priority).observe(seconds)

    def gave_up(self, workflow: Tracked) -> None:
        """Count a Workflow that waited for too long and never runs."""
        _, _, given_up, _ = self._of_namespace.of(workflow.namespace)
        given_up.inc()

    def superseded(self, workflow: Tracked) -> None:
        """Count a Workflow that a newer one of its key supersedes."""
        *_, superseded = self._of_namespace.of(workflow.namespace)
        superseded.inc()

    def expired(self, reservations: int) -> None:
        """Count reservations that ran out."""
        self._expired.inc(reservations)

    def failed(self, error: ClusterError) -> None:
        """Count a release that failed."""
        self._failures.labels(type(error).__name__).inc()

    def trouble(self, error: ClusterError) -> None:
        """Count other work that failed and is tried again."""
        self._retries.labels(type(error).__name__).inc()

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return b"".join([generate_latest(self.registry), *(text() for text in self.texts)])

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _of_errors(self, name: str, documentation: str) -> Counter:
        counter = self._counter(name, documentation, "reason")
        for error in error_names():
            counter.labels(error)
        return counter
