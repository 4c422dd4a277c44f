"""Short ways to review Workflows by what decides how many tasks they run: themselves, templates, Argo."""

from typing import Final

import msgspec

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import WorkflowDefaults
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.admission.attempts import update
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    mutate,
    patched,
    pool,
    quota,
    snapshot,
    template_object,
    texts,
    validate,
)

REF: Final[JsonObject] = {"workflowTemplateRef": {"name": "base"}}
STRICT: Final = WorkflowDefaults(references_only=True)
LIMITED: Final = quota(limits={"tasks": 20}, perWorkflow={"maxTasks": 10})
WINDOW: Final[JsonObject] = {
    "name": "night",
    "schedule": "0 0 * * *",
    "duration": "1h",
    "limits": {"tasks": 9},
}
ELASTIC: Final[JsonObject] = {"tasksPerCPU": 2, "min": {"tasks": 5}}
BORROWING: Final[JsonObject] = {"shares": {NAMESPACE: {"tasks": 6}}, "borrowingLimit": {"tasks": 3}}
SHARE: Final = pool(limits={"workflows": 40}, borrowing=BORROWING)
"""Bounds the tasks of one member by the pool's word alone."""


def base(parallelism: int | None = 5, name: str = "base", *, cluster: bool = False) -> Document:
    """Return a template with a number of tasks, or without."""
    spec: JsonObject = {} if parallelism is None else {"parallelism": parallelism}
    kind = "ClusterWorkflowTemplate" if cluster else "WorkflowTemplate"
    return template_object(name, spec, kind=kind, namespace=None if cluster else NAMESPACE)


def under(*documents: Document, defaults: WorkflowDefaults | None = None) -> Snapshot:
    """Return the policies, with the defaults of Argo's controller."""
    return msgspec.structs.replace(snapshot(*documents), argo_defaults=defaults or WorkflowDefaults())


def stored(obj: JsonObject, policies: Snapshot) -> JsonObject:
    """Return a Workflow as both sides let it be stored."""
    decision = mutate(obj, policies)
    assert decision.allowed, decision.reasons
    made = patched(obj, decision.patch)
    again = validate(made, policies)
    assert (again.outcome, again.reasons) == (decision.outcome, ())
    assert mutate(made, policies).patch == ()
    return made


def task_mark(obj: JsonObject) -> JsonValue:
    """Return the mark of the number of tasks."""
    return texts(obj, "metadata", "annotations")[well_known.TASKS]


def edited(old: JsonObject, change: JsonObject, policies: Snapshot, side: Side = Side.MUTATE) -> Decision:
    """Return what is decided about an edit."""
    return apply_policies(update(old, merge(old, change), side), policies, NOW)


def codes(decision: Decision) -> list[Code]:
    """Return why something is refused."""
    return [each.code for each in decision.reasons]
