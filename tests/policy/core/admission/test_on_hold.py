"""A user puts a Workflow that waits on hold by an annotation; no other may have it, and no other value."""

import pytest

from policy.cluster.memory.patching import merge
from policy.core.decision.decision import Code, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.admission.attempts import State, decided, in_state, note
from tests.policy.core.builders import mutate, patched, quota, snapshot, texts, workflow


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
@pytest.mark.parametrize("value", ["true", "false", None])
def test_one_that_waits_is_held_and_resumed(side: Side, value: str | None) -> None:
    """It waits longer by that, and nothing else."""
    waiting = merge(in_state(State.HELD), note(well_known.ON_HOLD, "false" if value == "true" else "true"))
    decision = decided(waiting, merge(waiting, note(well_known.ON_HOLD, value)), side)
    assert (decision.allowed, decision.patch) == (True, ())


@pytest.mark.parametrize("value", ["yes", "", "TRUE"])
def test_another_value_is_refused(value: str) -> None:
    """A user who writes it believes that it has an effect."""
    waiting = in_state(State.HELD)
    decision = decided(waiting, merge(waiting, note(well_known.ON_HOLD, value)))
    assert [each.code for each in decision.reasons] == [Code.GUARDED_MARK]


def test_one_that_runs_is_not_put_on_hold() -> None:
    """It has its slot; spec.suspend is what pauses it."""
    running = in_state(State.RUNNING)
    decision = decided(running, merge(running, note(well_known.ON_HOLD, "true")))
    assert [each.code for each in decision.reasons] == [Code.GUARDED_MARK]


def test_one_that_is_created_with_it_is_not_on_hold() -> None:
    """A Workflow that is exported and created again would otherwise wait for ever."""
    obj: JsonObject = merge(workflow(), note(well_known.ON_HOLD, "true"))
    stored = patched(obj, mutate(obj, snapshot(quota("main", workflows=1))).patch)
    assert well_known.ON_HOLD not in texts(stored, "metadata", "annotations")
