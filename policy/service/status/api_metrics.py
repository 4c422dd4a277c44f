"""What a process asks of the API server, and how its writes of ledgers go: webhook and controller alike."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from policy.cluster.ledger_observing import WriteResult
from policy.core.queue.fair_share import SCALE
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger
from policy.service.status.gauge_text import GaugeRows

REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds; an answer that takes longer than ten is given up."""
ATTEMPT_BUCKETS: Final = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Attempts; after `policy.cluster.ledgers.MAX_ATTEMPTS`, which is 8, a write gives up."""
MOST_LEDGERS: Final = 20
"""Ledgers that are shown, the largest first."""
MOST_NAMESPACES: Final = 50
"""Namespaces of a ledger whose usage is shown, those that used most."""
_LEDGERS: Final = "quotaledgers"


class ApiMetrics:
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
        for verb in ("get", "update"):
            self._requests.labels(verb, _LEDGERS, "ok")
            self._durations.labels(verb)

    def answered(self, verb: str, resource: str, result: str, seconds: float) -> None:
        """Count a request and its answer; the result is "ok" or the name of the error."""
        self._requests.labels(verb, resource, result).inc()
        if verb != "watch":
            self._durations.labels(verb).observe(seconds)


class LedgerMetrics:
    """Counts writes of ledgers, and shows what the largest have; a `LedgerObserver`."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        writes = Counter(
            "lockkeeper_ledger_writes",
            "Attempts to write a ledger: written, met by another writer, or given up after many of those.",
            ["result"],
            registry=registry,
        )
        self._writes = {each: writes.labels(each.value) for each in WriteResult}
        self._attempts = Histogram(
            "lockkeeper_ledger_write_attempts",
            "Attempts until a change of a ledger was written or given up; more than one where writers meet.",
            buckets=ATTEMPT_BUCKETS,
            registry=registry,
        )
        self._listed: dict[Root, Ledger] = {}
        self._sizes: dict[Root, int] = {}

    def wrote(self, result: WriteResult, attempt: int) -> None:
        """Count an attempt, and a change that was written or given up, by its attempts."""
        self._writes[result].inc()
        if result is not WriteResult.CONFLICT:
            self._attempts.observe(attempt)

    def listed(self, ledgers: Mapping[Root, Ledger], size: Callable[[Ledger], int]) -> None:
        """Take note of all ledgers; their sizes are worked out for the largest alone."""
        self._listed = dict(
            sorted(ledgers.items(), key=lambda each: (-_entries(each[1]), each[0]))[:MOST_LEDGERS]
        )
        self._sizes = {root: size(ledger) for root, ledger in self._listed.items()}

    def gauges(self) -> Iterable[GaugeRows]:
        """Return what the largest ledgers have, as they were listed last."""
        sizes = GaugeRows(
            "lockkeeper_ledger_size_bytes",
            "Size of a ledger as JSON, of the largest; etcd stores nothing above 1.5 MiB.",
            ("ledger",),
        )
        pending = GaugeRows(
            "lockkeeper_reservations",
            "Reservations that are not settled yet, by purpose.",
            ("ledger", "purpose"),
        )
        spent = GaugeRows(
            "lockkeeper_fair_share_usage_seconds",
            "What a namespace used lately, in seconds of the whole limit, halved with each half-life.",
            ("ledger", "workflow_namespace"),
        )
        for root, ledger in self._listed.items():
            for namespace, amount in _most_spent(ledger):
                spent.add((str(root), namespace), amount / SCALE)
            sizes.add((str(root),), self._sizes[root])
            releases = len(ledger.releases())
            pending.add((str(root), "release"), releases)
            pending.add((str(root), "create"), len(ledger.reservations) - releases)
        return sizes, pending, spent


def _most_spent(ledger: Ledger) -> list[tuple[str, int]]:
    """Return the namespaces of a pool that used most lately, and how much: they come last."""
    if not ledger.root.pool:
        return []
    found: dict[str, int] = {}
    for tenant, amount in ledger.history.items():
        if not tenant.user:
            found[tenant.namespace] = amount
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))[:MOST_NAMESPACES]


def _entries(ledger: Ledger) -> int:
    return len(ledger.used) + len(ledger.reservations) + len(ledger.history)
