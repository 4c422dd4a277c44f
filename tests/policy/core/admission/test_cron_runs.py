"""Forbid and Replace keep their meaning while runs wait where Argo does not see them."""

from datetime import timedelta

from policy.core.admission.cron_runs import forbidden_run, marks_of_run, replaced_runs, takes_over_slot
from policy.core.decision.decision import Code
from policy.core.objects import well_known
from policy.core.objects.owners import scheduled_by
from policy.core.objects.workflow import Metadata, OwnerReference
from tests.policy.core.builders import NAMESPACE, NOW

OWNER = OwnerReference("argoproj.io/v1alpha1", "CronWorkflow", "nightly", "cron-1", controller=True)


def _run(number: int, *, held: bool = True, policy: str = "Replace", inherits: str = "") -> Metadata:
    annotations = {well_known.SCHEDULED_TIME: f"2026-03-01T12:0{number}:00Z", well_known.CRON: policy}
    if inherits:
        annotations[well_known.INHERITS] = inherits
    return Metadata(
        name=f"nightly-{number}",
        namespace=NAMESPACE,
        uid=f"run-{number}",
        labels={well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {},
        annotations=annotations,
        creation_timestamp=NOW + timedelta(minutes=number),
        owner_references=(OWNER,),
    )


def test_forbid_refuses_a_run_while_one_waits_or_runs() -> None:
    """Argo would start one more at every tick, because it does not see the one that waits."""
    for held, state in ((True, "waits in the queue"), (False, "is not over")):
        (reason,) = forbidden_run("Forbid", "nightly", [_run(1, held=held)])
        assert reason.code is Code.CRON_FORBIDS
        assert f"its run nightly-1 {state}" in reason.message
    assert forbidden_run("Forbid", "nightly", []) == ()


def test_replace_and_allow_refuse_nothing() -> None:
    """Allow is bounded by the length of the queue alone."""
    for policy in ("Replace", "Allow"):
        assert forbidden_run(policy, "nightly", [_run(1)]) == ()


def test_a_run_takes_over_the_slot_of_the_one_that_runs() -> None:
    """Which Argo ends at the same tick."""
    marked = marks_of_run("Replace", [_run(1, held=False)])
    assert marked == {well_known.CRON: "Replace", well_known.INHERITS: "run-1"}


def test_a_replaced_run_leaves_the_slot_to_its_successor() -> None:
    """The slot is that of the schedule, whichever run takes it."""
    marked = marks_of_run("Replace", [_run(2, inherits="run-1")])
    assert marked[well_known.INHERITS] == "run-1"


def test_a_run_that_only_waits_leaves_no_slot() -> None:
    """It had no slot."""
    assert marks_of_run("Replace", [_run(1)]) == {well_known.CRON: "Replace"}
    assert marks_of_run("Allow", [_run(1, held=False)]) == {well_known.CRON: "Allow"}


def test_of_runs_that_wait_only_the_newest_stays() -> None:
    """However the list is ordered, and whichever runs."""
    runs = [_run(3), _run(1), _run(0, held=False), _run(2)]
    assert {run.name for run in replaced_runs(runs)} == {"nightly-1", "nightly-2"}


def test_runs_of_other_schedules_are_left_alone() -> None:
    """One waits under Forbid, and one was submitted by hand."""
    by_hand = _run(4)
    assert by_hand.annotations is not None
    del by_hand.annotations[well_known.SCHEDULED_TIME]
    assert scheduled_by(by_hand) is None
    assert replaced_runs([_run(1), by_hand, _run(2, policy="Allow"), _run(3, policy="Forbid")]) == []


def test_a_run_that_takes_over_a_slot_has_a_mark() -> None:
    """The leader lets it go first."""
    assert takes_over_slot(_run(1, inherits="run-0"))
    assert not takes_over_slot(_run(1))
