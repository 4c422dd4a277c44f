"""Which quotas speak about a Workflow, what it weighs, and what it is counted for."""

import pytest

from policy.core.admission.tasks_and_priority import Tasks, tasks_of
from policy.core.decision.decision import Code, Reason
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.governing import accounts_of, demands, governing
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import UNLIMITED, Amount
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    limits,
    pool,
    quota,
    snapshot,
    spec_of,
    template_object,
)

SOURCE = "WorkflowQuota team-a/main"


def _quotas(*documents: Document) -> tuple[CompiledQuota, ...]:
    return snapshot(*documents).policies(NAMESPACE).quotas


def _tasks(spec: JsonObject, *documents: Document) -> Tasks:
    policies = snapshot(*documents)
    return tasks_of(spec_of(spec), NAMESPACE, policies.policies(NAMESPACE).quotas, policies, NOW)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({}, ["all", "not-etl"]),
        ({"team": "etl"}, ["all", "etl"]),
        ({"team": "web"}, ["all", "not-etl"]),
    ],
)
def test_a_quota_governs_the_workflows_that_its_selector_matches(
    labels: dict[str, str], names: list[str]
) -> None:
    """Labels and expressions both select; an absent selector selects all."""
    not_etl: JsonValue = {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["etl"]}]}
    quotas = _quotas(
        quota("all"),
        quota("etl", selector={"matchLabels": {"team": "etl"}}),
        quota("not-etl", selector=not_etl),
    )
    assert [each.account.quota for each in governing(quotas, labels)] == names


def test_a_workflow_demands_its_namespace_its_user_and_its_pool() -> None:
    """Every account that must have room is named with its own limits and a source for people."""
    quotas = _quotas(
        quota(limits={"workflows": 10, "tasks": 200}, perUser={"workflows": 3}),
        pool(limits={"workflows": 50}),
    )
    found = [(each.account, each.limits, each.source) for each in demands(quotas, "ann", now=NOW)]
    assert found == [
        (Account(NAMESPACE, "main"), limits(10, 200), SOURCE),
        (Account(NAMESPACE, "main", "ann"), limits(3), f"{SOURCE} for user ann"),
        (Account("", "shared"), limits(50), "ClusterWorkflowQuota shared"),
    ]


def test_a_quota_without_limits_for_users_counts_no_users() -> None:
    """Accounts of users exist only where somebody limits them, so that the ledger stays small."""
    assert [
        each.account.user for each in demands(_quotas(quota(limits={"workflows": 1})), "ann", now=NOW)
    ] == [""]
    limited = _quotas(quota(perUser={"tasks": 0}))
    assert [each.account.user for each in demands(limited, "ann", now=NOW)] == ["", "ann"]


def test_a_workflow_of_no_user_is_charged_once_on_the_quota() -> None:
    """A Workflow that bypassed the webhook has no user mark; its account is not that of the whole quota."""
    accounts = [
        each.account
        for each in demands(_quotas(quota(limits={"workflows": 9}, perUser={"workflows": 1})), "", now=NOW)
    ]
    assert accounts == [Account(NAMESPACE, "main"), Account(NAMESPACE, "main", "system:anonymous")]


def test_a_workflow_weighs_its_own_parallelism() -> None:
    """`spec.parallelism` is the number of tasks at once; the default does not touch it."""
    found = _tasks({"parallelism": 7}, quota(perWorkflow={"defaultTasks": 3}))
    assert found == Tasks(Amount(7))


@pytest.mark.parametrize("scope", ["WorkflowTemplate", "ClusterWorkflowTemplate"])
def test_a_workflow_without_its_own_parallelism_weighs_that_of_its_template(scope: str) -> None:
    """Argo would merge it in at the start; it is written, so that it stays what was weighed."""
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


def test_the_smallest_default_is_written_where_nobody_set_parallelism() -> None:
    """The default becomes part of the object, so that Argo keeps to what the quota counts."""
    found = _tasks(
        {}, quota("a", perWorkflow={"defaultTasks": 20}), quota("b", perWorkflow={"defaultTasks": 8})
    )
    assert found == Tasks(Amount(8), injected=8)


def test_a_default_stays_within_the_caps_of_all_quotas() -> None:
    """What we inject has to pass our own check: the user wrote nothing that could be wrong."""
    found = _tasks({}, quota("a", perWorkflow={"defaultTasks": 20}), quota("b", perWorkflow={"maxTasks": 10}))
    assert found == Tasks(Amount(10), injected=10)


def test_without_any_bound_a_workflow_is_unbounded_and_that_is_fine_where_nobody_counts_tasks() -> None:
    """A limit on Workflows alone asks for no parallelism."""
    assert _tasks({}, quota(limits={"workflows": 1})) == Tasks(UNLIMITED)


def test_an_unbounded_workflow_is_refused_where_tasks_are_limited_and_the_text_says_how_to_set_it() -> None:
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


def test_a_limit_on_the_tasks_of_each_user_asks_for_parallelism_too() -> None:
    """The smaller of both limits is the one that people are told."""
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


def test_every_quota_that_limits_tasks_says_so() -> None:
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


def _mixed() -> Snapshot:
    return snapshot(
        quota("denies", onExceed="Deny", perUser={"workflows": 1}),
        quota("queues", perUser={"workflows": 1}),
        quota("warns", onExceed="Warn"),
    )


def test_a_live_workflow_counts_on_every_quota() -> None:
    """Whatever a quota does when it is full, it counts what runs, for the user too."""
    policies = _mixed()
    quotas = policies.policies(NAMESPACE).quotas
    found = accounts_of(quotas, NAMESPACE, "ann", policies)
    assert list(found) == [each.account for each in demands(quotas, "ann", now=NOW)]
