"""`lockkeeper suggest`: the smallest limits that meet stated waits, and what was tried."""

import json
from pathlib import Path

import pytest

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

HISTORY = EXAMPLES / "history.json"
POLICIES = EXAMPLES / "policies"


def quota(folder: Path, text: str, name: str = "q") -> Path:
    """Write a quota of team-etl, and return the folder."""
    folder.joinpath(f"{name}.yaml").write_text(
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\n"
        f"metadata: {{name: {name}, namespace: team-etl}}\nspec: {{{text}}}\n"
    )
    return folder


def test_a_limit_is_raised_as_far_as_the_wait_needs_it(lockkeeper: Lockkeeper) -> None:
    """Limits of users, too; and simulate says the same of what is suggested."""
    finished = lockkeeper("suggest", HISTORY, "--policies", POLICIES, "--wait", "team-etl p95 1h")
    assert (finished.code, finished.err) == (0, "")
    first, *_ = finished.out.splitlines()
    assert first.startswith("team-etl: p95 of the waits is 3h18m at present and ")
    assert first.endswith(" as suggested; wanted is 1h at most.")
    assert "Not looked at, though of the same pool: team-ml." in finished.out
    assert "WorkflowQuota team-etl/nightly perUser.workflows  1        2" in finished.out


def test_a_lower_limit_would_not_do_and_the_suggested_one_does(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """Each value that was tried is listed with its wait."""
    folder = quota(tmp_path, "limits: {workflows: 20}")
    found = json.loads(
        lockkeeper(
            "suggest", HISTORY, "--policies", folder, "--wait", "team-etl longest 10m", "-o", "json"
        ).out
    )
    assert found["met"]
    (value,) = found["suggested"].values()
    assert 1 < value < 20
    tried = {each["value"]: each["met"] for each in found["tried"]}
    assert tried[value - 1] is False
    folder = quota(tmp_path, f"limits: {{workflows: {value}}}")
    played = json.loads(lockkeeper("simulate", HISTORY, "--policies", folder, "-o", "json").out)
    waits = {each["name"]: each["waits"]["longest"] for each in played["result"]["namespaces"]}
    assert waits["team-etl"] == found["waits"][0] <= 600


def test_what_no_limit_can_meet_is_said(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """A quota that lets nothing run while it waits for nothing: exit code 1."""
    folder = quota(tmp_path, "limits: {workflows: 5}, perWorkflow: {maxPriority: 0}")
    finished = lockkeeper("suggest", HISTORY, "--policies", folder, "--wait", "team-etl p95 10m")
    assert finished.code == 1
    assert "endless for some" in finished.out
    assert "No limits of these quotas meet that" in finished.out


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        ("team-etl 10m", "write a namespace, median, p95 or longest, and a length: team-ml p95 10m"),
        ("team-etl p95 10x", "'10x' is no duration"),
        ("nobody p95 10m", "no Workflow of the history is in the namespace nobody"),
    ],
)
def test_a_wait_that_means_nothing_is_a_usage_error(lockkeeper: Lockkeeper, wait: str, message: str) -> None:
    """With what to write."""
    finished = lockkeeper("suggest", HISTORY, "--policies", POLICIES, "--wait", wait)
    assert (finished.code, finished.out) == (2, "")
    assert message in finished.err
