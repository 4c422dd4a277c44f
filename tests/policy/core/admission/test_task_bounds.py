"""The number of tasks of a Workflow stays what was weighed, whatever becomes of what it came from."""

import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Outcome, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow_defaults import WorkflowDefaults
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.kinds import WorkflowQuota
from tests.policy.core.admission.attempts import RETRY, update
from tests.policy.core.admission.tasking import (
    BORROWING,
    ELASTIC,
    LIMITED,
    REF,
    SHARE,
    WINDOW,
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
    pool,
    quota,
    validate,
    workflow,
)


@pytest.mark.parametrize("cluster", [False, True])
def test_who_edits_a_template_while_its_workflow_waits_changes_nothing(cluster: bool) -> None:  # noqa: FBT001
    """The Workflow's own number wins when Argo merges the template in, whatever that says then."""
    ref: JsonObject = {"workflowTemplateRef": {"name": "base", "clusterScope": cluster}}
    made = stored(workflow(ref), under(LIMITED, base(5, cluster=cluster)))
    assert (at(made, "spec", "parallelism"), weight(made)) == (5, "5")
    later = under(LIMITED, base(1000, cluster=cluster))
    assert edited(made, {"spec": {"priority": 1}}, later).allowed
    assert validate(made, later).reasons == ()


def test_so_does_who_deletes_it_or_makes_it_anew() -> None:
    """A template that is not there ends the Workflow in error, and another of its name has no say."""
    made = stored(workflow(REF), under(LIMITED, base(5)))
    for later in (under(LIMITED), under(LIMITED, base(None))):
        assert validate(made, later).reasons == ()


def test_so_does_who_leads_it_to_another_template() -> None:
    """The number that was weighed stands in the Workflow."""
    policies = under(LIMITED, base(5), base(1000, "huge"))
    made = stored(workflow(REF), policies)
    change: JsonObject = {"spec": {"workflowTemplateRef": {"name": "huge"}}}
    assert edited(made, change, policies).outcome is Outcome.IGNORED


def test_so_does_who_applies_his_file_again_that_has_no_number() -> None:
    """It is put back, also where the template has another by now."""
    made = stored(workflow(REF), under(LIMITED, base(5)))
    later = under(LIMITED, base(9))
    change: JsonObject = {"spec": {"parallelism": None}}
    decision = edited(made, change, later)
    assert patched(merge(made, change), decision.patch) == made
    assert codes(edited(made, change, later, Side.VALIDATE)) == [Code.NOT_MUTATED]


@pytest.mark.parametrize("number", [1000, None])
def test_another_webhook_that_comes_after_ours_is_noticed(number: int | None) -> None:
    """It raises the number or takes it away; the API server asks the validating side about the result."""
    policies = under(LIMITED, base(5))
    raised = merge(stored(workflow(REF), policies), {"spec": {"parallelism": number}})
    assert not validate(raised, policies).allowed


def test_argos_own_default_is_written_too() -> None:
    """Whoever edits the ConfigMap of the controller changes nothing for those that wait."""
    made = stored(workflow({}), under(LIMITED, defaults=WorkflowDefaults(parallelism=7)))
    assert (at(made, "spec", "parallelism"), weight(made)) == (7, "7")


@pytest.mark.parametrize("rule", [quota(limits={"workflows": 1}), quota(perUser={"workflows": 1})])
def test_nothing_is_written_where_nobody_counts_tasks(rule: WorkflowQuota) -> None:
    """A quota on Workflows alone leaves the spec as it is."""
    made = stored(workflow(REF), under(rule, base(5)))
    assert (at(made, "spec"), weight(made)) == (REF, "5")


def test_where_only_a_cap_is_set_it_is_what_a_workflow_gets_that_says_nothing() -> None:
    """Else who leaves the number out would be above every cap."""
    policies = under(quota(perWorkflow={"maxTasks": 10}), base(None))
    for spec in ({}, REF):
        made = stored(workflow({**spec}), policies)
        assert (at(made, "spec", "parallelism"), weight(made)) == (10, "10")
        assert edited(made, {"spec": {"parallelism": None}}, policies).patch != ()


@pytest.mark.parametrize("document", [quota(windows=[WINDOW]), pool(elastic=ELASTIC), SHARE])
def test_who_runs_raises_his_tasks_no_more(document: Document) -> None:
    """The raise is refused in the words that any limit has."""
    policies = under(document)
    made = stored(workflow({"parallelism": 1}), policies)
    (reason,) = edited(made, {"spec": {"parallelism": 1000}}, policies).reasons
    assert reason.code is Code.TASKS_RAISED
    assert reason.message.startswith("1000 is more than the 1 tasks that the Workflow was admitted with")


