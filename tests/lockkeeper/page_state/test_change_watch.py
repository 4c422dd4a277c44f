"""A cluster at rest is not read again, and a change is seen."""

import time
from collections.abc import Iterator
from threading import Event

import pytest

from lockkeeper.page_state.change_watch import ChangeWatch, of_the_view
from lockkeeper.page_state.cluster_state import ClusterState
from policy.cluster.errors import Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS, Listing, Resource, WatchEvent
from policy.core.objects.json_patch import JsonObject
from tests.patience import PATIENCE
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import complete, quota


class Counting(MemoryCluster):
    """A cluster that counts lists of Workflows and lets nobody watch what is `secret`."""

    def __init__(self, inner: MemoryCluster, secret: Resource | None = None) -> None:
        self._inner = inner
        self._secret = secret
        self.lists: list[Resource] = []

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """List, and count."""
        if not name:
            self.lists.append(resource)
        return self._inner.list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Get as the cluster does."""
        return self._inner.get(resource, name, namespace=namespace)

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Watch what is not secret."""
        if resource == self._secret:
            raise Forbidden(f"{resource.plural} is forbidden")
        return self._inner.watch(
            resource,
            since=since,
            namespace=namespace,
            name=name,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        )


@pytest.fixture
def scene() -> Scene:
    """Return a namespace with one slot that is taken, where two wait."""
    made = Scene(quota("a", "main", workflows=1))
    for name in ("r", "w1", "w2"):
        made.submit(name)
    made.leader.work()
    return made


@pytest.fixture
def stopped(scene: Scene) -> Iterator[Event]:
    """Return what ends the watches."""
    event = Event()
    yield event
    event.set()
    scene.cluster.close()


def until_changed(watch: ChangeWatch) -> None:
    """Wait until a change is seen."""
    ticks, begin = Event(), time.monotonic()
    while watch.unchanged:
        assert time.monotonic() - begin < PATIENCE
        ticks.wait(0.005)


def state_of(scene: Scene, cluster: MemoryCluster, watch: ChangeWatch, seconds: list[float]) -> ClusterState:
    """Return the state of a cluster whose clock moves with `seconds`."""
    return ClusterState(
        cluster=cluster,
        namespace="",
        clock=scene.clock,
        stopwatch=lambda: seconds[0],
        cost=lambda: 0.0,
        changes=lambda _kinds, _stopped: watch,
    )


def test_a_cluster_at_rest_is_not_read_again(scene: Scene, stopped: Event) -> None:
    """Until something is written; then it is."""
    cluster = Counting(scene.cluster)
    watch = ChangeWatch(cluster=cluster, kinds=of_the_view(""), stopped=stopped)
    seconds = [0.0]
    state = state_of(scene, cluster, watch, seconds)
    first = state.view().value
    assert first is not None
    lists = len(cluster.lists)
    seconds[0] = 5.0
    second = state.view().value
    assert second is not None
    assert (len(cluster.lists), second.mark) == (lists, first.mark)
    complete(scene.cluster, "r", namespace="a")
    scene.leader.work()
    until_changed(watch)
    seconds[0] = 10.0
    third = state.view().value
    assert third is not None
    assert third.mark != first.mark
    assert len(third.view.waiting) == 1


def test_before_the_first_reading_nothing_is_known_to_be_unchanged(scene: Scene, stopped: Event) -> None:
    """And after `begin` it is, as long as nothing is written."""
    watch = ChangeWatch(cluster=scene.cluster, kinds=of_the_view(""), stopped=stopped)
    assert not watch.unchanged
    watch.begin()
    assert watch.unchanged
    watch.begin()
    scene.submit("w3")
    until_changed(watch)
    watch.begin()
    assert watch.unchanged


def test_without_the_right_to_watch_it_is_read_each_time(scene: Scene, stopped: Event) -> None:
    """Nothing is missed by that, and the watch is not asked for again and again."""
    cluster = Counting(scene.cluster, secret=QUOTA_LEDGERS)
    watch = ChangeWatch(cluster=cluster, kinds=of_the_view(""), stopped=stopped)
    seconds = [0.0]
    state = state_of(scene, cluster, watch, seconds)
    assert state.view().value is not None
    until_changed(watch)
    for number in range(1, 4):
        before = len(cluster.lists)
        seconds[0] = 5.0 * number
        state.view()
        assert len(cluster.lists) > before


def test_what_a_view_is_made_of_is_watched(scene: Scene, stopped: Event) -> None:
    """A kind that is read and not watched would be shown as it was."""
    cluster = Counting(scene.cluster)
    watch = ChangeWatch(cluster=cluster, kinds=of_the_view(""), stopped=stopped)
    state_of(scene, cluster, watch, [0.0]).view()
    assert {*cluster.lists, WORKFLOWS, QUOTA_LEDGERS} == {resource for resource, _ in of_the_view("")}
