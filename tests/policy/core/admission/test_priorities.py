"""Caps of priorities: no user gets a priority above that of the quota."""

from typing import Final

import msgspec
import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.decision import quota_messages
from policy.core.decision.decision import Code, Decision, Operation, Review, Side
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import HIGHEST_PRIORITY, WorkflowDefaults
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.admission.attempts import END, RETRY, RUN
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    at,
    decoded,
    limits,
    mutate,
    namespace_object,
    patched,
    pool,
    quota,
    review,
    snapshot,
    template_object,
    texts,
    validate,
    workflow,
)

CAP: Final[JsonObject] = {"maxPriority": 10}
LOWER: Final[JsonObject] = {**CAP, "onPriorityAbove": "Lower"}
REF: Final[JsonObject] = {"workflowTemplateRef": {"name": "base"}}
MEMBER: Final = namespace_object(NAMESPACE)


def capping(per_workflow: JsonObject, where: str = "quota") -> tuple[Document, ...]:
    """Return policies that cap priorities in one of the places where that is possible."""
    spec: JsonObject = {"limits": {"workflows": 1}, "perWorkflow": per_workflow}
    if where == "quota":
        return (quota("main", namespace=NAMESPACE, **spec),)
    if where == "pool":
        return (MEMBER, pool("shared", created="", **spec))
    return (MEMBER, pool("shared", namespaceDefaults=spec))


def urgent(priority: int | None = HIGHEST_PRIORITY, **spec: JsonValue) -> JsonObject:
    """Return a Workflow with this priority."""
    given: JsonObject = {"entrypoint": "main", **spec}
    whole = given if priority is None else {**given, "priority": priority}
    return workflow(whole, uid="uid-1", resourceVersion="5")


def counts_as(obj: JsonObject) -> JsonValue:
    """Return the priority by which a stored Workflow waits."""
    return texts(obj, "metadata", "annotations")[well_known.PRIORITY]


def edited(old: JsonObject, obj: JsonObject, policies: Snapshot, side: Side = Side.MUTATE) -> Decision:
    """Return what one side decides about an update."""
    asked = review(obj, side, operation=Operation.UPDATE)
    with_old: Review = msgspec.structs.replace(
        asked, old=decoded(old), old_raw=msgspec.Raw(msgspec.json.encode(old))
    )
    return apply_policies(with_old, policies, NOW)


def stored(obj: JsonObject, policies: Snapshot) -> JsonObject:
    """Return a new Workflow as it is stored; the validating side has nothing against it."""
    found = patched(obj, mutate(obj, policies).patch)
    decision = validate(found, policies)
    assert decision.allowed, quota_messages.denial(decision.reasons)
    assert patched(found, mutate(found, policies).patch) == found
    return found


@pytest.mark.parametrize("effect", ["Queue", "Deny", "Warn"])
@pytest.mark.parametrize("where", ["quota", "pool", "defaults"])
def test_a_priority_above_the_cap_is_refused(where: str, effect: str) -> None:
    """By both sides, with the field and what to write; whatever becomes of one that does not fit."""
    documents = [
        msgspec.convert(merge(msgspec.to_builtins(each), {"spec": {"onExceed": effect}}), type(each))
        if where != "defaults" and each is not MEMBER
        else each
        for each in capping(CAP, where)
    ]
    policies = snapshot(*documents)
    source = {
        "quota": "WorkflowQuota team-a/main",
        "pool": "ClusterWorkflowQuota shared",
        "defaults": "ClusterWorkflowQuota shared (namespaceDefaults)",
    }[where]
    for decided in (mutate, validate):
        decision = decided(urgent(), policies)
        assert not decision.allowed
        (reason,) = (each for each in decision.reasons if each.code is Code.PRIORITY_ABOVE_CAP)
        assert quota_messages.denial([reason]) == (
            f"[{source}] spec.priority: 2147483647 is above the cap of 10 for priorities: set it to 10 or "
            "less"
        )
    assert stored(urgent(10), policies)
    assert stored(urgent(-5), policies)


