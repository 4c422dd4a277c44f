"""`lockkeeper import`: policies with their origins that other commands take, and the exit codes."""

import json
from pathlib import Path

import pytest

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper
from tests.lockkeeper.importing.limits import cluster_queue, config_map, quota, running

LIMITS = EXAMPLES / "limits"


def test_the_examples_become_policies_that_other_commands_take(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """Each line says where it comes from, and what is left out is told."""
    finished = lockkeeper("import", LIMITS)
    assert (finished.code, finished.err) == (0, "")
    assert "    workflows: 4  # from Namespace reports metadata.labels[" in finished.out
    assert "  spec.fairShare.weights.ml-train: compares what namespaces used lately" in finished.out
    assert "# Left out:\n#   ClusterQueue training spec.preemption" in finished.out
    assert finished.out.endswith(
        "# Checked against 1 running Workflow: none is over a limit by these policies.\n"
    )
    file = tmp_path / "policies.yaml"
    file.write_text(finished.out, "utf-8")
    reviewed = lockkeeper("review", EXAMPLES / "workflows" / "09-build-1.yaml", "--policies", file)
    assert (reviewed.code, reviewed.err) == (0, "")
    assert "WorkflowQuota ci/resourcequota-builds" in reviewed.out
    assert lockkeeper("diff", file, file).code == 0


def test_json_has_the_same_for_programs(lockkeeper: Lockkeeper) -> None:
    """The policies, their origins, what is left out, and the check."""
    found = json.loads(lockkeeper("import", LIMITS / "argo.yaml", "-o", "json").out)
    assert found["check"] == {"running": 1, "over": [], "uncounted": [], "already": []}
    assert {each["policy"]["kind"] for each in found["policies"]} == {
        "ClusterWorkflowQuota",
        "WorkflowQuota",
        "SynchronizationPolicy",
    }
    assert found["leftOut"][0]["source"].startswith("ResourceQuota ci/builds spec.hard[")


def test_standard_input_is_read_as_kubectl_prints_it(lockkeeper: Lockkeeper) -> None:
    """A list of objects."""
    items = {"apiVersion": "v1", "kind": "List", "items": [json.loads(json.dumps(QUOTA))]}
    finished = lockkeeper("import", "-", stdin=json.dumps(items).encode())
    assert (finished.code, "    workflows: 7  # from" in finished.out) == (0, True)


QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "q", "namespace": "ci"},
    "spec": {"hard": {"count/workflows.argoproj.io": "7"}},
}


def test_somebody_who_would_be_over_a_limit_fails_the_command(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """The policies are printed all the same, with what they would do."""
    file = tmp_path / "limits.yaml"
    file.write_text(quota("q", "ci", "pods: 4") + running("a", "ci", 5), "utf-8")
    finished = lockkeeper("import", file)
    assert finished.code == 1
    assert "Running Workflows: 1. Limits that they are over: 2. They are listed at the end" in finished.err
    assert "#   WorkflowQuota ci/resourcequota-q: tasks of those that run now: 5, limit 4." in finished.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nothing-here.yaml",), "nothing-here.yaml: error: Unreadable: there is no such file or folder"),
        (("{empty}",), "there is no limit in"),
        ((str(LIMITS), "--task-cpu", "0"), "'0' is nothing: say what one task requests"),
        ((str(LIMITS), "--task-memory", "much"), "'much' is no quantity such as"),
        ((str(LIMITS), "--default-tasks", "0"), "'0' is no number of tasks: give 1 or more"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    lockkeeper: Lockkeeper, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    """Exit code 2."""
    (tmp_path / "empty").mkdir()
    finished = lockkeeper("import", *(each.format(empty=tmp_path / "empty") for each in words))
    assert (finished.code, expected in finished.err) == (2, True)
    assert "Traceback" not in finished.err


def test_a_file_that_cannot_be_read_is_no_absence_of_limits(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """The rest is printed, and the exit code says that it is not all."""
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "a.yaml").write_text(config_map("c", "a", "{") + cluster_queue("q", 3), "utf-8")
    (tmp_path / "limits" / "b.yaml").write_text(quota("q", "ci", "pods: 4"), "utf-8")
    finished = lockkeeper("import", tmp_path / "limits")
    assert (finished.code, "a.yaml" in finished.err, "    tasks: 4  # from" in finished.out) == (
        2,
        True,
        True,
    )
