"""ClusterQueues become pools; those of a cohort one pool that lends and borrows."""

import pytest

from tests.lockkeeper.importing.limits import (
    cluster_queue,
    imported,
    left_out,
    local_queue,
    quota,
    specs,
    value_at,
)

COHORT = "cohort: research"


def test_a_queue_of_its_own_is_a_pool_of_its_namespaces() -> None:
    """Those with a LocalQueue that names it."""
    made = imported(cluster_queue("q", 12) + local_queue("b", "q") + local_queue("a", "q"))
    assert specs(made) == {
        "ClusterWorkflowQuota kueue-q": {
            "namespaceSelector": {
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}
                ]
            },
            "limits": {"tasks": 12},
            "perWorkflow": {"defaultTasks": 10},
        }
    }


@pytest.mark.parametrize("field", ["cohort", "cohortName"])
def test_queues_of_a_cohort_share_a_pool(field: str) -> None:
    """Nominal quotas are shares, and the limits on borrowing and lending are the pool's."""
    more = ", borrowingLimit: 5, lendingLimit: 3"
    made = imported(
        cluster_queue("x", 30, f"{field}: research", more=more)
        + cluster_queue("z", 10, f"{field}: research", more=more)
        + local_queue("a", "x")
        + local_queue("b", "z")
    )
    spec = specs(made)["ClusterWorkflowQuota kueue-research"]
    assert value_at(spec, "limits", "tasks") == 40
    assert value_at(spec, "borrowing") == {
        "enabled": True,
        "shares": {"a": {"tasks": 30}, "b": {"tasks": 10}},
        "borrowingLimit": {"tasks": 5},
        "lendingLimit": {"tasks": 3},
    }
    assert left_out(made) == []


def test_a_share_of_two_namespaces_is_divided() -> None:
    """And they borrow from each other."""
    made = imported(cluster_queue("x", 7, COHORT) + local_queue("a", "x") + local_queue("b", "x"))
    assert value_at(specs(made)["ClusterWorkflowQuota kueue-research"], "borrowing", "shares") == {
        "a": {"tasks": 4},
        "b": {"tasks": 3},
    }


def test_requests_are_counted_in_tasks() -> None:
    """By the size of one task; without it the queue is told as left out."""
    text = cluster_queue("q", "40Gi", resource="memory") + local_queue("a", "q")
    assert (
        value_at(specs(imported(text, memory="8Gi"))["ClusterWorkflowQuota kueue-q"], "limits", "tasks") == 5
    )
    without = imported(text)
    assert specs(without) == {}
    assert "say with --task-memory what one task requests" in left_out(without)[0]


def test_a_cohort_with_quota_of_its_own_adds_to_the_pool() -> None:
    """Its cohort above is told: pools have none."""
    cohort = cluster_queue("research", 8, "parentName: all").replace("ClusterQueue", "Cohort")
    made = imported(cluster_queue("x", 7, COHORT) + local_queue("a", "x") + cohort)
    assert value_at(specs(made)["ClusterWorkflowQuota kueue-research"], "limits", "tasks") == 15
    assert "pools have no pools above them" in left_out(made)[0]


@pytest.mark.parametrize(
    ("spec", "path", "expected"),
    [
        ('fairSharing: {weight: "2"}', ("fairShare",), {"weights": {"a": 2}}),
        ("queueingStrategy: StrictFIFO", ("queue",), {"strategy": "StrictFIFO"}),
        ("stopPolicy: Hold", ("stopPolicy",), "Hold"),
    ],
)
def test_weights_strategies_and_stops_are_kept(spec: str, path: tuple[str, ...], expected: object) -> None:
    """They mean the same here."""
    made = imported(cluster_queue("q", 12, spec) + local_queue("a", "q"))
    assert value_at(specs(made)["ClusterWorkflowQuota kueue-q"], *path) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("preemption: {withinClusterQueue: LowerPriority}", "Lockkeeper ends nothing that runs"),
        ("admissionChecks: [capacity]", "there are no further checks"),
        ('fairSharing: {weight: "0.5"}', "weights are whole numbers from 1"),
    ],
)
def test_what_no_pool_says_is_told(spec: str, expected: str) -> None:
    """The pool is made without it."""
    made = imported(cluster_queue("q", 12, spec) + local_queue("a", "q"))
    assert len(specs(made)) == 1
    assert expected in left_out(made)[0]


def test_queues_without_namespaces_and_namespaces_in_two_queues_are_told() -> None:
    """A namespace is in one pool."""
    made = imported(
        cluster_queue("x", 7)
        + cluster_queue("z", 7)
        + local_queue("a", "x")
        + local_queue("a", "z").replace("main", "second")
    )
    assert list(specs(made)) == ["ClusterWorkflowQuota kueue-x"]
    assert "a is in the pool of ClusterQueue x, and can be in one only" in left_out(made)[0]
    assert "no LocalQueue names it" in left_out(made)[1]


