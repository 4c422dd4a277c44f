"""Bounds on the length of lists: a file and a cluster take the same policies."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.policy_checks import problems
from policy.core.policy_kinds.kinds import Policy
from policy.core.values.amounts import INT64_MAX
from tests.conftest import ROOT
from tests.policy.core.builders import cluster_lock_policy, definition, lock_policy, pool, quota, rule
from tests.policy.wrong_quotas import NIGHT

CRDS = ROOT / "charts" / "lockkeeper" / "files" / "crds"
MUTEX: JsonObject = {"mutex": "one"}
PARTS = ("names", "images", "types", "labels", "serviceAccounts", "volumes", "resources", "tasks")
EXPECTED = {
    "spec.semaphores": 500,
    "spec.inject": 200,
    "spec.semaphores[].windows": 32,
    **{f"spec.inject[].templates.{part}": 100 for part in PARTS},
}
MOVING = {"spec.windows": 32, "spec.reserve": 16, "spec.groups": 16}


def _expressions(count: int) -> JsonValue:
    return {"matchExpressions": [{"key": f"k{index}", "operator": "Exists"} for index in range(count)]}


def _values(count: int) -> JsonValue:
    values: JsonValue = [f"v{index}" for index in range(count)]
    return {"matchExpressions": [{"key": "a", "operator": "In", "values": values}]}


def _templates(part: str, count: int) -> Policy:
    words = [f"w{index}" for index in range(count)]
    given: JsonValue = list(words)
    if part == "labels":
        given = dict.fromkeys(words, "x")
    if part == "types":
        given = ["script"] * count
    if part == "resources":
        given = [{"action": "create"}] * count
    return lock_policy(inject=[rule("a", MUTEX, **{part: given})])


def _windows(count: int) -> Policy:
    window: JsonObject = {"schedule": "@daily", "duration": "1h", "limits": {"workflows": 1}}
    return quota(windows=[{**window, "name": f"w{index}"} for index in range(count)])


def _reserves(count: int) -> Policy:
    reserves: JsonValue = [{"abovePriority": level, "tasks": 1} for level in range(count)]
    return quota(limits={"tasks": 99}, reserve=reserves)


def _groups(count: int) -> Policy:
    return quota(groups=[{"name": f"g{index}", "key": "{{user}}"} for index in range(count)])


def _shares(count: int) -> Policy:
    shares: JsonObject = {f"n{index}": {"workflows": 1} for index in range(count)}
    return pool(limits={"workflows": 9}, borrowing={"shares": shares})


def _weights(count: int) -> Policy:
    return pool(fairShare={"weights": {f"n{index}": 1 for index in range(count)}})


QUOTA_LISTS: dict[str, Callable[[int], Policy]] = {
    "spec.windows": _windows,
    "spec.reserve": _reserves,
    "spec.groups": _groups,
    "spec.fairShare.weights": _weights,
    "spec.borrowing.shares": _shares,
}


def _policy(path: str, count: int) -> Policy:
    """Return a policy with as many entries at a path."""
    if path == "spec.semaphores":
        return lock_policy(semaphores=[definition(f"k{index}") for index in range(count)])
    if path == "spec.semaphores[0].windows":
        windows: list[JsonValue] = [
            {"name": f"w{index}", "schedule": "@daily", "duration": "1h", "limit": 1}
            for index in range(count)
        ]
        return lock_policy(semaphores=[{**definition("db"), "windows": windows}])
    if path == "spec.inject":
        return lock_policy(inject=[rule(f"r{index}", MUTEX) for index in range(count)])
    if path in QUOTA_LISTS:
        return QUOTA_LISTS[path](count)
    if path.startswith("spec.inject[0].templates."):
        return _templates(path.rpartition(".")[2], count)
    selector = _values(count) if path.endswith(".values") else _expressions(count)
    if "matchReferences" in path:
        names: list[JsonValue] = [f"n{number}" for number in range(count)]
        selector = {"matchReferences": {path.rpartition(".")[2]: names}}
    with_selector: dict[str, Policy] = {
        "selector": quota(selector=selector),
        "namespaceSelector": pool(namespaceSelector=selector),
        "namespaceDefaults": pool(namespaceDefaults={"selector": selector}),
        "elastic": pool(elastic={"selector": selector, "tasksPerCPU": 2, "min": {"tasks": 4}}),
        "match": cluster_lock_policy(match={"workflows": selector}),
    }
    return with_selector[path.split(".")[1]]


KINDS = ("workflowTemplates", "clusterWorkflowTemplates", "cronWorkflows")
SELECTORS = (
    "spec.selector",
    "spec.namespaceSelector",
    "spec.namespaceDefaults.selector",
    "spec.elastic.selector",
    "spec.match.workflows",
)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("spec.windows", 32),
        ("spec.reserve", 16),
        ("spec.groups", 16),
        ("spec.fairShare.weights", 1000),
        ("spec.semaphores", 500),
        ("spec.inject", 200),
        ("spec.semaphores[0].windows", 32),
        *((f"spec.inject[0].templates.{part}", 100) for part in PARTS),
        *((f"spec.selector.matchReferences.{kind}", 64) for kind in KINDS),
        *((f"{selector}.matchExpressions", 64) for selector in SELECTORS),
        *((f"{selector}.matchExpressions[0].values", 256) for selector in SELECTORS),
    ],
)
def test_a_list_may_be_as_long_as_its_bound_and_no_longer(path: str, most: int) -> None:
    """One more entry is one problem, at the path of the list."""
    assert problems(_policy(path, most)) == []
    (found,) = problems(_policy(path, most + 1))
    assert (found.path, found.message) == (path, f"has {most + 1} entries: at most {most} are allowed")


def _bounds(schema: Mapping[str, Any], path: str) -> dict[str, int]:
    """Return every bound of a schema by path."""
    found: dict[str, int] = {}
    if bound := schema.get("maxItems") or schema.get("maxProperties"):
        found[path] = bound
    for name, one in schema.get("properties", {}).items():
        found |= _bounds(one, f"{path}.{name}")
    if "items" in schema:
        found |= _bounds(schema["items"], f"{path}[]")
    return found


@pytest.mark.parametrize(
    ("plural", "selectors"),
    [
        ("workflowquotas", ["spec.selector"]),
        (
            "clusterworkflowquotas",
            [
                "spec.selector",
                "spec.namespaceSelector",
                "spec.namespaceDefaults.selector",
                "spec.elastic.selector",
            ],
        ),
        ("synchronizationpolicies", ["spec.match.workflows"]),
        ("clustersynchronizationpolicies", ["spec.match.workflows", "spec.namespaceSelector"]),
    ],
)
def test_the_crds_have_these_bounds_and_no_others(plural: str, selectors: list[str]) -> None:
    """A bound that only one side knows would let a policy work in a file and not in a cluster."""
    manifest = yaml.safe_load((CRDS / f"{plural}.yaml").read_bytes())
    (version,) = manifest["spec"]["versions"]
    expected = dict(EXPECTED) if "synchronization" in plural else dict(MOVING)
    if plural == "clusterworkflowquotas":
        expected |= {
            f"spec.namespaceDefaults.{part.removeprefix('spec.')}": most for part, most in MOVING.items()
        }
        expected["spec.fairShare.weights"] = 1000
        expected["spec.borrowing.shares"] = 1000
    for selector in selectors:
        if selector in ("spec.selector", "spec.namespaceDefaults.selector"):
            expected |= {f"{selector}.matchReferences.{kind}": 64 for kind in KINDS}
        expected |= {f"{selector}.matchExpressions": 64, f"{selector}.matchExpressions[].values": 256}
    assert _bounds(version["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec") == expected


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (quota(limits={"workflows": INT64_MAX + 1}), "spec.limits.workflows"),
        (quota(perUser={"tasks": INT64_MAX + 1}), "spec.perUser.tasks"),
        (
            quota(windows=[{**NIGHT, "limits": {"tasks": INT64_MAX + 1}}]),
            "spec.windows[0].limits.tasks",
        ),
        (quota(queue={"maxLength": INT64_MAX + 1}), "spec.queue.maxLength"),
        (
            pool(limits={"tasks": 1}, borrowing={"borrowingLimit": {"tasks": INT64_MAX + 1}}),
            "spec.borrowing.borrowingLimit.tasks",
        ),
        (quota(perWorkflow={"maxTasks": INT64_MAX + 1}), "spec.perWorkflow.maxTasks"),
        (lock_policy(semaphores=[definition("db", INT64_MAX + 1)]), "spec.semaphores[0].limit"),
    ],
)
def test_a_number_that_the_api_server_could_not_read_is_a_problem(policy: Policy, path: str) -> None:
    """It counts in 64 bits."""
    (found,) = problems(policy)
    assert found.path == path
    assert f"must be at most {INT64_MAX}" in found.message
