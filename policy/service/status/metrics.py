"""Which metrics the controller has, by docs/metrics.md, in a registry of their own.

Label values are of closed sets, but for namespaces, of which only so many are distinguished.
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy.cluster.errors import ClusterError
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy
from policy.service.tracking.tracked import Tracked

WAIT_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
"""Seconds; a queue moves when a Workflow ends, which is a matter of minutes or hours."""
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; an answer that takes longer than ten is given up."""
MOST_NAMESPACES: Final = 1000
OTHER_NAMESPACES: Final = "*"
"""Means all further namespaces; no namespace can have this name."""


class PolicyCounts(Collector):
    """How many policies of each kind are in force, and how many are wrong, counted when it is scraped.

    `wrong` gives the kind of each policy whose latest form is not in force; its last good form is then
    counted as in force, if it ever had one.
    """

    def __init__(self, *, snapshot: Callable[[], Snapshot], wrong: Callable[[], Iterable[str]]) -> None:
        self._snapshot = snapshot
        self._wrong = wrong

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read a snapshot."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges."""
        snapshot = self._snapshot()
        invalid = Counts(self._wrong())
        cluster_wide = sum(isinstance(each, ClusterSynchronizationPolicy) for each in snapshot.lock_policies)
        good = {
            "WorkflowQuota": sum(map(len, snapshot.quotas.values())),
            "ClusterWorkflowQuota": len(snapshot.pools),
            "SynchronizationPolicy": len(snapshot.lock_policies) - cluster_wide,
            "ClusterSynchronizationPolicy": cluster_wide,
        }
        for name, text, counts in (
            ("lockkeeper_policies", "Policies in force, by kind.", good),
            ("lockkeeper_policies_invalid", "Policies whose latest form is wrong, by kind.", invalid),
        ):
            found = GaugeMetricFamily(name, text, labels=["kind"])
            for kind in good:
                found.add_metric([kind], counts[kind])
            yield found
        left_out = GaugeMetricFamily(
            "lockkeeper_objects_left_out",
            "Templates and ConfigMaps that are not read, since their namespace has more than its bound.",
            labels=["kind", "namespace"],
        )
        for each in snapshot.extent.left_out.values():
            left_out.add_metric([each.kind, each.namespace], each.count)
        yield left_out


class _ApiMetrics:
    """Counts requests to the API server; an `Observer` of `policy.cluster.kube.request_counts`."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "lockkeeper_api_requests",
            "Requests to the API server, by verb, resource and result; a watch counts when it ends.",
            ["verb", "resource", "result"],
            registry=registry,
        )
        self._durations = Histogram(
            "lockkeeper_api_request_duration_seconds",
            "Time until the API server's answer, without watches.",
            ["verb"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )

    def answered(self, verb: str, resource: str, result: str, seconds: float) -> None:
        """Count a request and its answer; the result is "ok" or the name of the error."""
        self._requests.labels(verb, resource, result).inc()
        if verb != "watch":
            self._durations.labels(verb).observe(seconds)


class ControllerMetrics:
    """The metrics of one controller process.

    `leading` returns whether this process leads; `collectors` add the metrics of other parts.
    """

    def __init__(
        self,
        *,
        leading: Callable[[], bool],
        clock: Callable[[], datetime],
        collectors: Iterable[Collector] = (),
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # A second series beside every counter, of no use here.
        self.registry = CollectorRegistry()
        self.api = _ApiMetrics(registry=self.registry)
        self._clock = clock
        self._namespaces: set[str] = set()
        Gauge("lockkeeper_leader", "1 where this process leads.", registry=self.registry).set_function(
            lambda: float(leading())
        )
        self._terms = Counter(
            "lockkeeper_leader_terms", "Terms that this process began to lead.", registry=self.registry
        )
        self._releases = Counter(
            "lockkeeper_releases", "Workflows released, by namespace.", ["namespace"], registry=self.registry
        )
        self._waits = Histogram(
            "lockkeeper_release_wait_seconds",
            "Time from the creation of a Workflow to its release.",
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self._waited = Counter(
            "lockkeeper_waited_seconds",
            "The same time, summed up by namespace.",
            ["namespace"],
            registry=self.registry,
        )
        self._failures = Counter(
            "lockkeeper_release_failures",
            "Releases that failed and are tried again, by the error.",
            ["reason"],
            registry=self.registry,
        )
        self._retries = Counter(
            "lockkeeper_retries",
            "Works of the controller that failed and are tried again, by the error.",
            ["reason"],
            registry=self.registry,
        )
        for collector in collectors:
            self.registry.register(collector)

    def led(self) -> None:
        """Count a term that began."""
        self._terms.inc()

    def released(self, workflow: Tracked) -> None:
        """Count a release, and how long the Workflow had waited by our clock."""
        seconds = max(0.0, (self._clock() - workflow.created).total_seconds())
        namespace = self._namespace_label(workflow.namespace)
        self._releases.labels(namespace).inc()
        self._waited.labels(namespace).inc(seconds)
        self._waits.observe(seconds)

    def failed(self, error: ClusterError) -> None:
        """Count a release that failed."""
        self._failures.labels(type(error).__name__).inc()

    def trouble(self, error: ClusterError) -> None:
        """Count other work that failed and is tried again."""
        self._retries.labels(type(error).__name__).inc()

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _namespace_label(self, namespace: str) -> str:
        """Return the label of a namespace: there are ever new ones, and their series would pile up."""
        if namespace not in self._namespaces and len(self._namespaces) >= MOST_NAMESPACES:
            return OTHER_NAMESPACES
        self._namespaces.add(namespace)
        return namespace
