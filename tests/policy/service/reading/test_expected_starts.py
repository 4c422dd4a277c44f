"""When those that wait start, as somebody reads it from a cluster, and as it then happens."""

from datetime import timedelta

import msgspec
import pytest

from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    QUOTA_LEDGERS,
    RUN_LENGTHS,
    MergePatch,
)
from policy.cluster.stored_lengths import NAME, read_lengths, write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.service.reading.cluster_reading import ClusterReader, Reading
from policy.service.reading.cluster_views import cluster_view
from policy.service.reading.live_roots import LiveRoots
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import complete, quota

MINUTE = timedelta(minutes=1)


@pytest.fixture
def scene() -> Scene:
    """Return one slot that is taken for a minute, where two wait, and runs that took ten minutes each."""
    made = Scene(quota("a", "main", workflows=1))
    lengths = RunLengths()
    for _ in range(9):
        lengths.add(series_of("a", "load-bcdfg"), 10 * MINUTE, made.clock())
    write_lengths(made.cluster, lengths.stored(made.clock()))
    for name in ("load-x7k2p", "load-b4d5f", "load-v8w9x"):
        made.submit(name)
        made.leader.work()
    return made


def reading(scene: Scene, cluster: MemoryCluster | None = None, *, lengths: bool = True) -> Reading:
    """Return what somebody reads of it."""
    read = cluster or scene.cluster
    reader = ClusterReader(cluster=read, ledgers=Ledgers(cluster=read, clock=scene.clock), clock=scene.clock)
    return reader.read("a", lengths=lengths)


def test_starts_are_expected_by_what_ran_before(scene: Scene) -> None:
    """The first is released when the one that runs ends, the second a run later."""
    rows = {each.name: each for each in cluster_view(LiveRoots(reading(scene)), ["a"]).waiting}
    first, second = rows["load-b4d5f"].expected, rows["load-v8w9x"].expected
    assert first is not None
    assert second is not None
    now = scene.clock()
    assert 8 * MINUTE < first.earliest - now <= first.latest - now < 12 * MINUTE
    assert 17 * MINUTE < second.earliest - now <= second.latest - now < 23 * MINUTE
    scene.clock.advance(10 * MINUTE)
    complete(scene.cluster, "load-x7k2p", namespace="a")
    scene.leader.work()
    assert not scene.waits("load-b4d5f")
    assert first.earliest <= scene.clock() <= first.latest + MINUTE


def test_nothing_is_said_without_what_ran_before(scene: Scene) -> None:
    """Nor where it was not asked for, or may not be read; the last is told."""
    scene.cluster.delete(RUN_LENGTHS, NAME)
    assert _expected(reading(scene)) == [None, None]
    assert _expected(reading(scene, lengths=False)) == [None, None]
    rights = RightsIn(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS, NAMESPACES, QUOTA_LEDGERS)
    without = reading(scene, rights)
    assert _expected(without) == [None, None]
    assert any("runlengths: no right to read" in each for each in without.unread)


def test_an_object_that_somebody_broke_is_as_none(scene: Scene) -> None:
    """The leader writes a good one next time."""
    damaged: JsonObject = {"namespace": "a", "digest": "0", "period": 1, "lengths": "x"}
    values: list[JsonValue] = ["x", [damaged]]
    for value in values:
        scene.cluster.patch(RUN_LENGTHS, NAME, MergePatch({"series": value}))
        assert len(read_lengths(scene.cluster)) == 0


def test_what_is_written_is_read(scene: Scene) -> None:
    """The first write makes the object, the next ones replace what is in it."""
    known = read_lengths(scene.cluster)
    assert len(known) == 1
    known.add(series_of("b", "other"), MINUTE, scene.clock())
    write_lengths(scene.cluster, known.stored(scene.clock()))
    assert msgspec.to_builtins(read_lengths(scene.cluster).stored(scene.clock())) == msgspec.to_builtins(
        known.stored(scene.clock())
    )


def _expected(read: Reading) -> list[object]:
    return [each.expected for each in cluster_view(LiveRoots(read), ["a"]).waiting]
