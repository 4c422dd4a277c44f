"""Descendants run under the slot of their root, on all levels, and no user makes more of that slot."""

from typing import Final

import msgspec
import pytest

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.admission.child_exemption import MAX_CHILDREN, MAX_DEPTH
from policy.core.decision.decision import Decision, Outcome, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow_selectors import WorkflowSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed, QueueSpec, QueueStrategy, StopPolicy
from policy.core.quota.accounts import Root
from tests.policy.service.release.descendants import (
    NAMESPACE,
    POD,
    admit,
    adopted,
    child_of,
    retry,
    reviewed,
    run,
    taken_up,
    tasks_used,
    uid_of,
    used,
)
from tests.policy.service.world import (
    Clock,
    Leader,
    complete,
    draft,
    is_held,
    labels_of,
    memory,
    part,
    patched,
    quota,
    snapshot_of,
    submit,
)

ONE: Final = snapshot_of(quota(NAMESPACE, "q", workflows=1))
DENYING: Final = snapshot_of(quota(NAMESPACE, "q", workflows=1, on_exceed=OnExceed.DENY))
MIXED: Final = snapshot_of(
    quota(NAMESPACE, "q", workflows=1), quota(NAMESPACE, "d", workflows=9, on_exceed=OnExceed.DENY)
)
_ONE: Final = quota(NAMESPACE, "q", workflows=1)
STRICT: Final = snapshot_of(
    msgspec.structs.replace(
        _ONE, spec=msgspec.structs.replace(_ONE.spec, queue=QueueSpec(strategy=QueueStrategy.STRICT_FIFO))
    )
)
TASKS: Final = snapshot_of(quota(NAMESPACE, "q", tasks=10))
MANY: Final = 200
PARALLEL: Final = 1_000_000


class Family:
    """A cluster under some policies, and a Workflow that runs in it."""

    def __init__(self, policies: Snapshot = ONE, *, tasks: int | None = 10) -> None:
        self.cluster = memory()
        self.policies = policies
        self.leader = Leader(self.cluster, policies, Clock())
        self.root = run(self.cluster, self.leader, "root", tasks=tasks)

    def adopt(self, parent: JsonObject, name: str, tasks: int | None = 1) -> JsonObject:
        """Return a child under the slot of its root, that runs."""
        return adopted(self.cluster, self.policies, parent, name, tasks=tasks)

    def admit(self, parent: JsonObject, name: str, tasks: int | None = 1, user: str = POD) -> Decision:
        """Create a child, whatever comes of it."""
        return admit(self.cluster, self.policies, child_of(parent, name, tasks=tasks), user)

    def used(self) -> tuple[int, int]:
        """Return how many Workflows and tasks are counted when all that may be released are released."""
        while self.leader.work():
            continue
        return used(self.leader), tasks_used(self.leader)

    def complete(self, name: str) -> None:
        """Let a Workflow end."""
        complete(self.cluster, name, namespace=NAMESPACE)

    def obj(self, name: str) -> JsonObject:
        """Return a Workflow."""
        return self.cluster.get(WORKFLOWS, name, namespace=NAMESPACE)

    def mark(self, name: str, **metadata: JsonObject) -> JsonObject:
        """Write labels or annotations without admission, as no user may."""
        return self.cluster.patch(
            WORKFLOWS, name, MergePatch({"metadata": {**metadata}}), namespace=NAMESPACE
        )


def why(decision: Decision) -> str:
    """Return the warning about the line."""
    found = [each for each in decision.warnings if "counts for itself" in each]
    return found[0] if found else ""


def test_the_message_of_a_refused_child_gives_why_it_needs_a_slot_of_its_own() -> None:
    """And nothing of a place in the queue, which it has not."""
    family = Family()
    drained = msgspec.structs.replace(_ONE.spec, stop_policy=StopPolicy.HOLD_AND_DRAIN)
    policies = snapshot_of(msgspec.structs.replace(_ONE, spec=drained))
    decision = reviewed(family.cluster, policies, child_of(family.root, "child"), "ann")
    assert decision.outcome is Outcome.DENIED
    assert decision.warnings == (why(decision),) != ("",)


