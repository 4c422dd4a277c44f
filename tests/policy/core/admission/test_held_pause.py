"""A Workflow that waits is paused and resumed by `spec.suspend`, and admission keeps the mark of it."""

import pytest

from policy.cluster.memory.patching import merge
from policy.core.decision.decision import Code, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.admission.attempts import ARGO, State, decided, in_state
from tests.policy.core.builders import at, patched

PAUSE: JsonObject = {"spec": {"suspend": True}}


def mark(obj: JsonObject) -> object:
    """Return the mark of a pause."""
    annotations = at(obj, "metadata", "annotations")
    assert isinstance(annotations, dict)
    return annotations.get(well_known.ON_HOLD)


def test_a_pause_and_a_resume_are_marked() -> None:
    """The leader reads metadata alone."""
    waiting = in_state(State.HELD)
    paused = patched(merge(waiting, PAUSE), decided(waiting, merge(waiting, PAUSE)).patch)
    assert mark(paused) == "true"
    assert decided(waiting, paused, Side.VALIDATE).allowed
    resumed = merge(paused, {"spec": {"suspend": None}})
    right = patched(resumed, decided(paused, resumed).patch)
    assert mark(right) == "false"
    assert decided(paused, right, Side.VALIDATE).allowed


def test_the_mark_alone_is_nobody_s_to_write() -> None:
    """It would keep a Workflow of another back without a word in its spec."""
    waiting = in_state(State.HELD)
    forged = merge(waiting, {"metadata": {"annotations": {well_known.ON_HOLD: "true"}}})
    decision = decided(waiting, forged)
    assert [each.code for each in decision.reasons] == [Code.GUARDED_MARK]


def test_without_the_mark_a_pause_is_refused_by_the_validating_side() -> None:
    """The API server calls both sides, so that means that ours was not called first."""
    waiting = in_state(State.HELD)
    assert not decided(waiting, merge(waiting, PAUSE), Side.VALIDATE).allowed


@pytest.mark.parametrize("state", [State.RUNNING, State.FINISHED])
def test_one_that_does_not_wait_gets_no_mark(state: State) -> None:
    """Argo suspends it, and it keeps its slot."""
    old = in_state(state)
    assert decided(old, merge(old, PAUSE)).patch == ()


def test_another_edit_of_a_paused_one_leaves_it_paused() -> None:
    """A new priority does not resume it."""
    waiting = in_state(State.HELD)
    paused = patched(merge(waiting, PAUSE), decided(waiting, merge(waiting, PAUSE)).patch)
    edited = merge(paused, {"spec": {"priority": 3}})
    assert mark(patched(edited, decided(paused, edited).patch)) == "true"
    assert decided(paused, merge(paused, {"status": {"phase": "Pending"}}), user=ARGO).allowed
