"""`lockkeeper simulate`: history and policies in, tables, JSON and a report out; what is wrong is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lockkeeper.commands import EXAMPLES, Finished, Lockkeeper
from tests.lockkeeper.histories.archives import recorded_workflow

HISTORY = EXAMPLES / "history.json"
POLICIES = EXAMPLES / "policies"
PROPOSAL = EXAMPLES / "proposal"


def outcome(finished: Finished) -> dict[str, Any]:
    """Return what a command printed as JSON."""
    assert finished.code == 0, finished.err
    found: dict[str, Any] = json.loads(finished.out)
    return found


def test_the_example_of_the_readme_works(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """A history, two sets of policies, words first, and one file that a manager can read."""
    report = tmp_path / "report.html"
    finished = lockkeeper(
        "simulate", HISTORY, "--policies", POLICIES, "--against", PROPOSAL, "--html", report
    )
    assert (finished.code, finished.err) == (0, "")
    assert "has 478 Workflows of 3 namespaces from 2026-11-02 02:05Z" in finished.out
    assert "88 start earlier by a minute or more" in finished.out
    assert "team-etl: 95 of 100 wait up to 50m41s instead of 3h18m, shorter by 2h27m." in finished.out
    page = report.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "88 start earlier by a minute or more" in page


def test_the_policies_under_which_it_ran_give_what_the_history_tells(lockkeeper: Lockkeeper) -> None:
    """It was made by the product itself: the waits of each namespace are those that were."""
    found = outcome(lockkeeper("simulate", HISTORY, "--policies", POLICIES, "-o", "json"))
    assert found["form"] == "lockkeeper.dev/simulation/v1"
    for group in found["result"]["namespaces"]:
        assert group["waits"] == group["inHistory"], group["name"]


def test_a_history_comes_by_a_pipe_as_kubectl_prints_it(lockkeeper: Lockkeeper) -> None:
    """`kubectl get wf -A -o json | lockkeeper simulate -`."""
    text = json.dumps({"kind": "List", "items": [recorded_workflow("a"), recorded_workflow("b")]}, indent=4)
    finished = lockkeeper("simulate", "-", "--policies", POLICIES, "-o", "json", stdin=text.encode())
    assert outcome(finished)["history"]["workflows"] == 2


def test_a_load_that_is_described_is_drawn_and_said_to_be_none(lockkeeper: Lockkeeper) -> None:
    """The load of which the example was made gives as many Workflows, but for those that were denied."""
    found = outcome(lockkeeper("simulate", EXAMPLES / "load.yaml", "--policies", POLICIES, "-o", "json"))
    assert found["history"]["workflows"] >= 478
    assert found["history"]["remarks"] == [
        "it is a described load, drawn at random by its seed: no history of what has run"
    ]


def test_what_was_left_out_is_told_with_count_and_place(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Nothing is left out silently: wrong times, kinds and phases are told in tables and report."""
    late = recorded_workflow("late")
    late["status"] |= {"startedAt": "2026-11-02T08:00:00Z", "finishedAt": "2026-11-02T07:00:00Z"}
    odd = recorded_workflow("odd")
    odd["status"]["phase"] = "Exploded"
    timeless = recorded_workflow("timeless")
    timeless["metadata"].pop("creationTimestamp")
    timeless.pop("status")
    pod = {"kind": "Pod", "metadata": {"name": "p"}}
    file, report = tmp_path / "h.json", tmp_path / "r.html"
    items = [
        recorded_workflow("a"),
        recorded_workflow("x", "nobody-knows"),
        late,
        odd,
        timeless,
        pod,
        {"metadata": 7},
    ]
    file.write_text(json.dumps(items))
    unreadable = (
        "left out: it is no Workflow that can be read: Expected `object`, got `int` - at `$.metadata`"
    )
    nodes = "its nodes are not told: locks of its templates are not counted"
    finished = lockkeeper("simulate", file, "--policies", POLICIES, "--html", report)
    assert finished.code == 0
    assert [each.strip() for each in finished.out.partition("To be known:\n")[2].splitlines()][:9] == [
        f"4 times: {nodes} ({file}: object 1, {file}: object 2, {file}: object 3, ...)",
        f"once: it finished before it started: taken as a run of 0s ({file}: object 3)",
        f"once: it started before it was created: taken as created when it started ({file}: object 3)",
        f"once: its phase Exploded is not one of Argo's: taken by its times alone ({file}: object 4)",
        f"once: left out: an object of kind Pod, which is no Workflow ({file}: object 6)",
        f"once: left out: it has neither a creationTimestamp nor a startedAt ({file}: object 5)",
        f"once: {unreadable} ({file}: object 7)",
        "no policy governs nobody-knows: Workflows there start at once",
        "",
    ]
    assert "left out: an object of kind Pod" in report.read_text("utf-8")