def test_who_says_no_number_is_told_at_once() -> None:
    """He would wait for ever without a word: no number of nodes is enough."""
    decision = mutate(workflow({}), under(pool(elastic=ELASTIC)))
    (reason,) = decision.reasons
    assert (reason.code, reason.field, reason.message) == (
        Code.UNBOUNDED_TASKS,
        "spec.parallelism",
        (
            "is not set, and ClusterWorkflowQuota shared limits tasks: set it to the number of tasks that "
            "may run at once"
        ),
    )


def test_a_template_that_nobody_knows_is_named() -> None:
    """It may set the number, and be misspelt or not be there yet."""
    (reason,) = mutate(workflow(REF), under(LIMITED, base(5, "other"))).reasons
    assert reason.field == "spec.parallelism"
    assert reason.message.startswith(
        "is not set, nor is WorkflowTemplate/base known, which might set it, and WorkflowQuota team-a/main"
    )


def test_a_share_that_its_pool_says_bounds_the_tasks_of_its_member_alone() -> None:
    """Neither a quota of the member nor the limit of the pool says so."""
    (reason,) = mutate(workflow({}), under(SHARE)).reasons
    assert (reason.code, reason.field) == (Code.UNBOUNDED_TASKS, "spec.parallelism")
    off = pool(borrowing={**BORROWING, "enabled": False})
    other = pool(borrowing={**BORROWING, "shares": {"team-b": {"tasks": 6}}})
    no_tasks = pool(borrowing={**BORROWING, "shares": {NAMESPACE: {"workflows": 6}}})
    for document in (off, other, no_tasks):
        assert mutate(workflow({}), under(document)).reasons == ()


def test_the_most_that_nodes_make_is_told_with_it() -> None:
    """As a number to write."""
    most: JsonObject = {**ELASTIC, "max": {"tasks": 40}}
    (reason,) = mutate(workflow({}), under(pool(elastic=most))).reasons
    assert reason.message.endswith(
        "limits tasks to 40: set it to the number of tasks that may run at once, at most 40"
    )


def test_nodes_that_bound_workflows_alone_ask_for_no_number() -> None:
    """Tasks are not counted there."""
    policies = under(pool(elastic={"workflowsPerNode": 2, "min": {"workflows": 1}}))
    assert mutate(workflow({}), policies).allowed


def over(parallelism: int | None, own: int | None = None) -> JsonObject:
    """Return a Workflow that is over, which Argo ran with so many tasks at once."""
    spec: JsonObject = {**REF} if own is None else {**REF, "parallelism": own}
    kept: JsonObject = {"entrypoint": "main"} if parallelism is None else {"parallelism": parallelism}
    return {
        **workflow(spec, uid="uid-1", resourceVersion="7", labels={well_known.COMPLETED: "true"}),
        "status": {"phase": "Failed", "storedWorkflowTemplateSpec": kept},
    }


@pytest.mark.parametrize(("kept", "now", "weighs"), [(5, 1, "5"), (2, 6, "6"), (5, None, "5")])
def test_it_weighs_what_is_more_of_then_and_now(kept: int, now: int | None, weighs: str) -> None:
    """A template that was lowered since, or has no number any more, is no way to weigh less."""
    policies, old = under(LIMITED, base(now)), over(kept)
    again = merge(old, RETRY)
    decision = apply_policies(update(old, again), policies, NOW)
    held = patched(again, decision.patch)
    assert decision.outcome is Outcome.QUEUED
    assert (weight(held), at(held, "spec", "parallelism")) == (weighs, int(weighs))
    assert apply_policies(update(old, held, Side.VALIDATE), policies, NOW).reasons == ()


def test_its_own_number_lowered_since_makes_it_no_lighter() -> None:
    """An edit of one that is over is free, and Argo does not look at it."""
    old = over(5, own=1)
    held = patched(again := merge(old, RETRY), apply_policies(update(old, again), under(LIMITED), NOW).patch)
    assert (weight(held), at(held, "spec", "parallelism")) == ("5", 1)


@pytest.mark.parametrize(
    ("kept", "code", "message"),
    [
        (
            1000,
            Code.TASKS_ABOVE_CAP,
            (
                "1000 is above the cap of 10 tasks of one Workflow: submit the Workflow anew (argo "
                "resubmit), as a retry goes on with what Argo stored"
            ),
        ),
        (
            None,
            Code.UNBOUNDED_TASKS,
            (
                "has no parallelism, and a retry goes on with it, and WorkflowQuota team-a/main limits tasks "
                "to 20: submit the Workflow anew (argo resubmit) with the number of tasks that may run at "
                "once, at most 10"
            ),
        ),
    ],
)
def test_what_may_not_run_now_is_not_run_by_a_retry(kept: int | None, code: Code, message: str) -> None:
    """It was admitted before there was a cap; the message says how it may run."""
    old = over(kept, own=2)
    (reason,) = apply_policies(update(old, merge(old, RETRY)), under(LIMITED), NOW).reasons
    assert (reason.code, reason.message) == (code, message)
    assert reason.field == "status.storedWorkflowTemplateSpec"
