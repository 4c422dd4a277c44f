"""Where Argo lets a Workflow set nothing beside its template (Strict, Secure), that alone sets its tasks."""

import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.admission.tasks_and_priority import Tasks, tasks_of
from policy.core.decision.decision import Code, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.core.values.amounts import UNLIMITED, Amount
from tests.policy.core.admission.attempts import update
from tests.policy.core.admission.task_cases import (
    LIMITED,
    REF,
    STRICT,
    base,
    codes,
    edited,
    stored,
    task_mark,
    under,
)
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    at,
    mutate,
    patched,
    quota,
    review_of,
    spec_of,
    texts,
    workflow,
)


def strictly(parallelism: int | None, *more: Document, rule: WorkflowQuota = LIMITED) -> Snapshot:
    """Return the policies where Argo lets a Workflow with a template set nothing of its own."""
    return under(rule, base(parallelism), *more, defaults=STRICT)


def test_no_number_is_written_and_a_mark_names_the_template() -> None:
    """The leader looks at that template again before it lets the Workflow go."""
    made = stored(workflow(REF), strictly(5))
    assert (at(made, "spec"), task_mark(made)) == (REF, "5")
    assert texts(made, "metadata", "annotations")[well_known.WEIGHED_BY] == "WorkflowTemplate/base"


def test_a_default_is_not_written_and_the_user_is_warned() -> None:
    """Argo would end the Workflow with an error."""
    rule = quota(limits={"workflows": 1}, perWorkflow={"defaultTasks": 3})
    decision = mutate(workflow(REF), strictly(None, rule=rule))
    assert patched(workflow(REF), decision.patch)["spec"] == REF
    assert (
        "lockkeeper: spec.workflowTemplateRef leads to WorkflowTemplate/base, which sets no "
        "parallelism: its tasks have no bound"
    ) in decision.warnings


@pytest.mark.parametrize(
    "rule",
    [
        quota(limits={"tasks": 20}, perWorkflow={"defaultTasks": 3, "maxTasks": 10}),
        quota(perWorkflow={"maxTasks": 10}),
    ],
)
def test_where_a_number_is_needed_the_template_must_have_it(rule: WorkflowQuota) -> None:
    """The message names the template: nothing that is written into the Workflow would help."""
    (reason,) = mutate(workflow(REF), strictly(None, rule=rule)).reasons
    assert (reason.code, reason.field) == (Code.UNBOUNDED_TASKS, "spec.workflowTemplateRef")
    assert (
        "set spec.parallelism of WorkflowTemplate/base (Argo's templateReferencing lets no Workflow set "
        "it) to the number of tasks that may run at once, at most 10"
    ) in reason.message


def test_a_template_above_the_cap_is_what_has_to_be_lowered() -> None:
    """Its Workflows are refused until it is."""
    (reason,) = mutate(workflow(REF), strictly(11)).reasons
    assert (reason.field, reason.message) == (
        "spec.workflowTemplateRef",
        ("11 is above the cap of 10 tasks of one Workflow: lower spec.parallelism of WorkflowTemplate/base"),
    )


@pytest.mark.parametrize(("own", "counted"), [(1, "5"), (7, "7")])
def test_a_number_of_its_own_does_not_lower_the_task_count(own: int, counted: str) -> None:
    """Some versions of Argo take it, others end the Workflow: what is more counts."""
    assert task_mark(stored(workflow({**REF, "parallelism": own}), strictly(5))) == counted


def test_without_a_reference_nothing_changes() -> None:
    """Argo runs no such Workflow there, whatever is in it."""
    rule = quota(perWorkflow={"defaultTasks": 3})
    assert at(stored(workflow({}), strictly(5, rule=rule)), "spec", "parallelism") == 3


