"""How many tasks a Workflow counts with, and that the number stays as admitted, whatever is edited later."""

import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.admission.tasks_and_priority import Tasks, tasks_of
from policy.core.decision.decision import Code, Outcome, Reason, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import WorkflowDefaults
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.core.values.amounts import UNLIMITED, Amount
from tests.policy.core.admission.attempts import RETRY, update
from tests.policy.core.admission.task_cases import (
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
    task_mark,
    under,
)
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    at,
    mutate,
    patched,
    pool,
    quota,
    snapshot,
    spec_of,
    template_object,
    validate,
    workflow,
)


@pytest.mark.parametrize("cluster", [False, True])
def test_an_edit_of_the_template_while_its_workflow_waits_changes_nothing(cluster: bool) -> None:  # noqa: FBT001
    """The Workflow's own number wins when Argo merges the template in, whatever that has then."""
    ref: JsonObject = {"workflowTemplateRef": {"name": "base", "clusterScope": cluster}}
    made = stored(workflow(ref), under(LIMITED, base(5, cluster=cluster)))
    assert (at(made, "spec", "parallelism"), task_mark(made)) == (5, "5")
    later = under(LIMITED, base(1000, cluster=cluster))
    assert edited(made, {"spec": {"priority": 1}}, later).allowed
    assert validate(made, later).reasons == ()


def test_deleting_the_template_or_creating_it_again_changes_nothing() -> None:
    """A template that is not there ends the Workflow in error, and another of its name changes nothing."""
    made = stored(workflow(REF), under(LIMITED, base(5)))
    for later in (under(LIMITED), under(LIMITED, base(None))):
        assert validate(made, later).reasons == ()


def test_a_reference_to_another_template_changes_nothing() -> None:
    """The number that was admitted is in the Workflow."""
    policies = under(LIMITED, base(5), base(1000, "huge"))
    made = stored(workflow(REF), policies)
    change: JsonObject = {"spec": {"workflowTemplateRef": {"name": "huge"}}}
    assert edited(made, change, policies).outcome is Outcome.IGNORED


def test_applying_a_file_again_without_a_number_changes_nothing() -> None:
    """It is put back, also where the template has another by now."""
    made = stored(workflow(REF), under(LIMITED, base(5)))
    later = under(LIMITED, base(9))
    change: JsonObject = {"spec": {"parallelism": None}}
    decision = edited(made, change, later)
    assert patched(merge(made, change), decision.patch) == made
    assert codes(edited(made, change, later, Side.VALIDATE)) == [Code.NOT_MUTATED]


@pytest.mark.parametrize("number", [1000, None])
def test_another_webhook_after_ours_is_noticed(number: int | None) -> None:
    """It raises the number or takes it away; the API server asks the validating side about the result."""
    policies = under(LIMITED, base(5))
    raised = merge(stored(workflow(REF), policies), {"spec": {"parallelism": number}})
    assert not validate(raised, policies).allowed


def test_argos_own_default_is_written_too() -> None:
    """An edit of the controller's ConfigMap changes nothing for those that wait."""
    made = stored(workflow({}), under(LIMITED, defaults=WorkflowDefaults(parallelism=7)))
    assert (at(made, "spec", "parallelism"), task_mark(made)) == (7, "7")


@pytest.mark.parametrize("rule", [quota(limits={"workflows": 1}), quota(perUser={"workflows": 1})])
def test_nothing_is_written_where_no_quota_counts_tasks(rule: WorkflowQuota) -> None:
    """A quota on Workflows alone leaves the spec as it is."""
    made = stored(workflow(REF), under(rule, base(5)))
    assert (at(made, "spec"), task_mark(made)) == (REF, "5")


def test_where_only_a_cap_is_set_it_is_the_default() -> None:
    """Else who leaves the number out would be above every cap."""
    policies = under(quota(perWorkflow={"maxTasks": 10}), base(None))
    for spec in ({}, REF):
        made = stored(workflow({**spec}), policies)
        assert (at(made, "spec", "parallelism"), task_mark(made)) == (10, "10")
        assert edited(made, {"spec": {"parallelism": None}}, policies).patch != ()