def test_a_text_that_ends_too_early_is_played_up_to_there(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """A download that broke off."""
    file = tmp_path / "h.json"
    file.write_text(json.dumps([recorded_workflow("a"), recorded_workflow("b")])[:-40])
    finished = lockkeeper("simulate", file, "--policies", POLICIES)
    assert finished.code == 0
    assert "has 1 Workflow of 1 namespace" in finished.out
    assert "left out: what follows; it ends in the middle of an object that begins at byte" in finished.out


@pytest.mark.parametrize("text", ["", "[]", '{"items": []}', "[7]"])
def test_an_empty_history_is_a_usage_error(lockkeeper: Lockkeeper, tmp_path: Path, text: str) -> None:
    """There is nothing to say about nothing."""
    file = tmp_path / "h.json"
    file.write_text(text)
    finished = lockkeeper("simulate", file, "--policies", POLICIES)
    assert (finished.code, finished.out) == (2, "")
    assert f"there is no Workflow in {file} that can be played" in finished.err


def test_a_history_that_is_not_there_is_said_in_one_line(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Whoever mistypes a name is not told of objects that were left out."""
    file = tmp_path / "h.json"
    finished = lockkeeper("simulate", file, "--policies", POLICIES)
    said = f"lockkeeper: {file} does not exist: give a file, a folder, - or the address of an archive\n"
    assert (finished.code, finished.out, finished.err) == (2, "", said)


@pytest.mark.parametrize("arguments", [[], ["--now", str(HISTORY)]])
def test_either_a_history_or_the_cluster_is_played(lockkeeper: Lockkeeper, arguments: list[str]) -> None:
    """Not both, and not neither."""
    finished = lockkeeper("simulate", *arguments, "--policies", POLICIES)
    assert (finished.code, finished.out) == (2, "")
    assert "give a HISTORY, or --now for those that run and wait in the cluster now" in finished.err


def test_wrong_policies_are_told_with_their_place(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """As everywhere: the file, the field, and what is wrong."""
    (tmp_path / "q.yaml").write_text(
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\n"
        "metadata: {name: q, namespace: team-etl}\nspec: {limits: {workflows: many}}\n"
    )
    finished = lockkeeper("simulate", HISTORY, "--policies", POLICIES, "--against", tmp_path)
    assert (finished.code, finished.out) == (2, "")
    assert "q.yaml" in finished.err
    assert "workflows" in finished.err


def test_policies_that_are_none_are_told_with_what_can_be_given(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """No option is named that this command does not have."""
    (tmp_path / "none.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    finished = lockkeeper("simulate", HISTORY, "--policies", tmp_path)
    assert (finished.code, finished.out) == (2, "")
    assert f"there is no policy in {tmp_path}: give a file or a folder with one" in finished.err
    assert "--allow-empty" not in finished.err


def test_a_report_that_cannot_be_written_is_told(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """With the path and the reason, and no traceback."""
    report = tmp_path / "none" / "r.html"
    finished = lockkeeper("simulate", HISTORY, "--policies", POLICIES, "--html", report)
    assert finished.code == 2
    assert f"--html {report} cannot be written: no such file or directory" in finished.err
