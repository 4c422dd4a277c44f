"""Updates as the webhook gets them: nothing about the request hides what it changes."""

from typing import Any, Final

import msgspec
import pytest

from policy.cluster.memory.patching import merge
from policy.core.decision.decision import Code, Decision, Outcome, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.core.admission.attempts import ARGO, ATTEMPTS, State, in_state, label, policies
from tests.policy.core.builders import NAMESPACE, NOW, USER
from webhook import wire
from webhook.review import decide_without_ledger

WRONG: Final[JsonObject] = {"spec": {"parallelism": "many"}}
"""Argo reads a number."""


def decided(
    old: JsonObject | None,
    obj: JsonObject | None,
    side: Side = Side.VALIDATE,
    *,
    user: str = USER,
    **more: Any,
) -> Decision:
    """Return what comes of the bytes of an update."""
    request = {
        "uid": "update-1",
        "kind": {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"},
        "operation": "UPDATE",
        "namespace": NAMESPACE,
        "userInfo": {"username": user},
        "object": obj,
        "oldObject": old,
        **more,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    received = wire.decode(msgspec.json.encode(body), side)
    return decide_without_ledger(received.review, received.fault, policies(), NOW)


def codes(decision: Decision) -> set[Code]:
    """Return why it is refused."""
    return {each.code for each in decision.reasons}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_it_is_refused_on_the_wire_as_in_the_core(name: str) -> None:
    """The bytes are decoded into what the decision needs."""
    attempt = ATTEMPTS[name]
    old = in_state(attempt.state)
    assert attempt.code in codes(decided(old, merge(old, attempt.change), user=attempt.user))


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
def test_a_wrong_type_hides_nothing(side: Side) -> None:
    """Neither one that the update brings, nor one that was stored before us."""
    held = in_state(State.HELD)
    freed = label(well_known.INSTANCE_ID, None)
    assert codes(decided(held, merge(merge(held, freed), WRONG), side)) >= {Code.WRONG_TYPE}
    stored = merge(held, WRONG)
    for freely in (merge(stored, freed), merge(held, freed)):
        assert Code.HOLD_REMOVED in codes(decided(stored, freely, side))


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
@pytest.mark.parametrize("spec", [5, "a", True, [], [{}]])
def test_a_spec_that_has_no_parts_hides_nothing_and_is_no_error_of_ours(spec: JsonValue, side: Side) -> None:
    """Neither one that the update brings, nor one that was stored before us."""
    held = in_state(State.HELD)
    odd: JsonObject = {**held, "spec": spec}
    freed = merge(odd, label(well_known.INSTANCE_ID, None))
    assert codes(decided(held, odd, side)) >= {Code.WRONG_TYPE}
    assert codes(decided(held, freed, side)) >= {Code.WRONG_TYPE, Code.HOLD_REMOVED}
    assert codes(decided(odd, freed, side)) == {Code.HOLD_REMOVED}
    assert Code.TASKS_RAISED in codes(decided(odd, merge(held, {"spec": {"parallelism": 4}}), side))
    assert decided(odd, merge(odd, {"metadata": {"finalizers": ["example.com/a"]}}), side).allowed


def test_a_subresource_is_no_way_around() -> None:
    """Whatever somebody has added to Argo's kind."""
    held = in_state(State.HELD)
    forged = merge(held, {"status": {"phase": "Running"}})
    assert codes(decided(held, forged, subResource="status")) == {Code.FORGED_STATUS}


def test_argos_own_writes_are_answered_without_a_look_at_their_types() -> None:
    """A megabyte, again and again: it writes what it has decoded."""
    old = in_state(State.RUNNING)
    obj = merge(old, {"spec": {"templates": [{"name": "a", "suspend": {"duration": 5}}]}})
    assert decided(old, obj, user=ARGO).outcome is Outcome.IGNORED
    assert Code.WRONG_TYPE in codes(decided(old, obj))


def test_nothing_is_made_of_an_update_that_names_no_object() -> None:
    """The API server sends both; a request without them changes nothing that can be stored."""
    held = in_state(State.HELD)
    for old, obj in ((None, held), (held, None), (None, None)):
        assert decided(old, obj).outcome is Outcome.IGNORED
