"""A child runs under its parent's slot in what the leader counts, and counts when its parent is gone."""

from typing import Final

import msgspec
import pytest

from policy.cluster.protocol import WORKFLOWS
from policy.core.decision.decision import Outcome
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.tracker import LIVE, Tracker
from tests.policy.service.release.descendants import (
    COMPRESSED,
    OFFLOADED,
    STATUS,
    admit,
    child_of,
    run,
    uid_of,
    used,
)
from tests.policy.service.world import (
    Clock,
    Leader,
    complete,
    draft,
    labels_of,
    memory,
    part,
    quota,
    snapshot_of,
    submit,
)

POLICIES: Final = snapshot_of(quota("etl", "q", workflows=1))


@pytest.mark.parametrize("status", [{}, STATUS, COMPRESSED, OFFLOADED])
def test_a_child_runs_beside_its_parent_in_a_full_quota(status: JsonObject) -> None:
    """It would wait for its parent, and its parent for it; whatever Argo has written about the parent."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = run(cluster, leader, "parent", status=status)
    assert admit(cluster, POLICIES, child_of(parent)).outcome is Outcome.ALLOWED
    child = cluster.get(WORKFLOWS, "child", namespace="etl")
    assert labels_of(child)[well_known.CHILD_OF] == uid_of(parent)
    assert part(child, "metadata", "annotations", well_known.ROOT) == "parent"
    assert part(child, "metadata", "annotations", well_known.DEPTH) == "1"
    leader.work()
    assert used(leader) == 1


def test_a_child_counts_when_its_parent_has_ended() -> None:
    """And keeps others waiting then."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = run(cluster, leader, "parent")
    admit(cluster, POLICIES, child_of(parent))
    submit(cluster, POLICIES, draft("next"), namespace="etl")
    leader.work()
    complete(cluster, "parent", namespace="etl")
    assert leader.work() == 0
    assert used(leader) == 1
    complete(cluster, "child", namespace="etl")
    assert leader.work() == 1


def test_one_that_claims_to_be_a_child_waits() -> None:
    """By hand, or from the Pods of another Workflow."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = run(cluster, leader, "parent")
    assert admit(cluster, POLICIES, child_of(parent), user="ann").outcome is Outcome.QUEUED


def test_one_slot_is_not_any_number_of_children() -> None:
    """The third would have more tasks with the others than the parent may have."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = run(cluster, leader, "parent")
    decisions = [admit(cluster, POLICIES, child_of(parent, f"child-{number}")) for number in range(3)]
    assert [each.outcome for each in decisions] == [Outcome.ALLOWED, Outcome.ALLOWED, Outcome.QUEUED]


def test_it_does_not_matter_in_which_order_they_are_seen() -> None:
    """A list shows children before their parents as well as after them."""
    cluster = memory()
    leader = Leader(cluster, POLICIES, Clock())
    parent = run(cluster, leader, "parent")
    admit(cluster, POLICIES, child_of(parent, "a-child"))
    tracker = Tracker()
    listing = cluster.list(WORKFLOWS, labels=LIVE, metadata_only=True)
    for items in (listing.items, tuple(reversed(listing.items))):
        tracker.reset(msgspec.structs.replace(listing, items=items))
        assert [each.root_labels is not None for each in tracker if each.name == "a-child"] == [True]
