"""The whole search over drawn histories: what is suggested meets the waits, and nothing less does."""

from typing import Any

import msgspec
import pytest

from lockkeeper.simulation.playing import play
from lockkeeper.suggesting.strategies.settings import with_settings
from lockkeeper.suggesting.strategies.wanted_waits import WantedWait
from lockkeeper.suggesting.strategies.ways import WayKind
from lockkeeper.suggesting.suggestion_search import Suggested
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from tests.lockkeeper.histories.past_runs import of_kind, past_run, policies
from tests.lockkeeper.suggesting.drawn import drawn_runs, history, searched

POOL = {"matchLabels": {"pool": "data"}}


def own(**spec: Any) -> Snapshot:
    """Return a quota of team-a."""
    return policies(of_kind(WorkflowQuota, "main", "team-a", **spec))


def pool(**spec: Any) -> Snapshot:
    """Return a pool of team-a and team-b."""
    return policies(of_kind(ClusterWorkflowQuota, "data", namespaceSelector=POOL, **spec))


LENDING: dict[str, Any] = {
    "limits": {"workflows": 6},
    "borrowing": {
        "enabled": True,
        "borrowingLimit": {"workflows": 0},
        "shares": {"team-a": {"workflows": 1}, "team-b": {"workflows": 5}},
    },
}


def wait_of(found: Suggested, seed: int, wanted: WantedWait) -> float:
    """Return the wait that a whole simulation tells of what is suggested."""
    with history(*drawn_runs(seed)) as read:
        result, _ = play(read, found.snapshot, policies="")
    (group,) = (each for each in result.namespaces if each.name == wanted.namespace)
    assert group.denied + group.gave_up + group.never_started == 0
    return float(getattr(group.waits, wanted.measure))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "snapshot",
    [
        own(limits={"workflows": 1}),
        own(limits={"workflows": 3, "tasks": 4}, perUser={"workflows": 1}),
        own(limits={"workflows": 1}, onExceed="Deny"),
        pool(limits={"workflows": 2}, namespaceDefaults={"limits": {"workflows": 1}}),
        pool(**LENDING),
    ],
    ids=["limit", "tasks and users", "deny", "defaults of a pool", "a pool that lends"],
)
def test_what_is_suggested_meets_the_wait_when_it_is_simulated(seed: int, snapshot: Snapshot) -> None:
    """The simulation is the whole one, of the policies as they would be."""
    found = searched(drawn_runs(seed), snapshot, "team-a p95 10m", most=400)
    assert found.suggestion.met
    assert found.suggestion.way is not None
    wait = wait_of(found, seed, found.suggestion.wanted[0])
    assert wait == found.suggestion.waits[0] <= 600


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [WayKind.LIMITS, WayKind.WINDOWS])
def test_no_number_that_was_raised_can_be_lower_by_one(seed: int, kind: WayKind) -> None:
    """That is what smallest means."""
    snapshot = own(limits={"workflows": 1})
    found = searched(drawn_runs(seed), snapshot, "team-a p95 10m", kinds=frozenset({kind}))
    assert found.suggestion.met
    for setting, value in found.changes:
        changes = {**dict(found.changes), setting: value - 1}
        lower = with_settings(snapshot, changes, found.window)
        assert lower is not None
        once = msgspec.structs.replace(found, snapshot=lower)
        assert wait_of(once, seed, found.suggestion.wanted[0]) > 600


def test_a_limit_that_is_more_than_enough_is_lowered_only_where_the_wait_is_met_already() -> None:
    """Who wants shorter waits has not asked for lower limits elsewhere."""
    runs, limits = drawn_runs(1), frozenset({WayKind.LIMITS})
    found = searched(runs, own(limits={"workflows": 500}), "team-a p95 10m")
    assert found.suggestion.met_at_present
    (changed,) = (value for _, value in found.changes)
    assert 1 <= changed < 30
    found = searched(runs, own(limits={"workflows": 1, "tasks": 500}), "team-a p95 10m", kinds=limits)
    assert not found.suggestion.met_at_present
    assert {each.field for each, _ in found.changes} == {("limits", "workflows")}


def test_shares_move_what_there_is_and_leave_the_pool_as_it_is() -> None:
    """team-b does not need its five; nothing is raised, so this way costs least."""
    found = searched(drawn_runs(2), pool(**LENDING), "team-a p95 10m")
    assert found.suggestion.way is not None
    assert found.suggestion.way.way == "shares"
    assert found.suggestion.way.cost == 0
    assert found.snapshot.pools[0].spec.limits.workflows == 6


