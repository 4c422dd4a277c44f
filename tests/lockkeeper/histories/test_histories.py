"""Runs of a history: their order, what is put right, what is left out, and what is told of it."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.load_description import LoadError, read_load
from lockkeeper.histories.load_drawing import drawn_runs
from lockkeeper.histories.opening import open_history
from lockkeeper.histories.remarks import Remarks
from lockkeeper.histories.sorting import SortedRuns
from policy.service.simulation.past_run import PastRun, Stretch
from tests.lockkeeper.histories.archives import recorded_workflow
from tests.lockkeeper.histories.past_runs import BEGIN, past_run


def history_of(tmp_path: Path, items: Iterable[dict[str, Any]], *, with_nodes: bool = False) -> RunHistory:
    """Return the history of some Workflows."""
    file = tmp_path / "history.json"
    file.write_bytes(msgspec.json.encode(list(items)))
    return open_history(str(file), with_nodes=with_nodes, namespace="default")


def told(history: RunHistory) -> list[str]:
    """Return what is told of a history, without places."""
    list(history.runs())
    return [each.partition(" (")[0] for each in history.facts().remarks]


@pytest.mark.parametrize("most_runs", [1, 3, 1000])
def test_runs_come_in_the_order_of_their_creation_however_many(most_runs: int) -> None:
    """What does not fit into memory is in a file, and they may be asked for again."""
    runs = SortedRuns(remarks=Remarks(), most_runs=most_runs)
    for number in (5, 1, 4, 1, 3):
        runs.add(past_run(f"w{number}", number))
    try:
        for _ in range(2):
            assert [each.name for each in runs] == ["w1", "w3", "w4", "w5"]
    finally:
        runs.close()


def test_one_that_is_told_twice_is_there_as_it_is_told_with_its_end() -> None:
    """It is in the cluster and in the archive."""
    remarks = Remarks()
    runs = SortedRuns(remarks=remarks, most_runs=1)
    runs.add(past_run("a", ended=60))
    runs.add(past_run("a"))
    try:
        assert [each.ended for each in runs] == [BEGIN + 60]
    finally:
        runs.close()
    assert remarks.lines() == ["once: left out: it is told twice (team-a/a)"]


def test_what_users_wrote_is_kept_and_what_came_later_is_not(tmp_path: Path) -> None:
    """It is admitted again: without our marks, holds and Argo's phase, with labels that quotas select by."""
    item = recorded_workflow("a")
    item["metadata"] |= {
        "labels": {
            "team": "x",
            "workflows.argoproj.io/phase": "Succeeded",
            "workflows.argoproj.io/completed": "true",
            "workflows.argoproj.io/creator-email": "ann.at.example.com",
        },
        "annotations": {"lockkeeper.dev/user": "ann", "lockkeeper.dev/tasks": "4", "note": "kept"},
    }
    (run,) = history_of(tmp_path, [item]).runs()
    written = msgspec.json.decode(run.manifest)["metadata"]
    assert written["labels"] == {"team": "x", "workflows.argoproj.io/creator-email": "ann.at.example.com"}
    assert written["annotations"] == {"note": "kept"}
    assert run.user == "ann"


def test_the_tasks_that_a_template_gave_then_are_those_of_the_run(tmp_path: Path) -> None:
    """The status has the template as it was; the template itself may be unknown here."""
    item = recorded_workflow("a")
    item["spec"] = {"workflowTemplateRef": {"name": "etl"}}
    item["status"]["storedWorkflowTemplateSpec"] = {"parallelism": 7}
    (run,) = history_of(tmp_path, [item]).runs()
    assert msgspec.json.decode(run.manifest)["spec"]["parallelism"] == 7
    assert run.template == "WorkflowTemplate/etl"


