"""What quotas say of one Workflow alone: caps of its tasks and priority, and limits that it can never fit."""

from collections.abc import Iterator
from typing import Final

import msgspec

from lockkeeper.exporting.static_rules import EDITED, StaticPart, StaticRule, Unsaid, governed_by
from policy.core.decision.decision import Code
from policy.core.objects.label_selectors import LabelSelector
from policy.core.policies.conflicts import name_of
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    ClusterWorkflowQuotaSpec,
    OnExceed,
    PriorityAbove,
    QuotaLimits,
    WorkflowQuotaSpec,
)

_PARALLELISM: Final = "has(object.spec.parallelism) && object.spec.parallelism != null"
_PRIORITY: Final = "has(object.spec.priority) && object.spec.priority != null"
_USAGE: Final = "what runs already is not in the object"
_REASONS: Final = {
    "queue": "an admission policy lets in or refuses, and holds nothing",
    "stop_policy": "an admission policy lets in or refuses, and holds nothing",
    "windows": "an expression knows no time",
    "reserve": _USAGE,
    "per_user": _USAGE,
    "groups": _USAGE,
    "borrowing": _USAGE,
    "fair_share": _USAGE,
    "elastic": "nodes are not in the object",
    "namespace_defaults": "whether they count depends on the quotas of each namespace",
}


def quota_part(quota: WorkflowQuota | ClusterWorkflowQuota) -> StaticPart:
    """Return what a quota says of one Workflow alone."""
    spec, name = quota.spec, name_of(quota)
    # What selects by references is no label, and a rule for all Workflows would refuse others, too.
    refers = spec.selector.match_references is not None
    rules = () if refers else tuple(_rules(spec))
    edits = (("spec", EDITED),) if rules else ()
    unsaid = tuple(Unsaid(str(name), *each) for each in (*edits, *_unsaid(spec)))
    chosen = LabelSelector(spec.selector.match_labels, spec.selector.match_expressions)
    return StaticPart(
        policy=name,
        resources=("workflows",),
        namespaces=governed_by(quota),
        workflows=chosen,
        rules=rules,
        unsaid=unsaid,
    )


def _rules(spec: WorkflowQuotaSpec) -> Iterator[StaticRule]:
    each = spec.per_workflow
    if each.max_tasks is not None:
        yield StaticRule(
            Code.TASKS_ABOVE_CAP,
            f"!({_PARALLELISM}) || object.spec.parallelism <= {each.max_tasks}",
            f"spec.parallelism: is above the cap of {each.max_tasks} tasks of one Workflow: lower it",
        )
    if each.max_tasks is not None or _limited(spec, "tasks"):
        yield StaticRule(
            Code.TASKS_ABOVE_CAP,
            f"!({_PARALLELISM}) || object.spec.parallelism >= 1",
            "spec.parallelism: lets Argo start no task at all: set it to 1 or more",
        )
    if each.max_priority is not None and each.on_priority_above is PriorityAbove.DENY:
        yield StaticRule(
            Code.PRIORITY_ABOVE_CAP,
            f"!({_PRIORITY}) || object.spec.priority <= {each.max_priority}",
            f"spec.priority: is above the cap of {each.max_priority} for priorities: set it to that or less",
        )
    if _refuses_what_never_fits(spec):
        yield from _never_fits(spec)


def _never_fits(spec: WorkflowQuotaSpec) -> Iterator[StaticRule]:
    tasks, workflows = spec.limits.tasks, spec.limits.workflows
    if isinstance(tasks, int):
        yield StaticRule(
            Code.EXCEEDED_QUOTA,
            f"!({_PARALLELISM}) || object.spec.parallelism <= {tasks}",
            f"spec.parallelism: is above the limit of {tasks} tasks of all Workflows together: lower it",
        )
    if isinstance(workflows, int) and workflows < 1:
        yield StaticRule(Code.EXCEEDED_QUOTA, "false", "no Workflow may run: the limit is 0")


def _refuses_what_never_fits(spec: WorkflowQuotaSpec) -> bool:
    """Return whether limits are the same at all times, and what is above them is refused."""
    changes = bool(spec.windows)
    if isinstance(spec, ClusterWorkflowQuotaSpec):
        changes = changes or spec.elastic is not None or spec.borrowing is not None
    return spec.on_exceed is OnExceed.DENY and not changes


def _limited(spec: WorkflowQuotaSpec, resource: str) -> bool:
    """Return whether a number of a resource is given at some time."""
    limits = [spec.limits, spec.per_user, *(each.limits for each in spec.windows)]
    return any(isinstance(getattr(each, resource), int) for each in limits)


def _unsaid(spec: WorkflowQuotaSpec) -> Iterator[tuple[str, str]]:
    """Yield the fields that are not in the rules."""
    if spec.selector.match_references is not None:
        yield (
            "spec.selector.matchReferences",
            "selectors of admission policies know labels alone, so nothing of this quota is exported",
        )
    if spec.limits != QuotaLimits():
        yield (
            "spec.limits",
            f"{_USAGE}; a Workflow that is above a limit by itself is refused under Deny alone",
        )
    if spec.per_workflow.default_tasks is not None:
        yield "spec.perWorkflow.defaultTasks", "an expression writes nothing into the object"
    if spec.per_workflow.max_tasks is not None:
        yield (
            "spec.perWorkflow.maxTasks",
            "parallelism of a template that the Workflow refers to is not in the object",
        )
    if spec.per_workflow.on_priority_above is PriorityAbove.LOWER:
        yield "spec.perWorkflow.onPriorityAbove", "an expression writes nothing into the object"
    empty = WorkflowQuotaSpec()
    for each in msgspec.structs.fields(spec):
        why = _REASONS.get(each.name)
        if why is not None and getattr(spec, each.name) != getattr(empty, each.name, _absent(each.name)):
            yield f"spec.{each.encode_name}", why


def _absent(name: str) -> object:
    """Return what a field of pools has that is not written."""
    empty = ClusterWorkflowQuotaSpec(namespace_selector=LabelSelector())
    return getattr(empty, name)
