"""How long runs take is kept in the cluster, at a bounded rate, and the next leader goes on with it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import RUN_LENGTHS, Patch, Resource
from policy.cluster.stored_lengths import read_lengths
from policy.core.cluster_view.run_lengths import series_of
from policy.core.objects.json_patch import JsonObject
from policy.service.status.run_length_writer import (
    LONGEST_PAUSE,
    RETRY_SECONDS,
    SHORTEST_PAUSE,
    RunLengthWriter,
)
from policy.service.tracking.run_ends import RunEnd
from policy.service.tracking.start_misses import StartMiss
from tests.policy.service.world import Clock, memory

TEMPLATE = "WorkflowTemplate/etl"


class Leader:
    """A writer that is driven by hand."""

    def __init__(self, cluster: MemoryCluster, clock: Clock) -> None:
        self.ended: list[RunEnd] = []
        self.troubles: list[str] = []
        self.misses: list[StartMiss] = []
        self.writer = RunLengthWriter(
            cluster=cluster,
            take=self._take,
            take_misses=self._take_misses,
            clock=clock,
            trouble=self._trouble,
        )

    def end(self, minutes: int) -> None:
        """Let a run end."""
        self.ended.append(RunEnd("a", "load-bcdfg", TEMPLATE, timedelta(minutes=minutes)))

    def _take(self) -> list[RunEnd]:
        taken, self.ended = self.ended, []
        return taken

    def _take_misses(self) -> list[StartMiss]:
        taken, self.misses = self.misses, []
        return taken

    def _trouble(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


class WithoutRights(MemoryCluster):
    """A cluster where the right to write it is missing."""

    def __init__(self, inner: MemoryCluster) -> None:
        self._inner = inner

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        return self._inner.get(resource, name, namespace=namespace)

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        raise Forbidden(f"{resource.plural} {name} {namespace}{subresource}{patch} is forbidden")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that moves only when the test moves it."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[MemoryCluster]:
    """Return an empty cluster, closed afterwards."""
    made = memory(clock)
    yield made
    made.close()


def test_the_next_leader_goes_on_with_what_is_known(store: MemoryCluster, clock: Clock) -> None:
    """Both have seen two runs, which is enough together."""
    for minutes in (10, 20):
        leader = Leader(store, clock)
        leader.end(minutes)
        leader.end(minutes)
        pause = leader.writer.run_pass()
        assert pause is not None
        assert SHORTEST_PAUSE <= pause < LONGEST_PAUSE
    known = read_lengths(store).lengths(series_of("a", "new", TEMPLATE))
    assert known.total == 4 * 1024
    assert abs((known.quantile(75) or 0) - 1200) <= 1200 // 8


def test_a_term_begins_with_one_write_and_an_idle_cluster_gets_no_more(
    store: MemoryCluster, clock: Clock
) -> None:
    """A right that is missing is told at once and not when the first run ends."""
    leader = Leader(store, clock)
    leader.writer.run_pass()
    version = store.list(RUN_LENGTHS).resource_version
    assert len(store.list(RUN_LENGTHS).items) == 1
    leader.writer.run_pass()
    assert store.list(RUN_LENGTHS).resource_version == version


def test_without_the_right_it_is_told_and_tried_again_later(store: MemoryCluster, clock: Clock) -> None:
    """Nothing that ended meanwhile is lost."""
    leader = Leader(WithoutRights(store), clock)
    leader.end(1)
    assert leader.writer.run_pass() == RETRY_SECONDS
    assert leader.writer.run_pass() == RETRY_SECONDS
    assert len(leader.troubles) == 2
    assert leader.troubles[0].startswith("keeping how long runs take: runlengths lockkeeper")
