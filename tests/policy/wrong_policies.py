"""Policies that are wrong, and who refuses them in a cluster: the API server by the CRD, or only our webhook.

Each row is a kind, a spec, the path of the fault, and a part of its message.
"""

from typing import Final

from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    Resource,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy import wrong_groups, wrong_quotas

RESOURCES: Final[dict[str, Resource]] = {
    each.kind: each
    for each in (
        WORKFLOW_QUOTAS,
        CLUSTER_WORKFLOW_QUOTAS,
        SYNCHRONIZATION_POLICIES,
        CLUSTER_SYNCHRONIZATION_POLICIES,
    )
}
QUOTA, POOL, LOCKS, CLUSTER_LOCKS = RESOURCES
EVERYTHING: JsonObject = {}
LOCK: JsonObject = {"mutex": "m"}
LOADS: JsonObject = {"names": ["load-*"]}
RULE: JsonObject = {"name": "a", "templates": LOADS, "lock": LOCK}


def a_rule(**parts: JsonValue) -> JsonObject:
    """Return a policy spec with one rule, whose parts may be replaced."""
    return {"inject": [{**RULE, **parts}]}


def a_definition(**parts: JsonValue) -> JsonObject:
    """Return a policy spec with one semaphore, whose parts may be replaced."""
    return {"semaphores": [{"configMap": "c", "key": "k", "limit": 1, **parts}]}


def a_requirement(operator: str, *values: JsonValue) -> JsonObject:
    """Return a label selector with one expression."""
    return {"matchExpressions": [{"key": "team", "operator": operator, "values": list(values)}]}


def policy(kind: str, spec: JsonObject, name: str = "a") -> JsonObject:
    """Return a policy as the API serves it, without what only the server knows."""
    metadata: JsonObject = {"name": name}
    if RESOURCES[kind].namespaced:
        metadata["namespace"] = "default"
    return {"apiVersion": RESOURCES[kind].api_version, "kind": kind, "metadata": metadata, "spec": spec}


