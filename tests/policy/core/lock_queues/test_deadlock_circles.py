"""How many deadlocks there are: a circle counts once."""

from policy.core.lock_queues.deadlock_circles import circles
from policy.core.lock_queues.lock_queues import live_deadlocks, lock_queues
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.lock_graph.running import mutex, node, running, traced


def names(*workflows: JsonObject) -> list[list[str]]:
    """Return the names of deadlocked Workflows by circle."""
    found = live_deadlocks(lock_queues([traced(each) for each in workflows], lambda _: 1))
    return sorted(sorted(each.workflow.name for each in circle) for circle in circles(found))


def holds(name: str, held: str, wanted: str) -> JsonObject:
    """Return a Workflow that holds one lock and waits for another."""
    return running(name, holds={mutex(held): [""]}, nodes={"n": node(phase="Pending", waiting=mutex(wanted))})


def test_a_circle_of_three_is_one() -> None:
    """It is told on each of them, and broken by the end of any."""
    assert names(holds("a", "x", "y"), holds("b", "y", "z"), holds("c", "z", "x")) == [["a", "b", "c"]]


def test_two_circles_are_two_and_who_waits_behind_one_belongs_to_it() -> None:
    """They have no lock in common."""
    behind = running("behind", waits=mutex("x"))
    found = names(holds("a", "x", "y"), holds("b", "y", "x"), behind, holds("knot", "k", "k"))
    assert found == [["a", "b", "behind"], ["knot"]]


def test_without_deadlocks_there_are_none() -> None:
    """One that only waits for its turn is in no circle."""
    assert names(holds("a", "x", "y"), running("b", holds={mutex("y"): [""]})) == []
