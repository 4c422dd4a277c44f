"""What the controller counts, and what its gauges read when they are scraped."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy.cluster.errors import Conflict, Gone, NotFound, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.objects.label_selectors import EVERYTHING
from policy.core.objects.read_extent import Extent, LeftOut
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterSynchronizationPolicySpec,
    PolicyMetadata,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
)
from policy.service.status.metrics import (
    MOST_NAMESPACES,
    OTHER_NAMESPACES,
    REQUEST_BUCKETS,
    WAIT_BUCKETS,
    ControllerMetrics,
    PolicyCounts,
)
from policy.service.tracking.tracked import Tracked, track
from tests.policy.service.world import Clock, draft, pool, quota, snapshot_of, submit


def metrics_of(
    clock: Clock, *, leading: bool = False, collectors: Iterable[Collector] = ()
) -> ControllerMetrics:
    """Return the metrics of a controller."""
    return ControllerMetrics(leading=lambda: leading, clock=clock, collectors=collectors)


def value(metrics: ControllerMetrics, name: str, **labels: str) -> float:
    """Return the value of a metric, 0 where it was never set."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def workflow(cluster: MemoryCluster) -> Tracked:
    """Return a Workflow that was created now."""
    return track(submit(cluster, snapshot_of(quota("etl", "q", workflows=1)), draft("w"), namespace="etl"))


def test_a_release_is_counted_with_the_time_that_the_workflow_has_waited(
    clock: Clock, workflow: Tracked
) -> None:
    """The histogram shows how long Workflows wait, and the sums in which namespace."""
    metrics = metrics_of(clock)
    for wait in (timedelta(seconds=20), timedelta(minutes=10)):
        clock.advance(wait)
        metrics.released(workflow)
    assert value(metrics, "lockkeeper_releases_total", namespace="etl") == 2
    assert value(metrics, "lockkeeper_waited_seconds_total", namespace="etl") == 20 + 620
    assert value(metrics, "lockkeeper_release_wait_seconds_count") == 2
    assert value(metrics, "lockkeeper_release_wait_seconds_bucket", le="60.0") == 1


def test_a_workflow_from_the_future_has_waited_no_time(clock: Clock, workflow: Tracked) -> None:
    """The API server's clock may be ahead of ours; a sum that shrank would look like a restart."""
    metrics = metrics_of(clock)
    clock.advance(timedelta(minutes=-5))
    metrics.released(workflow)
    assert value(metrics, "lockkeeper_waited_seconds_total", namespace="etl") == 0
    assert value(metrics, "lockkeeper_releases_total", namespace="etl") == 1


def test_only_so_many_namespaces_are_distinguished(clock: Clock, workflow: Tracked) -> None:
    """Namespaces that come and go must not fill the memory of ours and of Prometheus."""
    metrics = metrics_of(clock)
    for index in range(MOST_NAMESPACES + 3):
        metrics.released(msgspec.structs.replace(workflow, namespace=f"n{index}"))
    metrics.released(msgspec.structs.replace(workflow, namespace="n0"))
    assert value(metrics, "lockkeeper_releases_total", namespace="n0") == 2
    assert value(metrics, "lockkeeper_releases_total", namespace=OTHER_NAMESPACES) == 3
    assert metrics.render().count(b"lockkeeper_releases_total{") == MOST_NAMESPACES + 1


def test_failures_are_counted_by_the_error(clock: Clock) -> None:
    """The message goes to the log; a label of it would be without bound."""
    metrics = metrics_of(clock)
    metrics.failed(Conflict("one"))
    metrics.failed(Conflict("another"))
    metrics.trouble(Gone("too old"))
    metrics.trouble(Unavailable("away"))
    assert value(metrics, "lockkeeper_release_failures_total", reason="Conflict") == 2
    assert value(metrics, "lockkeeper_retries_total", reason="Gone") == 1
    assert value(metrics, "lockkeeper_retries_total", reason="Unavailable") == 1


@pytest.mark.parametrize("leading", [True, False])
def test_the_leader_is_the_one_that_shows_one(clock: Clock, *, leading: bool) -> None:
    """The sum over all controllers is 1 where all is well."""
    metrics = metrics_of(clock, leading=leading)
    metrics.led()
    assert value(metrics, "lockkeeper_leader") == float(leading)
    assert value(metrics, "lockkeeper_leader_terms_total") == 1


