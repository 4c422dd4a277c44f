"""API server, etcd and our own controllers go away while Workflows are created, queued and run.

What holds throughout: no create passes its quota, and at no change of any Workflow do more run than the limit
says. What was in the queue is let go once and no more, whoever leads.
"""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Final

import msgspec
import pytest

from policy.cluster.kube.kube_cluster import connect
from policy.cluster.protocol import WORKFLOWS, EventType
from tests.e2e.argo.installing import workflow_controller
from tests.e2e.charted import NAMESPACE
from tests.e2e.control_plane import Role
from tests.e2e.creating import workflow
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.podrunner.launch import SeenPod
from tests.e2e.product import LEASES, until
from tests.e2e.shaking import Outage, await_ready, await_restarted, govern, ready_pods, send, shaken, stray
from tests.e2e.watching_limits import Witness, witness

pytestmark = pytest.mark.e2e

SETTINGS = ("webhook.preStopSeconds=1", "controller.preStopSeconds=1")
CALM: Final = 0.1
"""The pace of the stream: much is going on beside it."""
LIMIT: Final = 3
QUEUED: Final = 30
TASK_SECONDS: Final = 0.5
LEADS_WITHIN: Final = 15.0
"""Seconds from the kill of a leader to the next: five where nothing else runs, which is what is promised."""
TURNS: Final = 3
"""How often a takeover is tried at most until it is as fast: a machine that is busy is slower."""


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Who holds the lease, and since when."""

    holder_identity: str = ""
    acquire_time: datetime | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease."""

    spec: LeaseSpec