@pytest.mark.parametrize("where", ["quota", "pool", "defaults"])
def test_it_is_lowered_with_a_warning_where_the_quota_lowers_it(where: str) -> None:
    """The Workflow itself has the cap then, so Argo uses it, too."""
    policies = snapshot(*capping(LOWER, where))
    (warning, *_) = [text for text in mutate(urgent(50), policies).warnings if "priority" in text]
    assert warning.startswith("lockkeeper: spec.priority 50 is above the cap of 10 of ")
    assert warning.endswith(": it is lowered to 10")
    found = stored(urgent(50), policies)
    assert (at(found, "spec", "priority"), counts_as(found)) == (10, "10")
    assert not validate(merge(found, {"spec": {"priority": 50}}), policies).allowed


def test_of_several_caps_each_holds() -> None:
    """One that refuses checks what was written; of those that lower, the lowest counts."""
    policies = snapshot(
        quota("low", perWorkflow=LOWER),
        quota("lower", perWorkflow={**LOWER, "maxPriority": 5}),
        quota("strict", perWorkflow={"maxPriority": 20}),
    )
    assert at(stored(urgent(15), policies), "spec", "priority") == 5
    assert [each.policy for each in mutate(urgent(21), policies).reasons] == ["WorkflowQuota team-a/strict"]


@pytest.mark.parametrize(
    ("documents", "defaults", "whose"),
    [
        ((template_object("base", {"priority": 50}),), WorkflowDefaults(), " of WorkflowTemplate base"),
        (
            (template_object("base", {}),),
            WorkflowDefaults(priority=50),
            " of workflowDefaults of Argo's controller",
        ),
    ],
)
def test_the_cap_holds_for_a_priority_that_comes_from_elsewhere(
    documents: tuple[Document, ...], defaults: WorkflowDefaults, whose: str
) -> None:
    """A template's, and that of Argo's defaults; lowered it is written into the Workflow."""
    denying = msgspec.structs.replace(snapshot(*capping(CAP), *documents), argo_defaults=defaults)
    (reason,) = mutate(urgent(None, **REF), denying).reasons
    assert reason.message.startswith(f"50{whose} is above the cap of 10 for priorities")
    lowering = msgspec.structs.replace(snapshot(*capping(LOWER), *documents), argo_defaults=defaults)
    found = stored(urgent(None, **REF), lowering)
    assert (at(found, "spec", "priority"), counts_as(found)) == (10, "10")


def test_an_edit_of_the_template_while_it_waits_raises_nothing() -> None:
    """What the template has at the admission is written into the Workflow, under a cap."""
    before = snapshot(*capping(CAP), template_object("base", {"priority": 7}))
    found = stored(urgent(None, **REF), before)
    assert at(found, "spec", "priority") == 7
    for absent in (snapshot(*capping(CAP)), snapshot(*capping(CAP), template_object("base", {}))):
        assert at(stored(urgent(None, **REF), absent), "spec", "priority") == 0
    uncapped = snapshot(quota(), template_object("base", {"priority": 7}))
    assert at(stored(urgent(None, **REF), uncapped), "spec", "priority") is None
    after = snapshot(*capping(CAP), template_object("base", {"priority": 5000}))
    dropped = merge(found, {"spec": {"priority": None}})
    assert not edited(found, dropped, after, Side.VALIDATE).allowed
    assert Code.PRIORITY_ABOVE_CAP in {each.code for each in edited(found, dropped, after).reasons}


def test_where_argo_lets_a_reference_have_no_priority_only_its_mark_is_lowered() -> None:
    """Under `templateReferencing: Strict` a priority of its own would end the Workflow with an error."""
    strict = WorkflowDefaults(references_only=True)
    documents = (template_object("base", {"priority": 50}),)
    policies = msgspec.structs.replace(snapshot(*capping(LOWER), *documents), argo_defaults=strict)
    obj = urgent(None, **REF)
    assert (
        "lockkeeper: spec.priority 50 of WorkflowTemplate base is above the cap of 10 of WorkflowQuota "
        in ("".join(mutate(obj, policies).warnings))
    )
    found = stored(obj, policies)
    assert (at(found, "spec", "priority"), counts_as(found)) == (None, "10")


