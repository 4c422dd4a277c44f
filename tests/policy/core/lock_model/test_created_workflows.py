"""What a resource template creates is read from its manifest, as far as that is fixed."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from policy.core.lock_model.created_workflows import created_workflows, waits_for_workflow
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Template

VALUES = {"workflow.parameters.team": "etl"}


def _read(text: str) -> Sequence[Any]:
    return [msgspec.json.decode(text)]


def _child(**metadata: JsonValue) -> JsonObject:
    spec: JsonObject = {"workflowTemplateRef": {"name": "child"}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


def _template(manifest: JsonObject | None = None, **resource: JsonValue) -> Template:
    text = msgspec.json.encode(_child(generateName="child-") if manifest is None else manifest).decode()
    given: JsonObject = {
        "action": "create",
        "successCondition": "status.phase == Succeeded",
        "manifest": text,
    }
    return msgspec.convert({"name": "make", "resource": {**given, **resource}}, Template)


def test_the_fixed_parts_of_a_manifest_are_read() -> None:
    """Labels that only the run gives are left out, and known tags are filled in."""
    labels: JsonObject = {"team": "{{workflow.parameters.team}}", "run": "{{inputs.parameters.run}}"}
    (found,) = created_workflows(_template(_child(labels=labels, namespace="other")), _read, VALUES)
    assert found.namespace == "other"
    assert found.labels == {"team": "etl"}
    assert found.spec.workflow_template_ref is not None
    assert not found.owned


@pytest.mark.parametrize(
    "resource",
    [
        {"successCondition": None},
        {"action": "get"},
        {"action": "delete"},
        {"action": "patch"},
    ],
)
def test_who_creates_none_or_does_not_wait_is_passed_over(resource: JsonObject) -> None:
    """Argo waits only where it has a condition to wait for."""
    template = _template(None, **resource)
    assert not waits_for_workflow(template)
    assert not list(created_workflows(template, _read, VALUES))


@pytest.mark.parametrize(
    "manifest",
    [
        {**_child(), "kind": "WorkflowTemplate"},
        {**_child(), "apiVersion": "batch/v1"},
        _child(namespace="{{inputs.parameters.where}}"),
        {**_child(), "spec": "{{inputs.parameters.spec}}"},
    ],
)
def test_what_is_no_workflow_or_not_fixed_is_passed_over(manifest: JsonObject) -> None:
    """No guess is made."""
    assert not list(created_workflows(_template(manifest), _read, VALUES))


def test_a_condition_to_fail_makes_it_wait_as_well() -> None:
    """So it is in Argo's executor."""
    assert waits_for_workflow(_template(successCondition=None, failureCondition="status.phase == Failed"))


def test_an_owner_is_set_by_the_template_or_in_the_manifest() -> None:
    """Both make it a child."""
    owner: JsonObject = {"kind": "Workflow", "name": "it", "controller": True}
    for template in (_template(setOwnerReference=True), _template(_child(ownerReferences=[owner]))):
        (found,) = created_workflows(template, _read, VALUES)
        assert found.owned
