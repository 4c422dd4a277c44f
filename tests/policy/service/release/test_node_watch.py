"""The leader follows the nodes of the cluster while a pool's limits do."""

from collections.abc import Iterator
from threading import Condition, Thread

import pytest

from policy.cluster.errors import ClusterError, Gone
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import NODES
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.values.amounts import Amount
from policy.service.release.node_watch import NodeWatch
from tests.policy.service.release.driven_state import ELASTIC, one_pool
from tests.policy.service.world import PATIENCE, Call, Clock, Spy


def node(name: str) -> JsonObject:
    """Return a node that takes Pods."""
    status: JsonObject = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


class Following:
    """A follower that runs, and what it says."""

    def __init__(self, cluster: Spy, clock: Clock, policies: Snapshot) -> None:
        self._moved = Condition()
        self.troubles: list[str] = []
        self.follower = NodeWatch(
            cluster=cluster,
            snapshot=lambda: policies,
            before=lambda _: None,
            clock=clock,
            trouble=self._trouble,
        )
        self.follower.on_change(self._move)
        self.thread = Thread(target=self.follower.run, daemon=True)
        self.thread.start()

    def until(self, workflows: int) -> bool:
        """Wait until nodes allow the pool so many Workflows."""

        def allowed() -> bool:
            limits = self.follower.capacity("data")
            return limits is not None and limits.workflows == Amount(workflows)

        with self._moved:
            return self._moved.wait_for(allowed, PATIENCE)

    def _move(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def _trouble(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


@pytest.fixture
def following(spy: Spy, clock: Clock, cluster: MemoryCluster) -> Iterator[Following]:
    """Return a follower of a cluster with one node, and end it."""
    cluster.create(NODES, node("n1"))
    found = Following(spy, clock, one_pool(None, elastic=ELASTIC))
    yield found
    found.follower.stop()
    found.thread.join(PATIENCE)
    cluster.close()
    assert not found.thread.is_alive()


def test_a_limit_rises_with_the_nodes(following: Following, cluster: MemoryCluster) -> None:
    """Those that were there, and those that come."""
    assert following.until(1)
    for name in ("n2", "n3"):
        cluster.create(NODES, node(name))
    assert following.until(3)
    assert following.troubles == []


def test_nodes_are_listed_again_after_their_watch_broke(
    spy: Spy, clock: Clock, cluster: MemoryCluster
) -> None:
    """What came meanwhile is in the new list."""
    broken = [Gone("too old")]

    def breaks(call: Call) -> None:
        if call.verb == "watch" and broken:
            cluster.create(NODES, node("n2"))
            raise broken.pop()

    spy.before = breaks
    cluster.create(NODES, node("n1"))
    following = Following(spy, clock, one_pool(None, elastic=ELASTIC))
    assert following.until(2)
    assert following.troubles == ["watching nodes: too old"]
    following.follower.stop()
    following.thread.join(PATIENCE)
    cluster.close()
