"""Every mistake in the values of a policy is found, with its path, before the policy decides anything."""

import pytest

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.policy_checks import problems
from policy.core.policy_kinds.kinds import Policy
from policy.core.values.problems import Problem
from tests.policy.core.builders import (
    cluster_lock_policy,
    definition,
    lock_policy,
    pool,
    quota,
    rule,
    semaphore_target,
)
from tests.policy.wrong_quotas import NIGHT

BAD_SELECTOR: JsonObject = {"matchExpressions": [{"key": "a", "operator": "In"}]}
NEEDS_VALUES = "operator In needs at least one value"
EMPTY = "is empty; Argo ends such a Workflow with an error: give a name"
MUTEX: JsonObject = {"mutex": "one"}


def _slash(name: str) -> str:
    return f'"{name}" contains "/", which Argo cannot decode: leave the slash out'


CHANGES = "{} changes while a Workflow runs, which would leave the policy by it: select by another label"
WRONG_QUOTAS: list[tuple[Policy, str, str]] = [
    (quota(selector=BAD_SELECTOR), "spec.selector.matchExpressions[0].values", NEEDS_VALUES),
    (
        quota(selector={"matchLabels": {well_known.PHASE: "Running"}}),
        f"spec.selector.matchLabels[{well_known.PHASE}]",
        CHANGES.format(well_known.PHASE),
    ),
    (
        pool(selector={"matchExpressions": [{"key": well_known.COMPLETED, "operator": "DoesNotExist"}]}),
        "spec.selector.matchExpressions[0].key",
        CHANGES.format(well_known.COMPLETED),
    ),
    (
        pool(namespaceDefaults={"selector": {"matchLabels": {well_known.ACTION: "stop"}}}),
        f"spec.namespaceDefaults.selector.matchLabels[{well_known.ACTION}]",
        CHANGES.format(well_known.ACTION),
    ),
    (quota(limits={"workflows": -1}), "spec.limits.workflows", "must be 0 or more, or Unlimited; got -1"),
    (quota(limits={"tasks": -2}), "spec.limits.tasks", "must be 0 or more, or Unlimited; got -2"),
    (
        quota(perUser={"workflows": -3}),
        "spec.perUser.workflows",
        "must be 0 or more, or Unlimited; got -3",
    ),
    (quota(perUser={"tasks": -4}), "spec.perUser.tasks", "must be 0 or more, or Unlimited; got -4"),
    (
        quota(perWorkflow={"defaultTasks": 0}),
        "spec.perWorkflow.defaultTasks",
        "must be 1 or more (Argo starts no task at 0); got 0",
    ),
    (
        quota(perWorkflow={"maxTasks": -1}),
        "spec.perWorkflow.maxTasks",
        "must be 1 or more (Argo starts no task at 0); got -1",
    ),
    (
        quota(perWorkflow={"defaultTasks": 6, "maxTasks": 5}),
        "spec.perWorkflow.defaultTasks",
        "6 is above maxTasks 5: lower it",
    ),
    (
        pool(namespaceSelector=BAD_SELECTOR),
        "spec.namespaceSelector.matchExpressions[0].values",
        NEEDS_VALUES,
    ),
    (pool(limits={"tasks": -1}), "spec.limits.tasks", "must be 0 or more, or Unlimited; got -1"),
    (
        pool(namespaceDefaults={"limits": {"workflows": -1}}),
        "spec.namespaceDefaults.limits.workflows",
        "must be 0 or more, or Unlimited; got -1",
    ),
    (quota(queue={"maxLength": -1}), "spec.queue.maxLength", "must be 0 or more; got -1"),
    (
        quota(windows=[{**NIGHT, "limits": {"workflows": -1}}]),
        "spec.windows[0].limits.workflows",
        "must be 0 or more, or Unlimited; got -1",
    ),
    (
        quota(windows=[{**NIGHT, "timeZone": "Berlin"}]),
        "spec.windows[0].timeZone",
        "'Berlin' is no time zone: write a name such as Europe/Berlin or UTC",
    ),
    (
        quota(limits={"workflows": 2}, reserve=[{"abovePriority": 10, "workflows": 3}]),
        "spec.reserve",
        "reserves 3 workflows of 2: lower them, or raise limits.workflows",
    ),
    (
        pool(namespaceDefaults={"queue": {"maxWait": "0s"}}),
        "spec.namespaceDefaults.queue.maxWait",
        "'0s' is too short: use 1s or more",
    ),
    (
        pool(namespaceDefaults={"windows": [{**NIGHT, "duration": "1s"}]}),
        "spec.namespaceDefaults.windows[0].duration",
        "'1s' is shorter than a minute: use 1m or more",
    ),
    (
        pool(namespaceDefaults={"reserve": [{"abovePriority": 1, "tasks": 3}]}),
        "spec.namespaceDefaults.reserve[0].tasks",
        "reserves a part of limits.tasks, which is not set",
    ),
    (
        pool(limits={"workflows": 2}, borrowing={}, onExceed="Warn"),
        "spec.onExceed",
        "Warn lets everybody start, so that nothing is left to lend: set Queue or Deny",
    ),
    (
        pool(
            limits={"workflows": 2},
            borrowing={},
            namespaceDefaults={"limits": {"workflows": 1}, "onExceed": "Warn"},
        ),
        "spec.namespaceDefaults.onExceed",
        "Warn does not go with a share that others borrow from: set Queue or Deny",
    ),
    (
        pool(limits={"workflows": 2}, borrowing={}, selector={"matchLabels": {"a": "b"}}),
        "spec.selector",
        "leaves Workflows out, which no share bounds then: leave it out where members borrow",
    ),
    (
        pool(
            limits={"workflows": 2},
            borrowing={},
            namespaceDefaults={
                "limits": {"workflows": 1},
                "reserve": [{"abovePriority": 0, "workflows": 1}],
            },
        ),
        "spec.namespaceDefaults.reserve",
        "reserves nothing of a share, which others use too: give the pool a reserve",
    ),
    (
        pool(limits={"tasks": "Unlimited"}, borrowing={}),
        "spec.borrowing",
        "is no bound where members may borrow without end: give limits of the pool, or borrowingLimit",
    ),
    (
        pool(limits={"workflows": 5}, borrowing={}, namespaceDefaults={"limits": {"tasks": 9}}),
        "spec.namespaceDefaults.limits.tasks",
        (
            "is no bound where members may borrow without end: give limits.tasks of the pool, or "
            "borrowing.borrowingLimit.tasks"
        ),
    ),
    (
        pool(limits={"workflows": 5}, borrowing={"lendingLimit": {"workflows": -1}}),
        "spec.borrowing.lendingLimit.workflows",
        "must be 0 or more, or Unlimited; got -1",
    ),
    (
        pool(fairShare={"weights": {"team-a": 0}}),
        "spec.fairShare.weights.team-a",
        "must be from 1 to 1000; got 0",
    ),
    (
        pool(elastic={"tasksPerNode": 3}),
        "spec.elastic.min.tasks",
        "is needed with tasksPerNode, as a number: what may run where no node is ready",
    ),
    (
        pool(limits={"tasks": 3}, elastic={"tasksPerNode": 3, "min": {"tasks": 4}}),
        "spec.elastic.min.tasks",
        "4 is above limits.tasks 3: lower it",
    ),
    (
        pool(namespaceDefaults={"selector": BAD_SELECTOR}),
        "spec.namespaceDefaults.selector.matchExpressions[0].values",
        NEEDS_VALUES,
    ),
]
WRONG_LOCKS: list[tuple[dict[str, JsonValue], str, str]] = [
    (
        {"match": {"workflows": BAD_SELECTOR}},
        "spec.match.workflows.matchExpressions[0].values",
        NEEDS_VALUES,
    ),
    (
        {"match": {"kinds": []}},
        "spec.match.kinds",
        "needs at least one kind; leave it out to match Workflow",
    ),
    ({"semaphores": [definition("db", config_map="")]}, "spec.semaphores[0].configMap", EMPTY),
    ({"semaphores": [definition("a/b")]}, "spec.semaphores[0].key", _slash("a/b")),
    (
        {"semaphores": [definition("ok"), definition("db", 0)]},
        "spec.semaphores[1].limit",
        "must be 1 or more (Argo fails Workflows at 0); got 0",
    ),
    (
        {"semaphores": [definition("db"), definition("gpu"), definition("db", 2)]},
        "spec.semaphores[2]",
        "defines the same ConfigMap key as spec.semaphores[0]: remove one of them",
    ),
    (
        {"inject": [rule("a", MUTEX), rule("b", MUTEX), rule("a", MUTEX)]},
        "spec.inject[2].name",
        "'a' is the name of spec.inject[0] too",
    ),
    (
        {"inject": [{"name": "a", "templates": {}, "lock": MUTEX}]},
        "spec.inject[0].templates",
        'selects nothing: give names, images, types or labels (names: ["*"] for all)',
    ),
    (
        {"inject": [rule("a", MUTEX, names=["ok", ""])]},
        "spec.inject[0].templates.names[1]",
        "is empty and would match nothing",
    ),
    (
        {"inject": [rule("a", MUTEX, images=[""])]},
        "spec.inject[0].templates.images[0]",
        "is empty and would match nothing",
    ),
    (
        {"inject": [rule("a", {})]},
        "spec.inject[0].lock",
        "needs exactly one of semaphore, mutex, database; got none of them",
    ),
    (
        {"inject": [rule("a", {"mutex": "one", "database": "lab"})]},
        "spec.inject[0].lock",
        "needs exactly one of semaphore, mutex, database; got mutex and database",
    ),
    (
        {"inject": [rule("a", semaphore_target("db", config_map=""))]},
        "spec.inject[0].lock.semaphore.configMap",
        EMPTY,
    ),
    (
        {"inject": [rule("a", semaphore_target("a/b"))]},
        "spec.inject[0].lock.semaphore.key",
        _slash("a/b"),
    ),
    (
        {
            "inject": [rule("a", semaphore_target("db", namespace=""))],
            "validate": {"crossNamespace": "Allow"},
        },
        "spec.inject[0].lock.semaphore.namespace",
        EMPTY,
    ),
    ({"inject": [rule("a", {"mutex": ""})]}, "spec.inject[0].lock.mutex", EMPTY),
    ({"inject": [rule("a", {"database": ""})]}, "spec.inject[0].lock.database", EMPTY),
    (
        {"inject": [rule("a", MUTEX, resources=[{"action": "create"}, {}])]},
        "spec.inject[0].templates.resources[1]",
        'selects nothing: give action, kind or both (types: ["resource"] selects all)',
    ),
    (
        {"inject": [rule("a", MUTEX, types=["script"], resources=[{"kind": "Job"}])]},
        "spec.inject[0].templates.resources",
        'selects nothing beside these types: add "resource" to them',
    ),
    (
        {"inject": [rule("a", MUTEX, serviceAccounts=[""])]},
        "spec.inject[0].templates.serviceAccounts[0]",
        "is empty and would match nothing",
    ),
    (
        {"inject": [{**rule("a", MUTEX), "when": "workflow.parameters.env"}]},
        "spec.inject[0].when",
        "workflow.parameters.env is a text where a truth is expected",
    ),
    (
        {"inject": [{**rule("a", MUTEX), "when": "{{workflow.name}} == a", "strategy": "Direct"}]},
        "spec.inject[0].when",
        (
            "cannot be said in place: only the key of a ConfigMap of the own namespace can depend on a "
            "condition. Use strategy Auto, which puts a choice in front"
        ),
    ),
    (
        {
            "semaphores": [definition("db-unlimited")],
            "inject": [{**rule("a", semaphore_target("db")), "when": "{{workflow.name}} == a"}],
        },
        "spec.semaphores[0].key",
        'is the key that rule "a" takes where its `when` does not hold: rename it',
    ),
    (
        {
            "semaphores": [
                {
                    **definition("db"),
                    "windows": [{"name": "n", "schedule": "@daily", "duration": "1h", "limit": 0}],
                }
            ]
        },
        "spec.semaphores[0].windows[0].limit",
        "must be 1 or more (Argo fails Workflows at 0); got 0",
    ),
    (
        {
            "semaphores": [
                {
                    **definition("db"),
                    "windows": [{"name": "n", "schedule": "@daily", "duration": "9s", "limit": 2}],
                }
            ]
        },
        "spec.semaphores[0].windows[0].duration",
        "'9s' is shorter than a minute: use 1m or more",
    ),
    (
        {"validate": {"keyPattern": "plain"}},
        "spec.validate.keyPattern",
        "is not a usable pattern: start it with ^ (a regular expression) or use <placeholders>",
    ),
]
"""Specs that are wrong in one place, for both kinds; the review of policies is tested with them, too."""