REFUSED_BY_BOTH: Final[tuple[tuple[str, JsonObject, str, str], ...]] = (
    *wrong_quotas.REFUSED_BY_BOTH,
    *wrong_groups.REFUSED_BY_BOTH,
    (QUOTA, {"limits": {"workflows": -1}}, "spec.limits.workflows", "0 or more, or Unlimited"),
    (QUOTA, {"limits": {"tasks": "lots"}}, "spec.limits.tasks", "0 or more, or Unlimited"),
    (QUOTA, {"limits": {"workflows": 1.5}}, "spec.limits.workflows", "int"),
    (QUOTA, {"perUser": {"workflows": -2}}, "spec.perUser.workflows", "0 or more"),
    (QUOTA, {"perWorkflow": {"maxTasks": 0}}, "spec.perWorkflow.maxTasks", "greater than or equal to 1"),
    (
        QUOTA,
        {"perWorkflow": {"defaultTasks": 5, "maxTasks": 4}},
        "spec.perWorkflow.defaultTasks",
        "must not be above maxTasks",
    ),
    (QUOTA, {"onExceed": "Wait"}, "spec.onExceed", '"Queue", "Deny", "Warn"'),
    (QUOTA, {"selector": a_requirement("In")}, "spec.selector.matchExpressions[0].values", "at least one"),
    (
        QUOTA,
        {"selector": a_requirement("Exists", "x")},
        "spec.selector.matchExpressions[0].values",
        "take none",
    ),
    (
        QUOTA,
        {"selector": a_requirement("Like", "x")},
        "spec.selector.matchExpressions[0].operator",
        "NotIn",
    ),
    (POOL, {"limits": {"workflows": 1}}, "spec.namespaceSelector", "Required"),
    (
        POOL,
        {"namespaceSelector": EVERYTHING, "namespaceDefaults": {"limits": {"workflows": -1}}},
        "spec.namespaceDefaults.limits.workflows",
        "0 or more",
    ),
    (LOCKS, a_definition(limit=0), "spec.semaphores[0].limit", "greater than or equal to 1"),
    (LOCKS, a_definition(key="a/b"), "spec.semaphores[0].key", "should match"),
    (LOCKS, a_definition(configMap=""), "spec.semaphores[0].configMap", "should match"),
    (
        LOCKS,
        {"semaphores": [{"configMap": "c", "key": "k", "limit": limit} for limit in (1, 2)]},
        "spec.semaphores[1]",
        "Duplicate",
    ),
    (LOCKS, {"inject": [RULE, RULE]}, "spec.inject[1]", "Duplicate"),
    (LOCKS, a_rule(lock={}), "spec.inject[0].lock", "exactly one of semaphore, mutex, database"),
    (
        LOCKS,
        a_rule(lock={"mutex": "m", "database": "d"}),
        "spec.inject[0].lock",
        "exactly one of semaphore, mutex, database",
    ),
    (LOCKS, a_rule(lock={"mutex": ""}), "spec.inject[0].lock.mutex", "at least 1"),
    (LOCKS, a_rule(lock={"database": ""}), "spec.inject[0].lock.database", "at least 1"),
    (
        LOCKS,
        a_rule(lock={"semaphore": {"configMap": "c", "key": "a/b"}}),
        "spec.inject[0].lock.semaphore.key",
        "should match",
    ),
    (
        LOCKS,
        a_rule(lock={"semaphore": {"configMap": "c"}}),
        "spec.inject[0].lock.semaphore.key",
        "Required",
    ),
    (LOCKS, a_rule(templates={}), "spec.inject[0].templates", "selects nothing"),
    (LOCKS, a_rule(templates={"names": [""]}), "spec.inject[0].templates.names[0]", "at least 1"),
    (LOCKS, a_rule(templates={"types": ["job"]}), "spec.inject[0].templates.types[0]", "container"),
    (LOCKS, a_rule(strategy="Copy"), "spec.inject[0].strategy", '"Auto", "Direct"'),
    (LOCKS, {"match": {"kinds": []}}, "spec.match.kinds", "at least 1"),
    (LOCKS, {"match": {"kinds": ["Sensor"]}}, "spec.match.kinds[0]", "Workflow"),
    (LOCKS, {"match": {"referenced": "Never"}}, "spec.match.referenced", '"Warn", "Deny", "Sibling"'),
    (
        LOCKS,
        a_rule(templates={"resources": [{}]}),
        "spec.inject[0].templates.resources[0]",
        "selects nothing",
    ),
    (
        LOCKS,
        a_rule(templates={"resources": [{"action": "make"}]}),
        "spec.inject[0].templates.resources[0].action",
        "create",
    ),
    (
        LOCKS,
        a_definition(windows=[{"name": "n", "schedule": "@daily", "duration": "1h", "limit": 0}]),
        "spec.semaphores[0].windows[0].limit",
        "1",
    ),
    (LOCKS, {"validate": {"keyPattern": "db"}}, "spec.validate.keyPattern", "placeholders"),
    (LOCKS, {"validate": {"keyPattern": "^" + "a" * 200}}, "spec.validate.keyPattern", "Too long"),
    (
        LOCKS,
        a_rule(templates={"images": ["a" * 501]}),
        "spec.inject[0].templates.images[0]",
        "Too long",
    ),
    (LOCKS, {"validate": {"crossNamespace": "Maybe"}}, "spec.validate.crossNamespace", '"Allow", "Deny"'),
    (CLUSTER_LOCKS, a_rule(), "spec.namespaceSelector", "Required"),
    (QUOTA, {"limits": {"workflows": 2**63}}, "spec.limits.workflows", ""),
    (QUOTA, {"perWorkflow": {"maxTasks": 2**63}}, "spec.perWorkflow.maxTasks", ""),
    (LOCKS, a_definition(limit=2**63), "spec.semaphores[0].limit", ""),
    (
        LOCKS,
        {"semaphores": [{"configMap": "c", "key": f"k{index}", "limit": 1} for index in range(501)]},
        "spec.semaphores",
        "at most 500",
    ),
    (
        LOCKS,
        {"inject": [{**RULE, "name": f"r{index}"} for index in range(201)]},
        "spec.inject",
        "at most 200",
    ),
    (
        LOCKS,
        a_rule(templates={"images": [f"i{index}" for index in range(101)]}),
        "spec.inject[0].templates.images",
        "at most 100",
    ),
    (
        LOCKS,
        a_rule(templates={"labels": {f"l{index}": "x" for index in range(101)}}),
        "spec.inject[0].templates.labels",
        "at most 100",
    ),
    (
        QUOTA,
        {"selector": {"matchExpressions": [{"key": f"k{n}", "operator": "Exists"} for n in range(65)]}},
        "spec.selector.matchExpressions",
        "at most 64",
    ),
    (
        QUOTA,
        {"selector": a_requirement("In", *(f"v{index}" for index in range(257)))},
        "spec.selector.matchExpressions[0].values",
        "at most 256",
    ),
)
"""What CEL and the schema refuse, in the API server's words; our own checks refuse it as well."""

ONLY_HERE: Final[tuple[tuple[str, JsonObject, str, str], ...]] = (
    *wrong_quotas.ONLY_HERE,
    *wrong_groups.ONLY_HERE,
    (LOCKS, {"validate": {"keyPattern": "^[a-z"}}, "spec.validate.keyPattern", "is not a usable pattern"),
    (LOCKS, {"validate": {"keyPattern": "^(?=a)b"}}, "spec.validate.keyPattern", "is not a usable pattern"),
    (
        LOCKS,
        a_rule(lock={"semaphore": {"configMap": "c", "key": "k", "namespace": "elsewhere"}}),
        "spec.inject[0].lock.semaphore.namespace",
        "needs validate.crossNamespace: Allow here",
    ),
    (
        CLUSTER_LOCKS,
        {
            "namespaceSelector": EVERYTHING,
            **a_rule(lock={"semaphore": {"configMap": "c", "key": "k", "namespace": "default"}}),
        },
        "spec.inject[0].lock.semaphore.namespace",
        "needs validate.crossNamespace: Allow here",
    ),
)
"""What the API server lets pass, in our words."""