def test_the_fifty_first_child_counts_whatever_the_parallelism() -> None:
    """A number without a bound is no bound."""
    family = Family(tasks=PARALLEL)
    outcomes = [family.admit(family.root, f"child-{number}").outcome for number in range(MANY)]
    assert outcomes == [Outcome.ALLOWED] * MAX_CHILDREN + [Outcome.QUEUED] * (MANY - MAX_CHILDREN)
    assert family.used() == (1, PARALLEL)


def test_fifty_times_fifty_are_fifty() -> None:
    """A child does not bring capacity for children of its own."""
    family = Family(tasks=None)
    outcomes = []
    for number in range(10):
        outcomes.append(family.admit(family.root, f"child-{number}", None).outcome)
        above = taken_up(family.cluster, f"child-{number}")
        outcomes += [family.admit(above, f"child-{number}-{each}", None).outcome for each in range(10)]
    assert outcomes.count(Outcome.ALLOWED) == MAX_CHILDREN
    assert set(outcomes[MAX_CHILDREN:]) == {Outcome.QUEUED}
    assert family.used()[0] == 1


def test_descendants_have_together_no_more_tasks_than_their_root() -> None:
    """Five below each other with 10 tasks each would be 60 in a slot of 10."""
    family = Family(TASKS)
    above = family.adopt(family.root, "first", 10)
    decision = family.admit(above, "second", 10)
    assert decision.outcome is Outcome.QUEUED
    assert decision.warnings[0] == (
        "lockkeeper: it waits for a slot of its own, or for room under root: those under the slot of root "
        "have 10 tasks, and 10 more exceed the 10 that it was admitted with: run fewer at once, or create "
        "root with a higher spec.parallelism"
    )
    assert family.used() == (1, 10)


@pytest.mark.parametrize("policies", [ONE, MIXED, STRICT], ids=["queue", "queue and deny", "strict"])
def test_a_child_without_capacity_waits_for_it_though_no_slot_becomes_free(policies: Snapshot) -> None:
    """The root waits for all of them and keeps its slot; so they go one after another under it."""
    family = Family(policies)
    alone = family.used()
    names = [f"child-{number}" for number in range(5)]
    outcomes = [family.admit(family.root, name, 6).outcome for name in names]
    assert outcomes == [Outcome.ALLOWED, *[Outcome.QUEUED] * 4]
    submit(family.cluster, policies, draft("unrelated", priority=9), namespace=NAMESPACE)
    for number, name in enumerate(names):
        assert family.used() == alone
        waits = [each for each in names if is_held(family.obj(each))]
        assert waits == names[number + 1 :]
        family.complete(name)
    assert is_held(family.obj("unrelated"))
    family.complete("root")
    family.used()
    assert not is_held(family.obj("unrelated"))


def test_a_child_that_waits_for_capacity_takes_a_slot_that_is_free_first() -> None:
    """It counts then, and is charged to the root again when there is capacity."""
    policies = snapshot_of(quota(NAMESPACE, "q", workflows=2))
    family = Family(policies)
    run(family.cluster, family.leader, "other", tasks=1)
    family.adopt(family.root, "first", 6)
    assert family.admit(family.root, "second", 6).outcome is Outcome.QUEUED
    assert family.used() == (2, 11)
    family.complete("other")
    assert family.used() == (2, 16)
    assert not is_held(family.obj("second"))
    family.complete("first")
    assert family.used() == (1, 10)


def test_a_child_that_runs_keeps_its_place_before_an_older_one_that_waits() -> None:
    """Or a slot would have to be found for a child that was admitted without one."""
    family = Family()
    family.adopt(family.root, "first", 8)
    assert family.admit(family.root, "large", 9).outcome is Outcome.QUEUED
    assert family.admit(family.root, "small", 2).outcome is Outcome.QUEUED
    assert family.used() == (1, 10)
    assert not is_held(family.obj("small"))
    family.complete("first")
    assert family.used() == (1, 10)
    assert is_held(family.obj("large"))
    family.complete("small")
    assert family.used() == (1, 10)
    assert not is_held(family.obj("large"))


