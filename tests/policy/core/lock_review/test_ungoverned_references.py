"""Where no lock policy selects an object, its creator is still told of names in it that lead nowhere."""

from typing import Final

import pytest

from policy.core.decision.decision import Operation, Review
from policy.core.lock_review.ungoverned_references import ungoverned_references
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Snapshot
from tests.policy.core.builders import lock_policy, review, review_of, snapshot, template_object, workflow
from tests.policy.core.lock_graph.graphs import calling_other, leaf, steps

WRONG: Final[JsonObject] = {"entrypoint": "mian", "onExit": "nope", "templates": [leaf("main")]}
KINDS: Final = (
    ObjectKind.WORKFLOW,
    ObjectKind.WORKFLOW_TEMPLATE,
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE,
    ObjectKind.CRON_WORKFLOW,
)


def _object(kind: ObjectKind, spec: JsonObject) -> JsonObject:
    whole: JsonObject = {"schedules": ["@daily"], "workflowSpec": spec}
    obj = workflow(whole if kind is ObjectKind.CRON_WORKFLOW else spec)
    return {**obj, "kind": kind.value}


def _review(obj: JsonObject, old: JsonObject | None = None) -> Review:
    """Return the review of a create, or of an update of `old`."""
    if obj["kind"] != ObjectKind.WORKFLOW.value:
        return review_of(obj, old=old)
    return review(obj, operation=Operation.CREATE if old is None else Operation.UPDATE)


def _fields(reviewed: Review, policies: Snapshot, *, whole: bool = False) -> list[str]:
    return [each.path for each in ungoverned_references(reviewed, policies, whole=whole)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_entrypoint_that_does_not_exist_is_told_when_the_object_is_applied(kind: ObjectKind) -> None:
    """Of every kind, whatever policies there are."""
    at = "spec.workflowSpec." if kind is ObjectKind.CRON_WORKFLOW else "spec."
    obj = _object(kind, WRONG)
    assert _fields(_review(obj), snapshot()) == [f"{at}entrypoint", f"{at}onExit"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_policy_selects_is_left_to_the_policy(kind: ObjectKind) -> None:
    """It may have said `unknownReferences: Ignore`."""
    everything: list[JsonValue] = [
        each.value for each in KINDS if each is not ObjectKind.CLUSTER_WORKFLOW_TEMPLATE
    ]
    policies = snapshot(lock_policy(match={"kinds": everything}))
    found = _fields(_review(_object(kind, WRONG)), policies)
    assert bool(found) == (kind is ObjectKind.CLUSTER_WORKFLOW_TEMPLATE)


def test_other_objects_are_called_missing_only_where_all_are_known() -> None:
    """A watch may tell of one that was created just before some moments later."""
    known = template_object("there", {"templates": [leaf("x")]})
    calls = steps("m", [calling_other("there", "y")], [calling_other("gone", "x")])
    reviewed = _review(workflow({"entrypoint": "m", "templates": [calls]}))
    assert _fields(reviewed, snapshot(known)) == []
    assert _fields(reviewed, snapshot(known), whole=True) == [
        "spec.templates[0].steps[0][0].templateRef.template",
        "spec.templates[0].steps[1][0].templateRef",
    ]
    assert _fields(reviewed, snapshot(), whole=True) == []


def test_an_edit_beside_the_spec_is_not_told_again() -> None:
    """Nor is an update of a Workflow, whose spec Argo has read already."""
    kind = ObjectKind.WORKFLOW_TEMPLATE
    obj = _object(kind, WRONG)
    edited = _review(obj, old=obj)
    assert _fields(edited, snapshot()) == []
    before = _object(kind, {"templates": [leaf("main")]})
    assert len(_fields(_review(obj, old=before), snapshot())) == 2
    assert _fields(_review(workflow(WRONG), old=workflow(WRONG)), snapshot()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_of_another_objects_spec_is_told_where_it_does_not_hold(kind: ObjectKind) -> None:
    """A call by templateRef runs one template, and takes no lock of the whole."""
    locked: JsonObject = {"templates": [leaf("count")], "synchronization": {"mutexes": [{"name": "stock"}]}}
    stored = template_object("stock", locked, kind="ClusterWorkflowTemplate", namespace=None)
    call = calling_other("stock", "count", cluster=True)
    obj = _object(kind, {"entrypoint": "m", "templates": [steps("m", [call])]})
    at = "spec.workflowSpec" if kind is ObjectKind.CRON_WORKFLOW else "spec"
    assert _fields(_review(obj), snapshot(stored)) == [f"{at}.templates[0].steps[0][0].templateRef"]
    assert _fields(_review(obj, old=obj), snapshot(stored)) == []