def test_another_template_may_have_no_more_tasks_and_the_mark_follows() -> None:
    """A waiting Workflow counts with the template that it refers to now."""
    policies = strictly(5, base(9, "more"), base(2, "less"))
    made = stored(workflow(REF), policies)
    more: JsonObject = {"spec": {"workflowTemplateRef": {"name": "more"}}}
    (reason,) = edited(made, more, policies).reasons
    assert (reason.code, reason.field) == (Code.TASKS_RAISED, "spec.workflowTemplateRef")
    less: JsonObject = {"spec": {"workflowTemplateRef": {"name": "less"}}}
    right = patched(merge(made, less), edited(made, less, policies).patch)
    assert texts(right, "metadata", "annotations")[well_known.WEIGHED_BY] == "WorkflowTemplate/less"
    assert apply_policies(update(made, right, Side.VALIDATE), policies, NOW).allowed
    assert codes(edited(made, less, policies, Side.VALIDATE)) == [Code.NOT_MUTATED]


def test_only_lockkeeper_writes_the_mark() -> None:
    """Not at the create, where it is removed, and not later."""
    forged = workflow({"parallelism": 2}, annotations={well_known.WEIGHED_BY: "WorkflowTemplate/tiny"})
    assert well_known.WEIGHED_BY not in texts(stored(forged, under(LIMITED)), "metadata", "annotations")
    made = stored(workflow(REF), strictly(5))
    change: JsonObject = {"metadata": {"annotations": {well_known.WEIGHED_BY: "WorkflowTemplate/tiny"}}}
    assert codes(edited(made, change, strictly(5))) == [Code.GUARDED_MARK]


def test_where_no_quota_counts_tasks_no_number_is_needed() -> None:
    """A quota on Workflows alone."""
    policies = under(quota(limits={"workflows": 1}), defaults=STRICT)
    quotas = policies.policies(NAMESPACE).quotas
    found = tasks_of(spec_of(REF), NAMESPACE, quotas, policies, NOW)
    assert found == Tasks(UNLIMITED, by="WorkflowTemplate/base")
    assert Amount(None) == found.amount


def template(parallelism: int | None, kind: str = "WorkflowTemplate") -> JsonObject:
    """Return a template as its author writes it."""
    spec: JsonObject = {"entrypoint": "main"}
    if parallelism is not None:
        spec["parallelism"] = parallelism
    metadata: JsonObject = {"name": "base", "namespace": NAMESPACE}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
@pytest.mark.parametrize(("was", "now"), [(5, 11), (None, 11), (5, None), (20, 30)])
def test_it_does_not_raise_above_the_cap(was: int | None, now: int | None, side: Side) -> None:
    """Nor is the number removed, which would be no bound at all."""
    if was is None:
        assert apply_policies(review_of(template(now), side, old=template(was)), strictly(5), NOW).allowed
        return
    (reason,) = apply_policies(review_of(template(now), side, old=template(was)), strictly(5), NOW).reasons
    assert (reason.code, reason.field) == (Code.TASKS_ABOVE_CAP, "spec.parallelism")
    assert reason.message.endswith("say nothing else: set it to 10 or less")
    assert reason.policy == "WorkflowQuota team-a/main"


@pytest.mark.parametrize(("was", "now"), [(5, 10), (20, 15), (20, 20), (10, 5)])
def test_an_edit_below_the_cap_or_towards_it_is_allowed(was: int, now: int) -> None:
    """What was wrong before is no fault of the edit."""
    assert apply_policies(review_of(template(now), old=template(was)), strictly(5), NOW).allowed


def test_where_no_cap_is_certain_any_edit_of_a_template_is_allowed() -> None:
    """A waiting Workflow has its own number; a template of the cluster is checked at a release."""
    raised = review_of(template(1000), old=template(5))
    assert apply_policies(raised, under(LIMITED), NOW).allowed
    assert apply_policies(
        raised, under(quota(selector={"matchLabels": {"a": "b"}}), defaults=STRICT), NOW
    ).allowed
    everywhere = [template(each, "ClusterWorkflowTemplate") for each in (5, 1000)]
    assert apply_policies(review_of(everywhere[1], old=everywhere[0]), strictly(5), NOW).allowed
