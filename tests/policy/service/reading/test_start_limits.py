"""What an expected start takes into account: windows, unknown lengths, and what is read of a pool."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, QUOTA_LEDGERS, RUN_LENGTHS, Resource
from policy.cluster.stored_lengths import write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.cluster_view.view import StartRange
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.core.policy_kinds.quota_parts import QuotaLimits, WindowSpec
from policy.service.reading.cluster_reading import ClusterReader
from policy.service.reading.cluster_views import cluster_view
from policy.service.reading.live_roots import LiveRoots
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import member, pool, quota

HOUR = timedelta(hours=1)
EIGHT = datetime(2026, 11, 23, 20, tzinfo=UTC)


def crowded(*documents: Document, hours: int = 24) -> Scene:
    """Return a slot that is taken, where one more waits, and runs that take so long."""
    scene = Scene(*documents)
    lengths = RunLengths()
    for _ in range(9):
        lengths.add(series_of("a", "load-bcdfg"), hours * HOUR, scene.clock())
    write_lengths(scene.cluster, lengths.stored(scene.clock()))
    for name in ("load-x7k2p", "load-b4d5f"):
        scene.submit(name)
        scene.leader.work()
    return scene


def expected(scene: Scene, name: str, cluster: MemoryCluster | None = None) -> StartRange | None:
    """Return when one is expected to start, as somebody reads it."""
    read = cluster or scene.cluster
    reader = ClusterReader(cluster=read, ledgers=Ledgers(cluster=read, clock=scene.clock), clock=scene.clock)
    view = cluster_view(LiveRoots(reader.read("a", lengths=True)), ["a"])
    return next(each.expected for each in view.waiting if each.name == name)


def test_a_window_that_opens_first_is_when_it_starts() -> None:
    """The one that runs takes a day."""
    base = quota("a", "main", workflows=1)
    night = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(workflows=2))
    scene = crowded(WorkflowQuota(base.metadata, msgspec.structs.replace(base.spec, windows=(night,))))
    assert expected(scene, "load-b4d5f") == StartRange(EIGHT, EIGHT)
    scene.clock.advance(EIGHT - scene.clock())
    scene.leader.work()
    assert not scene.waits("load-b4d5f")


def test_what_needs_the_slot_of_one_of_unknown_length_has_no_range() -> None:
    """It never ends as far as is known; with three runs like it more can be said."""
    scene = crowded(quota("a", "main", workflows=1))
    write_lengths(scene.cluster, ())
    assert expected(scene, "load-b4d5f") is None
    lengths = RunLengths()
    for _ in range(3):
        lengths.add(series_of("a", "load-bcdfg"), HOUR, scene.clock())
    write_lengths(scene.cluster, lengths.stored(scene.clock()))
    found = expected(scene, "load-b4d5f")
    assert found is not None
    assert found.latest - scene.clock() < 2 * HOUR


@pytest.mark.parametrize("borrows", [None, 5])
def test_a_pool_that_is_not_read_whole_gives_no_range(borrows: int | None) -> None:
    """What runs in the other namespace is only a count: none can say when it ends."""
    scene = crowded(
        pool("data", workflows=2, borrows=borrows), member("a", "data"), member("b", "data"), hours=1
    )
    scene.submit("other-x7k2p", "b")
    scene.submit("load-v8w9x")
    scene.leader.work()
    scene.publish()
    assert expected(scene, "load-v8w9x") is not None
    rights = ReadsLengths(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS, QUOTA_LEDGERS)
    assert expected(scene, "load-v8w9x", rights) is None


class ReadsLengths(RightsIn):
    """The same rights, and that to read how long runs take."""

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        if resource == RUN_LENGTHS:
            return self._inner.get(resource, name)
        return super().get(resource, name, namespace=namespace)
