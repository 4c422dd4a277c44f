"""Children run under their parent's slot, and nobody gets around a limit by calling himself a child."""

from typing import Final

import msgspec
import pytest

from policy.core import marks
from policy.core.amounts import UNLIMITED, Amount
from policy.core.children import MAX_CHILDREN, MAX_DEPTH, Exemption, counted_for, exemption
from policy.core.compiled_quotas import CompiledQuota
from policy.core.patches import JsonObject
from policy.core.relations import Related
from policy.core.workflow import Metadata, OwnerReference
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
        annotations={marks.TASKS: "3", **(annotations or {})},
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
) -> Exemption:
    others = tuple(Metadata(annotations={marks.TASKS: each}) for each in children)
    related = Related(parent=decoded(parent) if parent is not None else None, children=others)
    return exemption(CHILD, tasks, user, related, _quotas())


def test_a_child_is_exempt_from_the_quotas_of_its_parent_and_no_others() -> None:
    """It would wait for a slot that its parent keeps until it is done."""
    exempt = _exemption(_parent())
    assert exempt.quotas == {f"WorkflowQuota {NAMESPACE}/main", f"WorkflowQuota {NAMESPACE}/etl"}
    assert (exempt.parent, exempt.depth) == ("uid-p", 1)


def test_any_account_of_the_parents_pods_may_create_it() -> None:
    """A template may have one of its own."""
    assert _exemption(_parent(), user=f"system:serviceaccount:{NAMESPACE}:other").quotas


@pytest.mark.parametrize(
    ("parent", "why"),
    [
        (None, "it does not run"),
        (_parent(uid="uid-x"), "it does not run"),
        (_parent({marks.COMPLETED: "true"}), "it does not run"),
        (_parent({marks.INSTANCE_ID: marks.HOLD_VALUE}), "it does not run"),
        (_parent(annotations={marks.DEPTH: str(MAX_DEPTH)}), f"it is the {MAX_DEPTH}th in a line already"),
    ],
)
def test_a_parent_has_to_run(parent: JsonObject | None, why: str) -> None:
    """With the uid that the reference says, and not at the end of a long line."""
    assert _exemption(parent) == Exemption(why=why)


def test_a_parent_that_no_quota_admitted_has_no_slot_to_share() -> None:
    """It came past us."""
    parent = _parent()
    metadata = parent["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = {}
    assert _exemption(parent).why == "it was not admitted under a quota"


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
    assert _exemption(_parent(), user=user).why == "who created this one is not a ServiceAccount of its Pods"


def test_children_have_together_no_more_tasks_than_their_parent() -> None:
    """Or one slot would be any number of them."""
    assert _exemption(_parent(), tasks=Amount(1), children=("1", "1")).quotas
    assert _exemption(_parent(), tasks=Amount(2), children=("1", "1")).why
    assert _exemption(_parent(), tasks=UNLIMITED).why
    assert _exemption(_parent(), children=(marks.UNBOUNDED,)).why


def test_children_of_an_unbounded_parent_are_counted() -> None:
    """There is no number of tasks to go by."""
    parent = _parent(annotations={marks.TASKS: marks.UNBOUNDED})
    assert _exemption(parent, children=("1",) * (MAX_CHILDREN - 1)).quotas
    assert _exemption(parent, children=("1",) * MAX_CHILDREN).why


def test_who_has_no_owner_is_no_child() -> None:
    """Nor has one whose owner only wants to be told, or is of another kind."""
    owners = (
        msgspec.structs.replace(OWNER, controller=False),
        msgspec.structs.replace(OWNER, kind="Job"),
        msgspec.structs.replace(OWNER, api_version="example.com/v1"),
    )
    for metadata in (Metadata(), *(Metadata(owner_references=(owner,)) for owner in owners)):
        found = exemption(metadata, Amount(1), RUNNER, Related(parent=decoded(_parent())), _quotas())
        assert found == Exemption()


def test_a_child_counts_when_its_parent_is_gone() -> None:
    """Its slot went with the parent."""
    main, etl, ml = _quotas()
    assert counted_for((main, ml), (main, etl)) == (ml,)
    assert counted_for((main, ml), None) == (main, ml)
