"""`spec.workflowMetadata` reaches the Workflow after admission, by Argo's own hand: what it may not set."""

from typing import Final

import pytest

from policy.core.decision.decision import Code, Decision
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from tests.policy.core.builders import mutate, quota, snapshot, template_object, workflow

POLICIES: Final = (
    quota("main"),
    quota("etl", selector={"matchLabels": {"team": "etl"}}),
    quota("night", selector={"matchExpressions": [{"key": "night", "operator": "Exists"}]}),
)
HOSTILE: Final[dict[str, JsonObject]] = {
    f"labels[{well_known.INSTANCE_ID}]": {"labels": {well_known.INSTANCE_ID: "nobody"}},
    f"labels[{well_known.COMPLETED}]": {"labels": {well_known.COMPLETED: "true"}},
    f"labels[{well_known.RESERVATION}]": {"labels": {well_known.RESERVATION: "stolen"}},
    f"labels[{well_known.CHILD_OF}]": {"labels": {well_known.CHILD_OF: "uid-9"}},
    f"labelsFrom[{well_known.INSTANCE_ID}]": {
        "labelsFrom": {well_known.INSTANCE_ID: {"expression": "'nobody'"}}
    },
    f"annotations[{well_known.TASKS}]": {"annotations": {well_known.TASKS: "0"}},
    "labels[team]": {"labels": {"team": "other"}},
    "labelsFrom[team]": {"labelsFrom": {"team": {"expression": "'other'"}}},
    "labels[night]": {"labels": {"night": "yes"}},
}
FREE: Final[dict[str, JsonObject]] = {
    "nothing": {},
    "labels of the user": {"labels": {"note": "mine"}, "labelsFrom": {"other": {"expression": "'a'"}}},
    "the label that it has": {"labels": {"team": "etl"}},
    "the instance that it has": {"labels": {well_known.INSTANCE_ID: "prod"}},
    "annotations of the user": {"annotations": {"note": "mine", "workflows.argoproj.io/title": "a"}},
}


def _created(spec: JsonObject, policies: Snapshot) -> Decision:
    return mutate(workflow(spec, labels={"team": "etl", well_known.INSTANCE_ID: "prod"}), policies)


@pytest.mark.parametrize("field", HOSTILE)
def test_a_workflow_may_not_have_it_set(field: str) -> None:
    """Out of sight, over, weightless, or under other quotas."""
    decision = _created({"entrypoint": "main", "workflowMetadata": HOSTILE[field]}, snapshot(*POLICIES))
    (reason,) = decision.reasons
    assert (reason.code, reason.field) == (Code.HOSTILE_METADATA, f"spec.workflowMetadata.{field}")


@pytest.mark.parametrize("field", HOSTILE)
def test_a_template_may_not_have_it_set_either(field: str) -> None:
    """It is merged into the Workflow that refers to it."""
    template = template_object("base", {"workflowMetadata": HOSTILE[field]})
    spec: JsonObject = {"workflowTemplateRef": {"name": "base"}}
    (reason,) = _created(spec, snapshot(*POLICIES, template)).reasons
    assert (reason.code, reason.field) == (Code.HOSTILE_METADATA, f"spec.workflowMetadata.{field}")
    assert "in the template base" in reason.message


@pytest.mark.parametrize("what", FREE)
def test_everything_else_is_allowed(what: str) -> None:
    """What means nothing to us, and what is so already."""
    decision = _created({"entrypoint": "main", "workflowMetadata": FREE[what]}, snapshot(*POLICIES))
    assert decision.reasons == ()
