"""A history on a virtual clock: who is released when, who is denied, gives up or never starts."""

from collections.abc import Iterable
from typing import Any

import pytest

from policy.core.decision.decision import Reason
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, ClusterWorkflowQuota, WorkflowQuota
from policy.service.simulation.observer import ReplayedRun
from policy.service.simulation.past_run import PastRun, Stretch
from policy.service.simulation.player import Player
from tests.lockkeeper.histories.past_runs import BEGIN, of_kind, past_run, policies


class Heard:
    """The PlayObserver of a test: what happened, with the seconds from the beginning."""

    def __init__(self) -> None:
        self.released_at: dict[str, float] = {}
        self.ended_at: dict[str, float] = {}
        self.gave_up_at: dict[str, float] = {}
        self.superseded_at: dict[str, float] = {}
        self.denials: dict[str, str] = {}
        self.lock_waits: list[float] = []

    def denied(self, run: PastRun, number: int, reasons: tuple[Reason, ...]) -> None:  # noqa: ARG002 - a protocol
        self.denials[run.name] = reasons[0].code.value

    def waits(self, played: ReplayedRun, at: float) -> None:
        pass

    def released(self, played: ReplayedRun, at: float) -> None:
        self.released_at[played.run.name] = at - BEGIN

    def gave_up(self, played: ReplayedRun, at: float) -> None:
        self.gave_up_at[played.run.name] = at - BEGIN

    def superseded(self, played: ReplayedRun, at: float) -> None:
        self.superseded_at[played.run.name] = at - BEGIN

    def ended(self, played: ReplayedRun, at: float) -> None:
        self.ended_at[played.run.name] = at - BEGIN

    def got_lock(self, locks: Iterable[str], namespace: str, seconds: float) -> None:  # noqa: ARG002 - a protocol
        self.lock_waits.append(seconds)

    def used(self, *_: Any) -> None:
        pass


def played(snapshot: Snapshot, *runs: PastRun) -> tuple[Heard, Player]:
    """Return what was heard of a play of some runs."""
    heard = Heard()
    player = Player(
        snapshot=snapshot, namespaces={each.namespace for each in runs}, begin=BEGIN, observer=heard
    )
    for each in sorted(runs, key=lambda run: run.created):
        player.play(each)
    player.finish()
    return heard, player


def quota(namespace: str = "team-a", **spec: Any) -> WorkflowQuota:
    """Return a quota."""
    found: WorkflowQuota = of_kind(WorkflowQuota, "main", namespace, **spec)
    return found


def test_one_starts_when_another_ends() -> None:
    """With one slot, the second waits for as long as the first still runs."""
    heard, _ = played(
        policies(quota(limits={"workflows": 1})),
        past_run("a", 0, 100),
        past_run("b", 30, 50),
        past_run("c", 40),
    )
    assert heard.released_at == {"a": 0, "b": 100, "c": 150}
    assert heard.ended_at["c"] == 210


def test_all_of_one_time_are_there_before_any_is_released() -> None:
    """Of those that are created in the same second the highest priority goes first, whatever its name is."""
    runs = past_run("a", 0, 100), past_run("b", 0, 100, priority=5)
    heard, _ = played(policies(quota(limits={"workflows": 1})), *runs)
    assert heard.released_at == {"b": 0, "a": 100}


def test_a_quota_that_denies_refuses_by_the_usage_of_that_time() -> None:
    """What would wait elsewhere is refused, and one that comes after the end finds room."""
    heard, _ = played(
        policies(quota(limits={"workflows": 1}, onExceed="Deny")),
        past_run("a", 0, 100),
        past_run("b", 50),
        past_run("c", 101),
    )
    assert heard.denials == {"b": "ExceededQuota"}
    assert heard.released_at == {"a": 0, "c": 101}


def test_a_full_queue_refuses() -> None:
    """`maxLength` counts those that wait at that time."""
    heard, _ = played(
        policies(quota(limits={"workflows": 1}, queue={"maxLength": 1})),
        *(past_run(name, at, 100) for at, name in enumerate("abc")),
    )
    assert heard.denials == {"c": "QueueFull"}


def test_the_newest_of_a_key_supersedes_those_that_wait() -> None:
    """What runs goes on, and those between never run."""
    group = {"name": "own", "key": "{{user}}", "whenBusy": "KeepNewest"}
    heard, _ = played(
        policies(quota(groups=[group])),
        past_run("a", 0, 100),
        past_run("b", 10),
        past_run("c", 20),
        past_run("other", 30, user="eve"),
    )
    assert heard.released_at == {"a": 0, "other": 30, "c": 100}
    assert heard.superseded_at == {"b": 20}


