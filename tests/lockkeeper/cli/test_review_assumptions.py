"""What `lockkeeper review` assumes, and what follows: who waits, who never starts, and the exit code."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lockkeeper.__main__ import main

QUOTA: Final = (
    "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: q, namespace: etl}\nspec: "
)
POOL: Final = """
apiVersion: v1
kind: Namespace
metadata: {name: etl, labels: {pool: p}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ml, labels: {pool: p}}
---
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterWorkflowQuota
metadata: {name: p}
spec:
  namespaceSelector: {matchLabels: {pool: p}}
  limits: {workflows: 4}
"""
NIGHT: Final = "windows: [{name: night, schedule: '0 20 * * *', duration: 10h, limits: {workflows: 9}}]"


def _review(
    folder: Path, capsys: pytest.CaptureFixture[str], policies: str, *options: str, spec: str = ""
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the decision about one Workflow."""
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "all.yaml").write_text(policies)
    (folder / "w.yaml").write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w, namespace: etl}\n"
        f"spec: {{entrypoint: m, {spec} templates: [{{name: m, suspend: {{}}}}]}}\n"
    )
    command = ["review", str(folder / "w.yaml"), "--policies", str(folder / "policies"), "-o", "json"]
    code = main([*command, "--user", "ann", *options])
    (told,) = json.loads(capsys.readouterr().out)
    return code, told


@pytest.mark.parametrize(
    ("spec", "options", "outcome"),
    [
        ("{limits: {workflows: 3}}", (), "allowed"),
        ("{limits: {workflows: 3}}", ("--running", "2"), "allowed"),
        ("{limits: {workflows: 3}}", ("--running", "3"), "queued"),
        ("{limits: {workflows: 3}}", ("--running", "etl=3"), "queued"),
        ("{limits: {workflows: 3}}", ("--running", "ml=3"), "allowed"),
        ("{limits: {workflows: 3}}", ("--running", "3", "--running", "etl=1"), "allowed"),
        ("{limits: {tasks: 10}, perWorkflow: {defaultTasks: 4}}", ("--running", "1"), "allowed"),
        ("{limits: {tasks: 10}, perWorkflow: {defaultTasks: 4}}", ("--running", "2"), "queued"),
        ("{limits: {tasks: 10}, perWorkflow: {defaultTasks: 4}}", ("--running", "2/6"), "allowed"),
        ("{limits: {workflows: 3}, onExceed: Deny}", ("--running", "2"), "allowed"),
        ("{limits: {workflows: 3}, onExceed: Deny}", ("--running", "3"), "denied"),
        ("{limits: {workflows: 3}, onExceed: Warn}", ("--running", "3"), "allowed"),
        ("{perUser: {workflows: 1}, limits: {workflows: 9}}", ("--running", "1"), "queued"),
        ("{limits: {workflows: 3}, stopPolicy: Hold}", (), "queued"),
        ("{groups: [{name: each, key: '{{user}}'}]}", (), "allowed"),
        ("{groups: [{name: each, key: '{{user}}'}]}", ("--running", "1"), "queued"),
        ("{groups: [{name: each, key: '{{workflow.labels.x}}'}]}", ("--running", "1"), "allowed"),
        ("{groups: [{name: each, key: '{{user}}', limits: {workflows: 2}}]}", ("--running", "1"), "allowed"),
        ("{groups: [{name: each, key: '{{user}}', whenBusy: Refuse}]}", ("--running", "1"), "denied"),
    ],
)
def test_queued_is_only_who_would_wait_beside_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: str, options: tuple[str, ...], outcome: str
) -> None:
    """Those that run are like the one under review, unless their tasks are given."""
    code, told = _review(tmp_path, capsys, QUOTA + spec, *options)
    assert told["outcome"] == outcome
    assert code == int(outcome == "denied")
    waits = [each for each in told["warnings"] if "queued, position" in each]
    assert bool(waits) == (outcome == "queued")