@pytest.mark.parametrize("document", [quota(windows=[WINDOW]), pool(elastic=ELASTIC), SHARE])
def test_a_running_workflow_may_not_raise_its_tasks(document: Document) -> None:
    """The raise is refused in the words that any limit has."""
    policies = under(document)
    made = stored(workflow({"parallelism": 1}), policies)
    (reason,) = edited(made, {"spec": {"parallelism": 1000}}, policies).reasons
    assert reason.code is Code.TASKS_RAISED
    assert reason.message.startswith("1000 is more than the 1 tasks that the Workflow was admitted with")


def test_a_missing_number_is_reported_at_once() -> None:
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


def test_an_unknown_template_is_named() -> None:
    """It may set the number, and be misspelt or not be there yet."""
    (reason,) = mutate(workflow(REF), under(LIMITED, base(5, "other"))).reasons
    assert reason.field == "spec.parallelism"
    assert reason.message.startswith(
        "is not set, nor is WorkflowTemplate/base known, which might set it, and WorkflowQuota team-a/main"
    )


def test_a_share_given_by_the_pool_bounds_the_tasks_of_its_member() -> None:
    """Neither a quota of the member nor the limit of the pool does."""
    (reason,) = mutate(workflow({}), under(SHARE)).reasons
    assert (reason.code, reason.field) == (Code.UNBOUNDED_TASKS, "spec.parallelism")
    off = pool(borrowing={**BORROWING, "enabled": False})
    other = pool(borrowing={**BORROWING, "shares": {"team-b": {"tasks": 6}}})
    no_tasks = pool(borrowing={**BORROWING, "shares": {NAMESPACE: {"workflows": 6}}})
    for document in (off, other, no_tasks):
        assert mutate(workflow({}), under(document)).reasons == ()


def test_the_most_that_nodes_allow_is_reported_with_it() -> None:
    """As a number to write."""
    most: JsonObject = {**ELASTIC, "max": {"tasks": 40}}
    (reason,) = mutate(workflow({}), under(pool(elastic=most))).reasons
    assert reason.message.endswith(
        "limits tasks to 40: set it to the number of tasks that may run at once, at most 40"
    )


def test_nodes_that_bound_only_workflows_need_no_number() -> None:
    """Tasks are not counted there."""
    policies = under(pool(elastic={"workflowsPerNode": 2, "min": {"workflows": 1}}))
    assert mutate(workflow({}), policies).allowed


def over(parallelism: int | None, own: int | None = None) -> JsonObject:
    """Return a Workflow that is over, which Argo ran with so many tasks at once."""
    spec: JsonObject = {**REF} if own is None else {**REF, "parallelism": own}
    in_status: JsonObject = {"entrypoint": "main"} if parallelism is None else {"parallelism": parallelism}
    return {
        **workflow(spec, uid="uid-1", resourceVersion="7", labels={well_known.COMPLETED: "true"}),
        "status": {"phase": "Failed", "storedWorkflowTemplateSpec": in_status},
    }


@pytest.mark.parametrize(("in_status", "now", "counted"), [(5, 1, "5"), (2, 6, "6"), (5, None, "5")])
def test_at_a_retry_the_larger_number_of_then_and_now_counts(
    in_status: int, now: int | None, counted: str
) -> None:
    """A template that was lowered since, or has no number any more, is no way to count with less."""
    policies, old = under(LIMITED, base(now)), over(in_status)
    again = merge(old, RETRY)
    decision = apply_policies(update(old, again), policies, NOW)
    held = patched(again, decision.patch)
    assert decision.outcome is Outcome.QUEUED
    assert (task_mark(held), at(held, "spec", "parallelism")) == (counted, int(counted))
    assert apply_policies(update(old, held, Side.VALIDATE), policies, NOW).reasons == ()


