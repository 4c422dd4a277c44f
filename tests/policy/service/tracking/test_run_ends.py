"""For how long Workflows had their slot: from release or creation to completion, where that was seen."""

from datetime import timedelta

import pytest

from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.service.tracking.run_ends import RunEnds
from policy.service.tracking.tracker import Tracker
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import complete, quota

MINUTE = timedelta(minutes=1)


class Watched:
    """A scene with one slot, and what is noted of it."""

    def __init__(self) -> None:
        self.scene = Scene(quota("a", "main", workflows=1))
        self.ends = RunEnds()
        self.tracker = Tracker()
        self.tracker.keep_labels(())

    def work(self, minutes: int = 0) -> list[tuple[str, float]]:
        """Let time pass and the leader work; return the names and minutes of those that have ended."""
        self.scene.clock.advance(minutes * MINUTE)
        for _ in range(2):  # A release shows in the next listing.
            self.see()
            self.scene.leader.work()
        self.see()
        return [(each.name, each.length / MINUTE) for each in self.ends.take()]

    def see(self) -> None:
        """Note what has changed since the last time."""
        self.tracker.reset(self.scene.cluster.list(WORKFLOWS, labels=f"{well_known.COMPLETED}!=true"))
        self.ends.observe(self.tracker.take_changes(), self.scene.clock())

    def complete(self, name: str) -> None:
        """Let a Workflow end."""
        complete(self.scene.cluster, name, namespace="a")


@pytest.fixture
def watched() -> Watched:
    """Return it with one that runs and one that waits."""
    made = Watched()
    made.work()
    for name in ("first", "second"):
        made.scene.submit(name, age=0)
        made.work()
    return made


def test_a_run_lasts_from_creation_or_release_to_completion(watched: Watched) -> None:
    """The second waited for ten minutes, which are no part of its run."""
    watched.work(10)
    watched.complete("first")
    assert watched.work() == [("first", 10)]
    watched.work(5)
    watched.complete("second")
    assert watched.work() == [("second", 5)]


def test_one_that_ends_while_it_waits_never_ran(watched: Watched) -> None:
    """Its user has deleted it."""
    watched.scene.cluster.delete(WORKFLOWS, "second", namespace="a")
    assert watched.work(1) == []


def test_a_next_leader_leaves_out_what_it_did_not_see_start(watched: Watched) -> None:
    """Of one that never waited its creation is its start; of one that did, nothing is known."""
    watched.complete("first")
    watched.work(3)
    watched.scene.submit("third", age=0)
    watched.ends, watched.tracker = RunEnds(), Tracker()
    watched.tracker.keep_labels(())
    watched.work()
    watched.complete("second")
    assert watched.work(4) == []
    watched.complete("third")
    assert watched.work(2) == [("third", 2)]


def test_a_retried_one_starts_when_it_is_retried(watched: Watched) -> None:
    """Its creation was long ago."""
    watched.complete("first")
    watched.work(30)
    watched.complete("second")
    watched.work()
    again = MergePatch({"metadata": {"labels": {well_known.COMPLETED: None}}})
    watched.scene.cluster.patch(WORKFLOWS, "first", again, namespace="a")
    watched.work()
    watched.complete("first")
    assert watched.work(7) == [("first", 7)]


def test_what_is_not_taken_is_bounded(watched: Watched) -> None:
    """The thread that takes it may wait for a cluster."""
    assert watched.ends._ended.maxlen is not None
