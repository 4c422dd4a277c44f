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
        + cluster_queue("y", 10, f"{field}: research", more=more)
        + local_queue("a", "x")
        + local_queue("b", "y")
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
        + cluster_queue("y", 7)
        + local_queue("a", "x")
        + local_queue("a", "y").replace("main", "second")
    )
    assert list(specs(made)) == ["ClusterWorkflowQuota kueue-x"]
    assert "a is in the pool of ClusterQueue x, and can be in one only" in left_out(made)[0]
    assert "no LocalQueue names it" in left_out(made)[1]


def test_limits_that_differ_in_a_cohort_are_told() -> None:
    """A pool has one limit on borrowing for all members."""
    made = imported(
        cluster_queue("x", 7, COHORT, more=", borrowingLimit: 1")
        + cluster_queue("y", 7, COHORT)
        + local_queue("a", "x")
        + local_queue("b", "y")
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
