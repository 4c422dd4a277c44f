"""What the controller counts, and what its gauges read when they are scraped."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy.cluster.errors import Conflict, Gone, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.service.status.metrics import WAIT_BUCKETS, ControllerMetrics
from policy.service.tracking.tracked import Tracked, track
from tests.policy.service.world import Clock, draft, quota, snapshot_of, submit

SECOND = timedelta(seconds=1)


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
        metrics.released(workflow, SECOND)
    assert value(metrics, "lockkeeper_releases_total", workflow_namespace="etl") == 2
    assert value(metrics, "lockkeeper_waited_seconds_total", workflow_namespace="etl") == 20 + 620
    assert value(metrics, "lockkeeper_release_wait_seconds_count", pool="", priority="normal") == 2
    assert value(metrics, "lockkeeper_release_latency_seconds_sum") == 2
    assert (
        value(metrics, "lockkeeper_release_wait_seconds_bucket", pool="", priority="normal", le="60.0") == 1
    )


def test_a_workflow_from_the_future_has_waited_no_time(clock: Clock, workflow: Tracked) -> None:
    """The API server's clock may be ahead of ours; a sum that shrank would look like a restart."""
    metrics = metrics_of(clock)
    clock.advance(timedelta(minutes=-5))
    metrics.released(workflow, SECOND)
    assert value(metrics, "lockkeeper_waited_seconds_total", workflow_namespace="etl") == 0
    assert value(metrics, "lockkeeper_releases_total", workflow_namespace="etl") == 1


def test_a_namespace_with_a_queue_has_its_counters_before_the_first_release(
    clock: Clock, workflow: Tracked
) -> None:
    """The first release of a team would be lost to every rate otherwise."""
    metrics = metrics_of(clock)
    metrics.waits(workflow)
    for name in ("releases", "waited_seconds", "given_up"):
        line = f'lockkeeper_{name}_total{{workflow_namespace="etl"}} 0.0'
        assert line in metrics.render().decode()


def test_a_workflow_that_is_given_up_is_counted(clock: Clock, workflow: Tracked) -> None:
    """A queue that loses Workflows to maxWait is no queue that moves."""
    metrics = metrics_of(clock)
    metrics.gave_up(workflow)
    assert value(metrics, "lockkeeper_given_up_total", workflow_namespace="etl") == 1
    assert value(metrics, "lockkeeper_releases_total", workflow_namespace="etl") == 0


def test_the_wait_is_told_by_pool_and_class_of_priority(clock: Clock, workflow: Tracked) -> None:
    """Whether the urgent ones are faster is what a priority is for."""
    metrics = ControllerMetrics(leading=lambda: True, clock=clock, pool_of=lambda _: "shared")
    metrics.released(workflow, SECOND)
    marks = msgspec.structs.replace(workflow.usage_marks, priority=-3)
    traits = msgspec.structs.replace(workflow.traits, usage_marks=marks)
    metrics.released(msgspec.structs.replace(workflow, traits=traits), SECOND)
    counted = "lockkeeper_release_wait_seconds_count"
    assert value(metrics, counted, pool="shared", priority="normal") == 1
    assert value(metrics, counted, pool="shared", priority="low") == 1


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


def test_other_parts_bring_their_collectors(clock: Clock) -> None:
    """What is known elsewhere, as when a certificate expires, is scraped with the rest."""

    class Expiry(Collector):
        def collect(self) -> Iterable[Metric]:
            yield GaugeMetricFamily("lockkeeper_expiry", "A gauge of another part.", value=5)

    metrics = metrics_of(clock, collectors=[Expiry()])
    assert b"\nlockkeeper_expiry 5.0\n" in metrics.render()


def test_the_buckets_grow() -> None:
    """Prometheus needs buckets in order; a window may open once a week."""
    assert all(low < high for low, high in pairwise(WAIT_BUCKETS))
    assert WAIT_BUCKETS[-1] == 7 * 24 * 3600


def test_every_reason_is_there_before_the_first(clock: Clock) -> None:
    """An increase from nothing to one is none to Prometheus; and no counter has a series for its birth."""
    text = metrics_of(clock).render().decode()
    assert "_created" not in text
    assert "namespace=" not in text
    for reason in ("Conflict", "Forbidden", "Gone", "Invalid", "NotFound", "Unavailable"):
        assert f'lockkeeper_retries_total{{reason="{reason}"}} 0.0' in text
        assert f'lockkeeper_release_failures_total{{reason="{reason}"}} 0.0' in text