def test_descendants_run_in_one_slot_as_deep_as_they_may_be() -> None:
    """Each of them waits for the next; the last may not have a child of its own."""
    family = Family()
    above = family.root
    for depth in range(MAX_DEPTH):
        above = family.adopt(above, f"level-{depth + 1}")
        assert labels_of(above)[well_known.CHILD_OF] == uid_of(family.root)
        assert part(above, "metadata", "annotations", well_known.ROOT) == "root"
    assert family.admit(above, "too-deep").outcome is Outcome.QUEUED
    assert family.used() == (1, 10)


def test_no_child_reserves_where_quotas_deny() -> None:
    """It has no slot of its own; one that does not fit is reviewed like any other."""
    family = Family(DENYING, tasks=2)
    first = family.admit(family.root, "child", 2)
    assert (first.outcome, first.reservation) == (Outcome.ALLOWED, None)
    assert well_known.RESERVATION not in labels_of(family.obj("child"))
    second = reviewed(family.cluster, DENYING, child_of(family.root, "another"))
    assert second.reservation is not None
    assert family.used() == (1, 2)
    family.complete("root")
    assert family.used() == (1, 2)


def test_two_of_one_instant_are_both_let_in_and_one_counts() -> None:
    """Each is reviewed before the other is there; the state takes the older for the child."""
    family = Family(TASKS)
    drafts = [child_of(family.root, name, tasks=6) for name in ("first", "second")]
    decisions = [reviewed(family.cluster, TASKS, each) for each in drafts]
    assert [each.outcome for each in decisions] == [Outcome.ALLOWED] * 2
    for obj, decision in zip(drafts, decisions, strict=True):
        stored = patched(obj, decision)
        assert reviewed(family.cluster, TASKS, stored, side=Side.VALIDATE).allowed
        family.cluster.create(WORKFLOWS, stored, namespace=NAMESPACE)
    assert family.used() == (2, 16)
    family.complete("first")
    assert family.used() == (1, 10)


def test_a_child_whose_parent_is_completed_is_still_under_the_root() -> None:
    """The slot is that of the root, which runs."""
    family = Family()
    middle = family.adopt(family.root, "middle", 4)
    last = family.adopt(middle, "last", 4)
    family.complete("middle")
    assert family.used() == (1, 10)
    assert family.admit(middle, "late").outcome is Outcome.QUEUED
    assert family.adopt(last, "later", 6)
    assert family.used() == (1, 10)


def test_when_the_root_is_completed_its_descendants_count_and_are_roots() -> None:
    """One that counts for itself has a slot; otherwise it would wait for its child for ever."""
    family = Family()
    middle = family.adopt(family.root, "middle", 4)
    last = family.adopt(middle, "last", 4)
    family.complete("root")
    assert family.used() == (2, 8)
    below = family.adopt(middle, "below", 4)
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(middle)
    assert family.admit(middle, "too-many").outcome is Outcome.QUEUED
    assert family.adopt(last, "under-last", 4)
    assert family.used() == (2, 8)


def test_one_that_runs_under_a_slot_keeps_its_place_before_an_older_one_with_a_slot_of_its_own() -> None:
    """Or two would count for the one that needs no slot of its own any more, and exceed the limit."""
    family = Family(snapshot_of(quota(NAMESPACE, "q", workflows=2)), tasks=2)
    run(family.cluster, family.leader, "other", tasks=1)
    family.adopt(family.root, "first", 1)
    for name, tasks in (("large", 2), ("one", 1), ("two", 1)):
        assert family.admit(family.root, name, tasks).outcome is Outcome.QUEUED
    assert family.used() == (2, 3)
    family.complete("first")
    assert family.used() == (2, 3)
    assert [is_held(family.obj(each)) for each in ("large", "one", "two")] == [True, False, False]
    family.complete("other")
    assert family.used() == (2, 4)
    assert not is_held(family.obj("large"))
    family.complete("one")
    assert family.used() == (2, 4)
    family.complete("two")
    assert family.used() == (1, 2)