def test_nodes_say_which_templates_ran_when(tmp_path: Path) -> None:
    """Locks are held by templates; clocks of nodes that are outside of the run are brought into it."""
    item = recorded_workflow("a")
    item["status"]["nodes"] = {
        "a-1": {
            "type": "Pod",
            "templateName": "load",
            "startedAt": "2026-11-02T09:03:00Z",
            "finishedAt": "2026-11-02T09:05:00Z",
        },
        "a-2": {
            "type": "Pod",
            "templateName": "late",
            "startedAt": "2026-11-02T09:10:00Z",
            "finishedAt": "2026-11-02T09:59:00Z",
        },
    }
    (run,) = history_of(tmp_path, [item], with_nodes=True).runs()
    assert run.stretches == (
        Stretch(120, ()),
        Stretch(120, ("load",)),
        Stretch(300, ()),
        Stretch(60, ("late",)),
    )


def test_a_run_without_nodes_is_told_where_locks_matter(tmp_path: Path) -> None:
    """Argo may have compressed or offloaded them, and the archive's list leaves them out."""
    items = [recorded_workflow("a")]
    expected = "once: its nodes are not told: locks of its templates are not counted"
    assert told(history_of(tmp_path, items, with_nodes=True)) == [expected]
    assert told(history_of(tmp_path, items)) == []


def test_runs_without_an_end_are_taken_to_have_one_and_that_is_told(tmp_path: Path) -> None:
    """One still ran, one had not started, one was over before it started."""
    ran = recorded_workflow("ran", created="2026-11-02T10:00:00Z")
    del ran["status"]["finishedAt"]
    waits = recorded_workflow("main-x", created="2026-11-02T11:00:00Z")
    waits["status"] = {"phase": "Pending"}
    refused = recorded_workflow("refused", created="2026-11-02T12:00:00Z")
    del refused["status"]["startedAt"]
    history = history_of(tmp_path, [recorded_workflow("a"), ran, waits, refused])
    seconds = {each.name: each.seconds for each in history.runs()}
    assert seconds == {"a": 600, "ran": 7_800, "main-x": 600, "refused": 0}
    usual = "taken to be as long as half of its template's runs"
    assert told(history) == [
        f"once: it had not started when the history ends: {usual}",
        "once: it still ran when the history ends: taken to end then",
        "once: it was over without having started: taken as a run of 0s",
    ]


def test_a_gap_is_told_with_its_time(tmp_path: Path) -> None:
    """Nothing for a month between a run every hour."""
    days = [f"2026-11-02T{hour:02}:00:00Z" for hour in range(24)] + ["2026-12-20T00:00:00Z"]
    items = [recorded_workflow(f"w{number:02}", created=at) for number, at in enumerate(days)]
    assert told(history_of(tmp_path, items)) == [
        "nothing was created for 47d1h from 2026-11-02 23:00Z on: the history may have a gap"
    ]


@pytest.mark.parametrize(
    ("field", "text"), [("creationTimestamp", "yesterday"), ("creationTimestamp", "2026-99-99T00:00:00Z")]
)
def test_a_time_that_is_none_is_told(tmp_path: Path, field: str, text: str) -> None:
    """The other times are enough, where there are any."""
    item = recorded_workflow("a")
    item["metadata"][field] = text
    history = history_of(tmp_path, [item])
    assert told(history) == [
        "once: it has no creationTimestamp: taken as created when it started",
        f"once: its {field} is no time: taken as if it had none",
    ]


@pytest.mark.parametrize("spec", [None, "text", {"parallelism": "many"}, {"workflowTemplateRef": 5}])
def test_a_spec_that_cannot_be_read_is_left_out_and_told(tmp_path: Path, spec: Any) -> None:
    """The others are played."""
    wrong = {**recorded_workflow("b"), "spec": spec}
    history = history_of(tmp_path, [recorded_workflow("a"), wrong])
    assert [each.name for each in history.runs()] == ["a"]
    assert told(history)[0].startswith("once: left out: its spec cannot be read: Expected ")