def test_its_own_number_lowered_before_a_retry_does_not_count() -> None:
    """An edit of one that is over is free, and Argo does not look at it."""
    old = over(5, own=1)
    held = patched(again := merge(old, RETRY), apply_policies(update(old, again), under(LIMITED), NOW).patch)
    assert (task_mark(held), at(held, "spec", "parallelism")) == ("5", 1)


@pytest.mark.parametrize(
    ("in_status", "code", "message"),
    [
        (
            1000,
            Code.TASKS_ABOVE_CAP,
            (
                "1000 is above the cap of 10 tasks of one Workflow: submit the Workflow again (argo "
                "resubmit), as a retry goes on with what Argo stored"
            ),
        ),
        (
            None,
            Code.UNBOUNDED_TASKS,
            (
                "has no parallelism, and a retry goes on with it, and WorkflowQuota team-a/main limits tasks "
                "to 20: submit the Workflow again (argo resubmit) with the number of tasks that may run at "
                "once, at most 10"
            ),
        ),
    ],
)
def test_what_may_not_run_now_is_not_run_by_a_retry(in_status: int | None, code: Code, message: str) -> None:
    """It was admitted before there was a cap; the message has how it may run."""
    old = over(in_status, own=2)
    (reason,) = apply_policies(update(old, merge(old, RETRY)), under(LIMITED), NOW).reasons
    assert (reason.code, reason.message) == (code, message)
    assert reason.field == "status.storedWorkflowTemplateSpec"


SOURCE = "WorkflowQuota team-a/main"


def _tasks(spec: JsonObject, *documents: Document) -> Tasks:
    policies = snapshot(*documents)
    return tasks_of(spec_of(spec), NAMESPACE, policies.policies(NAMESPACE).quotas, policies, NOW)


def test_a_workflow_counts_with_its_own_parallelism() -> None:
    """`spec.parallelism` is the number of tasks at once; the default does not touch it."""
    found = _tasks({"parallelism": 7}, quota(perWorkflow={"defaultTasks": 3}))
    assert found == Tasks(Amount(7))


@pytest.mark.parametrize("scope", ["WorkflowTemplate", "ClusterWorkflowTemplate"])
def test_a_workflow_without_its_own_parallelism_counts_with_that_of_its_template(scope: str) -> None:
    """Argo would merge it in at the start; it is written, so that it stays what was admitted."""
    cluster = scope == "ClusterWorkflowTemplate"
    template = template_object(
        "base", {"parallelism": 5}, kind=scope, namespace=None if cluster else NAMESPACE
    )
    ref: JsonObject = {"name": "base", "clusterScope": cluster}
    default = quota(perWorkflow={"defaultTasks": 3})
    assert _tasks({"workflowTemplateRef": ref}, template, default) == Tasks(Amount(5), injected=5)
    own: JsonObject = {"workflowTemplateRef": ref, "parallelism": 2}
    assert _tasks(own, template, default) == Tasks(Amount(2))


@pytest.mark.parametrize(
    "document",
    [
        template_object("base", {"parallelism": 5}, namespace="team-b"),
        template_object("base", {"parallelism": 5}, kind="ClusterWorkflowTemplate", namespace=None),
        template_object("other", {"parallelism": 5}),
        template_object("base", {}),
    ],
)
def test_only_the_template_that_is_meant_gives_its_parallelism(document: Document) -> None:
    """Namespace, scope and name all have to agree; else the default applies."""
    spec: JsonObject = {"workflowTemplateRef": {"name": "base"}}
    assert _tasks(spec, document, quota(perWorkflow={"defaultTasks": 3})) == Tasks(Amount(3), injected=3)


def test_the_smallest_default_is_written_where_no_parallelism_is_set() -> None:
    """The default becomes part of the object, so that Argo keeps to what the quota counts."""
    found = _tasks(
        {}, quota("a", perWorkflow={"defaultTasks": 20}), quota("b", perWorkflow={"defaultTasks": 8})
    )
    assert found == Tasks(Amount(8), injected=8)


def test_a_default_stays_within_the_caps_of_all_quotas() -> None:
    """What we inject has to pass our own check: the user wrote nothing that could be wrong."""
    found = _tasks({}, quota("a", perWorkflow={"defaultTasks": 20}), quota("b", perWorkflow={"maxTasks": 10}))
    assert found == Tasks(Amount(10), injected=10)


