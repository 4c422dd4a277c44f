"""Defaults of a pool and quotas of its members: who loosens one bound does not get rid of the others."""

from typing import Final

import pytest

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot, with_policy
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.core.quota.namespace_quotas import left_open
from tests.policy.core.builders import NAMESPACE, mutate, namespace_object, pool, quota, snapshot, workflow

DEFAULTS: Final[JsonObject] = {
    "limits": {"workflows": 3, "tasks": 30},
    "perUser": {"workflows": 2},
    "perWorkflow": {"maxTasks": 10, "maxPriority": 5},
}
FULL: Final[JsonObject] = {
    "limits": {"workflows": 40, "tasks": 400},
    "perUser": {"workflows": 20},
    "perWorkflow": {"maxTasks": 100, "maxPriority": 50},
}
DEFAULTS_SOURCE: Final = "ClusterWorkflowQuota shared (namespaceDefaults)"
LIFTED: Final[JsonObject] = {"workflows": 40, "tasks": "Unlimited"}
NIGHT: Final[JsonObject] = {"name": "night", "schedule": "@daily", "duration": "8h"}


def sources(policies: Snapshot) -> list[str]:
    """Return the quotas that govern the namespace."""
    return [each.source for each in policies.policies(NAMESPACE).quotas]


def own_quota(**spec: JsonValue) -> WorkflowQuota:
    """Return a quota of the namespace itself."""
    return quota("own", namespace=NAMESPACE, **spec)


def governed(*own: WorkflowQuota, **defaults: JsonValue) -> Snapshot:
    """Return a pool with these defaults, and a member with these quotas."""
    shared = pool(namespaceDefaults=DEFAULTS | defaults)
    return snapshot(namespace_object(NAMESPACE), shared, *own)


@pytest.mark.parametrize(
    "own",
    [
        {**FULL, "selector": {"matchLabels": {"nobody": "has this"}}},
        {**FULL, "onExceed": "Warn"},
        {**FULL, "limits": {"workflows": 40}},
        {**FULL, "limits": LIFTED},
        {**FULL, "perUser": {}},
        {**FULL, "perUser": {"tasks": 1}},
        {**FULL, "perWorkflow": {"maxTasks": 100}},
        {**FULL, "perWorkflow": {"maxPriority": 50}},
        {**FULL, "windows": [{**NIGHT, "limits": {"workflows": "Unlimited"}}]},
        {**FULL, "limits": {"tasks": 400}, "windows": [{**NIGHT, "limits": {"workflows": 1}}]},
        {},
    ],
    ids=[
        "selects nobody",
        "only warns",
        "no tasks",
        "unlimited tasks",
        "no users",
        "other users",
        "no priority",
        "no tasks of one",
        "a window that lifts a limit",
        "a limit in a window only",
        "nothing",
    ],
)
def test_a_quota_that_does_not_bound_all_that_the_defaults_bound_is_added_to_them(own: JsonObject) -> None:
    """Three may run, as before, and none with more tasks or a higher priority."""
    policies = governed(own_quota(**own))
    assert sources(policies) == ["WorkflowQuota team-a/own", DEFAULTS_SOURCE, "ClusterWorkflowQuota shared"]
    wide = workflow({"parallelism": 11, "priority": 6})
    assert {each.policy for each in mutate(wide, policies).reasons} >= {DEFAULTS_SOURCE}


def test_one_that_bounds_all_of_it_counts_instead_however_high_its_limits_are() -> None:
    """That is how a platform gives one namespace more than the others."""
    assert sources(governed(own_quota(**FULL))) == [
        "WorkflowQuota team-a/own",
        "ClusterWorkflowQuota shared",
    ]


def test_several_may_bound_it_together() -> None:
    """One limits Workflows, another tasks."""
    parts = [quota(name, namespace=NAMESPACE, **{name: value}) for name, value in FULL.items()]
    assert DEFAULTS_SOURCE not in sources(governed(*parts))
    for missing in parts:
        assert DEFAULTS_SOURCE in sources(governed(*(each for each in parts if each is not missing)))


@pytest.mark.parametrize(
    ("bound", "own", "effect", "open_"),
    [
        ({"stopPolicy": "Hold"}, {}, "Queue", ("stopPolicy",)),
        ({"stopPolicy": "Hold"}, {"stopPolicy": "HoldAndDrain"}, "Queue", ()),
        ({"queue": {"maxLength": 5}}, {}, "Queue", ("queue.maxLength",)),
        ({"queue": {"maxLength": 5}}, {"queue": {"maxLength": 50}}, "Queue", ()),
        ({"queue": {"maxWait": "1h"}}, {}, "Queue", ("queue.maxWait",)),
        ({"queue": {"maxWait": "1h"}}, {}, "Deny", ()),
        ({"windows": [{**NIGHT, "limits": {"workflows": 1}}]}, {}, "Queue", ()),
    ],
)
def test_a_stop_and_the_bounds_of_a_queue_are_bounds_too(
    bound: JsonObject, own: JsonObject, effect: str, open_: tuple[str, ...]
) -> None:
    """A Workflow that is denied at once waits in no queue."""
    spec = own_quota(**FULL, **own, onExceed=effect).spec
    assert left_open([spec], pool(namespaceDefaults={**DEFAULTS, **bound})) == open_


def test_without_a_quota_of_its_own_a_namespace_has_the_defaults() -> None:
    """There is no moment without a limit."""
    given = governed(own_quota(**FULL))
    assert sources(governed()) == [DEFAULTS_SOURCE, "ClusterWorkflowQuota shared"]
    assert DEFAULTS_SOURCE not in sources(given)
    assert DEFAULTS_SOURCE in sources(with_policy(given, own_quota(limits={"workflows": 40})))
