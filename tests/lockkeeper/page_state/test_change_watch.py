"""A cluster at rest is not read again, and a change is seen."""

import time
from collections.abc import Iterator
from threading import Event

import pytest

from lockkeeper.page_state.change_watch import ChangeWatch, of_the_view
from lockkeeper.page_state.cluster_state import ClusterState
from policy.cluster.errors import Forbidden
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS
from tests.patience import PATIENCE
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import Call, Spy, complete, quota


def whole_lists(cluster: Spy) -> list[str]:
    """Return the kinds that were listed, other than by a name."""
    return [each.plural for each in cluster.calls if each.verb == "list" and not each.name]


def no_watch_of_ledgers(call: Call) -> None:
    """Refuse to watch ledgers."""
    if (call.verb, call.plural) == ("watch", QUOTA_LEDGERS.plural):
        raise Forbidden("quotaledgers is forbidden")


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


def state_of(scene: Scene, cluster: Spy, watch: ChangeWatch, seconds: list[float]) -> ClusterState:
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
    cluster = Spy(scene.cluster)
    watch = ChangeWatch(cluster=cluster, kinds=of_the_view(""), stopped=stopped)
    seconds = [0.0]
    state = state_of(scene, cluster, watch, seconds)
    first = state.view().value
    assert first is not None
    lists = len(whole_lists(cluster))
    seconds[0] = 5.0
    second = state.view().value
    assert second is not None
    assert (len(whole_lists(cluster)), second.mark) == (lists, first.mark)
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
    cluster = Spy(scene.cluster)
    cluster.before = no_watch_of_ledgers
    watch = ChangeWatch(cluster=cluster, kinds=of_the_view(""), stopped=stopped)
    seconds = [0.0]
    state = state_of(scene, cluster, watch, seconds)
    assert state.view().value is not None
    until_changed(watch)
    for number in range(1, 4):
        before = len(whole_lists(cluster))
        seconds[0] = 5.0 * number
        state.view()
        assert len(whole_lists(cluster)) > before


def test_what_a_view_is_made_of_is_watched(scene: Scene, stopped: Event) -> None:
    """A kind that is read and not watched would be shown as it was."""
    cluster = Spy(scene.cluster)
    watch = ChangeWatch(cluster=cluster, kinds=of_the_view(""), stopped=stopped)
    state_of(scene, cluster, watch, [0.0]).view()
    watched = {resource.plural for resource, _ in of_the_view("")}
    assert {*whole_lists(cluster), WORKFLOWS.plural, QUOTA_LEDGERS.plural} == watched