def test_limits_that_differ_in_a_cohort_are_told() -> None:
    """A pool has one limit on borrowing for all members."""
    made = imported(
        cluster_queue("x", 7, COHORT, more=", borrowingLimit: 1")
        + cluster_queue("z", 7, COHORT)
        + local_queue("a", "x")
        + local_queue("b", "z")
    )
    assert "borrowingLimit" not in str(specs(made))
    assert "borrowingLimit differs between the ClusterQueues" in left_out(made)[0]


def test_workflows_of_a_member_are_not_lent() -> None:
    """A quota of a member is its share; a limit that was hard stays so."""
    made = imported(
        cluster_queue("x", 7, COHORT)
        + local_queue("a", "x")
        + quota("q", "a", "count/workflows.argoproj.io: 3, pods: 4")
    )
    pool = specs(made)["ClusterWorkflowQuota kueue-research"]
    assert value_at(pool, "borrowing", "borrowingLimit") == {"workflows": 0}
    assert specs(made)["WorkflowQuota a/resourcequota-q"] == {"limits": {"workflows": 3}, "onExceed": "Queue"}
    assert "its tasks are bounded by the pool of Kueue's limits already" in left_out(made)[0]


def two_flavors(first: str, second: str) -> str:
    """Return a queue with two flavors of CPU and of memory."""
    return f"""
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {{name: q}}
spec:
  resourceGroups:
  - coveredResources: [cpu, memory]
    flavors:
    - {{name: on-demand, resources: [{{name: cpu, {first}}}, {{name: memory, nominalQuota: 36Gi}}]}}
    - {{name: spot, resources: [{{name: cpu, {second}}}, {{name: memory, nominalQuota: 6Gi}}]}}
"""


def test_flavors_count_together_and_the_least_resource_counts() -> None:
    """What is not the same in both flavors is told, and so is the resource that does not count."""
    queue = two_flavors("nominalQuota: 9, borrowingLimit: 4", "nominalQuota: 500m")
    made = imported(queue + local_queue("a", "q"), cpu="1", memory="4Gi")
    assert value_at(specs(made)["ClusterWorkflowQuota kueue-q"], "limits", "tasks") == 9
    assert [each.partition(": ")[2] for each in left_out(made)] == [
        "is given for some flavors only, and tasks have no flavor",
        "its 2 flavors count together: tasks have no flavor",
        "cpu allows as few tasks or fewer, and counts alone",
    ]


def test_limits_of_all_flavors_are_added() -> None:
    """Each is in tasks."""
    more = "borrowingLimit: 2"
    queue = two_flavors(f"nominalQuota: 8, {more}", f"nominalQuota: 1, {more}")
    queue = queue.replace("spec:", "spec:\n  cohortName: c")
    made = imported(queue + local_queue("a", "q"), cpu="1")
    limit = value_at(specs(made)["ClusterWorkflowQuota kueue-c"], "borrowing", "borrowingLimit")
    assert limit == {"tasks": 4}


def test_a_quantity_that_is_none_is_told() -> None:
    """It is not taken for nothing silently."""
    made = imported(cluster_queue("q", "many") + local_queue("a", "q"))
    assert "(nominalQuota) (limits.yaml:8): 'many' is no quantity" in left_out(made)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (local_queue("a", "nowhere"), "spec.clusterQueue (limits.yaml:18): there is no ClusterQueue nowhere"),
        (
            local_queue("a", "q").replace("clusterQueue: q", "clusterQueue: q, stopPolicy: Hold"),
            "spec.stopPolicy (limits.yaml:18): write stopPolicy into a WorkflowQuota of a",
        ),
    ],
)
def test_what_a_local_queue_says_is_told(text: str, expected: str) -> None:
    """With its line."""
    told = left_out(imported(cluster_queue("q", 3) + text))
    assert any(each.startswith(f"LocalQueue a/main {expected}") for each in told)


def test_what_is_not_the_same_in_all_queues_is_told_of_the_one_that_has_it() -> None:
    """A pool has one stop policy."""
    made = imported(
        cluster_queue("x", 7, COHORT)
        + cluster_queue("z", 7, f"{COHORT}\n  stopPolicy: Hold")
        + local_queue("a", "x")
        + local_queue("b", "z")
    )
    assert left_out(made)[0].startswith("ClusterQueue z spec.stopPolicy")


def test_namespaces_of_a_queue_that_cannot_be_counted_are_in_no_pool() -> None:
    """They would be bounded by what others have."""
    made = imported(
        cluster_queue("x", 7, COHORT)
        + cluster_queue("z", 2, COHORT, resource="nvidia.com/gpu")
        + local_queue("a", "x")
        + local_queue("b", "z")
    )
    (name,) = specs(made)
    assert value_at(specs(made)[name], "namespaceSelector", "matchExpressions") == [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a"]}
    ]
