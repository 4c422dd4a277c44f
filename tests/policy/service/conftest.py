"""A fixed clock and an empty cluster."""

from collections.abc import Iterator

import pytest

from policy.cluster.memory.memory_cluster import MemoryCluster
from tests.policy.service.world import Clock, Spy, memory


@pytest.fixture
def clock() -> Clock:
    """Return a clock that moves only when the test advances it."""
    return Clock()


@pytest.fixture
def cluster(clock: Clock) -> Iterator[MemoryCluster]:
    """Return an empty cluster, closed afterwards."""
    made = memory(clock)
    yield made
    made.close()


@pytest.fixture
def spy(cluster: MemoryCluster) -> Spy:
    """Return the cluster behind a Spy."""
    return Spy(cluster)
