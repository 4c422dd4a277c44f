"""The printer: what a person reads, and when it stops waiting."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from lockkeeper.embedded.event_printer import EventPrinter, NamespaceTotals
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.service.tracking.tracked import track
from tests.lockkeeper.embedded.printed import PrintedCluster
from tests.patience import PATIENCE

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUEUED = "queued by lockkeeper: position 1 of 1 in here (1/1 running)"
RELEASE: dict[str, JsonValue] = {well_known.INSTANCE_ID: None}
COMPLETE: dict[str, JsonValue] = {well_known.COMPLETED: "true"}


def test_a_workflow_that_waits_runs_and_ends_is_reported_in_three_lines(printed: PrintedCluster) -> None:
    """With its place in the queue, its wait, its locks, and how many still run."""
    obj = printed.store("a", held=True)
    printed.printer.created(obj, ["lock x on y"])
    printed.printer.waits(track(obj), QUEUED)
    printed.printer.waits(track(obj), QUEUED)
    printed.now = 2.5
    printed.label("a", **RELEASE)
    printed.see()
    printed.label("a", **COMPLETE)
    printed.see()
    assert printed.told() == [
        "queued, position 1 of 1 in here (1/1 running)",
        "running after 2.5 s in the queue [lock x on y]",
        "finished, 0 still running here",
    ]
    assert printed.printer.totals["here"] == NamespaceTotals(1, 0, 1, 0, 1, 1, 2.5)


def test_a_workflow_that_is_not_held_runs_at_once(printed: PrintedCluster) -> None:
    """No wait is told where there was none."""
    uid = printed.printer.created(printed.store("a", held=False), [])
    printed.see()
    assert printed.told() == ["running"]
    assert printed.printer.settled(uid, 0)


def test_what_the_watch_showed_before_the_create_returned_is_reported_after_it(
    printed: PrintedCluster,
) -> None:
    """Controller and Argo may be faster than the answer of the create."""
    obj = printed.store("a", held=True)
    printed.printer.waits(track(obj), QUEUED)
    printed.label("a", **RELEASE)
    printed.label("a", **COMPLETE)
    printed.see()
    assert printed.told() == []
    printed.printer.created(obj, [])
    assert [line.split(",")[0] for line in printed.told()] == [
        "queued",
        "running after 0.0 s in the queue",
        "finished",
    ]


def test_a_workflow_that_is_superseded_while_it_runs_is_told_why_it_ends(printed: PrintedCluster) -> None:
    """One that waits is given up instead, which is told when its status says so."""
    runs, waits = printed.store("a", held=False), printed.store("b", held=True)
    for obj in (runs, waits):
        printed.printer.created(obj, [])
    printed.see()
    printed.printer.superseded(track(runs), "superseded by c")
    printed.printer.superseded(track(waits), "superseded by c")
    assert printed.told() == ["running", "asked to end: superseded by c"]


def test_a_workflow_that_was_given_up_never_ran(printed: PrintedCluster) -> None:
    """Its wait was too long: it is neither told of as running nor counted as one that ran."""
    obj = printed.store("a", held=True)
    uid = printed.printer.created(obj, [])
    printed.printer.waits(track(obj), QUEUED)
    printed.now = 3.0
    status: JsonObject = {"phase": "Failed", "message": "lockkeeper: it waited 3s in here and did not start"}
    ended: JsonObject = {"metadata": {"labels": {**RELEASE, **COMPLETE}}, "status": status}
    printed.cluster.patch(WORKFLOWS, "a", MergePatch(ended), namespace="here")
    printed.label("a", note="x")
    printed.see()
    assert printed.told()[1:] == ["given up: it waited 3s in here and did not start"]
    assert printed.printer.totals["here"] == NamespaceTotals(1, 0, 0, 0, 0, 1, 3.0)
    assert printed.printer.finished(0)
    assert printed.printer.settled(uid, 0)
    assert printed.printer.waiting() == []


def test_a_closed_output_is_noticed(printed: PrintedCluster) -> None:
    """And goes on: what is told of is told to others, too."""

    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    heard: list[str] = []
    printer = EventPrinter(
        cluster=printed.cluster,
        stopwatch=lambda: 0.0,
        out=Closed(),
        on_closed=lambda _: heard.append("unread"),
    )
    printer.text("a line")
    assert heard == ["unread"]
    with pytest.raises(BrokenPipeError):
        EventPrinter(cluster=printed.cluster, stopwatch=lambda: 0.0, out=Closed()).text("a line")


def test_a_change_of_a_held_workflow_is_not_reported(printed: PrintedCluster) -> None:
    """A moved position is no news by itself."""
    uid = printed.printer.created(printed.store("a", held=True), [])
    printed.label("a", note="x")
    printed.see()
    assert printed.told() == []
    assert not printed.printer.settled(uid, 0)
    assert [each.name for each in printed.printer.waiting()] == ["a"]


def test_a_waiter_for_changes_is_woken_by_one(printed: PrintedCluster) -> None:
    """The play goes on with the controller's word, and ends with the last Workflow."""
    obj = printed.store("a", held=True)
    uid = printed.printer.created(obj, [])
    with ThreadPoolExecutor(2) as threads:
        settled = threads.submit(printed.printer.settled, uid, PATIENCE)
        finished = threads.submit(printed.printer.finished, PATIENCE)
        printed.printer.waits(track(obj), QUEUED)
        assert settled.result(PATIENCE)
        printed.label("a", **RELEASE)
        printed.label("a", **COMPLETE)
        printed.see()
        assert finished.result(PATIENCE)