def test_a_window_raises_a_limit_in_the_hours_of_the_wait_alone() -> None:
    """Everybody comes at two in the morning: a window there costs less than a limit for the whole day."""
    runs = [past_run(f"r-{day}-{n}", day * 86_400 + n, 600.0) for day in range(3) for n in range(6)]
    found = searched(runs, own(limits={"workflows": 1}), "team-a longest 10m")
    way, window = found.suggestion.way, found.window
    assert way is not None
    assert window is not None
    assert (way.way, window.schedule) == ("windows", "0 20 * * *")
    (spec,) = (each.spec for each in found.snapshot.quotas["team-a"])
    assert spec.limits.workflows == 1
    assert spec.windows[0].limits.workflows == found.changes[0][1] > 1


def test_others_of_a_pool_wait_no_longer_unless_they_may() -> None:
    """team-a would fill the pool that team-b needs; with the pool raised both are served."""
    snapshot = policies(
        of_kind(ClusterWorkflowQuota, "data", namespaceSelector=POOL, limits={"workflows": 2}),
        of_kind(WorkflowQuota, "main", "team-a", limits={"workflows": 1}),
    )
    runs = [past_run(f"a-{n}", n, 600.0) for n in range(8)]
    runs += [past_run(f"b-{n}", n * 1300 + 30, 600.0, namespace="team-b") for n in range(2)]
    limits = frozenset({WayKind.LIMITS})
    kept = searched(runs, snapshot, "team-a p95 45m", kinds=limits)
    (other,) = kept.suggestion.others
    assert other.namespace == "team-b"
    assert other.after <= other.before + 60
    ignored = searched(runs, snapshot, "team-a p95 45m", kinds=limits, keep_others=False)
    assert ignored.suggestion.met
    assert sum(dict(ignored.changes).values()) < sum(dict(kept.changes).values())


def test_several_waits_are_met_together() -> None:
    """Both namespaces have their own measure."""
    found = searched(
        drawn_runs(3), pool(limits={"workflows": 1}), "team-a p95 10m", "team-b longest 20m", most=400
    )
    assert found.suggestion.met
    assert found.suggestion.waits[0] <= 600
    assert found.suggestion.waits[1] <= 1200


def test_those_that_no_limit_lets_in_are_set_aside() -> None:
    """One Workflow of a priority that is refused does not make every wait impossible."""
    runs = [past_run(f"r-{n}", n, 600.0, priority=100 if n == 0 else 0) for n in range(40)]
    snapshot = own(limits={"workflows": 1}, perWorkflow={"maxPriority": 10})
    assert searched(runs, snapshot, "team-a p95 10m").suggestion.met
    longest = searched(runs, snapshot, "team-a longest 10m").suggestion
    assert not longest.met
    assert "1 of 40 Workflows of team-a are denied whatever the limits are" in longest.why_not[0]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"stopPolicy": "Hold"}, "its stopPolicy is Hold"),
        ({"perWorkflow": {"maxTasks": 1}}, "are denied whatever the limits are"),
    ],
)
def test_what_cannot_be_met_is_said_with_why(spec: dict[str, object], words: str) -> None:
    """Nothing is suggested then, and the reasons name what is in the way."""
    runs = [past_run(f"r-{n}", n, 600.0, tasks=4) for n in range(10)]
    found = searched(runs, own(**{"limits": {"workflows": 1}, **spec}), "team-a p95 0s").suggestion
    assert not found.met
    assert words in " ".join(found.why_not)


def test_the_outcome_does_not_depend_on_the_number_of_processes() -> None:
    """Two workers, started anew, and this process alone say the same to the byte."""
    snapshot, runs = pool(**LENDING), drawn_runs(4)
    one, two = (
        searched(runs, snapshot, "team-a p95 10m", processes=processes, most_drawn=20) for processes in (1, 2)
    )
    assert msgspec.json.encode(one.suggestion) == msgspec.json.encode(two.suggestion)
    assert one.suggestion.what_ifs > 60


def test_when_the_what_ifs_are_used_up_it_is_said() -> None:
    """A search that did not come to its end is no proof that nothing meets the wait."""
    found = searched(drawn_runs(5), own(limits={"workflows": 1}), "team-a longest 0s", most=10).suggestion
    assert any(not each.finished for each in found.ways)


def test_a_tighter_row_of_the_trade_off_needs_no_less() -> None:
    """Shorter waits need more, and are met more often in histories that are drawn anew."""
    found = searched(drawn_runs(0), own(limits={"workflows": 1}), "team-a p95 20m", most_drawn=10).suggestion
    rows = [each for each in found.trade_off if each.times > 0]
    sums = [sum(one.suggested for one in each.settings) for each in rows]
    assert sums == sorted(sums, reverse=True)
    met = [each.redrawn.met for each in rows if each.redrawn is not None]
    assert len(met) == len(rows) > 1
    assert met == sorted(met, reverse=True)