def test_requests_to_the_api_server_are_counted_and_timed(clock: Clock) -> None:
    """A conflict on a ledger is one of them; a watch lasts for minutes and says nothing about speed."""
    metrics = metrics_of(clock)
    metrics.api.answered("update", "quotaledgers", "Conflict", 0.02)
    metrics.api.answered("watch", "workflows", "Gone", 300.0)
    requests = "lockkeeper_api_requests_total"
    assert value(metrics, requests, verb="update", resource="quotaledgers", result="Conflict") == 1
    assert value(metrics, requests, verb="watch", resource="workflows", result="Gone") == 1
    assert value(metrics, "lockkeeper_api_request_duration_seconds_count", verb="update") == 1
    assert value(metrics, "lockkeeper_api_request_duration_seconds_count", verb="watch") == 0


def test_policies_are_counted_by_kind_good_and_wrong(clock: Clock) -> None:
    """A kind without policies shows 0, so that an alert can distinguish none from no answer."""
    snapshot = snapshot_of(
        quota("etl", "a"),
        quota("etl", "b"),
        quota("ml", "a"),
        pool("shared"),
        SynchronizationPolicy(PolicyMetadata("locks", "etl"), SynchronizationPolicySpec()),
        ClusterSynchronizationPolicy(
            PolicyMetadata("all"), ClusterSynchronizationPolicySpec(namespace_selector=EVERYTHING)
        ),
    )
    wrong = ["WorkflowQuota", "WorkflowQuota", "ClusterSynchronizationPolicy"]
    counts = PolicyCounts(snapshot=lambda: snapshot, wrong=lambda: wrong)
    metrics = metrics_of(clock, collectors=[counts])
    kinds = (
        "WorkflowQuota",
        "ClusterWorkflowQuota",
        "SynchronizationPolicy",
        "ClusterSynchronizationPolicy",
    )
    assert [value(metrics, "lockkeeper_policies", kind=kind) for kind in kinds] == [3, 1, 1, 1]
    assert [value(metrics, "lockkeeper_policies_invalid", kind=kind) for kind in kinds] == [2, 0, 0, 1]
    assert metrics.render().count(b"lockkeeper_policies_invalid{") == len(kinds)


def test_what_is_left_out_of_a_namespace_is_counted(clock: Clock) -> None:
    """An alert can name the namespace; those within their bounds are not shown."""
    beyond = LeftOut("WorkflowTemplate", "etl", 40, 2000, "2000 objects")
    extent = Extent(left_out={("WorkflowTemplate", "etl"): beyond})
    snapshot = msgspec.structs.replace(snapshot_of(quota("etl", "a"), quota("ml", "a")), extent=extent)
    metrics = metrics_of(clock, collectors=[PolicyCounts(snapshot=lambda: snapshot, wrong=list)])
    assert value(metrics, "lockkeeper_objects_left_out", kind="WorkflowTemplate", namespace="etl") == 40
    assert metrics.render().count(b"lockkeeper_objects_left_out{") == 1


def test_registering_the_counts_reads_no_snapshot(clock: Clock) -> None:
    """Metrics can be set up before policies are read."""

    def none_yet() -> None:
        raise LookupError

    counts = PolicyCounts(snapshot=none_yet, wrong=list)  # type: ignore[arg-type]  # it never returns
    metrics_of(clock, collectors=[counts])


def test_other_parts_bring_their_collectors(clock: Clock) -> None:
    """What is known elsewhere, as when a certificate expires, is scraped with the rest."""

    class Expiry(Collector):
        def collect(self) -> Iterable[Metric]:
            yield GaugeMetricFamily("lockkeeper_expiry", "A gauge of another part.", value=5)

    metrics = metrics_of(clock, collectors=[Expiry()])
    assert b"\nlockkeeper_expiry 5.0\n" in metrics.render()


@pytest.mark.parametrize("buckets", [WAIT_BUCKETS, REQUEST_BUCKETS])
def test_the_buckets_grow(buckets: tuple[float, ...]) -> None:
    """Prometheus needs buckets in order."""
    assert all(low < high for low, high in pairwise(buckets))


def test_the_metrics_start_without_series(clock: Clock) -> None:
    """Nothing is shown before it has happened; and no counter has a second series for its birth."""
    metrics = metrics_of(clock)
    text = metrics.render()
    assert b"_created" not in text
    assert b"namespace=" not in text
    metrics.failed(NotFound("gone"))
    assert b'reason="NotFound"' in metrics.render()
