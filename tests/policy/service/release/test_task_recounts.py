"""Under Strict and Secure referencing, Workflows that wait have the tasks of their template as it is now."""

from typing import Final

import msgspec
import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.protocol import WORKFLOWS
from policy.core.admission.task_recount import TaskRecount, recounted
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata, TemplateObject, WorkflowDefaults, WorkflowSpec
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import PerWorkflow, QuotaLimits, WorkflowQuotaSpec
from policy.core.queue.positions import WaitReason
from policy.core.quota.accounts import Account, Root
from policy.core.values.amounts import Amount
from tests.policy.service.world import (
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    nothing,
    part,
    quota,
    snapshot_of,
    submit,
)

ACCOUNT: Final = Account("etl", "q")
LIMITS: Final = WorkflowQuotaSpec(limits=QuotaLimits(None, 10), per_workflow=PerWorkflow(max_tasks=10))
QUOTA: Final = WorkflowQuota(PolicyMetadata("q", "etl"), LIMITS)
BY: Final = "WorkflowTemplate/base"


def template(tasks: int | None) -> Document:
    """Return the template that the Workflows refer to."""
    return TemplateObject(
        "WorkflowTemplate", Metadata(name="base", namespace="etl"), WorkflowSpec(parallelism=tasks)
    )


def strict(*documents: Document, default: int | None = None) -> Snapshot:
    """Return the policies where Argo lets a Workflow say nothing beside its template."""
    defaults = WorkflowDefaults(parallelism=default, references_only=True)
    return msgspec.structs.replace(snapshot_of(*documents), argo_defaults=defaults)


@pytest.fixture
def leader(spy: Spy, clock: Clock) -> Leader:
    """Return a leader; the first of two Workflows of five tasks runs, and both fit."""
    made = Leader(spy, strict(QUOTA, template(5)), clock)
    submit(made.cluster, made.snapshot, referring("first"), namespace="etl")
    assert made.work() == 1
    submit(made.cluster, made.snapshot, referring("second"), namespace="etl")
    return made


def referring(name: str) -> JsonObject:
    """Return a Workflow that is nothing but a reference."""
    return {**draft(name), "spec": {"workflowTemplateRef": {"name": "base"}}}


def mark(leader: Leader, name: str) -> object:
    """Return the mark of the weight of a Workflow."""
    obj = leader.cluster.get(WORKFLOWS, name, namespace="etl")
    return part(obj, "metadata", "annotations", well_known.TASKS)


def test_one_whose_template_stays_is_released_with_what_it_was_admitted_with(leader: Leader) -> None:
    """Both have five of ten."""
    assert leader.work() == 1
    assert (mark(leader, "second"), leader.ledgers.read(Root.of_namespace("etl")).used) != ("", {})
    assert mark(leader, "second") == "5"


def test_one_whose_template_was_raised_waits_until_there_is_capacity_for_that(leader: Leader) -> None:
    """Six more than five do not fit; alone it goes, and counts what it will run."""
    leader.snapshot = strict(QUOTA, template(6))
    assert leader.work() == 0
    assert leader.held("etl") == {"first": False, "second": True}
    complete(leader.cluster, "first", namespace="etl")
    assert leader.work() == 1
    assert mark(leader, "second") == "6"
    leader.work()
    assert leader.ledgers.read(Root.of_namespace("etl")).used[ACCOUNT].tasks == 6


def test_one_that_waits_already_is_recounted(leader: Leader) -> None:
    """The state stays where only a template was edited."""
    blocked = quota("etl", "q", tasks=5)
    leader.snapshot = strict(blocked, template(5))
    assert leader.work() == 0
    leader.snapshot = strict(quota("etl", "q", tasks=10), template(6))
    assert leader.work() == 0
    leader.snapshot = strict(quota("etl", "q", tasks=11), template(6))
    assert leader.work() == 1
    assert mark(leader, "second") == "6"


def test_it_is_seen_by_one_whose_release_could_not_be_written(leader: Leader, spy: Spy) -> None:
    """It is planned and waits again: with the tasks that it has by then, not with those it had."""

    def fail(call: Call) -> None:
        if call.writes_ledger:
            raise Unavailable("no answer")

    spy.before = fail
    with pytest.raises(Unavailable):
        leader.work()
    spy.before = nothing
    leader.snapshot = strict(QUOTA, template(6))
    assert leader.work() == 0
    assert leader.held("etl") == {"first": False, "second": True}


def test_one_above_the_cap_is_not_released_and_shows_why(leader: Leader) -> None:
    """Until the template is lowered again; no other way is left to mend it."""
    leader.snapshot = strict(QUOTA, template(1000))
    complete(leader.cluster, "first", namespace="etl")
    assert leader.work() == 0
    told = [(name, reason) for name, reason, _ in leader.told.reasons]
    assert ("second", WaitReason.MISCONFIGURED) in told
    message = part(leader.cluster.get(WORKFLOWS, "second", namespace="etl"), "status", "message")
    assert (
        "it is not let go: WorkflowTemplate/base says 1000 tasks now, above the cap of 10 tasks of one "
        "Workflow: lower its spec.parallelism, or delete the Workflow"
    ) in str(message)
    leader.snapshot = strict(QUOTA, template(4))
    assert leader.work() == 1


def test_what_runs_keeps_what_it_was_released_with(leader: Leader) -> None:
    """Argo has stored its spec."""
    leader.work()
    leader.snapshot = strict(QUOTA, template(6))
    leader.work()
    assert leader.ledgers.read(Root.of_namespace("etl")).used[ACCOUNT].tasks == 10


@pytest.mark.parametrize(
    ("says", "admitted", "default", "weighs"),
    [
        (7, 5, None, 7),
        (3, 5, None, 5),
        (None, 5, None, None),
        (None, 5, 8, 8),
        (7, None, None, 7),
        (0, None, None, 0),
    ],
)
def test_its_tasks_are_those_of_its_template_and_never_less_than_it_was_admitted_with(
    says: int | None, admitted: int | None, default: int | None, weighs: int | None
) -> None:
    """Some versions of Argo take a number of its own; where there was none the template decides."""
    policies = strict(QUOTA, template(says), default=default)
    quotas = policies.policies("etl").quotas
    found = recounted(BY, Amount(admitted), "etl", quotas, policies)
    assert found == TaskRecount(Amount(weighs))


@pytest.mark.parametrize("by", [BY, "WorkflowTemplate/", "Secret/base", "ClusterWorkflowTemplate/base"])
def test_one_whose_template_is_unknown_has_the_tasks_it_was_admitted_with(by: str) -> None:
    """Argo ends it with an error."""
    policies = strict(QUOTA)
    assert recounted(by, Amount(5), "etl", (), policies) == TaskRecount(Amount(5))
