"""A child runs under its parent's slot in the leader's books, and counts when its parent is gone."""

from typing import Final

import msgspec

from policy.cluster.memory import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.cluster.relatives import Relatives
from policy.core import marks
from policy.core.decide import decide
from policy.core.decision import Outcome
from policy.core.patches import JsonObject
from policy.core.relations import owner_of
from policy.core.snapshot import Snapshot
from policy.service.tracker import LIVE, Tracker
from tests.policy.service.world import (
    NOON,
    Clock,
    Leader,
    complete,
    draft,
    labels_of,
    memory,
    part,
    patched,
    quota,
    review_of,
    snapshot_of,
    submit,
)

POLICIES: Final = snapshot_of(quota("etl", "q", workflows=1))
POD: Final = "system:serviceaccount:etl:default"


def child_of(parent: JsonObject, name: str = "child") -> JsonObject:
    """Return a Workflow as a step of another creates it."""
    obj = draft(name)
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    owner: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": str(part(parent, "metadata", "name")),
        "uid": str(part(parent, "metadata", "uid")),
        "controller": True,
    }
    metadata["ownerReferences"] = [owner]
    return obj


def admit(cluster: MemoryCluster, policies: Snapshot, obj: JsonObject, user: str = POD) -> Outcome:
    """Create a Workflow as the webhook does, with what it reads about the owner."""
    review = review_of(obj, namespace="etl", user=user, uid="create-child")
    assert review.workflow is not None
    assert review.workflow.metadata is not None
    owner = owner_of(review.workflow.metadata, "Workflow")
    assert owner is not None
    related = Relatives(cluster=cluster).of_child("etl", owner)
    decision = decide(msgspec.structs.replace(review, related=related), policies, NOON)
    cluster.create(WORKFLOWS, patched(obj, decision), namespace="etl")
    return decision.outcome


def running_parent(cluster: MemoryCluster, leader: Leader, tasks: int = 2) -> JsonObject:
    """Return a Workflow that was let go."""
    submit(cluster, POLICIES, draft("parent", tasks=tasks), namespace="etl")
    assert leader.work() == 1
    return cluster.get(WORKFLOWS, "parent", namespace="etl")


def used(leader: Leader) -> int:
    """Return how many Workflows the ledger counts."""
    return sum(each.workflows for each in leader.ledgers.read("namespace.etl").used.values())


def test_a_child_runs_beside_its_parent_in_a_full_quota() -> None:
    """It would wait for its parent, and its parent for it."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = running_parent(cluster, leader)
    assert admit(cluster, POLICIES, child_of(parent)) is Outcome.ALLOWED
    child = cluster.get(WORKFLOWS, "child", namespace="etl")
    assert labels_of(child)[marks.CHILD_OF] == part(parent, "metadata", "uid")
    assert part(child, "metadata", "annotations", marks.DEPTH) == "1"
    leader.work()
    assert used(leader) == 1


def test_a_child_counts_when_its_parent_has_ended() -> None:
    """And keeps others waiting then."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = running_parent(cluster, leader)
    admit(cluster, POLICIES, child_of(parent))
    submit(cluster, POLICIES, draft("next"), namespace="etl")
    leader.work()
    complete(cluster, "parent", namespace="etl")
    assert leader.work() == 0
    assert used(leader) == 1
    complete(cluster, "child", namespace="etl")
    assert leader.work() == 1


def test_whoever_else_says_that_he_is_a_child_waits() -> None:
    """By hand, or from the Pods of another Workflow."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = running_parent(cluster, leader)
    assert admit(cluster, POLICIES, child_of(parent), user="ann") is Outcome.QUEUED


def test_one_slot_is_not_any_number_of_children() -> None:
    """The third would have more tasks with the others than the parent may have."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = running_parent(cluster, leader, tasks=2)
    outcomes = [admit(cluster, POLICIES, child_of(parent, f"child-{number}")) for number in range(3)]
    assert outcomes == [Outcome.ALLOWED, Outcome.ALLOWED, Outcome.QUEUED]


def test_it_does_not_matter_in_which_order_they_are_seen() -> None:
    """A list shows children before their parents as well as after them."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = running_parent(cluster, leader)
    admit(cluster, POLICIES, child_of(parent, "a-child"))
    tracker = Tracker()
    listing = cluster.list(WORKFLOWS, labels=LIVE, metadata_only=True)
    for items in (listing.items, tuple(reversed(listing.items))):
        tracker.reset(msgspec.structs.replace(listing, items=items))
        assert [each.under is not None for each in tracker if each.name == "a-child"] == [True]