def test_a_root_that_is_retried_with_less_has_capacity_for_less() -> None:
    """Or a slot of 1 would be what was admitted as 10; the rest of its line counts."""
    family = Family(TASKS)
    family.adopt(family.root, "first", 5)
    family.adopt(family.root, "second", 5)
    family.complete("root")
    assert family.used() == (2, 10)
    assert retry(family.cluster, TASKS, "root", tasks=1).outcome is Outcome.QUEUED
    assert family.used() == (2, 10)
    assert is_held(family.obj("root"))
    family.complete("second")
    assert family.used() == (2, 6)
    assert not is_held(family.obj("root"))


def test_descendants_of_a_descendant_are_charged_to_the_root_that_is_retried() -> None:
    """One that was a root while its own root was completed does not stay one beside it."""
    family = Family(snapshot_of(quota(NAMESPACE, "q", tasks=20)))
    middle = family.adopt(family.root, "middle", 10)
    family.complete("root")
    family.adopt(middle, "below", 10)
    assert family.used() == (1, 10)
    assert retry(family.cluster, family.policies, "root").outcome is Outcome.QUEUED
    assert family.used() == (2, 20)
    assert not is_held(family.obj("root"))


def test_while_a_root_waits_again_its_descendants_count() -> None:
    """It has no slot then that others could run under."""
    family = Family()
    child = family.adopt(family.root, "child")
    family.complete("root")
    assert retry(family.cluster, ONE, "root").outcome is Outcome.QUEUED
    assert family.used() == (1, 1)
    assert is_held(family.obj("root"))
    assert family.admit(family.obj("root"), "late").outcome is Outcome.QUEUED
    below = family.adopt(child, "below")
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(child)
    assert family.used() == (1, 1)


def test_a_child_that_is_run_again_is_a_child_again() -> None:
    """If a Pod of the parent does it, which may wait for it; retried by another user it counts."""
    family = Family()
    family.adopt(family.root, "child")
    family.complete("child")
    assert retry(family.cluster, ONE, "child", user=POD).outcome is Outcome.ALLOWED
    assert labels_of(family.obj("child"))[well_known.CHILD_OF] == uid_of(family.root)
    assert family.used() == (1, 10)
    family.complete("child")
    assert retry(family.cluster, ONE, "child").outcome is Outcome.QUEUED
    assert well_known.CHILD_OF not in labels_of(family.obj("child"))
    assert family.used() == (1, 10)


def test_a_root_that_is_being_deleted_takes_no_children() -> None:
    """A finalizer of one's own keeps it; those that it has stay under its slot, which it still takes."""
    family = Family()
    family.adopt(family.root, "child")
    family.mark("root", finalizers=["example.com/mine"])  # type: ignore[arg-type]
    family.cluster.delete(WORKFLOWS, "root", namespace=NAMESPACE)
    assert family.admit(family.root, "late").outcome is Outcome.QUEUED
    late = family.admit(family.obj("child"), "later")
    assert "root, under whose slot it runs, is being deleted" in why(late)
    assert family.used() == (1, 10)