def test_the_newest_of_a_key_ends_the_one_that_runs() -> None:
    """It starts at once then, and what was superseded ends before its time."""
    group = {"name": "own", "key": "{{user}}", "whenBusy": "CancelRunning"}
    heard, _ = played(policies(quota(groups=[group])), past_run("a", 0, 100), past_run("b", 10, 50))
    assert heard.released_at == {"a": 0, "b": 10}
    assert heard.ended_at == {"a": 10, "b": 60}


def test_one_that_waits_for_too_long_gives_up() -> None:
    """`maxWait` ends a wait though nothing else happens then."""
    heard, _ = played(
        policies(quota(limits={"workflows": 1}, queue={"maxWait": "1m"})),
        past_run("a", 0, 500),
        past_run("b", 10),
    )
    assert heard.gave_up_at == {"b": 70}
    assert "b" not in heard.released_at


def test_a_window_that_opens_lets_start_though_nothing_ends() -> None:
    """At 21:00 the second slot opens; the history begins at 20:26:40."""
    window = {"name": "night", "schedule": "0 21 * * *", "duration": "8h", "limits": {"workflows": 2}}
    heard, _ = played(
        policies(quota(limits={"workflows": 1}, windows=[window])),
        past_run("a", 0, 50_000),
        past_run("b", 10),
    )
    assert heard.released_at["b"] == 2_000


def test_what_can_never_start_does_not_make_a_play_endless() -> None:
    """A window opens and closes for ever, and this one fits in none of them."""
    window = {"name": "night", "schedule": "0 21 * * *", "duration": "8h", "limits": {"tasks": 4}}
    heard, player = played(
        policies(quota(limits={"tasks": 2}, windows=[window])),
        past_run("wide", 0, 60, tasks=9),
        past_run("a", 5, tasks=1),
    )
    assert heard.released_at == {"a": 5}
    assert [each.run.name for each in player.played.values()] == ["wide"]


def test_a_member_borrows_what_others_of_its_pool_do_not_use() -> None:
    """And the owner gets the next slot back."""
    pool = of_kind(
        ClusterWorkflowQuota,
        "data",
        namespaceSelector={"matchLabels": {"pool": "data"}},
        limits={"workflows": 2},
        borrowing={"enabled": True, "shares": {"team-a": {"workflows": 1}, "team-b": {"workflows": 1}}},
    )
    runs = [past_run(f"a{number}", number, 100) for number in range(3)]
    heard, _ = played(policies(pool), *runs, past_run("b", 50, namespace="team-b"))
    assert heard.released_at == {"a0": 0, "a1": 1, "b": 100, "a2": 101}


def test_locks_that_policies_put_in_are_waited_for_within_a_run() -> None:
    """The slot is held meanwhile; the run is longer by its wait for the lock."""
    locks = of_kind(
        ClusterSynchronizationPolicy,
        "locks",
        namespaceSelector={},
        semaphores=[{"configMap": "sem", "key": "db", "limit": 1}],
        inject=[
            {
                "name": "db",
                "templates": {"names": ["load"]},
                "lock": {"semaphore": {"configMap": "sem", "key": "db"}},
            }
        ],
    )
    spec = {"entrypoint": "load", "templates": [{"name": "load", "container": {"image": "i"}}]}
    parts = (Stretch(10, ()), Stretch(30, ("load",)), Stretch(5, ()))
    runs = [past_run(name, 0, stretches=parts, spec=spec) for name in "abc"]
    heard, _ = played(policies(locks), *runs)
    assert heard.ended_at == {"a": 45, "b": 75, "c": 105}
    assert heard.lock_waits == [0, 30, 60]


def test_a_mutex_of_the_whole_is_held_from_start_to_end() -> None:
    """Locks of a Workflow itself are taken before it starts."""
    spec = {"synchronization": {"mutexes": [{"name": "m"}]}}
    heard, _ = played(policies(), *(past_run(name, 0, 60, spec=spec) for name in "ab"))
    assert heard.ended_at == {"a": 60, "b": 120}


def test_a_namespace_that_no_policy_knows_waits_for_nothing() -> None:
    """It starts at once."""
    heard, _ = played(policies(quota(limits={"workflows": 0})), past_run("a", 7, namespace="other"))
    assert heard.released_at == {"a": 7}


@pytest.mark.parametrize("priority", [0, 7])
def test_aging_passes_higher_priorities_as_time_alone_goes_on(priority: int) -> None:
    """One that is old enough goes before a younger one of a higher priority."""
    heard, _ = played(
        policies(quota(limits={"workflows": 1}, queue={"aging": "1m"})),
        past_run("runs", 0, 1_000),
        past_run("old", 1),
        past_run("young", 990, priority=priority),
    )
    assert heard.released_at["old"] < heard.released_at["young"]


def test_a_workflow_that_cannot_be_read_is_denied_as_the_webhook_would() -> None:
    """A history may hold what today's webhook refuses."""
    heard, _ = played(policies(quota(limits={"workflows": 1})), past_run("a", spec={"templates": "none"}))
    assert heard.denials == {"a": "WrongType"}