@pytest.mark.parametrize(
    ("running", "outcome"), [(("etl=1", "ml=2"), "allowed"), (("etl=1", "ml=3"), "queued")]
)
def test_what_runs_in_other_namespaces_counts_in_their_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], running: tuple[str, str], outcome: str
) -> None:
    """The limit is that of all members together."""
    options = [word for each in running for word in ("--running", each)]
    _, told = _review(tmp_path, capsys, POOL, *options)
    assert told["outcome"] == outcome


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        ("2026-12-01T19:59:00Z", "queued"),
        ("2026-12-01T21:00:00+01:00", "allowed"),
        ("2026-12-01T20:00Z", "allowed"),
    ],
)
def test_windows_are_open_or_not_at_the_time_that_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], at: str, outcome: str
) -> None:
    """And one that waits for a window is told when it opens."""
    _, told = _review(tmp_path, capsys, f"{QUOTA}{{limits: {{workflows: 0}}, {NIGHT}}}", "--at", at)
    assert told["outcome"] == outcome
    opens = "window night opens next at 2026-12-01T20:00+00:00"
    assert [opens in each for each in told["warnings"]] == [True] * (outcome == "queued")


def test_one_that_can_never_start_is_an_error_in_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody would find it among those that wait."""
    rules = f"{QUOTA}{{limits: {{tasks: 10}}, perWorkflow: {{defaultTasks: 2}}}}"
    code, told = _review(tmp_path, capsys, rules, spec="parallelism: 50,")
    (reason,) = told["reasons"]
    assert (code, told["outcome"], told["warnings"]) == (1, "queued", [])
    assert (reason["code"], reason["field"], reason["line"]) == ("ExceedsMaxQuota", "spec.parallelism", 4)
    assert reason["message"] == (
        "it can never start: it needs tasks=50 and WorkflowQuota etl/q allows tasks=10; "
        "set spec.parallelism to 10 or less"
    )


def test_strict_makes_warnings_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As for lint."""
    rules = f"{QUOTA}{{limits: {{workflows: 1}}}}"
    assert _review(tmp_path, capsys, rules, "--running", "1")[0] == 0
    assert _review(tmp_path, capsys, rules, "--running", "1", "--strict")[0] == 1
    assert _review(tmp_path, capsys, rules, "--strict")[0] == 0


def test_a_denied_one_is_not_told_its_position(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It will not be in the queue, whatever it is denied for."""
    rules = f"{QUOTA}{{limits: {{workflows: 1}}}}"
    for spec in ("parallelism: many,", "synchronization: 5,", "activeDeadlineSeconds: 1h,"):
        code, told = _review(tmp_path, capsys, rules, "--running", "1", spec=spec)
        assert (code, told["outcome"]) == (1, "denied")
        assert [each for each in told["warnings"] if "position" in each] == []


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--at", "2026-12-01T03:00:00", "has no zone: write it with its zone"),
        ("--at", "tomorrow", "is no time: write it with its zone"),
        ("--at", "0001-01-01T00:00:00Z", "is not between the years 1970 and 2199"),
        ("--running", "many", "is no number of Workflows: write how many Workflows run"),
        ("--running", "etl=", "is no number of Workflows"),
        ("--running", "-1", "is no number of Workflows"),
    ],
)
def test_what_cannot_be_assumed_is_told_with_the_form(
    capsys: pytest.CaptureFixture[str], option: str, value: str, told: str
) -> None:
    """Exit code 2, as for other options."""
    with pytest.raises(SystemExit) as stopped:
        main(["review", "w.yaml", "--policies", "p", f"{option}={value}"])
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("template", "outcome"), [("nightly", "queued"), ("other", "ungoverned")])
def test_what_runs_refers_to_what_the_one_under_review_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], template: str, outcome: str
) -> None:
    """A quota that selects by it counts them too."""
    policies, workflow = tmp_path / "p.yaml", tmp_path / "w.yaml"
    selector = "{matchReferences: {workflowTemplates: [nightly]}}"
    policies.write_text(f"{QUOTA}{{selector: {selector}, limits: {{workflows: 1}}}}")
    workflow.write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w, namespace: etl}\n"
        f"spec: {{workflowTemplateRef: {{name: {template}}}}}\n"
    )
    main(["review", str(workflow), "--policies", str(policies), "-o", "json", "--running", "1"])
    (told,) = json.loads(capsys.readouterr().out)
    assert told["outcome"] == outcome
