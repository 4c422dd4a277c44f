"""Children run under their parent's slot, and no Workflow evades a limit by calling itself a child."""

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.admission.child_exemption import (
    MAX_CHILDREN,
    MAX_DEPTH,
    MAX_DESCENDANTS,
    NO_SLOT,
    ChildCandidate,
    Exemption,
    counted_for,
    exemption,
    fit_under_root,
)
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.owners import Related
from policy.core.objects.workflow import Metadata, OwnerReference
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import UNLIMITED, Amount
from tests.policy.core.builders import NAMESPACE, decoded, quota, snapshot, workflow

RUNNER: Final = f"system:serviceaccount:{NAMESPACE}:runner"
OWNER: Final = OwnerReference("argoproj.io/v1alpha1", "Workflow", "parent", "uid-p", controller=True)
ONE: Final = Amount(1)
CHILD: Final = Metadata(name="child", namespace=NAMESPACE, owner_references=(OWNER,))


def _parent(
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, *, uid: str = "uid-p"
) -> JsonObject:
    return workflow(
        {"serviceAccountName": "runner", "templates": [{"name": "a", "serviceAccountName": "other"}]},
        name="parent",
        uid=uid,
        labels={"team": "etl", **(labels or {})},
        annotations={well_known.TASKS: "3", **(annotations or {})},
    )


def _quotas() -> tuple[CompiledQuota, ...]:
    etl = quota("etl", selector={"matchLabels": {"team": "etl"}})
    ml = quota("ml", selector={"matchLabels": {"team": "ml"}})
    return snapshot(quota("main"), etl, ml).policies(NAMESPACE).quotas


def _exemption(
    parent: JsonObject | None,
    *,
    tasks: Amount = ONE,
    user: str = RUNNER,
    children: tuple[str, ...] = (),
    root: JsonObject | None = None,
    admitted: str = "",
    held: bool = False,
) -> Exemption:
    """Return what becomes of a child; without a root the parent is the root of its line."""
    line = tuple(Metadata(annotations={well_known.TASKS: each}) for each in children)
    above = decoded(parent) if parent is not None else None
    top = decoded(root) if root is not None else above
    related = Related(parent=above, root=top.metadata if top is not None else None, descendants=line)
    return exemption(ChildCandidate(CHILD, tasks, user, admitted, held), related, _quotas())


def _waiting(why: str) -> Exemption:
    """Return the exemption of a child of the parent for which there is no capacity yet."""
    return Exemption(root="uid-p", name="parent", depth=1, why=why)


def _root(
    labels: dict[str, str] | None = None, *, tasks: str = "10", uid: str = "uid-r", **metadata: JsonValue
) -> JsonObject:
    """Return a Workflow above the parent."""
    own: JsonObject = {"labels": {**({"team": "etl"} if labels is None else labels)}}
    return workflow(None, **own, name="root", uid=uid, annotations={well_known.TASKS: tasks}, **metadata)


MIDDLE: Final = _parent({well_known.CHILD_OF: "uid-r"}, {well_known.ROOT: "root", well_known.DEPTH: "1"})
"""A parent that is a child itself."""


def test_a_child_is_exempt_from_the_quotas_of_its_parent_and_no_others() -> None:
    """It would wait for a slot that its parent keeps until it is done."""
    exempt = _exemption(_parent())
    assert exempt.quotas == {f"WorkflowQuota {NAMESPACE}/main", f"WorkflowQuota {NAMESPACE}/etl"}
    assert (exempt.root, exempt.name, exempt.depth) == ("uid-p", "parent", 1)
    assert exempt.why == ""


@pytest.mark.parametrize(
    "spec",
    [
        {"serviceAccountName": "other"},
        {"templates": [{"name": "a", "serviceAccountName": "other"}]},
        {"templates": [{"name": "a", "executor": {"serviceAccountName": "other"}}]},
        {"templateDefaults": {"serviceAccountName": "other"}},
        {"serviceAccountName": "runner", "executor": {"serviceAccountName": "other"}},
    ],
)
def test_any_account_of_the_parents_pods_may_create_it(spec: JsonObject) -> None:
    """A template may have one of its own, and so may the executor, which is who creates it."""
    parent = {**_parent(), "spec": spec}
    assert _exemption(parent, user=f"system:serviceaccount:{NAMESPACE}:other").quotas
    assert _exemption(parent, user=f"system:serviceaccount:{NAMESPACE}:stranger").why


NOT_RUNNING: Final = "parent does not run, and has no slot to share"