@pytest.mark.parametrize(
    "policy",
    [
        quota(),
        quota(
            selector={"matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}]},
            limits={"workflows": 0, "tasks": "Unlimited"},
            perUser={"workflows": 1},
            perWorkflow={"defaultTasks": 5, "maxTasks": 5},
        ),
        pool(namespaceDefaults={"limits": {"workflows": 1}}),
        quota(
            limits={"workflows": 5, "tasks": 9},
            queue={"strategy": "StrictFIFO", "maxLength": 0, "maxWait": "6h", "aging": "1m"},
            stopPolicy="HoldAndDrain",
            windows=[
                {**NIGHT, "timeZone": "Europe/Berlin"},
                {**NIGHT, "name": "closed", "schedule": "@daily", "limits": {"workflows": 0}},
                {**NIGHT, "name": "open", "limits": {"tasks": "Unlimited"}},
            ],
            reserve=[{"abovePriority": 0, "workflows": 1}, {"abovePriority": 9, "workflows": 4, "tasks": 9}],
        ),
        pool(
            limits={"workflows": 9},
            namespaceDefaults={"limits": {"workflows": 3}, "windows": [NIGHT], "queue": {"maxLength": 9}},
            borrowing={"borrowingLimit": {"workflows": 2}, "lendingLimit": {"workflows": "Unlimited"}},
            fairShare={"weights": {"team-a": 3}, "halfLife": "7d"},
            elastic={"tasksPerCPU": 2, "min": {"tasks": 4}, "max": {"tasks": 400}, "stabilization": "0s"},
            reserve=[{"abovePriority": 0, "tasks": 100}],
        ),
        pool(borrowing={"borrowingLimit": {"tasks": 2}}),
        pool(
            limits={"workflows": 9}, borrowing={"shares": {"team-a": {"workflows": 0}, "b": {"workflows": 9}}}
        ),
        quota(
            limits={"workflows": 3},
            perWorkflow={"maxPriority": 10, "onPriorityAbove": "Lower"},
            reserve=[{"abovePriority": 9, "workflows": 1}],
        ),
        quota(perWorkflow={"maxPriority": -(2**31)}),
        pool(borrowing={}, windows=[NIGHT]),
        pool(borrowing={}, elastic={"workflowsPerNode": 1, "min": {"workflows": 1}}),
        pool(borrowing={"enabled": False}, onExceed="Warn"),
        pool(
            limits={"workflows": 9},
            borrowing={},
            namespaceDefaults={"selector": {"matchLabels": {"a": "b"}}, "onExceed": "Warn"},
        ),
        lock_policy(
            semaphores=[definition("db"), definition("db", config_map="other"), definition("gpu", 3)],
            inject=[
                rule("a", semaphore_target("db", namespace="team-b")),
                rule("b", MUTEX, types=["script"]),
                rule("c", {"database": "lab"}, images=["*/db:*"]),
                rule("d", MUTEX, labels={"a": "1"}),
                rule("e", MUTEX, serviceAccounts=["etl-*"], volumes=["data"], tasks=["load-*"]),
                rule("f", MUTEX, resources=[{"action": "create"}, {"kind": "Job"}]),
                {**rule("g", semaphore_target("db")), "when": "{{workflow.parameters.env}} == prod"},
                {**rule("h", MUTEX), "when": "inputs.parameters.env == 'prod'", "strategy": "Wrapper"},
            ],
            match={"kinds": ["Workflow", "WorkflowTemplate", "CronWorkflow"], "referenced": "Deny"},
            validate={"keyPattern": "<resource-type>-<purpose>", "crossNamespace": "Allow"},
        ),
        cluster_lock_policy(validate={"keyPattern": "^[a-z]+$"}),
        cluster_lock_policy(match={"kinds": ["ClusterWorkflowTemplate"]}),
    ],
)
def test_a_policy_whose_values_make_sense_has_no_problem(policy: Policy) -> None:
    """All four kinds, with every field that can be right."""
    assert problems(policy) == []


@pytest.mark.parametrize(("policy", "path", "message"), WRONG_QUOTAS)
def test_a_wrong_value_of_a_quota_is_found_at_its_path(policy: Policy, path: str, message: str) -> None:
    """One mistake, one problem, in the namespaced and the cluster kind and in its defaults."""
    assert problems(policy) == [Problem(path, message)]


@pytest.mark.parametrize(("spec", "path", "message"), WRONG_LOCKS)
def test_a_wrong_value_of_a_lock_policy_is_found_at_its_path(
    spec: dict[str, JsonValue], path: str, message: str
) -> None:
    """The namespaced and the cluster kind have the same checks."""
    assert problems(lock_policy("p", namespace="team-a", **spec)) == [Problem(path, message)]
    assert problems(cluster_lock_policy("p", **spec)) == [Problem(path, message)]


@pytest.mark.parametrize(
    "policy",
    [
        lock_policy(match={"kinds": ["Workflow", "ClusterWorkflowTemplate"]}),
        cluster_lock_policy(
            match={"kinds": ["Workflow", "ClusterWorkflowTemplate"]},
            namespaceSelector={"matchLabels": {"team": "etl"}},
        ),
    ],
)
def test_a_template_of_the_cluster_is_for_policies_of_all_namespaces(policy: Policy) -> None:
    """Every namespace may use it, so a lock in it would reach those that the policy does not select."""
    assert problems(policy) == [
        Problem(
            "spec.match.kinds[1]",
            "needs a ClusterSynchronizationPolicy whose namespaceSelector is {}: all namespaces use such "
            "templates",
        )
    ]


def test_a_broken_expression_is_found_with_what_is_wrong_with_it() -> None:
    """RE2 reports which part of it."""
    (found,) = problems(lock_policy(validate={"keyPattern": "^[a-z"}))
    assert found.path == "spec.validate.keyPattern"
    assert found.message.startswith("is not a usable pattern: missing ]: [a-z")


def test_a_cluster_lock_policy_has_its_namespace_selector_checked() -> None:
    """The selector of namespaces is required, so it can be wrong."""
    assert problems(cluster_lock_policy(namespaceSelector=BAD_SELECTOR)) == [
        Problem("spec.namespaceSelector.matchExpressions[0].values", NEEDS_VALUES)
    ]


def test_all_problems_of_a_policy_are_reported_at_once() -> None:
    """Nobody should have to apply a file once for each mistake."""
    wrong = quota(limits={"workflows": -1, "tasks": -1}, perWorkflow={"defaultTasks": 0, "maxTasks": 0})
    assert [each.path for each in problems(wrong)] == [
        "spec.limits.workflows",
        "spec.limits.tasks",
        "spec.perWorkflow.defaultTasks",
        "spec.perWorkflow.maxTasks",
    ]


def test_a_limit_that_argo_could_not_read_is_a_problem_of_the_policy() -> None:
    """It is written to the ConfigMap as it is; its users would see the error."""
    assert problems(lock_policy(semaphores=[definition("db", 2**63 - 1)])) == []
    assert problems(lock_policy(semaphores=[definition("db", 2**63)])) == [
        Problem("spec.semaphores[0].limit", "must be at most 9223372036854775807, or Argo cannot read it")
    ]


def test_a_rule_for_another_namespace_needs_a_policy_that_allows_such_locks() -> None:
    """Otherwise every Workflow that the rule selects would be refused by the policy itself."""
    spec: dict[str, JsonValue] = {"inject": [rule("a", semaphore_target("db", namespace="team-b"))]}
    message = "needs validate.crossNamespace: Allow here; this policy refuses such locks otherwise"
    wrong = [Problem("spec.inject[0].lock.semaphore.namespace", message)]
    assert problems(lock_policy("p", namespace="team-a", **spec)) == wrong
    assert problems(cluster_lock_policy("p", **spec)) == wrong


def test_a_rule_that_spells_out_its_own_namespace_is_fine() -> None:
    """A namespaced policy speaks about that namespace only, and a lock of it is not foreign."""
    rules: JsonValue = [rule("a", semaphore_target("db", namespace="team-a"))]
    assert problems(lock_policy("p", namespace="team-a", inject=rules)) == []


@pytest.mark.parametrize("lock", [{"mutex": "team/job"}, {"database": "team/job"}])
def test_a_rule_may_inject_a_mutex_or_database_lock_with_a_slash_in_its_name(lock: JsonObject) -> None:
    """Only the parts of a ConfigMap semaphore may have none."""
    assert problems(lock_policy(inject=[rule("a", lock)])) == []


def test_a_policy_of_locks_selects_by_no_label_that_changes_while_a_workflow_runs() -> None:
    """Its locks would be dropped in the middle of a run; what stays may be selected by."""
    selector: JsonObject = {
        "matchLabels": {well_known.ARCHIVING: "Pending", well_known.CRON_WORKFLOW: "nightly"}
    }
    (problem,) = problems(lock_policy(match={"workflows": selector}))
    assert problem.path == f"spec.match.workflows.matchLabels[{well_known.ARCHIVING}]"
    assert problem.message == CHANGES.format(well_known.ARCHIVING)
