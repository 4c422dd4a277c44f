"""Quotas that are wrong in their groups, and who refuses them, in rows of `wrong_policies`."""

from typing import Final

from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.wrong_quotas import POOL, QUOTA, a_pool


def a_group(**parts: JsonValue) -> JsonObject:
    """Return a quota spec with one group, whose parts may be replaced."""
    return {"groups": [{"name": "branch", "key": "{{workflow.labels.repo}}", **parts}]}


REFUSED_BY_BOTH: Final[tuple[tuple[str, JsonObject, str, str], ...]] = (
    (QUOTA, {"groups": [{"key": "{{user}}"}]}, "spec.groups[0].name", "Required"),
    (QUOTA, {"groups": [{"name": "a"}]}, "spec.groups[0].key", "Required"),
    (QUOTA, a_group(name=""), "spec.groups[0].name", "at least 1"),
    (QUOTA, a_group(name="n" * 64), "spec.groups[0].name", "63"),
    (QUOTA, a_group(name="My_Group"), "spec.groups[0].name", "should match"),
    (QUOTA, a_group(name="-a"), "spec.groups[0].name", "should match"),
    (QUOTA, {"groups": [{"name": "a", "key": "{{user}}"}] * 2}, "spec.groups[1]", "Duplicate"),
    (
        QUOTA,
        {"groups": [{"name": f"g{index}", "key": "{{user}}"} for index in range(17)]},
        "spec.groups",
        "at most 16",
    ),
    (QUOTA, a_group(key=""), "spec.groups[0].key", "at least 1"),
    (QUOTA, a_group(key="{{user}}" + "x" * 500), "spec.groups[0].key", "500"),
    (QUOTA, a_group(key="main"), "spec.groups[0].key", "has no part"),
    (QUOTA, a_group(key="{{workflow.labels.a}"), "spec.groups[0].key", "has a brace that belongs to no part"),
    (QUOTA, a_group(key="{{user}}}"), "spec.groups[0].key", "has a brace that belongs to no part"),
    (QUOTA, a_group(key="{{workflow.label.a}}"), "spec.groups[0].key", "has an unknown part"),
    (QUOTA, a_group(key="{{workflow.labels}}"), "spec.groups[0].key", "has an unknown part"),
    (QUOTA, a_group(key="{{workflow.name}}"), "spec.groups[0].key", "has an unknown part"),
    (QUOTA, a_group(key="{{user}}{{workflow.cron}}"), "spec.groups[0].key", "nothing that separates two"),
    (QUOTA, a_group(key="{{user}}x%{{workflow.cron}}"), "spec.groups[0].key", "nothing that separates two"),
    (
        QUOTA,
        a_group(key="{{workflow.labels.lockkeeper.dev/child-of}}"),
        "spec.groups[0].key",
        "Lockkeeper itself writes",
    ),
    (
        QUOTA,
        a_group(key="{{workflow.labels.workflows.argoproj.io/phase}}"),
        "spec.groups[0].key",
        "changes while a Workflow waits or runs",
    ),
    (
        QUOTA,
        a_group(key="ci-{{ workflow.namespace }}"),
        "spec.groups[0].key",
        "is the same for all Workflows of the namespace",
    ),
    (
        POOL,
        a_pool(namespaceDefaults=a_group(key="{{workflow.namespace}}")),
        "spec.namespaceDefaults.groups[0].key",
        "is the same for all Workflows of the namespace",
    ),
    (POOL, a_pool(**a_group(key="{{workflow.names}}")), "spec.groups[0].key", "has an unknown part"),
    (QUOTA, a_group(limits={"workflows": 0}), "spec.groups[0].limits.workflows", "must be 1 or more"),
    (QUOTA, a_group(limits={"tasks": -1}), "spec.groups[0].limits.tasks", "must be 1 or more"),
    (QUOTA, a_group(limits={}), "spec.groups[0].limits", "limit nothing"),
    (QUOTA, a_group(limits={"workflows": "Unlimited"}), "spec.groups[0].limits", "limit nothing"),
    (QUOTA, a_group(whenBusy="Wait"), "spec.groups[0].whenBusy", '"KeepNewest"'),
    (QUOTA, a_group(cancel="Kill"), "spec.groups[0].cancel", '"Terminate"'),
    (QUOTA, a_group(missing="Allow"), "spec.groups[0].missing", '"Ignore"'),
    (QUOTA, a_group(cancel="Stop"), "spec.groups[0].cancel", "stops nothing"),
    (
        QUOTA,
        a_group(cancel="Stop", whenBusy="KeepNewest"),
        "spec.groups[0].cancel",
        "stops nothing",
    ),
    (
        QUOTA,
        {**a_group(whenBusy="Refuse"), "onExceed": "Warn"},
        "spec.groups",
        "does not go with onExceed",
    ),
    (QUOTA, {**a_group(missing="Deny"), "onExceed": "Warn"}, "spec.groups", "which refuses no Workflow"),
    (
        POOL,
        a_pool(namespaceDefaults={**a_group(whenBusy="KeepNewest"), "onExceed": "Warn"}),
        "spec.namespaceDefaults.groups",
        "does not go with onExceed",
    ),
)
"""What CEL and the schema refuse, in the API server's words; our own checks refuse it as well."""

ONLY_HERE: Final[tuple[tuple[str, JsonObject, str, str], ...]] = (
    (
        QUOTA,
        {**a_group(), "selector": {"matchLabels": {"repo": "shop"}}},
        "spec.groups[0].key",
        "is the same for all Workflows that the quota selects",
    ),
    (
        POOL,
        a_pool(**a_group(), selector={"matchExpressions": [{"key": "repo", "operator": "DoesNotExist"}]}),
        "spec.groups[0].key",
        "a label that the selector keeps out",
    ),
    (QUOTA, a_group(key="{{workflow.labels.-a}}"), "spec.groups[0].key", "'-a' is no name of a label"),
)
"""What the API server lets pass, in our words."""
