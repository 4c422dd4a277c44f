"""A line of Workflows runs under the slot of its root, on all levels, and nobody makes more of that slot."""

from typing import Final

import msgspec
import pytest

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.admission.child_exemption import MAX_CHILDREN, MAX_DEPTH
from policy.core.decision.decision import Decision, Outcome, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.label_selectors import LabelSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed, QueueSpec, QueueStrategy, StopPolicy
from policy.core.quota.accounts import Root
from tests.policy.service.release.lines import (
    HOME,
    POD,
    admit,
    adopted,
    child_of,
    judged,
    retry,
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

ONE: Final = snapshot_of(quota(HOME, "q", workflows=1))
DENYING: Final = snapshot_of(quota(HOME, "q", workflows=1, on_exceed=OnExceed.DENY))
MIXED: Final = snapshot_of(
    quota(HOME, "q", workflows=1), quota(HOME, "d", workflows=9, on_exceed=OnExceed.DENY)
)
_ONE: Final = quota(HOME, "q", workflows=1)
STRICT: Final = snapshot_of(
    msgspec.structs.replace(
        _ONE, spec=msgspec.structs.replace(_ONE.spec, queue=QueueSpec(strategy=QueueStrategy.STRICT_FIFO))
    )
)
TASKS: Final = snapshot_of(quota(HOME, "q", tasks=10))
MANY: Final = 200
PARALLEL: Final = 1_000_000


class Scene:
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
        """Return how many Workflows and tasks are counted when all who may go have gone."""
        while self.leader.work():
            continue
        return used(self.leader), tasks_used(self.leader)

    def complete(self, name: str) -> None:
        """Let a Workflow end."""
        complete(self.cluster, name, namespace=HOME)

    def obj(self, name: str) -> JsonObject:
        """Return a Workflow."""
        return self.cluster.get(WORKFLOWS, name, namespace=HOME)

    def mark(self, name: str, **metadata: JsonObject) -> JsonObject:
        """Write labels or annotations past the webhook, as nobody may."""
        return self.cluster.patch(WORKFLOWS, name, MergePatch({"metadata": {**metadata}}), namespace=HOME)


def why(decision: Decision) -> str:
    """Return the warning about the line."""
    found = [each for each in decision.warnings if "counts for itself" in each]
    return found[0] if found else ""


def test_a_child_that_is_refused_is_told_why_it_needs_a_place_of_its_own() -> None:
    """And nothing of a place in the queue, which it has not."""
    scene = Scene()
    drained = msgspec.structs.replace(_ONE.spec, stop_policy=StopPolicy.HOLD_AND_DRAIN)
    policies = snapshot_of(msgspec.structs.replace(_ONE, spec=drained))
    decision = judged(scene.cluster, policies, child_of(scene.root, "child"), "ann")
    assert decision.outcome is Outcome.DENIED
    assert decision.warnings == (why(decision),) != ("",)


def test_the_fifty_first_child_counts_whatever_the_parallelism() -> None:
    """A number that nobody bounds is no bound."""
    scene = Scene(tasks=PARALLEL)
    outcomes = [scene.admit(scene.root, f"child-{number}").outcome for number in range(MANY)]
    assert outcomes == [Outcome.ALLOWED] * MAX_CHILDREN + [Outcome.QUEUED] * (MANY - MAX_CHILDREN)
    assert scene.used() == (1, PARALLEL)


def test_fifty_times_fifty_are_fifty() -> None:
    """A child does not bring room for children of its own."""
    scene = Scene(tasks=None)
    outcomes = []
    for number in range(10):
        outcomes.append(scene.admit(scene.root, f"child-{number}", None).outcome)
        above = taken_up(scene.cluster, f"child-{number}")
        outcomes += [scene.admit(above, f"child-{number}-{each}", None).outcome for each in range(10)]
    assert outcomes.count(Outcome.ALLOWED) == MAX_CHILDREN
    assert set(outcomes[MAX_CHILDREN:]) == {Outcome.QUEUED}
    assert scene.used()[0] == 1


def test_a_line_has_together_no_more_tasks_than_its_root() -> None:
    """Five below each other with 10 tasks each would be 60 in a slot of 10."""
    scene = Scene(TASKS)
    above = scene.adopt(scene.root, "first", 10)
    decision = scene.admit(above, "second", 10)
    assert decision.outcome is Outcome.QUEUED
    assert decision.warnings[0] == (
        "lockkeeper: it waits for a slot of its own, or for room under root: those under the slot of root "
        "have 10 tasks, and 10 more exceed the 10 that it was admitted with: run fewer at once, or create "
        "root with a higher spec.parallelism"
    )
    assert scene.used() == (1, 10)


@pytest.mark.parametrize("policies", [ONE, MIXED, STRICT], ids=["queue", "queue and deny", "strict"])
def test_who_lacks_room_waits_for_it_though_no_slot_comes_free(policies: Snapshot) -> None:
    """The root waits for all of them and keeps its slot; so they go one after another under it."""
    scene = Scene(policies)
    alone = scene.used()
    names = [f"child-{number}" for number in range(5)]
    outcomes = [scene.admit(scene.root, name, 6).outcome for name in names]
    assert outcomes == [Outcome.ALLOWED, *[Outcome.QUEUED] * 4]
    submit(scene.cluster, policies, draft("stranger", priority=9), namespace=HOME)
    for number, name in enumerate(names):
        assert scene.used() == alone
        waits = [each for each in names if is_held(scene.obj(each))]
        assert waits == names[number + 1 :]
        scene.complete(name)
    assert is_held(scene.obj("stranger"))
    scene.complete("root")
    scene.used()
    assert not is_held(scene.obj("stranger"))


def test_who_waits_for_room_takes_a_slot_that_comes_free_first() -> None:
    """It counts then, and is charged to the root again when there is room."""
    policies = snapshot_of(quota(HOME, "q", workflows=2))
    scene = Scene(policies)
    run(scene.cluster, scene.leader, "other", tasks=1)
    scene.adopt(scene.root, "first", 6)
    assert scene.admit(scene.root, "second", 6).outcome is Outcome.QUEUED
    assert scene.used() == (2, 11)
    scene.complete("other")
    assert scene.used() == (2, 16)
    assert not is_held(scene.obj("second"))
    scene.complete("first")
    assert scene.used() == (1, 10)


def test_who_runs_keeps_his_place_before_an_older_one_that_waits() -> None:
    """Or a slot would have to be found for somebody who was let in without one."""
    scene = Scene()
    scene.adopt(scene.root, "first", 8)
    assert scene.admit(scene.root, "large", 9).outcome is Outcome.QUEUED
    assert scene.admit(scene.root, "small", 2).outcome is Outcome.QUEUED
    assert scene.used() == (1, 10)
    assert not is_held(scene.obj("small"))
    scene.complete("first")
    assert scene.used() == (1, 10)
    assert is_held(scene.obj("large"))
    scene.complete("small")
    assert scene.used() == (1, 10)
    assert not is_held(scene.obj("large"))


def test_who_runs_under_a_slot_keeps_his_place_before_an_older_one_that_has_a_slot_of_its_own() -> None:
    """Or two would count for the one that needs no slot of its own any more, and exceed the limit."""
    scene = Scene(snapshot_of(quota(HOME, "q", workflows=2)), tasks=2)
    run(scene.cluster, scene.leader, "other", tasks=1)
    scene.adopt(scene.root, "first", 1)
    for name, tasks in (("large", 2), ("one", 1), ("two", 1)):
        assert scene.admit(scene.root, name, tasks).outcome is Outcome.QUEUED
    assert scene.used() == (2, 3)
    scene.complete("first")
    assert scene.used() == (2, 3)
    assert [is_held(scene.obj(each)) for each in ("large", "one", "two")] == [True, False, False]
    scene.complete("other")
    assert scene.used() == (2, 4)
    assert not is_held(scene.obj("large"))
    scene.complete("one")
    assert scene.used() == (2, 4)
    scene.complete("two")
    assert scene.used() == (1, 2)


def test_a_line_runs_in_one_slot_as_deep_as_it_may_be() -> None:
    """Each of them waits for the next; the last may not have a child of its own."""
    scene = Scene()
    above = scene.root
    for depth in range(MAX_DEPTH):
        above = scene.adopt(above, f"level-{depth + 1}")
        assert labels_of(above)[well_known.CHILD_OF] == uid_of(scene.root)
        assert part(above, "metadata", "annotations", well_known.ROOT) == "root"
    assert scene.admit(above, "too-deep").outcome is Outcome.QUEUED
    assert scene.used() == (1, 10)


def test_no_child_reserves_where_quotas_deny() -> None:
    """It has no slot of its own; who does not fit is judged as anybody else."""
    scene = Scene(DENYING, tasks=2)
    first = scene.admit(scene.root, "child", 2)
    assert (first.outcome, first.reservation) == (Outcome.ALLOWED, None)
    assert well_known.RESERVATION not in labels_of(scene.obj("child"))
    second = judged(scene.cluster, DENYING, child_of(scene.root, "another"))
    assert second.reservation is not None
    assert scene.used() == (1, 2)
    scene.complete("root")
    assert scene.used() == (1, 2)


def test_two_of_one_instant_are_both_let_in_and_one_counts() -> None:
    """Each is judged before the other is there; the state takes the older for the child."""
    scene = Scene(TASKS)
    drafts = [child_of(scene.root, name, tasks=6) for name in ("first", "second")]
    decisions = [judged(scene.cluster, TASKS, each) for each in drafts]
    assert [each.outcome for each in decisions] == [Outcome.ALLOWED] * 2
    for obj, decision in zip(drafts, decisions, strict=True):
        stored = patched(obj, decision)
        assert judged(scene.cluster, TASKS, stored, side=Side.VALIDATE).allowed
        scene.cluster.create(WORKFLOWS, stored, namespace=HOME)
    assert scene.used() == (2, 16)
    scene.complete("first")
    assert scene.used() == (1, 10)


def test_a_child_whose_parent_is_over_is_still_in_the_line() -> None:
    """The slot is that of the root, who runs."""
    scene = Scene()
    middle = scene.adopt(scene.root, "middle", 4)
    last = scene.adopt(middle, "last", 4)
    scene.complete("middle")
    assert scene.used() == (1, 10)
    assert scene.admit(middle, "late").outcome is Outcome.QUEUED
    assert scene.adopt(last, "later", 6)
    assert scene.used() == (1, 10)


def test_when_the_root_is_over_those_below_it_count_and_have_lines_of_their_own() -> None:
    """Who counts for itself has a slot; it would wait for its child for ever otherwise."""
    scene = Scene()
    middle = scene.adopt(scene.root, "middle", 4)
    last = scene.adopt(middle, "last", 4)
    scene.complete("root")
    assert scene.used() == (2, 8)
    below = scene.adopt(middle, "below", 4)
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(middle)
    assert scene.admit(middle, "too-many").outcome is Outcome.QUEUED
    assert scene.adopt(last, "under-last", 4)
    assert scene.used() == (2, 8)


def test_a_root_that_is_retried_with_less_has_room_for_less() -> None:
    """Or a slot of 1 would be what was admitted as 10; the rest of its line counts."""
    scene = Scene(TASKS)
    scene.adopt(scene.root, "first", 5)
    scene.adopt(scene.root, "second", 5)
    scene.complete("root")
    assert scene.used() == (2, 10)
    assert retry(scene.cluster, TASKS, "root", tasks=1).outcome is Outcome.QUEUED
    assert scene.used() == (2, 10)
    assert is_held(scene.obj("root"))
    scene.complete("second")
    assert scene.used() == (2, 6)
    assert not is_held(scene.obj("root"))


def test_a_line_below_a_line_is_charged_to_the_root_that_came_back() -> None:
    """Who had a line of its own while the root was over does not keep it beside the root's."""
    scene = Scene(snapshot_of(quota(HOME, "q", tasks=20)))
    middle = scene.adopt(scene.root, "middle", 10)
    scene.complete("root")
    scene.adopt(middle, "below", 10)
    assert scene.used() == (1, 10)
    assert retry(scene.cluster, scene.policies, "root").outcome is Outcome.QUEUED
    assert scene.used() == (2, 20)
    assert not is_held(scene.obj("root"))


def test_while_a_root_waits_again_its_line_counts() -> None:
    """It has no slot then that others could run under."""
    scene = Scene()
    child = scene.adopt(scene.root, "child")
    scene.complete("root")
    assert retry(scene.cluster, ONE, "root").outcome is Outcome.QUEUED
    assert scene.used() == (1, 1)
    assert is_held(scene.obj("root"))
    assert scene.admit(scene.obj("root"), "late").outcome is Outcome.QUEUED
    below = scene.adopt(child, "below")
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(child)
    assert scene.used() == (1, 1)


def test_a_child_that_is_run_again_is_a_child_again() -> None:
    """If a Pod of the parent does it, which may wait for it; whoever else retries it has it count."""
    scene = Scene()
    scene.adopt(scene.root, "child")
    scene.complete("child")
    assert retry(scene.cluster, ONE, "child", user=POD).outcome is Outcome.ALLOWED
    assert labels_of(scene.obj("child"))[well_known.CHILD_OF] == uid_of(scene.root)
    assert scene.used() == (1, 10)
    scene.complete("child")
    assert retry(scene.cluster, ONE, "child").outcome is Outcome.QUEUED
    assert well_known.CHILD_OF not in labels_of(scene.obj("child"))
    assert scene.used() == (1, 10)


def test_a_root_that_is_deleted_and_kept_takes_nobody_in() -> None:
    """A finalizer of one's own keeps it; those that it has stay under its slot, which it still takes."""
    scene = Scene()
    scene.adopt(scene.root, "child")
    scene.mark("root", finalizers=["example.com/mine"])  # type: ignore[arg-type]
    scene.cluster.delete(WORKFLOWS, "root", namespace=HOME)
    assert scene.admit(scene.root, "late").outcome is Outcome.QUEUED
    late = scene.admit(scene.obj("child"), "later")
    assert "root, under whose slot it runs, is being deleted" in why(late)
    assert scene.used() == (1, 10)


def test_a_parent_with_copied_marks_has_no_place_in_the_line_of_another() -> None:
    """`argo resubmit` copies labels: they are written anew, and so its children are charged to itself."""
    scene = Scene(snapshot_of(quota(HOME, "q", workflows=2)))
    child = scene.adopt(scene.root, "child")
    copied = draft("copy", tasks=3, labels=labels_of(child))
    metadata = copied["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = part(child, "metadata", "annotations")
    submit(scene.cluster, scene.policies, copied, namespace=HOME)
    assert scene.used() == (2, 13)
    below = scene.adopt(taken_up(scene.cluster, "copy"), "below")
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(scene.obj("copy"))


def test_marks_on_a_workflow_that_no_quota_governs_open_no_line() -> None:
    """They go at the create, though no quota asks: its children would be charged to somebody else's root."""
    selector = LabelSelector({"team": "etl"})
    policies = snapshot_of(quota(HOME, "q", workflows=1, selector=selector))
    cluster = memory()
    leader = Leader(cluster, policies, Clock())
    submit(cluster, policies, draft("root", tasks=9, labels={"team": "etl"}), namespace=HOME)
    leader.work()
    root = taken_up(cluster, "root")
    forged = draft("forged", labels={well_known.CHILD_OF: uid_of(root)})
    metadata = forged["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = {well_known.TASKS: "9", well_known.ROOT: "root"}
    stored = submit(cluster, policies, forged, namespace=HOME)
    assert (labels_of(stored), part(stored, "metadata", "annotations")) == ({}, None)
    child = child_of(taken_up(cluster, "forged"), labels={"team": "etl"})
    assert admit(cluster, policies, child).outcome is Outcome.QUEUED


def test_the_root_of_another_line_is_nobodys_parent() -> None:
    """Who runs under one root and calls another his owner has to be created by that one's Pods."""
    scene = Scene(snapshot_of(quota(HOME, "q", workflows=2)))
    run(scene.cluster, scene.leader, "other", tasks=3)
    mine = scene.adopt(scene.root, "mine")
    other = scene.obj("other")
    decision = scene.admit(other, "stranger", user=f"system:serviceaccount:{HOME}:another")
    assert decision.outcome is Outcome.QUEUED
    below = scene.adopt(mine, "below")
    scene.mark("below", ownerReferences=child_of(other)["metadata"]["ownerReferences"])  # type: ignore[call-overload,index,arg-type]
    assert labels_of(scene.adopt(scene.obj("below"), "last"))[well_known.CHILD_OF] == uid_of(scene.root)
    assert labels_of(below)[well_known.CHILD_OF] == uid_of(scene.root)


def test_who_is_his_own_root_runs_under_no_slot() -> None:
    """Owners and marks in a circle, which only somebody writes who bypasses the webhook."""
    scene = Scene(snapshot_of(quota(HOME, "q", workflows=3)))
    run(scene.cluster, scene.leader, "a", tasks=3)
    run(scene.cluster, scene.leader, "b", tasks=3)
    for one, above in (("a", "b"), ("b", "a")):
        scene.mark(
            one, labels={well_known.CHILD_OF: uid_of(scene.obj(above))}, annotations={well_known.ROOT: above}
        )
    decision = scene.admit(scene.obj("a"), "child")
    assert decision.outcome is Outcome.QUEUED
    assert "is not known any more" in why(decision)
    assert scene.used() == (3, 16)


@pytest.mark.parametrize("which", ["parent", "root"])
def test_a_new_one_of_the_same_name_is_somebody_else(which: str) -> None:
    """Uids are compared on the way up, and not only names."""
    scene = Scene(snapshot_of(quota(HOME, "q", workflows=3)))
    parent = scene.adopt(scene.root, "parent")
    scene.mark("parent", ownerReferences=None)  # type: ignore[arg-type]
    scene.cluster.delete(WORKFLOWS, which, namespace=HOME)
    run(scene.cluster, scene.leader, which, tasks=5)
    decision = scene.admit(parent, "child")
    if which == "parent":
        assert decision.outcome is Outcome.QUEUED
        assert "parent does not run" in why(decision)
    else:
        assert labels_of(scene.obj("child"))[well_known.CHILD_OF] == uid_of(parent)


def test_children_from_before_the_root_was_marked_are_in_its_line() -> None:
    """They name their parent, which is their owner as well; the leader goes up level by level."""
    scene = Scene()
    first = scene.adopt(scene.root, "first")
    second = scene.adopt(first, "second")
    scene.mark("first", annotations={well_known.ROOT: None})
    scene.mark("second", annotations={well_known.ROOT: None}, labels={well_known.CHILD_OF: uid_of(first)})
    assert scene.used() == (1, 10)
    third = scene.adopt(second, "third")
    assert labels_of(third)[well_known.CHILD_OF] == uid_of(scene.root)


def test_a_child_in_another_namespace_has_no_slot_there() -> None:
    """The uid of a Workflow elsewhere is as good as none, whoever wrote it."""
    cluster: MemoryCluster = memory()
    policies = snapshot_of(quota(HOME, "q", workflows=1), quota("ml", "q", workflows=1))
    leader = Leader(cluster, policies, Clock())
    root = run(cluster, leader, "root")
    submit(cluster, policies, draft("far"), namespace="ml")
    leader.work()
    label = MergePatch({"metadata": {"labels": {well_known.CHILD_OF: uid_of(root)}}})
    cluster.patch(WORKFLOWS, "far", label, namespace="ml")
    leader.work()
    assert sum(each.workflows for each in leader.ledgers.read(Root.of_namespace("ml")).used.values()) == 1
