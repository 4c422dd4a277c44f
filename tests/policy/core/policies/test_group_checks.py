"""Every mistake in the groups of a quota is found, with its path and what to write instead."""

import pytest

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.policy_checks import problems
from policy.core.values.problems import Problem
from tests.policy.core.builders import pool, quota

NO_NAME = "is no name: use at most 63 lower-case letters, digits and - between them"
SAME = "is the same for all Workflows of the namespace: give it another part, or use limits of the quota"
KEY = "{{workflow.labels.repo}}/{{workflow.parameters.branch}}"


def group(**parts: JsonValue) -> JsonObject:
    """Return a group, whose parts may be replaced."""
    return {"name": "branch", "key": KEY, **parts}


def of_groups(
    *groups: JsonValue, on_exceed: str = "Queue", selector: JsonObject | None = None
) -> list[Problem]:
    """Return what is wrong with a quota that has these groups."""
    return problems(quota(groups=list(groups), onExceed=on_exceed, selector=selector or {}))


@pytest.mark.parametrize(
    "right",
    [
        group(),
        group(limits={"workflows": 3, "tasks": 9}),
        group(limits={"workflows": "Unlimited", "tasks": 9}),
        group(limits={"tasks": 9}),
        group(whenBusy="KeepNewest", missing="Deny"),
        group(whenBusy="CancelRunning", cancel="Stop"),
        group(whenBusy="CancelRunning", cancel="Terminate"),
        group(whenBusy="Refuse"),
        group(name="a"),
        group(name="9" * 63),
        group(key="{{ workflow.namespace }} {{user}}"),
    ],
)
@pytest.mark.parametrize("on_exceed", ["Queue", "Deny"])
def test_a_group_as_it_should_be_has_no_problem(right: JsonObject, on_exceed: str) -> None:
    """Alone, in a pool, and as the default of its members; whatever happens at the other limits."""
    spec: JsonObject = {"groups": [right], "onExceed": on_exceed}
    assert of_groups(right, on_exceed=on_exceed) == []
    assert problems(pool(groups=[right], onExceed=on_exceed)) == []
    assert problems(pool(limits={"workflows": 9}, namespaceDefaults=spec)) == []


@pytest.mark.parametrize(
    ("parts", "path", "message"),
    [
        ({"name": "My_Group"}, "name", f"'My_Group' {NO_NAME}"),
        ({"name": "a-"}, "name", f"'a-' {NO_NAME}"),
        ({"name": "a" * 64}, "name", NO_NAME.replace("is no name", "has 64 characters")),
        (
            {"key": "{{workflow.lables.repo}}"},
            "key",
            "has the unknown part {{workflow.lables.repo}}: did you mean {{workflow.labels.repo}}?",
        ),
        ({"key": "ci/{{workflow.namespace}}"}, "key", SAME),
        ({"limits": {"workflows": 0}}, "limits.workflows", "must be 1 or more, or Unlimited; got 0"),
        ({"limits": {"tasks": -1}}, "limits.tasks", "must be 1 or more, or Unlimited; got -1"),
        ({"limits": {"tasks": 2**63}}, "limits.tasks", f"must be at most {2**63 - 1}, or Unlimited"),
        (
            {"limits": {}},
            "limits",
            "limit nothing: give workflows, tasks or both; without limits a key has 1 Workflow",
        ),
        (
            {"limits": {"tasks": "Unlimited"}},
            "limits",
            "limit nothing: give workflows, tasks or both; without limits a key has 1 Workflow",
        ),
        (
            {"cancel": "Stop"},
            "cancel",
            "stops nothing under whenBusy: Queue: set whenBusy: CancelRunning, or leave it out",
        ),
    ],
)
def test_a_fault_is_told_with_its_field_and_a_fix(parts: JsonObject, path: str, message: str) -> None:
    """In a namespace, and where a pool gives the quota to its members."""
    wrong = group(**parts)
    assert of_groups(group(name="other"), wrong) == [Problem(f"spec.groups[1].{path}", message)]
    defaults = pool(limits={"workflows": 9}, namespaceDefaults={"groups": [wrong]})
    assert problems(defaults) == [Problem(f"spec.namespaceDefaults.groups[0].{path}", message)]


