"""`lockkeeper diff`: which policies, limits and decisions are others, in every format, and the exit codes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

POLICIES = EXAMPLES / "policies"
WORKFLOWS = EXAMPLES / "workflows"


@pytest.fixture
def proposal(tmp_path: Path) -> Path:
    """Return a copy of the policies to be changed."""
    return Path(shutil.copytree(POLICIES, tmp_path / "proposal"))


def change(folder: Path, name: str, before: str, after: str) -> None:
    """Change a text in one of the files."""
    file = folder / name
    text = file.read_text("utf-8")
    assert before in text
    file.write_text(text.replace(before, after), "utf-8")


def test_the_same_policies_differ_in_nothing(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """Exit code 0, and how much was compared."""
    finished = lockkeeper("diff", POLICIES, proposal, WORKFLOWS)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out == "no difference: 0 of 14 objects decided differently\n"


def test_a_decision_that_changes_is_shown_with_its_reasons(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """What is assumed to run holds on both sides."""
    change(proposal, "quota-ci.yaml", "workflows: 2", "workflows: 3")
    build = WORKFLOWS / "09-build-1.yaml"
    finished = lockkeeper("diff", POLICIES, proposal, build, "--running", "ci=2")
    assert finished.code == 1
    assert "WorkflowQuota ci/builds: changed\n  spec.limits.workflows: 2 -> 3\n" in finished.out
    assert "ci         WorkflowQuota ci/builds  workflows=2, onExceed Deny  workflows=3, onEx" in finished.out
    assert (
        "  decision: denied -> allowed\n  - reasons: ExceededQuota: [WorkflowQuota ci/builds]" in finished.out
    )
    assert finished.out.endswith("\n1 of 1 object decided differently\n")


def test_limits_are_those_of_the_time_that_is_assumed(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """Another window changes nothing by day."""
    change(proposal, "pool-data.yaml", "tasks: 80", "tasks: 60")
    at = ("--at", "2026-12-01T12:00:00+01:00")
    by_day = lockkeeper("diff", POLICIES, proposal, *at).out
    at_night = lockkeeper("diff", POLICIES, proposal, "--at", "2026-12-01T23:00:00+01:00").out
    assert "spec.windows[night].limits.tasks: 80 -> 60" in by_day
    assert "LIMITS BEFORE" not in by_day
    (row,) = [each for each in at_night.splitlines() if each.startswith("(pool)")]
    assert ("tasks=80" in row, "tasks=60" in row) == (True, True)


def test_another_lock_shows_as_a_diff_of_the_object(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """The decision is the same, and what runs is not."""
    change(proposal, "locks.yaml", '"load-*", ', "")
    finished = lockkeeper("diff", POLICIES, proposal, WORKFLOWS / "01-daily-load.yaml")
    assert 'spec.inject[warehouse].templates.names: ["load-*", "export-*"] -> ["export-*"]' in finished.out
    assert "decision: allowed, as before" in finished.out
    assert "  -          key: warehouse-connections" in finished.out


def test_policies_and_labels_that_come_and_go_are_told(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """A namespace that leaves its pool loses the limits of it."""
    (proposal / "quota-ci.yaml").unlink()
    change(
        proposal, "namespaces.yaml", "name: team-ml\n  labels: {lockkeeper.dev/pool: data}", "name: team-ml"
    )
    found = json.loads(lockkeeper("diff", POLICIES, proposal, WORKFLOWS, "-o", "json").out)
    assert {each["object"]: each["change"] for each in found["policies"]} == {
        "WorkflowQuota ci/builds": "removed",
        "Namespace team-ml": "changed",
    }
    gone = {(each["namespace"], each["quota"]) for each in found["limits"] if not each["after"]}
    assert ("team-ml", "ClusterWorkflowQuota data") in gone
    assert ("ci", "WorkflowQuota ci/builds") in gone
    outcomes = {each["object"]: each["after"]["outcome"] for each in found["objects"]}
    assert outcomes["Workflow ci/build-1"] == "ungoverned"
    assert outcomes["Workflow team-ml/too-wide"] == "ungoverned"


def test_markdown_fits_a_comment(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """Tables first, details folded, and nothing of a policy ends a block or a column."""
    change(proposal, "locks.yaml", "<resource-type>-<purpose>", "^(a|b)```$")
    finished = lockkeeper("diff", POLICIES, proposal, WORKFLOWS, "-o", "markdown")
    assert finished.code == 1
    assert finished.out.startswith("### What these policies decide differently\n")
    assert finished.out.count("```") % 2 == 0
    assert "+   spec.validate.keyPattern: ^(a|b)'''$" in finished.out
    rows = [each for each in finished.out.splitlines() if each.startswith("| `Workflow")]
    assert rows
    assert {each.count(" | ") for each in rows} == {3}


def test_no_difference_is_said_in_markdown_too(lockkeeper: Lockkeeper, proposal: Path) -> None:
    """A comment that is empty could be a fault of the job."""
    finished = lockkeeper("diff", POLICIES, proposal, WORKFLOWS, "-o", "markdown")
    assert "No difference: 14 objects decided as before." in finished.out


def test_what_cannot_be_read_is_no_difference(lockkeeper: Lockkeeper, proposal: Path, tmp_path: Path) -> None:
    """Exit code 2, with the place."""
    assert lockkeeper("diff", POLICIES, tmp_path / "nothing-here").code == 2
    change(proposal, "quota-ci.yaml", "limits", "limit")
    finished = lockkeeper("diff", POLICIES, proposal)
    assert finished.code == 2
    assert 'quota-ci.yaml:8: spec.limit: unknown field; did you mean "limits"?' in finished.err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("a: [", "utf-8")
    finished = lockkeeper("diff", POLICIES, POLICIES, wrong)
    assert (finished.code, "wrong.yaml" in finished.err) == (2, True)


def test_a_set_without_policies_is_told(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """The first policies ever are compared with none; two empty folders are a mistake."""
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    first = lockkeeper("diff", empty, POLICIES)
    assert (first.code, first.err) == (1, f"lockkeeper: there is no policy in {empty}\n")
    assert first.out.endswith("\nno Workflows were given, so no decisions were compared\n")
    both = lockkeeper("diff", empty, other)
    assert (both.code, "there is no policy in" in both.err) == (2, True)
    assert lockkeeper("diff", empty, other, "--allow-empty").code == 0


def test_what_is_missing_on_the_command_line_is_told(lockkeeper: Lockkeeper) -> None:
    """The second set, and no Workflows."""
    assert lockkeeper("diff", POLICIES).err.endswith("the following arguments are required: DIR2\n")