@pytest.mark.parametrize("state", ["held", "running"])
@pytest.mark.parametrize("side", list(Side)[:2])
def test_an_edit_to_a_priority_above_the_cap_is_refused(state: str, side: Side) -> None:
    """Of one that waits or runs; within the cap it may change, and its place with it."""
    policies = snapshot(*capping(CAP))
    old = stored(urgent(3), policies)
    if state == "running":
        metadata = decoded(old).metadata
        assert metadata is not None
        old = merge(patched(old, hold.release_patch(metadata, NOW, has_status=True)), RUN)
    decision = edited(old, merge(old, {"spec": {"priority": 11}}), policies, side)
    assert [each.code for each in decision.reasons] == [Code.PRIORITY_ABOVE_CAP]
    obj = merge(old, {"spec": {"priority": 10}})
    right = patched(obj, edited(old, obj, policies).patch)
    assert counts_as(right) == "10"
    assert edited(old, right, policies, Side.VALIDATE).allowed


def test_an_edited_priority_is_lowered_where_the_quota_lowers_it() -> None:
    """The object and its mark both have the cap, and the validating side needs no more."""
    policies = snapshot(*capping(LOWER))
    old = stored(urgent(3), policies)
    obj = merge(old, {"spec": {"priority": 99}})
    decision = edited(old, obj, policies)
    right = patched(obj, decision.patch)
    assert (at(right, "spec", "priority"), counts_as(right)) == (10, "10")
    assert ["it is lowered to 10" in text for text in decision.warnings] == [True]
    assert edited(old, right, policies, Side.VALIDATE).allowed
    assert not edited(old, obj, policies, Side.VALIDATE).allowed


def test_a_priority_from_before_the_cap_does_not_prevent_other_edits() -> None:
    """An edit that leaves the priority alone is not checked by the cap, and does not change it."""
    old = stored(urgent(500), snapshot(quota("main", limits={"workflows": 1})))
    obj = merge(old, {"spec": {"arguments": {"parameters": [{"name": "a", "value": "b"}]}}})
    for per_workflow in (CAP, LOWER):
        decision = edited(old, obj, snapshot(*capping(per_workflow)))
        assert (decision.allowed, decision.patch) == (True, ())


def test_a_retry_is_checked_by_the_cap_of_today() -> None:
    """It runs again, with whatever priority it has."""
    over = merge(merge(urgent(500), RUN), END)
    again = merge(over, RETRY)
    (reason, *_) = edited(over, again, snapshot(*capping(CAP))).reasons
    assert reason.code is Code.PRIORITY_ABOVE_CAP
    found = patched(again, edited(over, again, snapshot(*capping(LOWER))).patch)
    assert (at(found, "spec", "priority"), counts_as(found)) == (10, "10")


def test_a_lowered_priority_uses_no_reserve() -> None:
    """The reserve is withheld from it as from any priority at the cap."""
    spec: JsonObject = {"limits": {"workflows": 5}, "onExceed": "Deny"}
    reserve: JsonValue = [{"abovePriority": 10, "workflows": 2}]
    policies = snapshot(
        quota("reserving", namespace=NAMESPACE, reserve=reserve, **spec), quota("capping", perWorkflow=LOWER)
    )
    asked = mutate(urgent(), policies).reservation
    assert asked is not None
    assert {each.source: each.limits for each in asked.demands}["WorkflowQuota team-a/reserving"] == limits(3)


def test_an_invented_mark_counts_as_the_highest_priority_of_argo_at_most() -> None:
    """What bypassed admission may carry any number, and takes no place above runs that take over a slot."""
    assert hold.parse_quota_marks("1", "9" * 18, "ann").priority == HIGHEST_PRIORITY
    assert hold.parse_quota_marks("1", "-" + "9" * 18, "ann").priority == -HIGHEST_PRIORITY - 1