@pytest.mark.parametrize(
    ("parent", "why"),
    [
        (None, NOT_RUNNING),
        (_parent(uid="uid-x"), NOT_RUNNING),
        (_parent({well_known.COMPLETED: "true"}), NOT_RUNNING),
        (_parent({well_known.INSTANCE_ID: well_known.HOLD_VALUE}), NOT_RUNNING),
        (
            _parent(annotations={well_known.DEPTH: str(MAX_DEPTH)}),
            f"it is the {MAX_DEPTH}th in a chain of Workflows already: do not wait for this one",
        ),
    ],
)
def test_a_parent_has_to_run(parent: JsonObject | None, why: str) -> None:
    """With the uid that the reference has, and not with too many ancestors."""
    assert _exemption(parent) == Exemption(why=why)


def test_a_parent_that_no_quota_admitted_has_no_slot_to_share() -> None:
    """It bypassed us."""
    parent = _parent()
    metadata = parent["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = {}
    assert _exemption(parent).why == "parent was not admitted under a quota, and has no slot to share"


@pytest.mark.parametrize(
    "user",
    [
        "ann",
        "system:serviceaccount:team-b:runner",
        f"system:serviceaccount:{NAMESPACE}:default",
        f"system:serviceaccount:{NAMESPACE}:runner2",
        f"system:serviceaccount:x:{NAMESPACE}:runner",
    ],
)
def test_only_pods_of_the_parent_create_its_children(user: str) -> None:
    """Anybody can write an ownerReference."""
    why = "who created this one is not a ServiceAccount of its Pods: let a step of it create this one"
    assert _exemption(_parent(), user=user) == Exemption(why=why)


def test_children_have_together_no_more_tasks_than_their_parent() -> None:
    """Or one slot would be any number of them."""
    assert _exemption(_parent(), tasks=Amount(1), children=("1", "1")).quotas
    assert _exemption(_parent(), tasks=Amount(2), children=("1", "1")) == _waiting(
        "those under the slot of parent have 2 tasks, and 2 more exceed the 3 that it was admitted with: "
        "run fewer at once, or create parent with a higher spec.parallelism"
    )
    assert _exemption(_parent(), tasks=UNLIMITED) == Exemption(
        why="its tasks have no bound, and parent was admitted with 3: give it spec.parallelism"
    )
    assert _exemption(_parent(), children=(well_known.UNBOUNDED,)).why


def test_a_child_that_never_fits_under_its_root_does_not_wait_for_capacity_there() -> None:
    """It is larger than its root, or too many wait already: it waits for a slot of its own alone."""
    assert not _exemption(_parent(), tasks=Amount(4)).root
    assert not _exemption(_parent(), tasks=UNLIMITED).root
    assert _exemption(_parent(), children=("1",) * (MAX_DESCENDANTS - 1)).waits
    assert not _exemption(_parent(), children=("1",) * MAX_DESCENDANTS).root


@pytest.mark.parametrize("tasks", [well_known.UNBOUNDED, "1000000"])
def test_children_of_an_unbounded_parent_are_counted(tasks: str) -> None:
    """There is no number of tasks to go by, or one that is as good as none."""
    parent = _parent(annotations={well_known.TASKS: tasks})
    assert _exemption(parent, children=("1",) * (MAX_CHILDREN - 1)).quotas
    assert _exemption(parent, children=("1",) * MAX_CHILDREN) == _waiting(
        "50 run under the slot of parent already, and the most is 50: run fewer at once"
    )


def test_a_child_of_a_child_is_charged_to_the_root_workflow() -> None:
    """Its tasks are taken from what the root was admitted with, however few those of its parent are."""
    exempt = _exemption(MIDDLE, root=_root(), tasks=Amount(6), children=("3", "1"))
    assert exempt.quotas == {f"WorkflowQuota {NAMESPACE}/main", f"WorkflowQuota {NAMESPACE}/etl"}
    assert (exempt.root, exempt.name, exempt.depth) == ("uid-r", "root", 2)
    assert "exceed the 10 that it was" in _exemption(MIDDLE, root=_root(), children=("3", "7")).why


def test_all_descendants_share_the_bound_of_the_root() -> None:
    """One of 10 tasks with four below it would be 50 in one slot, if each were asked about its parent."""
    line: list[str] = []
    for depth in range(MAX_DEPTH):
        parent = _parent(
            {well_known.CHILD_OF: "uid-r"}, {well_known.DEPTH: str(depth), well_known.TASKS: "10"}
        )
        exempt = _exemption(parent, root=_root(), tasks=Amount(10), children=tuple(line))
        assert bool(exempt.quotas) == (depth == 0)
        line += ["10"] if exempt.quotas else []


@pytest.mark.parametrize(
    ("root", "why"),
    [
        (
            _root(deletionTimestamp="2026-03-01T12:00:00Z"),
            "root, under whose slot it runs, is being deleted",
        ),
        (
            workflow(name="root", uid="uid-r", labels={"team": "etl"}),
            "root, under whose slot it runs, was not admitted under a quota",
        ),
    ],
)
def test_a_root_has_to_run_too(root: JsonObject, why: str) -> None:
    """A finalizer of one's own keeps a Workflow that was deleted, and it would keep its line as well."""
    assert _exemption(MIDDLE, root=root) == Exemption(why=why)


def test_where_the_root_is_unknown_no_child_is_exempt() -> None:
    """To take the parent for the root would be a slot that is counted nowhere."""
    related = Related(parent=decoded(MIDDLE))
    found = exemption(ChildCandidate(CHILD, ONE, RUNNER), related, _quotas())
    assert found == Exemption(why=NO_SLOT)


def test_only_the_quotas_of_the_root_count() -> None:
    """A parent that counts for a quota of its own has a slot there, and its children have theirs."""
    exempt = _exemption(MIDDLE, root=_root({}))
    assert exempt.quotas == {f"WorkflowQuota {NAMESPACE}/main"}
    assert exempt.why == (
        f"WorkflowQuota {NAMESPACE}/etl governs both and not root, under whose slot they run: let it select "
        "all of them or one of them"
    )


def test_a_workflow_that_shares_no_quota_with_the_root_is_no_child() -> None:
    """They do not wait for each other, and its children are charged to itself."""
    only = snapshot(quota("ml", selector={"matchLabels": {"team": "ml"}})).policies(NAMESPACE).quotas
    related = Related(parent=decoded(_parent()), root=decoded(_parent()).metadata)
    assert exemption(ChildCandidate(CHILD, ONE, RUNNER), related, only) == Exemption()


def test_the_validating_side_does_not_check_the_capacity_again() -> None:
    """Two that come in the same instant would be refused both; the leader counts the one too many."""
    full = ("1", "1", "1")
    assert _exemption(_parent(), children=full).why
    assert _exemption(_parent(), children=full, admitted="uid-p").quotas
    assert _exemption(_parent(), children=full, admitted="uid-x").why
    assert _exemption(_parent(), children=full, admitted="uid-p", held=True) == _waiting("")
    assert _exemption(_parent(), admitted="uid-p", held=True) == _waiting("")
    assert _exemption(_parent({well_known.COMPLETED: "true"}), admitted="uid-p").why == NOT_RUNNING


@given(
    st.one_of(st.just(UNLIMITED), st.integers(0, 30).map(Amount)),
    st.lists(st.one_of(st.just(UNLIMITED), st.integers(0, 12).map(Amount)), max_size=60),
)
def test_what_runs_under_a_slot_never_exceeds_it(bound: Amount, line: list[Amount]) -> None:
    """Nor is any left out for which there was capacity at its turn."""
    number, used = 0, 0
    for tasks, fits in zip(line, fit_under_root(bound, line), strict=True):
        capacity = number < MAX_CHILDREN and (
            bound.unlimited or (tasks.value is not None and bound.covers(used + tasks.value))
        )
        assert fits == capacity
        number, used = number + fits, used + (tasks.value or 0) * fits
    assert number <= MAX_CHILDREN
    assert bound.covers(used)


def test_a_workflow_without_an_owner_is_no_child() -> None:
    """Nor is one whose owner is no controller, or is of another kind."""
    owners = (
        msgspec.structs.replace(OWNER, controller=False),
        msgspec.structs.replace(OWNER, kind="Job"),
        msgspec.structs.replace(OWNER, api_version="example.com/v1"),
    )
    for metadata in (Metadata(), *(Metadata(owner_references=(owner,)) for owner in owners)):
        parent = decoded(_parent())
        candidate = ChildCandidate(metadata, ONE, RUNNER)
        found = exemption(candidate, Related(parent=parent, root=parent.metadata), _quotas())
        assert found == Exemption()


def test_a_child_counts_when_its_parent_is_deleted() -> None:
    """Its slot went with the parent."""
    main, etl, ml = _quotas()
    assert counted_for((main, ml), (main, etl)) == (ml,)
    assert counted_for((main, ml), None) == (main, ml)