def test_the_namespace_alone_is_a_key_in_a_pool() -> None:
    """There it varies: one Workflow in each namespace."""
    assert problems(pool(groups=[group(key="{{workflow.namespace}}")])) == []


def requires(operator: str, *values: str) -> JsonObject:
    """Return a selector by the label `repo`."""
    return {"matchExpressions": [{"key": "repo", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "key", "fixed"),
    [
        ({"matchLabels": {"repo": "shop"}}, "{{workflow.labels.repo}}", True),
        ({"matchLabels": {"repo": "shop"}}, "{{workflow.labels.repo}}/{{workflow.namespace}}", True),
        (requires("In", "shop"), "{{workflow.labels.repo}}", True),
        (requires("In", "shop", "cart"), "{{workflow.labels.repo}}", False),
        (requires("NotIn", "shop"), "{{workflow.labels.repo}}", False),
        (requires("Exists"), "{{workflow.labels.repo}}", False),
        ({"matchLabels": {"repo": "shop"}}, "{{workflow.labels.repo}}/{{user}}", False),
        ({"matchLabels": {"repo": "shop"}}, "{{workflow.annotations.repo}}", False),
        ({"matchLabels": {"kind": "build"}}, "{{workflow.labels.repo}}", False),
    ],
)
def test_a_key_that_the_selector_fixes_is_no_key(selector: JsonObject, key: str, fixed: bool) -> None:  # noqa: FBT001 - a row
    """All that the quota selects would have the same."""
    message = SAME.replace("of the namespace", "that the quota selects")
    expected = [Problem("spec.groups[0].key", message)] if fixed else []
    assert of_groups(group(key=key), selector=selector) == expected


@pytest.mark.parametrize("when_busy", ["KeepNewest", "CancelRunning"])
def test_one_key_for_all_says_what_no_limit_can_say(when_busy: str) -> None:
    """Of all that the quota selects only the newest is wanted."""
    wanted = group(key="{{workflow.namespace}}", whenBusy=when_busy)
    assert of_groups(wanted) == []
    assert of_groups(group(key="{{workflow.namespace}}", whenBusy="Refuse")) == [
        Problem("spec.groups[0].key", SAME)
    ]


def test_a_label_that_the_selector_keeps_out_fills_no_key() -> None:
    """Nobody would ever be in the group."""
    assert of_groups(group(), selector=requires("DoesNotExist")) == [
        Problem(
            "spec.groups[0].key",
            "has {{workflow.labels.repo}}, a label that the selector keeps out, so that no Workflow has it: "
            "use another part, or change the selector",
        )
    ]


def test_a_name_is_used_once() -> None:
    """Messages and accounts name a group by it."""
    found = of_groups(group(), group(name="other"), group(key="{{user}}"))
    assert found == [Problem("spec.groups[2].name", "'branch' is the name of spec.groups[0] too")]


def test_a_quota_that_only_warns_holds_up_nobody_by_a_group() -> None:
    """What a group would do to a Workflow contradicts it; that it waits means there that it is warned."""
    assert of_groups(group(), on_exceed="Warn") == []
    found = of_groups(group(whenBusy="CancelRunning", missing="Deny"), on_exceed="Warn")
    assert found == [
        Problem(
            "spec.groups[0].whenBusy",
            "CancelRunning does not go with onExceed: Warn, which lets every Workflow start: leave it out, "
            "or set onExceed: Queue",
        ),
        Problem(
            "spec.groups[0].missing",
            "Deny does not go with onExceed: Warn, which refuses no Workflow: leave it out, or set onExceed: "
            "Queue",
        ),
    ]


def test_all_faults_of_all_groups_are_told_at_once() -> None:
    """The author mends them in one go."""
    found = of_groups(group(name="A", key="main", cancel="Stop"), group(limits={"tasks": 0}))
    assert [each.path for each in found] == [
        "spec.groups[0].name",
        "spec.groups[0].key",
        "spec.groups[0].cancel",
        "spec.groups[1].limits.tasks",
    ]