def test_waiting_for_the_end_gives_up_when_nothing_happens(printed: PrintedCluster) -> None:
    """A Workflow that can never run does not keep a play from ending."""
    assert printed.printer.finished(0)
    printed.printer.created(printed.store("a", held=True), [])
    assert not printed.printer.finished(0.01)


def test_most_running_and_most_queued_are_peaks(printed: PrintedCluster) -> None:
    """They are what the limits are compared with."""
    made = [printed.store(name, held=True) for name in "abc"]
    for obj in made:
        printed.printer.created(obj, [])
        printed.printer.waits(track(obj), QUEUED)
    for name in "abc":
        printed.label(name, **RELEASE)
        printed.see()
        if name == "b":
            printed.label("a", **COMPLETE)
            printed.see()
    tally = printed.printer.totals["here"]
    assert (tally.most_queued, tally.most_running, tally.running) == (3, 2, 2)


def test_a_slot_that_was_given_on_does_not_count_twice(printed: PrintedCluster) -> None:
    """The closing table must not show a limit exceeded that never was."""
    printed.printer.created(printed.store("a", held=False), [])
    printed.label("a", **COMPLETE)
    printed.printer.created(printed.store("b", held=False), [])
    printed.see()
    assert printed.printer.totals["here"].most_running == 1


def test_every_reason_of_a_denial_has_a_line(printed: PrintedCluster) -> None:
    """The first beside the name, the others below it."""
    printed.printer.denied("here", "a", "one\ntwo")
    printed.printer.denied("here", "b", "")
    lines = printed.out.getvalue().splitlines()
    assert [line.split()[-1] for line in lines] == ["one", "two", "denied:"]
    assert printed.printer.totals["here"].denied == 2


def test_what_is_deleted_before_its_end_is_told_and_counts_no_more(printed: PrintedCluster) -> None:
    """Whether it ran or waited; of one that has ended its history may go."""
    for name, held in (("a", False), ("b", True), ("c", False)):
        printed.printer.created(printed.store(name, held=held), [])
    printed.see()
    printed.label("c", **COMPLETE)
    printed.see()
    for name in "abc":
        printed.cluster.delete(WORKFLOWS, name, namespace="here")
    printed.see()
    assert printed.told() == ["running", "running", "finished, 1 still running here", "deleted", "deleted"]
    assert printed.printer.totals["here"].running == 0
    assert printed.printer.waiting() == []
    assert printed.printer.settled("of another", 0)


def test_warnings_are_told_but_not_that_it_waits(printed: PrintedCluster) -> None:
    """That it is queued is the next line, with the position."""
    printed.printer.warned("here", "a", ["lockkeeper: queued, about position 1 of 1", "lockkeeper: look out"])
    printed.printer.warned("here", "b", [])
    assert printed.told() == ["warning: look out"]


def test_an_end_is_waited_for_as_long_as_something_happens_to_those_asked_for(
    printed: PrintedCluster,
) -> None:
    """What others do neither holds it up nor keeps it waiting."""
    uid = printed.printer.created(printed.store("a", held=False), [])
    printed.printer.created(printed.store("b", held=True), [])
    printed.see()
    with ThreadPoolExecutor() as pool:
        ends = pool.submit(printed.printer.finished, PATIENCE, [uid])
        printed.label("a", **COMPLETE)
        printed.see()
        assert ends.result(PATIENCE)
    assert not printed.printer.finished(0)


def test_the_reason_of_a_wait_is_kept_for_the_closing_words(printed: PrintedCluster) -> None:
    """Also where the controller was faster than the answer of the create."""
    obj = printed.store("a", held=True)
    printed.printer.reason(track(obj), "waits for room")
    printed.printer.created(obj, [])
    assert [each.reason for each in printed.printer.waiting()] == ["waits for room"]
    printed.printer.reason(track(obj), "is on hold")
    assert [each.reason for each in printed.printer.waiting()] == ["is on hold"]
