"""ResourceQuotas become quotas of Workflows and tasks; what counts something else is told."""

import pytest

from tests.lockkeeper.importing.limits import changes, imported, left_out, quota, specs, value_at


def test_workflows_are_counted_and_refused_as_before() -> None:
    """What is different is told: only those that run count."""
    made = imported(quota("q", "ci", "count/workflows.argoproj.io: 20"))
    assert specs(made) == {
        "WorkflowQuota ci/resourcequota-q": {"limits": {"workflows": 20}, "onExceed": "Deny"}
    }
    assert changes(made)["spec.limits.workflows"].startswith(
        "counts Workflows that run, and no finished ones"
    )


@pytest.mark.parametrize(
    ("hard", "tasks"),
    [
        ("pods: 60", 60),
        ('count/pods: "1k"', 1000),
        ("pods: 60, requests.cpu: 32", 16),
        ("cpu: 32, requests.memory: 64Gi", 8),
        ("memory: 100G", 11),
    ],
)
def test_the_least_of_pods_and_requests_bounds_tasks(hard: str, tasks: int) -> None:
    """A task is as large as the options say."""
    made = imported(quota("q", "ci", hard), cpu="2", memory="8Gi")
    spec = specs(made)["WorkflowQuota ci/resourcequota-q"]
    assert spec == {
        "limits": {"tasks": tasks},
        "perWorkflow": {"defaultTasks": min(10, tasks)},
        "onExceed": "Queue",
    }


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        ("requests.cpu: 32", "say with --task-cpu what one task requests"),
        ("requests.nvidia.com/gpu: 4", "quotas count Workflows and tasks, and not this"),
        ("limits.memory: 4Gi", "quotas count Workflows and tasks, and not this"),
        ("pods: many", "'many' is no quantity"),
    ],
)
def test_what_cannot_be_counted_is_told(hard: str, expected: str) -> None:
    """With an option that helps, where one does."""
    made = imported(quota("q", "ci", hard), memory="1Gi")
    (told,) = left_out(made)
    assert (specs(made), expected in told) == ({}, True)


def test_a_quota_of_some_pods_is_left_out() -> None:
    """A quota of ours would count all of them."""
    made = imported(quota("q", "ci", "pods: 4", ", scopes: [BestEffort]"))
    assert specs(made) == {}
    assert "it counts some Pods only" in left_out(made)[0]


def test_quotas_of_other_objects_are_none_of_ours() -> None:
    """Services limit no Workflow."""
    made = imported(quota("q", "ci", "services: 4, count/cronworkflows.argoproj.io: 3"))
    assert (specs(made), left_out(made)) == ({}, [])


def test_a_size_is_shown_as_it_was_given() -> None:
    """Not in bytes."""
    made = imported(quota("q", "ci", "requests.memory: 64Gi"), memory="8Gi")
    assert changes(made)["spec.limits.tasks"] == "counts tasks, each as 8Gi of memory"
    assert value_at(specs(made)["WorkflowQuota ci/resourcequota-q"], "limits", "tasks") == 8
