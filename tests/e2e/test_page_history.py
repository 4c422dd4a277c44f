"""The history of the page from a real Prometheus that scrapes the product."""

from collections.abc import Iterator
from datetime import timedelta
from time import monotonic
from typing import Final

import pytest

from lockkeeper.page_state.cluster_state import ClusterState
from lockkeeper.page_state.measured_history import Span
from lockkeeper.page_state.prometheus_api import PrometheusApi
from lockkeeper.process.console import utc_now
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS
from tests.charts.prometheus_server import PrometheusServer, prometheus
from tests.charts.scraped_product import TEAM, ScrapedProduct
from tests.e2e.prometheus import PrometheusIsMissingError
from tests.policy.service.reading.read_cluster import RightsIn

pytestmark = pytest.mark.e2e
QUEUED: Final = "sum(lockkeeper_queued_workflows)"


@pytest.fixture(scope="module")
def product() -> Iterator[ScrapedProduct]:
    """Give the product."""
    with ScrapedProduct() as started:
        yield started


@pytest.fixture(scope="module")
def server(product: ScrapedProduct, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Give a Prometheus that has seen a queue of two become one of one; it scrapes everything twice."""
    try:
        with prometheus(tmp_path_factory.mktemp("prometheus"), product.ports()) as started:
            for name in ("a", "b", "c", "d"):
                assert product.create(name, TEAM)
            assert product.create("e", "ml")
            started.await_value(QUEUED, 4, "the queue is not seen")
            product.complete("a", TEAM)
            started.await_value(QUEUED, 2, "the release is not seen")
            oldest = "count(lockkeeper_queue_oldest_created_timestamp_seconds)"
            started.await_value(oldest, 2, "nobody says who waits longest")
            yield started
    except PrometheusIsMissingError as missing:
        pytest.skip(str(missing))


def state_of(cluster: MemoryCluster, server: PrometheusServer, namespace: str = "") -> ClusterState:
    """Return the state of somebody's page."""
    return ClusterState(
        cluster=cluster,
        namespace=namespace,
        clock=lambda: utc_now() + timedelta(seconds=1),
        stopwatch=monotonic,
        cost=lambda: 0.0,
        prometheus=PrometheusApi(server.url + "/"),
    )


@pytest.mark.parametrize("span", list(Span))
def test_the_history_is_that_of_prometheus(
    product: ScrapedProduct, server: PrometheusServer, span: Span
) -> None:
    """Figures of two controllers in two ways of scraping are counted once."""
    state = state_of(product.cluster, server)
    seen = state.view().value
    assert seen is not None
    past = state.past(seen, span)
    assert (past.fault, past.span) == ("", span)
    charts = {each.label: each for each in past.charts()}
    own = charts[f"{TEAM}/own"]
    assert (own.now.running, own.now.queued, own.now.limit) == (2, 1, 2)
    assert own.now.wait > 0
    assert own.end - own.begin <= span.length
    pool = charts["pool data"]
    assert (pool.now.running, pool.now.queued, pool.now.limit) == (1, 0, 9)


def test_who_sees_one_namespace_gets_its_history_alone(
    product: ScrapedProduct, server: PrometheusServer
) -> None:
    """Prometheus knows no rights, so nothing else is asked for."""
    cluster = RightsIn(product.cluster, {TEAM}, CLUSTER_WORKFLOW_QUOTAS)
    state = state_of(cluster, server, TEAM)
    seen = state.view().value
    assert seen is not None
    assert [each.label for each in state.past(seen, Span.HOUR).charts()] == [f"{TEAM}/own"]