def test_without_any_bound_a_workflow_is_unbounded_which_is_right_where_no_quota_counts_tasks() -> None:
    """A limit on Workflows alone asks for no parallelism."""
    assert _tasks({}, quota(limits={"workflows": 1})) == Tasks(UNLIMITED)


def test_an_unbounded_workflow_is_refused_where_tasks_are_limited_with_how_to_set_the_number() -> None:
    """The whole sentence: the field, who limits, and the highest value that may be written."""
    found = _tasks({}, quota(limits={"tasks": 200}, perWorkflow={"maxTasks": 50}))
    assert found.amount == UNLIMITED
    assert found.faults == (
        Reason(
            Code.UNBOUNDED_TASKS,
            "spec.parallelism",
            "is not set, and WorkflowQuota team-a/main limits tasks to 200: set it to the number of tasks "
            "that may run at once, at most 50",
            SOURCE,
        ),
    )


def test_a_limit_on_the_tasks_of_each_user_needs_parallelism_too() -> None:
    """The smaller of both limits is in the message."""
    faults = _tasks({}, quota(limits={"tasks": 200}, perUser={"tasks": 30})).faults
    assert [each.message for each in faults] == [
        (
            "is not set, and WorkflowQuota team-a/main limits tasks to 30: set it to the number of tasks "
            "that may run at once, at most 30"
        )
    ]


def test_a_quota_that_only_warns_refuses_no_unbounded_workflow() -> None:
    """`Warn` runs what does not fit."""
    assert _tasks({}, quota(onExceed="Warn", limits={"tasks": 1})).faults == ()


def test_every_quota_that_limits_tasks_gives_a_reason() -> None:
    """All reasons come at once, so that a fix fixes all."""
    faults = _tasks({}, quota("a", limits={"tasks": 9}), quota("b"), pool(limits={"tasks": 5})).faults
    assert [each.policy for each in faults] == ["WorkflowQuota team-a/a", "ClusterWorkflowQuota shared"]


@pytest.mark.parametrize(("parallelism", "refused"), [(50, False), (51, True)])
def test_parallelism_above_the_cap_is_refused(parallelism: int, refused: bool) -> None:  # noqa: FBT001
    """The cap is inclusive."""
    faults = _tasks({"parallelism": parallelism}, quota(perWorkflow={"maxTasks": 50})).faults
    message = "51 is above the cap of 50 tasks of one Workflow: lower it"
    wanted = (Reason(Code.TASKS_ABOVE_CAP, "spec.parallelism", message, SOURCE),)
    assert faults == (wanted if refused else ())


def test_the_cap_holds_for_what_a_template_brings() -> None:
    """A template is no way around the cap."""
    template = template_object("base", {"parallelism": 51})
    spec: JsonObject = {"workflowTemplateRef": {"name": "base"}}
    faults = _tasks(spec, template, quota(perWorkflow={"maxTasks": 50})).faults
    assert [each.code for each in faults] == [Code.TASKS_ABOVE_CAP]


@pytest.mark.parametrize("parallelism", [0, -1])
@pytest.mark.parametrize("bound", [quota(limits={"tasks": 5}), quota(perWorkflow={"maxTasks": 5})])
def test_parallelism_below_one_is_refused_where_tasks_count(parallelism: int, bound: Document) -> None:
    """Argo would start nothing, and the Workflow would sit on its slot for ever."""
    found = _tasks({"parallelism": parallelism}, bound)
    assert found.amount == Amount(0)
    message = f"{parallelism} lets Argo start no task at all: set it to 1 or more"
    assert found.faults == (Reason(Code.TASKS_ABOVE_CAP, "spec.parallelism", message, SOURCE),)


def test_parallelism_of_null_is_none() -> None:
    """Go's clients write null for what is absent."""
    assert _tasks({"parallelism": None}, quota(perWorkflow={"defaultTasks": 2})).injected == 2
