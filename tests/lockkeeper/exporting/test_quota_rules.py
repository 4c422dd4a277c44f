"""What quotas say of one Workflow alone becomes rules; what they say of many is named with the reason."""

import pytest

from lockkeeper.exporting.quota_rules import quota_part
from policy.core.objects.label_selectors import LabelSelector
from policy.core.objects.workflow_selectors import References, WorkflowSelector
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    BorrowingSpec,
    ClusterWorkflowQuotaSpec,
    ElasticSpec,
    FairShareSpec,
    GroupSpec,
    OnExceed,
    PerWorkflow,
    PriorityAbove,
    QueueSpec,
    QuotaLimits,
    ReserveSpec,
    StopPolicy,
    WindowSpec,
    WorkflowQuotaSpec,
)

NIGHT = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(9))


def quota(**spec: object) -> WorkflowQuota:
    """Return a quota."""
    return WorkflowQuota(PolicyMetadata("q", "team"), WorkflowQuotaSpec(**spec))  # type: ignore[arg-type]


def codes(policy: WorkflowQuota | ClusterWorkflowQuota) -> list[str]:
    """Return the codes of its rules."""
    return [each.code.value for each in quota_part(policy).rules]


def unsaid(policy: WorkflowQuota | ClusterWorkflowQuota) -> list[str]:
    """Return the fields that are not said."""
    return [each.field for each in quota_part(policy).unsaid]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"per_workflow": PerWorkflow(max_tasks=4)}, ["TasksAboveCap", "TasksAboveCap"]),
        ({"per_workflow": PerWorkflow(max_priority=4)}, ["PriorityAboveCap"]),
        ({"per_workflow": PerWorkflow(max_priority=4, on_priority_above=PriorityAbove.LOWER)}, []),
        ({"limits": QuotaLimits(tasks=9)}, ["TasksAboveCap"]),
        ({"limits": QuotaLimits(workflows=9), "on_exceed": OnExceed.DENY}, []),
        ({"limits": QuotaLimits(workflows=0), "on_exceed": OnExceed.DENY}, ["ExceededQuota"]),
        ({"limits": QuotaLimits(workflows=0)}, []),
        ({"limits": QuotaLimits(tasks=9), "on_exceed": OnExceed.DENY}, ["TasksAboveCap", "ExceededQuota"]),
        ({"limits": QuotaLimits(workflows=0), "on_exceed": OnExceed.DENY, "windows": (NIGHT,)}, []),
    ],
)
def test_only_what_one_workflow_decides_is_a_rule(spec: dict[str, object], expected: list[str]) -> None:
    """Limits count where they are refused, and are the same at all times."""
    assert codes(quota(**spec)) == expected


def test_every_other_field_is_named() -> None:
    """Nothing is left out silently."""
    every = quota(
        limits=QuotaLimits(3),
        per_workflow=PerWorkflow(default_tasks=2, max_tasks=3, on_priority_above=PriorityAbove.LOWER),
        per_user=QuotaLimits(1),
        queue=QueueSpec(max_length=4),
        stop_policy=StopPolicy.HOLD,
        windows=(NIGHT,),
        reserve=(ReserveSpec(3, 1),),
        groups=(GroupSpec("branch", "{{workflow.labels.repo}}"),),
    )
    assert unsaid(every) == [
        "spec",
        "spec.limits",
        "spec.perWorkflow.defaultTasks",
        "spec.perWorkflow.maxTasks",
        "spec.perWorkflow.onPriorityAbove",
        "spec.perUser",
        "spec.queue",
        "spec.stopPolicy",
        "spec.windows",
        "spec.reserve",
        "spec.groups",
    ]


def test_fields_of_pools_are_named_too() -> None:
    """Nodes, shares and defaults are in no object."""
    spec = ClusterWorkflowQuotaSpec(
        namespace_selector=LabelSelector({"team": "a"}),
        limits=QuotaLimits(tasks=1),
        on_exceed=OnExceed.DENY,
        namespace_defaults=WorkflowQuotaSpec(limits=QuotaLimits(1)),
        borrowing=BorrowingSpec(),
        fair_share=FairShareSpec({"a": 2}),
        elastic=ElasticSpec(tasks_per_node=1),
    )
    pool = ClusterWorkflowQuota(PolicyMetadata("p"), spec)
    assert codes(pool) == ["TasksAboveCap"]
    assert unsaid(pool) == [
        "spec",
        "spec.limits",
        "spec.namespaceDefaults",
        "spec.borrowing",
        "spec.fairShare",
        "spec.elastic",
    ]


def test_a_quota_that_selects_by_references_has_no_rule() -> None:
    """A rule for all Workflows would refuse others."""
    selector = WorkflowSelector(match_references=References(workflow_templates=("t",)))
    policy = quota(selector=selector, per_workflow=PerWorkflow(max_tasks=4))
    assert codes(policy) == []
    assert "spec.selector.matchReferences" in unsaid(policy)
