"""What is counted of requests to the API server and of writes of ledgers."""

from itertools import pairwise

from prometheus_client import CollectorRegistry

from policy.cluster.ledger_observing import WriteResult
from policy.cluster.ledgers import MAX_ATTEMPTS
from policy.core.queue.fair_share import SCALE
from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.ledger import Ledger
from policy.core.values.amounts import Usage
from policy.service.status.api_metrics import (
    ATTEMPT_BUCKETS,
    MOST_LEDGERS,
    MOST_NAMESPACES,
    REQUEST_BUCKETS,
    ApiMetrics,
    LedgerMetrics,
)
from policy.service.status.gauge_text import rendered


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Return the value of a metric, None where it is not there."""
    return registry.get_sample_value(name, labels)


def test_requests_to_the_api_server_are_counted_and_timed() -> None:
    """A conflict on a ledger is one of them; a watch lasts for minutes and says nothing about speed."""
    registry = CollectorRegistry()
    api = ApiMetrics(registry=registry)
    api.answered("update", "quotaledgers", "Conflict", 0.02)
    api.answered("watch", "workflows", "Gone", 300.0)
    requests = "lockkeeper_api_requests_total"
    assert value(registry, requests, verb="update", resource="quotaledgers", result="Conflict") == 1
    assert value(registry, requests, verb="watch", resource="workflows", result="Gone") == 1
    assert value(registry, "lockkeeper_api_request_duration_seconds_count", verb="update") == 1
    assert value(registry, "lockkeeper_api_request_duration_seconds_count", verb="watch") is None


def test_the_buckets_grow() -> None:
    """Prometheus needs buckets in order."""
    assert all(low < high for low, high in pairwise(REQUEST_BUCKETS))


def test_writes_of_ledgers_are_counted_by_their_result() -> None:
    """All results are there before the first."""
    registry = CollectorRegistry()
    ledgers = LedgerMetrics(registry=registry)
    ledgers.wrote(WriteResult.CONFLICT, 1)
    found = [value(registry, "lockkeeper_ledger_writes_total", result=each.value) for each in WriteResult]
    assert found == [0, 1, 0]


def test_attempts_of_a_write_are_a_histogram() -> None:
    """Most changes take one, so the first bucket is that one."""
    registry = CollectorRegistry()
    ledgers = LedgerMetrics(registry=registry)
    for attempts in (1, 1, 3):
        for attempt in range(1, attempts):
            ledgers.wrote(WriteResult.CONFLICT, attempt)
        ledgers.wrote(WriteResult.OK, attempts)
    buckets = "lockkeeper_ledger_write_attempts_bucket"
    assert [value(registry, buckets, le=each) for each in ("1.0", "2.0", "3.0")] == [2, 2, 3]
    assert max(ATTEMPT_BUCKETS) == MAX_ATTEMPTS


def test_the_largest_ledgers_are_shown_with_their_size() -> None:
    """The size is worked out for these alone: thousands would take the time of releases."""
    ledgers, sized = LedgerMetrics(registry=CollectorRegistry()), []

    def size(ledger: Ledger) -> int:
        sized.append(ledger.root)
        return 1000

    many = {
        root: Ledger(root, used={Account("team", str(each)): Usage(1) for each in range(index + 1)})
        for index, root in enumerate(Root.of_namespace(f"n{index}") for index in range(MOST_LEDGERS + 5))
    }
    ledgers.listed(many, size)
    text = rendered(ledgers.gauges()).decode()
    assert len(sized) == text.count("lockkeeper_ledger_size_bytes{") == MOST_LEDGERS
    assert f'lockkeeper_ledger_size_bytes{{ledger="namespace.n{MOST_LEDGERS + 4}"}} 1000' in text
    assert 'ledger="namespace.n0"' not in text
    assert 'purpose="create"} 0' in text


def test_what_namespaces_of_a_pool_used_is_shown_of_those_that_used_most() -> None:
    """Whoever used least goes first; what users used is in no metric."""
    ledgers = LedgerMetrics(registry=CollectorRegistry())
    history = {Tenant(f"n{number}"): (number + 1) * SCALE for number in range(MOST_NAMESPACES + 5)}
    history[Tenant("n0", "ann")] = 999 * SCALE
    pool, own = Root.of_pool("data"), Root.of_namespace("etl")
    ledgers.listed({each: Ledger(each, history=history) for each in (pool, own)}, lambda _: 1)
    text = rendered(ledgers.gauges()).decode()
    shown = [line for line in text.splitlines() if line.startswith("lockkeeper_fair_share_usage_seconds{")]
    assert len(shown) == MOST_NAMESPACES
    assert shown[0].endswith(f'workflow_namespace="n{MOST_NAMESPACES + 4}"}} {MOST_NAMESPACES + 5.0}')
    assert "ann" not in text