def test_times_that_nobody_lives_to_see_are_told(tmp_path: Path) -> None:
    """They would make a play endless."""
    late = recorded_workflow("late", created="9999-12-31T09:00:00Z")
    history = history_of(tmp_path, [recorded_workflow("a"), late])
    assert history.count == 1
    assert told(history)[0] == "once: its creationTimestamp is after the year 2200: taken as if it had none"


def test_one_that_is_told_twice_is_counted_once(tmp_path: Path) -> None:
    """In what is said of the history, too."""
    history = history_of(tmp_path, [recorded_workflow("a"), recorded_workflow("a")])
    list(history.runs())
    assert history.facts().workflows == 1


@pytest.mark.parametrize("tail", [0.1, 3])
def test_the_heaviest_tails_have_an_end(tail: float) -> None:
    """A year, where nobody says less."""
    length = {"shortest": "10m", "tail": tail}
    runs = drawn(arrivals=[{**LOAD["arrivals"][0], "runTime": length}])
    assert all(600 <= each.seconds <= 366 * 86_400 for each in runs)


LOAD: dict[str, Any] = {
    "seed": 3,
    "begin": "2026-11-02T00:00:00Z",
    "days": 7,
    "arrivals": [
        {
            "namespace": "a",
            "perHour": {"8-17": 6},
            "weekdaysOnly": True,
            "runTime": {"median": "10m", "spread": 2, "longest": "1h"},
            "tasks": {"2": 3, "6": 1},
        }
    ],
}


def drawn(**changes: Any) -> list[PastRun]:
    """Return the runs of a load."""
    return list(drawn_runs(read_load(msgspec.json.encode({**LOAD, **changes}))))


def test_a_seed_gives_the_same_load_and_another_one_another() -> None:
    """So a plan can be told again."""
    assert drawn() == drawn()
    assert drawn() != drawn(seed=4)


def test_a_load_comes_at_its_hours_at_its_rate() -> None:
    """Ten hours on five days with six each are some 300, and none at night or on a Sunday."""
    runs = drawn()
    assert 240 < len(runs) < 360
    hours = {int(each.created - 1_793_577_600) // 3600 for each in runs}
    assert {each % 24 for each in hours} == set(range(8, 18))
    assert max(hours) < 5 * 24
    assert all(1 <= each.seconds <= timedelta(hours=1).total_seconds() for each in runs)
    assert len({each.name for each in runs}) == len(runs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"days": 0}, "days"),
        ({"begin": "9999-12-31T00:00:00Z"}, "begin is not between 1970 and 2200"),
        ({"arrivals": [{**LOAD["arrivals"][0], "tasks": {"1": 0}}]}, "tasks: no weight is above 0"),
        ({"arrivals": [{**LOAD["arrivals"][0], "runTime": {"shortest": "1m", "tail": 0.01}}]}, "tail"),
        ({"timeZone": "Mars/Olympus"}, "timeZone 'Mars/Olympus' is not known"),
        ({"begin": "2026-11-02T00:00:00"}, "begin has no zone"),
        ({"arrivals": [{**LOAD["arrivals"][0], "perHour": {"8-25": 1}}]}, "arrivals.0.: perHour: '8-25'"),
        ({"arrivals": [{**LOAD["arrivals"][0], "runTime": {}}]}, "exactly one of fixed, mean, median"),
        ({"arrivals": [{**LOAD["arrivals"][0], "rate": 1}]}, "unknown field `rate`"),
        (
            {"arrivals": [{**LOAD["arrivals"][0], "runTime": {"among": {"1m": 0}}}]},
            "runTime.among: no weight",
        ),
        (
            {"arrivals": [{**LOAD["arrivals"][0], "runTime": {"among": {"9m-1m": 1}}}]},
            "ends before it begins",
        ),
        ({"arrivals": [{**LOAD["arrivals"][0], "runTime": {"among": {"1m-": 1, "x": 1}}}]}, "'x' is no dur"),
    ],
)
def test_a_wrong_load_is_told_with_its_place(change: dict[str, Any], message: str) -> None:
    """With the field, and what to write."""
    with pytest.raises(LoadError, match=message):
        drawn(**change)
