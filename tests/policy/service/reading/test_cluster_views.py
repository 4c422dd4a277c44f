"""The view that is read of a cluster says what the leader says, for those who may read all and for others."""

from datetime import timedelta

import pytest

from policy.cluster.errors import Forbidden
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, QUOTA_LEDGERS, WORKFLOWS
from policy.core.cluster_view.view import ClusterView
from policy.core.objects import well_known
from policy.core.policies.status_figures import figures
from policy.core.queue.positions import WaitReason
from policy.service.reading.cluster_views import cluster_view
from policy.service.release.release_pass import unknown_capacity
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import member, part, pool, quota

POOLS = (CLUSTER_WORKFLOW_QUOTAS, QUOTA_LEDGERS)


@pytest.fixture
def scene() -> Scene:
    """Return a pool of three slots that are taken, and four that wait."""
    made = Scene(
        pool("data", workflows=3),
        member("a", "data"),
        member("b", "data"),
        quota("a", "main", workflows=2),
    )
    for name, namespace in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("b2", "b")):
        made.submit(name, namespace)
    made.leader.work()
    made.submit("b3", "b", priority=9)
    made.submit("a4", "a", user="bea")
    made.clock.advance(timedelta(minutes=2))  # The leader writes past usage into the ledger once a minute.
    made.leader.work()
    return made


def test_who_waits_is_as_the_leader_wrote_it(scene: Scene) -> None:
    """Positions and sentences of the view are those in the status of each Workflow."""
    view = cluster_view(scene.roots())
    held = {(each.namespace, each.name): each for each in view.waiting}
    shown = {}
    for namespace in ("a", "b"):
        for item in scene.cluster.list(WORKFLOWS, namespace=namespace).items:
            message = part(item, "status", "message") if "status" in item else ""
            name = str(part(item, "metadata", "name"))
            if scene.leader.held(namespace)[name]:
                shown[namespace, name] = str(message)
    assert held.keys() == shown.keys()
    for key, message in shown.items():
        depth = sum(each.namespace == key[0] for each in view.waiting)
        place = f"{well_known.HELD_MESSAGE_PREFIX}: position {held[key].position} of {depth} in {key[0]}"
        assert message.startswith(place)


def test_quotas_have_the_figures_that_their_status_gets(scene: Scene) -> None:
    """What a reader counts and what the leader publishes is the same."""
    view = cluster_view(scene.roots())
    leader = figures(scene.leader.view, scene.leader.snapshot, scene.clock(), unknown_capacity)
    assert {each.policy: each.figures for each in view.quotas} == leader
    assert len(view.quotas) == 2


def test_those_ahead_are_counted_over_the_whole_pool(scene: Scene) -> None:
    """A position in a namespace does not say who of the other namespaces goes first."""
    rows = {each.name: each for each in cluster_view(scene.roots()).waiting}
    assert (rows["b3"].ahead, rows["b3"].position) == (0, 1)
    assert (rows["a4"].position, rows["a3"].position) == (1, 2)
    assert rows["a4"].ahead > 0
    assert {each.reason for each in rows.values()} == {WaitReason.WAITING_FOR_QUOTA}
    assert rows["b3"].blocked_by == "ClusterWorkflowQuota data"
    assert sorted(each.ahead for each in rows.values()) == list(range(len(rows)))


def test_who_has_a_slot_is_shown(scene: Scene) -> None:
    """Those that run are those that do not wait."""
    view = cluster_view(scene.roots())
    assert len(view.running) == 3
    assert {each.name for each in view.running}.isdisjoint(each.name for each in view.waiting)


def counts(view: ClusterView) -> dict[str, tuple[int, int]]:
    """Return what runs and waits by quota."""
    return {each.name: (each.figures.running, each.figures.queued) for each in view.quotas}


def test_one_namespace_alone_sees_its_queue_whole_and_counts_of_others(scene: Scene) -> None:
    """The status of the pool says what others use; whatever may not be read is told."""
    whole = cluster_view(scene.roots())
    scene.publish()
    mine = cluster_view(scene.roots("a", RightsIn(scene.cluster, {"a"}, *POOLS)), ["a"])
    assert counts(mine) == counts(whole)
    assert [each for each in mine.waiting if each.namespace != "a"] == []
    mine_by_name = {each.name: (each.position, each.reason, each.blocked_by) for each in mine.waiting}
    assert mine_by_name == {
        each.name: (each.position, each.reason, each.blocked_by)
        for each in whole.waiting
        if each.namespace == "a"
    }
    assert [each for each in mine.unread if each.startswith("workflows of other namespaces")]


def test_without_past_usage_the_order_of_equals_is_said_to_be_uncertain(scene: Scene) -> None:
    """Fair share is in the ledgers."""
    rights = RightsIn(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS)
    view = cluster_view(scene.roots("a", rights), ["a"])
    assert {each.name for each in view.waiting} == {"a3", "a4"}
    assert [each for each in view.unread if each.startswith("quotaledgers")]


def test_without_rights_to_pools_the_role_that_gives_them_is_named(scene: Scene) -> None:
    """What waits in a pool could not be explained without it."""
    with pytest.raises(Forbidden, match="ClusterRole lockkeeper-pools"):
        scene.roots("a", RightsIn(scene.cluster, {"a"}))


def test_without_any_right_the_error_is_the_clusters(scene: Scene) -> None:
    """Nothing is shown that was not read."""
    with pytest.raises(Forbidden):
        scene.roots("a", RightsIn(scene.cluster, set()))
