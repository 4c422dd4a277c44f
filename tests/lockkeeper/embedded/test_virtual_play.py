"""The embedded mode on a virtual clock, and that `simulate` releases in the very same order."""

from random import Random
from typing import Any, Final

import pytest

from lockkeeper.embedded.virtual_play import VirtualPlay
from policy.core.decision.decision import Reason
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, ClusterWorkflowQuota, WorkflowQuota
from policy.service.simulation.observer import ReplayedRun
from policy.service.simulation.past_run import PastRun
from policy.service.simulation.player import Player
from tests.lockkeeper.histories.past_runs import BEGIN, of_kind, past_run, policies

RUNS: Final = 120
SELECTOR: Final = {"matchLabels": {"pool": "data"}}
NIGHT: Final = {"name": "night", "schedule": "40 20 * * *", "duration": "20m", "limits": {"workflows": 6}}


class Order:
    """The PlayObserver that notes releases and ends in their order, with their times."""

    def __init__(self) -> None:
        self.releases: list[str] = []
        self.denials: list[str] = []
        self.ended_at: dict[str, float] = {}

    def denied(self, run: PastRun, number: int, reasons: tuple[Reason, ...]) -> None:  # noqa: ARG002 - a protocol
        self.denials.append(f"{run.namespace}/{run.name}")

    def released(self, played: ReplayedRun, at: float) -> None:  # noqa: ARG002 - a protocol
        if played.tracked is not None and played.tracked.holds is not None:
            self.releases.append(f"{played.run.namespace}/{played.run.name}")

    def ended(self, played: ReplayedRun, at: float) -> None:
        self.ended_at[f"{played.run.namespace}/{played.run.name}"] = at

    def waits(self, *_: Any) -> None:
        pass

    def gave_up(self, *_: Any) -> None:
        pass

    def superseded(self, *_: Any) -> None:
        pass

    def got_lock(self, *_: Any) -> None:
        pass

    def used(self, *_: Any) -> None:
        pass


def pool(**spec: Any) -> ClusterWorkflowQuota:
    """Return a pool of both namespaces."""
    found: ClusterWorkflowQuota = of_kind(ClusterWorkflowQuota, "data", namespaceSelector=SELECTOR, **spec)
    return found


def quota(namespace: str, name: str = "main", **spec: Any) -> WorkflowQuota:
    """Return a quota."""
    found: WorkflowQuota = of_kind(WorkflowQuota, name, namespace, **spec)
    return found


def own_groups(**group: Any) -> ClusterWorkflowQuota:
    """Return a pool of both namespaces with a group for each user."""
    return pool(limits={"workflows": 6}, groups=[{"name": "own", "key": "{{user}}", **group}])


BORROWS: Final = {
    "enabled": True,
    "shares": {"team-a": {"workflows": 3}, "team-b": {"workflows": 1}},
    "borrowingLimit": {"workflows": 2},
}
SEMAPHORE: Final = {"semaphore": {"configMap": "sem", "key": "db"}}
LOCKS: Final = of_kind(
    ClusterSynchronizationPolicy,
    "locks",
    namespaceSelector={},
    semaphores=[{"configMap": "sem", "key": "db", "limit": 2}],
    inject=[{"name": "db", "templates": {"names": ["main"]}, "lock": SEMAPHORE}],
)
SETS: Final[dict[str, tuple[Document, ...]]] = {
    "a quota of one namespace": (quota("team-a", limits={"workflows": 2, "tasks": 7}),),
    "a strict queue": (quota("team-a", limits={"tasks": 8}, queue={"strategy": "StrictFIFO"}),),
    "aging past priorities": (quota("team-a", limits={"workflows": 2}, queue={"aging": "3m"}),),
    "limits of each user": (quota("team-a", perUser={"workflows": 1}), quota("team-b", limits={"tasks": 6})),
    "a pool with fair share": (pool(limits={"workflows": 3}, fairShare={"weights": {"team-a": 3}}),),
    "a pool that borrows": (pool(limits={"workflows": 4}, borrowing=BORROWS),),
    "a pool that reserves": (
        pool(limits={"workflows": 4, "tasks": 20}, reserve=[{"abovePriority": 0, "workflows": 1}]),
    ),
    "windows": (pool(limits={"workflows": 3}, windows=[NIGHT]),),
    "one that denies": (
        quota("team-a", limits={"workflows": 3}, onExceed="Deny"),
        pool(limits={"workflows": 4}),
    ),
    "a short queue that gives up": (
        quota("team-a", limits={"workflows": 2}, queue={"maxLength": 4, "maxWait": "6m"}),
    ),
    "quotas that only deny": (
        quota("team-a", limits={"workflows": 2}, onExceed="Deny"),
        quota("team-b", perUser={"workflows": 1}, onExceed="Deny"),
    ),
    "a pool that lends and denies": (pool(limits={"workflows": 4}, borrowing=BORROWS, onExceed="Deny"),),
    "a short strict queue": (
        quota("team-a", limits={"workflows": 1}, queue={"maxLength": 2, "strategy": "StrictFIFO"}),
    ),
    "a second of a user is refused": (own_groups(whenBusy="Refuse", limits={"workflows": 2}),),
    "one of each user": (own_groups(whenBusy="Queue", limits={"workflows": 2}),),
    "the newest of each user": (own_groups(whenBusy="KeepNewest", limits={"workflows": 2}),),
    "a newer one of a user cancels": (own_groups(whenBusy="CancelRunning"),),
    "a newer one cancels who holds or wants a lock": (own_groups(whenBusy="CancelRunning"), LOCKS),
    "locks under a pool": (pool(limits={"workflows": 5}), LOCKS),
}


