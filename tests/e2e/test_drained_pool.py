"""Two hundred Workflows drain through a pool of ten namespaces that borrow from each other, whatever dies."""

import signal
from collections.abc import Iterator
from functools import partial
from threading import Event, Thread

import pytest

from policy.cluster.kube.kube_cluster import connect
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, QUOTA_LEDGERS, WORKFLOW_QUOTAS
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.ledger import RESERVATION_TTL
from policy.service.release.controller import IDLE_PASS
from tests.e2e.acting import leader
from tests.e2e.draining import Referee, create_all, watched
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.e2e.shaking import ready_pods, send
from tests.patience import PATIENCE
from tests.policy.service.world import part

pytestmark = pytest.mark.e2e

COUNT = 200
SHARE = 2
BORROWED = 3
POOL = 12
NAMESPACES = tuple(f"member-{number}" for number in range(10))
MOST = dict.fromkeys(NAMESPACES, SHARE + BORROWED)
KILL_EVERY = 3.0
DRAINED = 3 * PATIENCE
FREE_AGAIN = RESERVATION_TTL.total_seconds() + IDLE_PASS.total_seconds() + PATIENCE
"""Seconds until the slot of a create that was lost is free again."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give an installation with a pool whose ten members have a share each and may borrow."""
    settings = ("webhook.replicas=2", "controller.replicas=2")
    with installation(tmp_path_factory.mktemp("drained"), *settings, back_off=0.1) as installed:
        for name in NAMESPACES:
            installed.namespace(name, pool="shared")
            share: JsonObject = {
                "apiVersion": WORKFLOW_QUOTAS.api_version,
                "kind": WORKFLOW_QUOTAS.kind,
                "metadata": {"name": "share"},
                "spec": {"limits": {"workflows": SHARE}},
            }
            installed.cluster.create(WORKFLOW_QUOTAS, share, namespace=name)
        pool: JsonObject = {
            "apiVersion": CLUSTER_WORKFLOW_QUOTAS.api_version,
            "kind": CLUSTER_WORKFLOW_QUOTAS.kind,
            "metadata": {"name": "shared"},
            "spec": {
                "namespaceSelector": {"matchLabels": {"pool": "shared"}},
                "limits": {"workflows": POOL},
                "borrowing": {"borrowingLimit": {"workflows": BORROWED}},
            },
        }
        installed.cluster.create(CLUSTER_WORKFLOW_QUOTAS, pool)
        wait = ("wait", "--for=condition=Ready", AWHILE)
        installed.site.kubectl.said(*wait, "clusterworkflowquota/shared")
        installed.site.kubectl.said(*wait, "workflowquota", "--all", "--all-namespaces")
        until(lambda: _ledger_keeps(installed, len(NAMESPACES)), "the leader does not keep the pool")
        yield installed


def names(prefix: str) -> list[tuple[str, str]]:
    """Return who is created where: a third in one namespace, the others spread."""
    crowd = [NAMESPACES[0] if number % 3 == 0 else NAMESPACES[number % 10] for number in range(COUNT)]
    return [(namespace, f"{prefix}-{number}") for number, namespace in enumerate(crowd)]


def test_a_pool_with_borrowing_drains_and_keeps_every_limit_at_every_event(installed: Installed) -> None:
    """The busiest goes beyond its share while others leave room, and never beyond what it may borrow."""
    referee = Referee(namespaces=MOST, pool=POOL)
    reach = partial(connect, installed.site.plane.kubeconfig)
    with watched(reach, referee):
        create_all(reach, names("calm"), DRAINED)
        assert referee.until(lambda: len(referee.starts) == COUNT and referee.empty, DRAINED)
    assert referee.broken == []
    assert set(referee.starts.values()) == {1}
    assert referee.peak[NAMESPACES[0]] > SHARE
    assert referee.peak[""] == POOL
    until(lambda: _ledger_is_empty(installed), "the ledger still counts somebody")
    until(lambda: _shows_nothing_left(installed), "the status of the pool still shows somebody")


def test_the_same_while_leaders_and_webhooks_are_killed(installed: Installed) -> None:
    """Nobody is lost, nobody runs twice, and no slot is leaked, however often somebody dies."""
    referee = Referee(namespaces=MOST, pool=POOL)
    reach = partial(connect, installed.site.plane.kubeconfig)
    calm = Event()
    kills: list[str] = []
    killer = Thread(target=_kill, args=(installed, calm, kills), name="killer")
    with watched(reach, referee):
        killer.start()
        try:
            create_all(reach, names("storm"), DRAINED)
            drained = referee.until(lambda: len(referee.starts) == COUNT and referee.empty, DRAINED)
        finally:
            calm.set()
            killer.join(PATIENCE)
        assert drained, f"after {kills}: {len(referee.starts)} started, {len(referee.running)} run"
    assert referee.broken == []
    assert set(referee.starts.values()) == {1}
    assert len(kills) >= 2
    installed.ready()
    until(lambda: _ledger_is_empty(installed), "the ledger still counts somebody", seconds=FREE_AGAIN)


def _kill(installed: Installed, calm: Event, kills: list[str]) -> None:
    """Kill a leader and a webhook in turn, every few seconds, as long as another one is left of its kind.

    On a machine that is busy they take longer to start: with nobody there at most times nothing would drain.
    """
    while not calm.wait(KILL_EVERY):
        doomed = None
        if len(kills) % 2 == 0 and len(ready_pods(installed, CONTROLLER)) > 1:
            doomed = leader(installed)
        if doomed is None and len(ready := ready_pods(installed, WEBHOOK)) > 1:
            doomed = ready[0]
        if doomed is not None and doomed.pid > 0:
            kills.append(doomed.name)
            try:
                send(doomed, signal.SIGKILL)
            except ProcessLookupError:
                continue  # It has died by itself since it was seen.


def _shows_nothing_left(installed: Installed) -> bool:
    status = part(installed.cluster.get(CLUSTER_WORKFLOW_QUOTAS, "shared"), "status")
    listed = part(status, "namespaces")
    members = [part(each, "name") for each in listed] if isinstance(listed, list) else []
    figures = [part(status, key) for key in ("running", "queued", "tasks")]
    whole = part(status, "effectiveLimits", "workflows")
    return (sorted(map(str, members)), figures, whole) == (sorted(NAMESPACES), [0, 0, 0], POOL)


def _ledger(installed: Installed) -> JsonObject:
    return installed.cluster.get(QUOTA_LEDGERS, "pool.shared")


def _ledger_keeps(installed: Installed, members: int) -> bool:
    accounts = part(_ledger(installed), "status", "accounts")
    return isinstance(accounts, list) and len(accounts) > 2 * members


def _ledger_is_empty(installed: Installed) -> bool:
    ledger = _ledger(installed)
    accounts, reservations = part(ledger, "status", "accounts"), part(ledger, "status", "reservations")
    used = [part(each, "usage", "workflows") for each in accounts or ()] if isinstance(accounts, list) else []
    return not reservations and not any(used)
