"""Leader election over the in-memory cluster, with clocks that the tests move."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

import msgspec
import pytest

from policy.cluster.errors import ClusterError, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Cluster, Resource
from policy.core.objects.json_patch import JsonObject
from policy.service.leading.leader_election import DURATION, LEASES, RENEW_WITHIN, Elector, Lease
from tests.patience import PATIENCE

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class Term:
    """Work that runs until it is stopped."""

    def __init__(self) -> None:
        self.running = Event()
        self._end = Event()

    def run(self) -> None:
        self.running.set()
        self._end.wait(PATIENCE)
        self.running.clear()

    def stop(self) -> None:
        self._end.set()


class Broken(Term):
    """Work that ends by itself, as one does that was fenced off."""

    def run(self) -> None:
        self.running.set()


class Stopwatch:
    """A stopwatch in seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Candidate:
    """An elector, its terms, and its own stopwatch."""

    def __init__(self, cluster: Cluster, me: str, *, work: Callable[[], Term] = Term) -> None:
        self.terms: list[Term] = []
        self.troubles: list[str] = []
        self.stopwatch = Stopwatch()
        self.elector = Elector(
            cluster=cluster,
            namespace="lockkeeper",
            name="controller",
            me=me,
            start=self._start,
            clock=lambda: NOW,
            stopwatch=self.stopwatch,
            trouble=self._note,
        )
        self._make = work

    def _start(self) -> Term:
        self.terms.append(self._make())
        return self.terms[-1]

    def _note(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


class Cut(MemoryCluster):
    """A cluster that can be cut off."""

    away = False

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        if self.away:
            raise Unavailable("cut off")
        return super().get(resource, name, namespace=namespace)


@pytest.fixture
def cluster() -> Cut:
    """Give a cluster that can be cut off."""
    return Cut(clock=lambda: NOW, rng=random.Random(1))


def holder(cluster: Cluster) -> str:
    """Return the holder of the lease."""
    return msgspec.convert(
        cluster.get(LEASES, "controller", namespace="lockkeeper"), Lease
    ).spec.holder_identity


def test_the_first_candidate_leads_and_the_second_waits(cluster: Cut) -> None:
    """Only one of two candidates does the work."""
    first, second = Candidate(cluster, "a"), Candidate(cluster, "b")
    first.elector.step()
    second.elector.step()
    assert first.terms[0].running.wait(PATIENCE)
    assert (first.elector.leading, second.elector.leading) == (True, False)
    assert holder(cluster) == "a"
    first.elector.stop()
    first.elector.run()


def test_a_killed_leader_is_replaced_after_the_duration_and_not_before(cluster: Cut) -> None:
    """A candidate waits the whole duration by its own stopwatch, then takes over."""
    first, second = Candidate(cluster, "a"), Candidate(cluster, "b")
    first.elector.step()
    second.elector.step()
    second.stopwatch.seconds += DURATION.total_seconds() - 0.1
    second.elector.step()
    assert not second.elector.leading
    second.stopwatch.seconds += 0.2
    second.elector.step()
    assert second.elector.leading
    assert holder(cluster) == "b"
    second.elector.stop()
    second.elector.run()
    first.terms[0].stop()


def test_a_leader_that_renews_is_never_replaced(cluster: Cut) -> None:
    """Every renewal starts the wait of the others again, however long it lasts."""
    first, second = Candidate(cluster, "a"), Candidate(cluster, "b")
    for _ in range(20):
        first.stopwatch.seconds += DURATION.total_seconds() * 0.7
        second.stopwatch.seconds += DURATION.total_seconds() * 0.7
        clock = NOW.replace(microsecond=random.Random(first.stopwatch.seconds).randrange(10**6))
        first.elector._clock = lambda now=clock: now  # type: ignore[misc]
        first.elector.step()
        second.elector.step()
        assert not second.elector.leading
    assert len(first.terms) == 1
    first.elector.stop()
    first.elector.run()


def test_a_leader_that_stops_gives_the_lease_up_at_once(cluster: Cut) -> None:
    """After an orderly end no candidate has to wait, and the work has ended before."""
    first, second = Candidate(cluster, "a"), Candidate(cluster, "b")
    first.elector.step()
    first.elector.stop()
    first.elector.run()
    assert not first.terms[0].running.is_set()
    second.elector.step()
    assert second.elector.leading
    second.elector.stop()
    second.elector.run()


def test_a_leader_that_cannot_renew_stops_before_another_may_take_over(cluster: Cut) -> None:
    """Cut off from the cluster it works on for a while, then ends its work by itself."""
    first = Candidate(cluster, "a")
    first.elector.step()
    cluster.away = True
    first.stopwatch.seconds += RENEW_WITHIN.total_seconds() - 0.1
    first.elector.step()
    assert first.elector.leading
    first.stopwatch.seconds += 0.2
    first.elector.step()
    assert not first.elector.leading
    assert first.troubles == ["leader election: cut off"] * 2
    assert RENEW_WITHIN < DURATION


def test_work_that_ends_by_itself_gives_the_lease_up_and_is_started_again(cluster: Cut) -> None:
    """A leader that was fenced off becomes a candidate again."""
    first = Candidate(cluster, "a", work=Broken)
    first.elector.step()
    assert first.terms[0].running.wait(PATIENCE)
    working = first.elector._working
    assert working is not None
    working.join(PATIENCE)
    first.elector.step()
    assert holder(cluster) == ""
    first.elector.step()
    assert len(first.terms) == 2
    assert holder(cluster) == "a"


def test_of_two_candidates_that_take_an_expired_lease_at_once_one_leads(cluster: Cut) -> None:
    """Taking the lease is a compare-and-swap: the second one sees a conflict and waits."""
    dead, first, second = (Candidate(cluster, name) for name in ("dead", "a", "b"))
    dead.elector.step()
    first.elector.step()
    second.elector.step()
    for each in (first, second):
        each.stopwatch.seconds += DURATION.total_seconds() + 1
    stale = cluster.get(LEASES, "controller", namespace="lockkeeper")
    first.elector.step()
    assert first.elector.leading
    second.elector._read = lambda: msgspec.convert(stale, Lease)  # type: ignore[method-assign]
    second.elector.step()
    assert not second.elector.leading
    for each in (dead, first):
        each.terms[0].stop()
