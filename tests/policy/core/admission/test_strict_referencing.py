"""Where Argo lets a Workflow say nothing beside its template (Strict, Secure), that alone weighs it."""

import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.admission.task_bounds import Tasks, tasks_of
from policy.core.decision.decision import Code, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.core.values.amounts import UNLIMITED, Amount
from tests.policy.core.admission.attempts import update
from tests.policy.core.admission.tasking import (
    LIMITED,
    REF,
    STRICT,
    base,
    codes,
    edited,
    stored,
    under,
    weight,
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
    """Return the policies where Argo lets a Workflow with a template say nothing of its own."""
    return under(rule, base(parallelism), *more, defaults=STRICT)


def test_nothing_is_written_and_a_mark_says_what_weighs_it() -> None:
    """The leader looks at that template again before it lets the Workflow go."""
    made = stored(workflow(REF), strictly(5))
    assert (at(made, "spec"), weight(made)) == (REF, "5")
    assert texts(made, "metadata", "annotations")[well_known.WEIGHED_BY] == "WorkflowTemplate/base"


def test_a_default_is_not_written_and_a_warning_says_so() -> None:
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
def test_where_a_number_is_needed_the_template_has_to_say_it(rule: WorkflowQuota) -> None:
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


@pytest.mark.parametrize(("own", "weighs"), [(1, "5"), (7, "7")])
def test_a_number_of_its_own_makes_a_workflow_no_lighter(own: int, weighs: str) -> None:
    """Some versions of Argo take it, others end the Workflow: what is more counts."""
    assert weight(stored(workflow({**REF, "parallelism": own}), strictly(5))) == weighs


def test_without_a_reference_all_is_as_ever() -> None:
    """Argo runs no such Workflow there, whatever stands in it."""
    rule = quota(perWorkflow={"defaultTasks": 3})
    assert at(stored(workflow({}), strictly(5, rule=rule)), "spec", "parallelism") == 3


def test_another_template_may_weigh_no_more_and_the_mark_follows() -> None:
    """Who waits is weighed by the one that he refers to now."""
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


def test_nobody_else_writes_the_mark() -> None:
    """Not at the create, where it is taken away, and not later."""
    forged = workflow({"parallelism": 2}, annotations={well_known.WEIGHED_BY: "WorkflowTemplate/tiny"})
    assert well_known.WEIGHED_BY not in texts(stored(forged, under(LIMITED)), "metadata", "annotations")
    made = stored(workflow(REF), strictly(5))
    change: JsonObject = {"metadata": {"annotations": {well_known.WEIGHED_BY: "WorkflowTemplate/tiny"}}}
    assert codes(edited(made, change, strictly(5))) == [Code.GUARDED_MARK]


def test_where_nobody_counts_tasks_nothing_is_asked() -> None:
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
    """Nor is the number taken away, which is no bound at all."""
    if was is None:
        assert apply_policies(review_of(template(now), side, old=template(was)), strictly(5), NOW).allowed
        return
    (reason,) = apply_policies(review_of(template(now), side, old=template(was)), strictly(5), NOW).reasons
    assert (reason.code, reason.field) == (Code.TASKS_ABOVE_CAP, "spec.parallelism")
    assert reason.message.endswith("say nothing else: set it to 10 or less")
    assert reason.policy == "WorkflowQuota team-a/main"


@pytest.mark.parametrize(("was", "now"), [(5, 10), (20, 15), (20, 20), (10, 5)])
def test_what_stays_below_it_or_comes_nearer_is_free(was: int, now: int) -> None:
    """What was wrong before is nobody's fault now."""
    assert apply_policies(review_of(template(now), old=template(was)), strictly(5), NOW).allowed


def test_elsewhere_the_template_is_its_authors() -> None:
    """What waits has its number in itself; a template of the cluster is looked at when one is to go."""
    raised = review_of(template(1000), old=template(5))
    assert apply_policies(raised, under(LIMITED), NOW).allowed
    assert apply_policies(
        raised, under(quota(selector={"matchLabels": {"a": "b"}}), defaults=STRICT), NOW
    ).allowed
    everywhere = [template(each, "ClusterWorkflowTemplate") for each in (5, 1000)]
    assert apply_policies(review_of(everywhere[1], old=everywhere[0]), strictly(5), NOW).allowed
