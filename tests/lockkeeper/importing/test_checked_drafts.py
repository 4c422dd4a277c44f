"""What runs now is counted under the policies, and a Workflow that says no tasks counts as fits."""

import pytest

from lockkeeper.importing.running_check import RunningCheck
from tests.lockkeeper.importing.limits import (
    cluster_queue,
    config_map,
    imported,
    local_queue,
    over,
    quota,
    running,
    specs,
    value_at,
)

TASKS = quota("q", "ci", "pods: 20")
QUOTA = "WorkflowQuota ci/resourcequota-q"


def test_those_that_run_within_their_limits_are_counted() -> None:
    """Finished ones are not."""
    ended = running("c", "ci").replace("Running", "Succeeded")
    made = imported(TASKS + running("a", "ci", 10) + running("b", "ci", 10) + ended)
    assert made.checked == RunningCheck(2, ())


def test_a_limit_that_is_passed_is_told_with_what_runs() -> None:
    """And what happens then."""
    made = imported(TASKS + running("a", "ci", 15) + running("b", "ci", 15))
    (told,) = over(made)
    assert told == (
        f"{QUOTA}: tasks of those that run now: 30, limit 20. They run on, and nothing else starts until "
        "they are fewer. Raise the limit to 30 if that is to be allowed"
    )


def test_one_that_could_not_be_created_again_is_told() -> None:
    """It needs more than the limit by itself."""
    told = over(imported(TASKS + running("a", "ci", 30)))
    assert any("would refuse Workflow ci/a, which runs: ExceedsMaxQuota" in each for each in told)


def test_tasks_of_those_that_say_none_are_as_many_as_fit() -> None:
    """Three run in 20 Pods, so none of them needs 10; what is given is kept."""
    text = TASKS + "".join(running(name, "ci") for name in "abc")
    made = imported(text)
    assert value_at(specs(made)[QUOTA], "perWorkflow", "defaultTasks") == 6
    assert made.checked.over == ()
    given = imported(text, default_tasks=8)
    assert value_at(specs(given)[QUOTA], "perWorkflow", "defaultTasks") == 8
    assert "tasks of those that run now: 24, limit 20" in over(given)[0]


def test_a_lower_number_is_not_taken_where_it_helps_nobody() -> None:
    """The limit is passed by another one."""
    made = imported(TASKS + running("a", "ci", 30) + running("b", "other"))
    assert value_at(specs(made)[QUOTA], "perWorkflow", "defaultTasks") == 10


def test_a_pool_and_the_default_of_each_namespace_are_counted() -> None:
    """Over all namespaces together, and in each."""
    settings = config_map(
        "workflow-controller-configmap", "argo", '{parallelism: "3", namespaceParallelism: "2"}'
    )
    rows = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "z")]
    told = over(imported(settings + "".join(running(*each) for each in rows)))
    assert [each.partition(". They")[0] for each in told] == [
        "ClusterWorkflowQuota argo (namespaceDefaults): workflows of those that run now: 3, limit 2",
        "ClusterWorkflowQuota argo: workflows of those that run now: 4, limit 3",
    ]


def test_a_member_of_a_cohort_may_use_its_share_and_what_it_borrows() -> None:
    """More of it is told."""
    queues = (
        cluster_queue("x", 7, "cohort: c", more=", borrowingLimit: 3")
        + cluster_queue("y", 7, "cohort: c", more=", borrowingLimit: 3")
        + local_queue("a", "x")
        + local_queue("b", "y")
    )
    assert over(imported(queues + running("w", "a", 10))) == []
    (told, *_) = over(imported(queues + running("w", "a", 11)))
    assert "for a: tasks of those that run now: 11, limit 10" in told


@pytest.mark.parametrize("wrong", ["metadata: {name: 7, namespace: ci}", "metadata: {name: a, namespace: 7}"])
def test_one_that_is_no_workflow_is_told_as_not_counted(wrong: str) -> None:
    """Nothing is left out silently."""
    right = "metadata: {name: a, namespace: ci}"
    made = imported(TASKS + running("b", "ci", 3) + running("a", "ci", 3).replace(right, wrong))
    assert (made.checked.running, made.checked.over, len(made.checked.uncounted)) == (1, (), 1)