def drawn(seed: int) -> list[PastRun]:
    """Return runs of two namespaces, three users and two priorities, some of them created in one second."""
    random, at, runs = Random(seed), 0, []
    for number in range(RUNS):
        at += random.choice((0, 0, 7, 19, 60))
        runs.append(
            past_run(
                f"w{number:03d}",
                at,
                random.choice((20, 45, 90, 200, 400)),
                namespace=random.choice(("team-a", "team-b")),
                user=random.choice(("ann", "bob", "eve")),
                priority=random.choice((0, 0, 0, 5)),
                tasks=random.choice((1, 2, 5)),
            )
        )
    return sorted(runs, key=lambda each: (each.created, each.namespace, each.name))


def order_of(snapshot: Snapshot, runs: list[PastRun]) -> Order:
    """Return what a simulation of some runs releases, in its order."""
    order = Order()
    player = Player(snapshot=snapshot, namespaces={"team-a", "team-b"}, begin=BEGIN, observer=order)
    for each in runs:
        player.play(each)
    player.finish()
    return order


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", SETS)
def test_a_simulation_releases_in_the_order_of_the_embedded_mode(name: str, seed: int) -> None:
    """Release by release and denial by denial: what is told of a history is what the product would do."""
    snapshot, runs = policies(*SETS[name]), drawn(seed)
    play = VirtualPlay(snapshot=snapshot, begin=BEGIN)
    play.play(runs)
    order = order_of(snapshot, runs)
    assert order.releases == play.releases
    assert order.denials == [each for each, _ in play.denied]
    assert len(order.releases) + len(order.denials) > RUNS // 3


@pytest.mark.parametrize("name", ["locks under a pool", "a newer one cancels who holds or wants a lock"])
def test_runs_end_when_they_do_in_the_embedded_mode(name: str) -> None:
    """Waits for locks make runs longer by as much, and a newer one of their key makes them shorter."""
    snapshot, runs = policies(*SETS[name]), drawn(3)
    play = VirtualPlay(snapshot=snapshot, begin=BEGIN)
    play.play(runs)
    ended = {f"{each.namespace}/{each.name}": each.ended for each in play.told()}
    order = order_of(snapshot, runs)
    assert {name: ended[name] for name in order.ended_at} == order.ended_at
    assert len(ended) == RUNS


def test_its_workflows_are_left_as_argo_leaves_them() -> None:
    """So they are a history: times, phase, and a node for each template that ran."""
    play = VirtualPlay(snapshot=policies(quota("team-a", limits={"workflows": 1})), begin=BEGIN)
    play.play([past_run("a", 0, 60), past_run("b", 5, 30)])
    first, second = play.history()
    assert first["status"] == {
        "phase": "Succeeded",
        "startedAt": "2026-05-28T20:26:40Z",
        "finishedAt": "2026-05-28T20:27:40Z",
        "nodes": {
            "a-0": {
                "id": "a-0",
                "name": "a[0]",
                "type": "Pod",
                "phase": "Succeeded",
                "templateName": "main",
                "startedAt": "2026-05-28T20:26:40Z",
                "finishedAt": "2026-05-28T20:27:40Z",
            }
        },
    }
    assert isinstance(second["status"], dict)
    assert second["status"]["startedAt"] == "2026-05-28T20:27:40Z"
