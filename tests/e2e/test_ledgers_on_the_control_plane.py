"""Ledgers over the Kubernetes API: as exact as in memory, with several writers at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import QUOTA_LEDGERS
from policy.core.decision.decision import ReservationRequest
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import fence
from policy.core.values.amounts import Amount, Limits, Usage
from tests.e2e.control_plane import ControlPlane
from tests.policy.core.builders import counted_live

pytestmark = pytest.mark.e2e

WRITERS: Final = 4
EACH: Final = 25
LIMIT: Final = 60
ATTEMPTS: Final = 20
"""How often a writer comes back after it lost too many races in a row."""


@pytest.fixture
def root(kube_cluster: KubeCluster, request: pytest.FixtureRequest) -> Iterator[Root]:
    """Give the root of a ledger that nobody else uses, removed in the end."""
    name = request.node.name.replace("_", "-")
    yield Root.parse(name)
    kube_cluster.delete(QUOTA_LEDGERS, name)


def _request(root: Root, number: str) -> ReservationRequest:
    """Return the request for one Workflow under a limit of LIMIT."""
    demand = Demand(Account("team-a", "all"), Limits(workflows=Amount(LIMIT)), "WorkflowQuota team-a/all")
    return ReservationRequest(root, number, "team-a", f"run-{number}", Usage(1, 2, 0), (demand,))


def _ledgers(cluster: KubeCluster) -> Ledgers:
    return Ledgers(cluster=cluster, clock=lambda: datetime.now(UTC), led=False)


def _reserved(ledgers: Ledgers, request: ReservationRequest) -> bool:
    """Reserve as a webhook does that is asked again after it could not answer; tell whether it fitted."""
    for _ in range(ATTEMPTS):
        try:
            return not ledgers.reserve(request)
        except Unavailable:
            continue
    pytest.fail(f"{request.id} lost {ATTEMPTS} times as many races as a reservation may")


def test_several_processes_reserve_exactly_as_much_as_there_is(
    control_plane: ControlPlane, kube_cluster: KubeCluster, root: Root
) -> None:
    """Four replicas, each with connections and turns of its own, ask for more than the limit at once."""
    with ExitStack() as opened, ThreadPoolExecutor(WRITERS) as pool:
        replicas = [connect(control_plane.kubeconfig) for _ in range(WRITERS)]
        for replica in replicas:
            opened.callback(replica.close)

        def fill(number: int) -> int:
            ledgers = _ledgers(replicas[number])
            return sum(_reserved(ledgers, _request(root, f"{number}-{one}")) for one in range(EACH))

        granted = list(pool.map(fill, range(WRITERS)))
    ledger = _ledgers(kube_cluster).read(root)
    assert sum(granted) == len(ledger.reservations) == LIMIT
    assert ledger.total_usage() == {Account("team-a", "all"): Usage(LIMIT, 2 * LIMIT, 0)}


def test_a_ledger_comes_back_from_the_cluster_as_it_was_written(
    kube_cluster: KubeCluster, root: Root
) -> None:
    """The schema of the CRD keeps every field: what it did not know would be dropped without a word."""
    ledgers = _ledgers(kube_cluster)
    assert not ledgers.reserve(_request(root, "a"))
    assert not ledgers.reserve(_request(root, "b"))
    per_user = Account("team-a", "all", "ann")
    written = ledgers.update(root, lambda ledger: fence(counted_live(ledger, "a")))
    added = ledgers.update(
        root, lambda ledger: type(ledger)(root, ledger.epoch, {**ledger.used, per_user: Usage(1, 0, 1)}, {})
    )
    assert written.epoch == added.epoch == 1
    assert ledgers.read(root) == added
    assert ledgers.read(root).used[per_user] == Usage(1, 0, 1)
