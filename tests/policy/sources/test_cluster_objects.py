"""Policies from the cluster, over the in-memory one."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CONFIG_MAPS,
    NAMESPACES,
    STATUS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    MergePatch,
)
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.kinds import ConfigMap, NamespaceObject
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import field
from tests.policy.sources.following import Following, limits, lock_policy, quota


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    """Give a cluster with a short memory for watches."""
    made = MemoryCluster(clock=lambda: datetime(2026, 11, 23, tzinfo=UTC), rng=random.Random(3), log_size=20)
    yield made
    made.close()


@pytest.fixture
def following(cluster: MemoryCluster) -> Iterator[Following]:
    """Give a source that follows the cluster."""
    cluster.create(WORKFLOW_QUOTAS, quota("etl", 3), namespace="team-a")
    made = Following(cluster)
    assert made.until(lambda documents: limits(documents) == [3])
    yield made
    made.source.stop()
    made.thread.join(PATIENCE)
    assert not made.thread.is_alive()


def test_an_edit_of_a_policy_is_in_force_without_a_request(
    cluster: MemoryCluster, following: Following
) -> None:
    """The watch brings every change: an edit, a new policy, and a deletion."""
    cluster.patch(
        WORKFLOW_QUOTAS, "etl", MergePatch({"spec": {"limits": {"workflows": 5}}}), namespace="team-a"
    )
    assert following.until(lambda documents: limits(documents) == [5])
    cluster.create(WORKFLOW_QUOTAS, quota("ml", 1), namespace="team-a")
    assert following.until(lambda documents: sorted(map(str, limits(documents))) == ["1", "5"])
    cluster.delete(WORKFLOW_QUOTAS, "etl", namespace="team-a")
    assert following.until(lambda documents: limits(documents) == [1])


def test_a_wrong_edit_leaves_the_last_good_form_in_force_and_gets_a_verdict(
    cluster: MemoryCluster, following: Following
) -> None:
    """Other policies go on changing meanwhile, and a good edit makes it right again."""
    wrong = MergePatch({"spec": {"limits": {"workflows": "many"}}})
    cluster.patch(WORKFLOW_QUOTAS, "etl", wrong, namespace="team-a")
    assert following.until_verdict("etl", wrong=True)
    assert following.verdicts["etl"].problems[0].path == "spec.limits.workflows"
    cluster.create(WORKFLOW_QUOTAS, quota("ml", 1), namespace="team-a")
    assert following.until(lambda documents: sorted(map(str, limits(documents))) == ["1", "3"])
    good = MergePatch({"spec": {"limits": {"workflows": 4}}})
    cluster.patch(WORKFLOW_QUOTAS, "etl", good, namespace="team-a")
    assert following.until(lambda documents: sorted(map(str, limits(documents))) == ["1", "4"])
    assert following.until_verdict("etl", wrong=False)


def test_a_policy_that_was_never_good_gets_a_verdict_and_is_left_out(
    cluster: MemoryCluster, following: Following
) -> None:
    """A wrong policy governs nothing, and its verdict names the generation that was read."""
    cluster.create(WORKFLOW_QUOTAS, quota("bad", -1), namespace="team-a")
    assert following.until_verdict("bad", wrong=True)
    assert following.verdicts["bad"].generation == 1
    assert following.documents is not None
    assert limits(following.documents) == [3]


def test_long_values_of_config_maps_are_not_stored(cluster: MemoryCluster, following: Following) -> None:
    """Only what can be a limit stays in memory."""
    cluster.create(SYNCHRONIZATION_POLICIES, lock_policy(), namespace="team-a")
    config_map: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "team-a"},
        "data": {"db-load": "2", "notes": "x" * 100_000},
    }
    cluster.create(CONFIG_MAPS, config_map, namespace="team-a")
    assert following.until(
        lambda documents: (
            [each.data for each in documents if isinstance(each, ConfigMap)] == [{"db-load": "2"}]
        )
    )


def test_a_watch_that_is_too_old_begins_again(cluster: MemoryCluster, following: Following) -> None:
    """More changes of other objects than the cluster remembers do not lose an edit."""
    for index in range(60):
        workflow: JsonObject = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": f"w{index}"},
        }
        cluster.create(WORKFLOWS, workflow, namespace="team-a")
    cluster.patch(
        WORKFLOW_QUOTAS, "etl", MergePatch({"spec": {"limits": {"workflows": 9}}}), namespace="team-a"
    )
    assert following.until(lambda documents: limits(documents) == [9])
    following.source.stop()
    following.thread.join(PATIENCE)
    again = Following(cluster)
    assert again.until(lambda documents: limits(documents) == [9])
    again.source.stop()
    again.thread.join(PATIENCE)
    assert not again.thread.is_alive()


def test_a_status_write_is_seen_and_compiles_nothing(cluster: MemoryCluster, following: Following) -> None:
    """Otherwise the status that we write ourselves would make every replica compile everything again."""
    before = following.compiled
    cluster.patch(
        WORKFLOW_QUOTAS,
        "etl",
        MergePatch({"status": {"running": 3}}),
        namespace="team-a",
        subresource=STATUS,
    )
    assert following.until_known("etl", lambda verdict: verdict.status == {"running": 3})
    labels = MergePatch({"metadata": {"labels": {"a": "b"}}})
    stored = cluster.patch(WORKFLOW_QUOTAS, "etl", labels, namespace="team-a")
    version = field(stored, "metadata", "resourceVersion")
    assert following.until_known("etl", lambda verdict: verdict.resource_version == version)
    assert following.generations == [("etl", 1)]
    edit = MergePatch({"spec": {"limits": {"workflows": 8}}})
    cluster.patch(WORKFLOW_QUOTAS, "etl", edit, namespace="team-a")
    assert following.until(lambda documents: limits(documents) == [8])
    assert following.compiled == before + 1, "only the edit of the spec was compiled"
    assert following.generations == [("etl", 1), ("etl", 2)]


def test_what_changes_nothing_in_force_compiles_nothing(cluster: MemoryCluster, following: Following) -> None:
    """ConfigMaps and Namespaces of a cluster are written all the time for reasons that are not ours."""
    cluster.create(SYNCHRONIZATION_POLICIES, lock_policy(), namespace="team-a")
    for resource, name in ((NAMESPACES, "team-a"), (CONFIG_MAPS, "limits")):
        obj: JsonObject = {
            "apiVersion": "v1",
            "kind": resource.kind,
            "metadata": {"name": name},
            **({"data": {"db": "2"}} if resource is CONFIG_MAPS else {}),
        }
        cluster.create(resource, obj, namespace="team-a" if resource.namespaced else "")
    assert following.until(lambda documents: len(documents) == 4)
    before = following.compiled
    beat = MergePatch({"metadata": {"annotations": {"heart": "beat"}}})
    cluster.patch(NAMESPACES, "team-a", beat)
    notes = MergePatch({"metadata": {"annotations": {"heart": "beat"}}, "data": {"notes": "x" * 100}})
    cluster.patch(CONFIG_MAPS, "limits", notes, namespace="team-a")
    cluster.patch(CONFIG_MAPS, "limits", MergePatch({"data": {"db": "3"}}), namespace="team-a")
    assert following.until(
        lambda documents: [each.data for each in documents if isinstance(each, ConfigMap)] == [{"db": "3"}]
    )
    cluster.patch(NAMESPACES, "team-a", MergePatch({"metadata": {"labels": {"team": "etl"}}}))
    assert following.until(
        lambda documents: (
            [dict(each.metadata.labels) for each in documents if isinstance(each, NamespaceObject)]
            == [{"team": "etl"}]
        )
    )
    assert following.compiled == before + 2


def test_the_latest_verdicts_are_stored_for_later_readers(
    cluster: MemoryCluster, following: Following
) -> None:
    """A new leader writes the status of policies that were checked long before, but not of deleted ones."""
    wrong = MergePatch({"spec": {"limits": {"workflows": "many"}}})
    cluster.patch(WORKFLOW_QUOTAS, "etl", wrong, namespace="team-a")
    assert following.until_known("etl", lambda verdict: bool(verdict.problems))
    (verdict,) = following.source.verdicts()
    assert (str(verdict), verdict.generation, verdict.in_force) == ("WorkflowQuota team-a/etl", 2, 1)
    moves = following.moves
    cluster.delete(WORKFLOW_QUOTAS, "etl", namespace="team-a")
    assert following.until(lambda documents: limits(documents) == [])
    assert following.source.verdicts() == ()
    assert following.moves > moves


def test_a_new_listing_checks_nothing_again(cluster: MemoryCluster, following: Following) -> None:
    """After a watch that was too old the same objects are listed, and nothing about them has changed."""
    objects = following.source._objects[0]
    listing = cluster.list(WORKFLOW_QUOTAS)
    again = objects.reset(listing.items)
    assert (again.documents, again.verdicts, again.policies) == (False, (), False)
    emptied = objects.reset(())
    assert (emptied.documents, emptied.verdicts, emptied.policies) == (True, (), True)
    back = objects.reset(listing.items)
    assert (back.documents, len(back.verdicts), back.policies) == (True, 1, True)