# Controllers come first: after an API server was away, those of Kubernetes take up to a minute to make a Pod.


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give an installation with Argo, and a namespace in which a quota holds everything."""
    folder = tmp_path_factory.mktemp("shaken-control-plane")
    (folder / "argo").mkdir()
    with installation(folder, *SETTINGS, back_off=0.1) as installed:
        site = installed.site
        with workflow_controller(
            site.plane, installed.cluster, folder / "argo", finish_after=TASK_SECONDS, environment={}
        ):
            govern(installed)
            yield installed


class Queue(msgspec.Struct, frozen=True):
    """Workflows that wait for each other in a namespace, and somebody who watches them."""

    installed: Installed
    namespace: str
    witness: Witness

    def fill(self) -> None:
        """Create the Workflows."""
        for name in self.names:
            self.installed.cluster.create(WORKFLOWS, workflow(name), namespace=self.namespace)

    @property
    def names(self) -> list[str]:
        """The names of all that are created."""
        return [f"queued-{number}" for number in range(QUEUED)]

    def await_completed(self, number: int) -> float:
        """Wait until so many have run; return how long that took."""
        return until(lambda: len(self.witness.completed) >= number, f"not {number} have run")

    def await_more(self) -> float:
        """Wait until one more has run; return how long that took."""
        return self.await_completed(len(self.witness.completed) + 1)

    def await_end(self) -> None:
        """Wait until all have run; each of them was let go once."""
        self.await_completed(QUEUED)
        assert self.witness.releases == dict.fromkeys(self.names, 1)


@pytest.fixture
def queue(installed: Installed) -> Iterator[Queue]:
    """Give a namespace with a limit; it is never exceeded."""
    namespace = installed.namespace(f"queue-{token_hex(3)}")
    govern(installed, namespace, workflows=LIMIT)
    kubeconfig = installed.site.plane.kubeconfig
    with witness(connect=lambda: connect(kubeconfig), namespace=namespace) as counting:
        yield Queue(installed, namespace, counting)
    assert counting.most == LIMIT


def test_when_the_leader_is_killed_for_good_the_other_leads(installed: Installed, queue: Queue) -> None:
    """Nobody gives the lease up for it, so it has to run out; then the queue goes on where it was."""
    with shaken(installed, pace=CALM) as stream:
        queue.fill()
        queue.await_more()
        took = [_killed_for_good(installed)]
        while took[-1] >= LEADS_WITHIN and len(took) < TURNS:
            took.append(_killed_for_good(installed))
        assert took[-1] < LEADS_WITHIN, took
        queue.await_end()
    assert stream.failed == []


def test_both_controllers_killed_lead_again(installed: Installed, queue: Queue) -> None:
    """They find the queue in the cluster: nothing of it was in their memory alone."""
    with shaken(installed, pace=CALM) as stream:
        queue.fill()
        for _ in range(2):
            queue.await_more()
            killed = installed.pods(CONTROLLER)
            for pod in killed:
                send(pod, signal.SIGKILL)
            await_restarted(installed, killed, CONTROLLER)
        queue.await_end()
    assert stream.failed == []


def test_a_leader_that_is_told_to_end_gives_the_lease_up(installed: Installed, queue: Queue) -> None:
    """The other one need not wait until it runs out."""
    with shaken(installed, pace=CALM) as stream:
        queue.fill()
        queue.await_more()
        for _ in range(2):
            assert "" in _holders_after_the_end(installed)
        queue.await_end()
    assert stream.failed == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def test_an_api_server_that_restarts_is_all_that_fails_creates(
    installed: Installed, queue: Queue, number: signal.Signals
) -> None:
    """While it is away, and no longer; nobody of ours is started again, and all go on by themselves."""
    restarts = _restarts(installed)
    with shaken(installed, pace=CALM) as stream:
        queue.fill()
        queue.await_more()
        away = _restarted(installed, Role.API_SERVER, number)
        stream.await_more()
        queue.await_more()
        govern(installed, installed.namespace(f"later-{token_hex(3)}"))
        for deployment in (WEBHOOK, CONTROLLER):
            await_ready(installed, 2, deployment)
        queue.await_end()
    assert stray(stream, [away]) == []
    assert stream.failed
    assert _restarts(installed) == restarts


def test_an_etcd_that_restarts_is_all_that_fails_creates(installed: Installed, queue: Queue) -> None:
    """The API server tells for itself that it cannot store anything; ours go on afterwards."""
    restarts = _restarts(installed)
    with shaken(installed, pace=CALM) as stream:
        queue.fill()
        queue.await_more()
        away = _restarted(installed, Role.ETCD, signal.SIGKILL)
        queue.await_end()
    assert stray(stream, [away]) == []
    assert _restarts(installed) == restarts


def test_a_webhook_that_starts_while_the_api_server_is_away_waits_for_it(installed: Installed) -> None:
    """It does not end, and answers as soon as the API server is back."""
    api_server = installed.site.plane.components[Role.API_SERVER]
    victim = ready_pods(installed)[0]
    with shaken(installed, pace=CALM) as stream:
        begun = monotonic()
        api_server.stop(signal.SIGKILL)
        send(victim, signal.SIGKILL)
        told = f"{victim.name}: webhook runs as process"
        lives = installed.runner.log.count(told)
        until(lambda: installed.runner.log.count(told) > lives, "it is not started again")
        until(lambda: _tells_of_waiting(installed, victim), "it does not wait")
        api_server.start()
        await_restarted(installed, [victim])
        away = Outage(begun, monotonic())
        await_ready(installed)
    assert stray(stream, [away]) == []
    assert _restarts(installed)[victim.name] == victim.restarts + 1


def _killed_for_good(installed: Installed) -> float:
    """Kill the leader; return how many seconds later another leads."""
    leader = _leader(installed)
    # Its Pod goes with it, or the same one would lead again.
    installed.site.kubectl.said(
        "-n", NAMESPACE, "delete", "pod", leader.name, "--force", "--grace-period=0", "--wait=false"
    )
    until(lambda: not Path(f"/proc/{leader.pid}").exists(), "it lives on")
    gone = datetime.now(UTC)
    taken = _taken_over(installed, leader)
    await_ready(installed, 2, CONTROLLER)
    return (taken - gone).total_seconds()


def _holders_after_the_end(installed: Installed) -> list[str]:
    """Tell the leader to end; return who held the lease from then on, change by change, "" being nobody."""
    leader = _leader(installed)
    since = installed.cluster.list(LEASES, namespace=NAMESPACE).resource_version
    send(leader, signal.SIGTERM)
    _taken_over(installed, leader)
    watch = installed.cluster.watch(LEASES, since=since, namespace=NAMESPACE, name=CONTROLLER, timeout=1)
    changes = [each.object for each in watch if each.type is EventType.MODIFIED]
    await_restarted(installed, [leader], CONTROLLER)
    return [msgspec.convert(each, Lease).spec.holder_identity for each in changes]


def _restarted(installed: Installed, role: Role, number: signal.Signals) -> Outage:
    """End a component and start it again; it is away until it says of itself that it is ready."""
    component = installed.site.plane.components[role]
    begun = monotonic()
    component.stop(number)
    component.start()
    return Outage(begun, monotonic())


def _restarts(installed: Installed) -> dict[str, int]:
    """Return how often each of our Pods was started again."""
    return {pod.name: pod.restarts for each in (WEBHOOK, CONTROLLER) for pod in installed.pods(each)}


def _tells_of_waiting(installed: Installed, pod: SeenPod) -> bool:
    """Tell whether a webhook has said, since it last began to serve, that it cannot read its certificate."""
    log = installed.runner.log_of(NAMESPACE, pod.name, "webhook")
    return "cannot be read" in log.rpartition("serving on")[2]


def _leader(installed: Installed) -> SeenPod:
    """Return the Pod that leads: its host name and its process id, 1, are the holder's."""
    holder = _lease(installed).holder_identity.removesuffix("-1")
    return next(pod for pod in installed.pods(CONTROLLER) if pod.name == holder)


def _taken_over(installed: Installed, before: SeenPod) -> datetime:
    """Wait until another Pod leads, and return since when, by the clock of this machine."""
    until(lambda: _lease(installed).holder_identity not in ("", f"{before.name}-1"), "nobody takes over")
    since = _lease(installed).acquire_time
    assert since is not None
    return since


def _lease(installed: Installed) -> LeaseSpec:
    found = installed.cluster.get(LEASES, CONTROLLER, namespace=NAMESPACE)
    return msgspec.convert(found, Lease).spec