def test_a_parent_with_copied_marks_has_no_place_under_the_root_of_another() -> None:
    """`argo resubmit` copies labels: they are written again, and so its children are charged to itself."""
    family = Family(snapshot_of(quota(NAMESPACE, "q", workflows=2)))
    child = family.adopt(family.root, "child")
    copied = draft("copy", tasks=3, labels=labels_of(child))
    metadata = copied["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = part(child, "metadata", "annotations")
    submit(family.cluster, family.policies, copied, namespace=NAMESPACE)
    assert family.used() == (2, 13)
    below = family.adopt(taken_up(family.cluster, "copy"), "below")
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(family.obj("copy"))


def test_marks_on_a_workflow_that_no_quota_governs_make_no_root() -> None:
    """They are removed at the create, or its children would be charged to another root."""
    selector = WorkflowSelector({"team": "etl"})
    policies = snapshot_of(quota(NAMESPACE, "q", workflows=1, selector=selector))
    cluster = memory()
    leader = Leader(cluster, policies, Clock())
    submit(cluster, policies, draft("root", tasks=9, labels={"team": "etl"}), namespace=NAMESPACE)
    leader.work()
    root = taken_up(cluster, "root")
    forged = draft("forged", labels={well_known.CHILD_OF: uid_of(root)})
    metadata = forged["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = {well_known.TASKS: "9", well_known.ROOT: "root"}
    stored = submit(cluster, policies, forged, namespace=NAMESPACE)
    assert (labels_of(stored), part(stored, "metadata", "annotations")) == ({}, None)
    child = child_of(taken_up(cluster, "forged"), labels={"team": "etl"})
    assert admit(cluster, policies, child).outcome is Outcome.QUEUED


def test_the_root_of_others_is_not_the_parent() -> None:
    """One that runs under one root and names another as its owner has to be created by that one's Pods."""
    family = Family(snapshot_of(quota(NAMESPACE, "q", workflows=2)))
    run(family.cluster, family.leader, "other", tasks=3)
    mine = family.adopt(family.root, "mine")
    other = family.obj("other")
    decision = family.admit(other, "unrelated", user=f"system:serviceaccount:{NAMESPACE}:another")
    assert decision.outcome is Outcome.QUEUED
    below = family.adopt(mine, "below")
    family.mark("below", ownerReferences=child_of(other)["metadata"]["ownerReferences"])  # type: ignore[call-overload,index,arg-type]
    assert labels_of(family.adopt(family.obj("below"), "last"))[well_known.CHILD_OF] == uid_of(family.root)
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(family.root)


def test_a_workflow_that_is_its_own_root_runs_under_no_slot() -> None:
    """Owners and marks in a circle, which only a user can write that bypasses admission."""
    family = Family(snapshot_of(quota(NAMESPACE, "q", workflows=3)))
    run(family.cluster, family.leader, "a", tasks=3)
    run(family.cluster, family.leader, "b", tasks=3)
    for one, above in (("a", "b"), ("b", "a")):
        family.mark(
            one, labels={well_known.CHILD_OF: uid_of(family.obj(above))}, annotations={well_known.ROOT: above}
        )
    decision = family.admit(family.obj("a"), "child")
    assert decision.outcome is Outcome.QUEUED
    assert "is not known any more" in why(decision)
    assert family.used() == (3, 16)


@pytest.mark.parametrize("which", ["parent", "root"])
def test_a_new_one_of_the_same_name_is_another_workflow(which: str) -> None:
    """Uids are compared on the way up, and not only names."""
    family = Family(snapshot_of(quota(NAMESPACE, "q", workflows=3)))
    parent = family.adopt(family.root, "parent")
    family.mark("parent", ownerReferences=None)  # type: ignore[arg-type]
    family.cluster.delete(WORKFLOWS, which, namespace=NAMESPACE)
    run(family.cluster, family.leader, which, tasks=5)
    decision = family.admit(parent, "child")
    if which == "parent":
        assert decision.outcome is Outcome.QUEUED
        assert "parent does not run" in why(decision)
    else:
        assert labels_of(family.obj("child"))[well_known.CHILD_OF] == uid_of(parent)


def test_children_from_before_the_root_was_marked_are_under_it() -> None:
    """They name their parent, which is their owner as well; the leader goes up level by level."""
    family = Family()
    first = family.adopt(family.root, "first")
    second = family.adopt(first, "second")
    family.mark("first", annotations={well_known.ROOT: None})
    family.mark("second", annotations={well_known.ROOT: None}, labels={well_known.CHILD_OF: uid_of(first)})
    assert family.used() == (1, 10)
    third = family.adopt(second, "third")
    assert labels_of(third)[well_known.CHILD_OF] == uid_of(family.root)


def test_a_child_in_another_namespace_has_no_slot_there() -> None:
    """The uid of a Workflow elsewhere is as good as none, whichever user wrote it."""
    cluster: MemoryCluster = memory()
    policies = snapshot_of(quota(NAMESPACE, "q", workflows=1), quota("ml", "q", workflows=1))
    leader = Leader(cluster, policies, Clock())
    root = run(cluster, leader, "root")
    submit(cluster, policies, draft("far"), namespace="ml")
    leader.work()
    label = MergePatch({"metadata": {"labels": {well_known.CHILD_OF: uid_of(root)}}})
    cluster.patch(WORKFLOWS, "far", label, namespace="ml")
    leader.work()
    assert sum(each.workflows for each in leader.ledgers.read(Root.of_namespace("ml")).used.values()) == 1
