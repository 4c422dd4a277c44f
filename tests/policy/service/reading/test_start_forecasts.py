"""What a leader expects of those that wait: in messages and metrics, and learned from when it was wrong."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.protocol import RUN_LENGTHS, WORKFLOWS, Cluster
from policy.cluster.stored_lengths import NAME, write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.values.quantile_sketch import BUCKETS, UNIT
from policy.service.reading.start_forecasts import RETRY_SECONDS, SHORTEST_PAUSE, StartForecasts
from policy.service.status.usage_metrics import UsageMetrics
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import Call, Spy, complete, quota

MINUTE = timedelta(minutes=1)
NAMES = ("load-x7k2p", "load-b4d5f", "load-v8w9x")


def no_lengths(call: Call) -> None:
    """Refuse to get how long runs take: the right is missing."""
    if (call.verb, call.plural) == ("get", RUN_LENGTHS.plural):
        raise Forbidden("runlengths is forbidden")


class Watched:
    """One slot that is taken, where two wait, runs that took ten minutes each, and what is computed of it."""

    def __init__(self) -> None:
        self.scene = Scene(quota("a", "main", workflows=1))
        lengths = RunLengths()
        for _ in range(9):
            lengths.add(series_of("a", "load-bcdfg"), 10 * MINUTE, self.scene.clock())
        write_lengths(self.scene.cluster, lengths.stored(self.scene.clock()))
        for name in NAMES:
            self.scene.submit(name)
            self.scene.leader.work()
        self.board = self.scene.leader.starts
        self.troubles: list[str] = []
        self.used = 0.0

    def forecasts(self, cluster: Cluster | None = None) -> StartForecasts:
        """Return the work of a term."""
        return StartForecasts(
            cluster=cluster or self.scene.cluster,
            snapshot=lambda: self.scene.leader.snapshot,
            board=self.board,
            clock=self.scene.clock,
            cost=self._cost,
            trouble=self._trouble,
        )

    def compute(self, work: StartForecasts) -> float | None:
        """Let it ask for a copy, a pass give one, and let it compute; a pass takes the result."""
        assert work.run_pass() is None
        self.scene.leader.work()
        pause = work.run_pass()
        self.scene.clock.advance(2 * timedelta(seconds=1))
        self.scene.leader.work()
        return pause

    def message(self, name: str) -> str:
        """Return what a Workflow shows of its wait."""
        status = self.scene.cluster.get(WORKFLOWS, name, namespace="a")["status"]
        assert isinstance(status, dict)
        return str(status["message"])

    def _cost(self) -> float:
        self.used += 0.01
        return self.used

    def _trouble(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


@pytest.fixture
def watched() -> Watched:
    """Return the slot and its queue."""
    return Watched()


def test_those_that_wait_show_when_they_are_expected_to_start(watched: Watched) -> None:
    """The first when the run before it ends, some ten minutes after noon; the second a run later."""
    pause = watched.compute(watched.forecasts())
    assert pause is not None
    assert pause >= SHORTEST_PAUSE
    assert watched.message(NAMES[1]).startswith(
        "queued by lockkeeper: position 1 of 2 in a (1/1 running), expected 12:0"
    )
    assert watched.message(NAMES[2]).endswith(" UTC")
    assert ", expected 12:1" in watched.message(NAMES[2])


def test_a_message_is_not_written_for_a_start_that_has_hardly_moved(watched: Watched) -> None:
    """Each computation gives somewhat other times."""
    work = watched.forecasts()
    watched.compute(work)
    watched.scene.leader.told.messages.clear()
    watched.scene.clock.advance(timedelta(seconds=5))
    watched.compute(work)
    assert watched.scene.leader.told.messages == []


def test_the_expected_wait_of_a_namespace_is_a_metric(watched: Watched) -> None:
    """It is that of the last one in the queue, and passes as time does."""
    watched.compute(watched.forecasts())
    metrics = UsageMetrics(
        snapshot=lambda: watched.scene.leader.snapshot,
        leading=lambda: True,
        capacity=lambda _: None,
        clock=watched.scene.clock,
        until=lambda: watched.board.until,
    )

    def waits() -> float:
        families = text_string_to_metric_families(metrics.render().decode())
        samples = [each for family in families for each in family.samples]
        (found,) = (each for each in samples if each.name == "lockkeeper_queue_expected_wait_seconds")
        assert found.labels == {"workflow_namespace": "a"}
        return found.value

    assert 17 * 60 < waits() < 23 * 60
    before = waits()
    watched.scene.clock.advance(MINUTE)
    assert waits() == before - 60


def test_a_start_that_came_late_is_learned_from(watched: Watched) -> None:
    """Nothing is told of the sample before all of it has started; one that was deleted does not count."""
    watched.compute(watched.forecasts())
    watched.scene.clock.advance(60 * MINUTE)
    complete(watched.scene.cluster, NAMES[0], namespace="a")
    watched.scene.leader.work()
    watched.scene.leader.work()
    assert watched.board.misses.take() == []
    watched.scene.cluster.delete(WORKFLOWS, NAMES[2], namespace="a")
    watched.scene.leader.work()
    (miss,) = watched.board.misses.take()
    assert miss.root == str(watched.scene.leader.snapshot.policies("a").root)
    assert miss.counts == {BUCKETS - 1: UNIT // 2}


def test_what_waits_in_vain_is_late_for_certain(watched: Watched) -> None:
    """After a day the sample is over, and the next one begins."""
    work = watched.forecasts()
    watched.compute(work)
    watched.scene.clock.advance(timedelta(days=1))
    watched.compute(work)
    (miss,) = watched.board.misses.take()
    assert sum(miss.counts.values()) == UNIT


def test_ranges_become_later_where_starts_came_late(watched: Watched) -> None:
    """Readers state what the leader has learned, too."""
    watched.compute(watched.forecasts())
    uid = watched.scene.uid(NAMES[1])
    before = watched.board.of(uid)
    lengths = RunLengths()
    for _ in range(9):
        lengths.add(series_of("a", "load-bcdfg"), 10 * MINUTE, watched.scene.clock())
    root = str(watched.scene.leader.snapshot.policies("a").root)
    lengths.missed(root, {BUCKETS // 2 + 40: 100 * UNIT}, watched.scene.clock())
    write_lengths(watched.scene.cluster, lengths.stored(watched.scene.clock()))
    watched.compute(watched.forecasts())
    after = watched.board.of(uid)
    assert before is not None
    assert after is not None
    assert after.earliest > before.latest


def test_nothing_is_expected_any_more_when_nothing_waits(watched: Watched) -> None:
    """The metric goes, and so do the ranges."""
    work = watched.forecasts()
    watched.compute(work)
    assert watched.board.until
    for name in NAMES[1:]:
        watched.scene.cluster.delete(WORKFLOWS, name, namespace="a")
    watched.compute(work)
    assert not watched.board.until
    assert watched.board.of(watched.scene.uid(NAMES[0])) is None


def test_without_the_right_nothing_is_said_and_it_is_told_once_in_a_while(watched: Watched) -> None:
    """The messages stay as they were."""
    cluster = Spy(watched.scene.cluster)
    cluster.before = no_lengths
    work = watched.forecasts(cluster)
    assert watched.compute(work) == RETRY_SECONDS
    assert watched.troubles == ["expecting when those that wait start: runlengths is forbidden"]
    assert "expected" not in watched.message(NAMES[1])


def test_a_computation_ends_with_the_term(watched: Watched) -> None:
    """It rests often, and looks then whether anybody wants the result."""
    work = watched.forecasts()
    assert work.run_pass() is None
    watched.scene.leader.work()
    work.stop()
    assert work.run_pass() is None
    assert watched.board.number == 0


def test_a_namespace_of_which_too_little_is_known_has_no_expected_wait(watched: Watched) -> None:
    """Nothing is told rather than guessed."""
    watched.scene.cluster.delete(RUN_LENGTHS, NAME)
    watched.compute(watched.forecasts())
    assert not watched.board.until
    assert "expected" not in watched.message(NAMES[1])
