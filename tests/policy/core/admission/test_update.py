"""Updates of Workflows: none undoes what was decided, and what users may do is not refused."""

from datetime import timedelta

import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Outcome, Side
from policy.core.objects import well_known
from policy.core.objects.hold import refresh_patch, release_patch
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.admission.attempts import (
    ARGO,
    ATTEMPTS,
    FREE,
    RETRY,
    SERVER,
    Attempt,
    State,
    decided,
    in_state,
    label,
    load,
    note,
    retry,
    update,
)
from tests.policy.core.builders import (
    NOW,
    USER,
    at,
    decoded,
    mutate,
    patched,
    quota,
    snapshot,
    texts,
    workflow,
)


def _after(attempt: Attempt) -> tuple[JsonObject, JsonObject]:
    old = in_state(attempt.state)
    return old, merge(old, attempt.change)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_it_is_refused_for_the_expected_reason(name: str) -> None:
    """The validating side refuses what it is asked about even where the mutating one was away."""
    attempt = ATTEMPTS[name]
    old, obj = _after(attempt)
    decision = decided(old, obj, Side.VALIDATE, user=attempt.user)
    assert attempt.code in {each.code for each in decision.reasons}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_mutating_side_refuses_it_or_restores_it(name: str) -> None:
    """What it puts right passes the validating side, and is as it was before the attempt."""
    attempt = ATTEMPTS[name]
    old, obj = _after(attempt)
    decision = decided(old, obj, user=attempt.user)
    if attempt.code is not Code.NOT_MUTATED:
        assert not decision.allowed
        return
    right = patched(obj, decision.patch)
    assert decided(old, right, Side.VALIDATE, user=attempt.user).allowed
    assert at(right, "spec", "parallelism") == 2
    template = at(right, "spec", "templates", 0, "synchronization", "mutexes")
    assert isinstance(template, list)
    assert {"name": "loads"} in template


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
@pytest.mark.parametrize("name", FREE)
def test_it_is_allowed(name: str, side: Side) -> None:
    """Stopping, deleting and what means nothing to us."""
    state, change = FREE[name]
    old = in_state(state)
    decision = decided(old, merge(old, change), side)
    assert decision.allowed
    assert decision.patch == ()


@pytest.mark.parametrize(
    "change",
    [
        label(well_known.INSTANCE_ID, "nobody"),
        label(well_known.INSTANCE_ID, well_known.HOLD_VALUE),
        label(well_known.COMPLETED, "true"),
        label(well_known.RESERVATION, "stolen"),
        label("team", "other"),
        note(well_known.TASKS, "0"),
        note(well_known.INHERITS, "uid-9"),
    ],
)
def test_what_a_spec_makes_argo_write_is_restored(change: JsonObject) -> None:
    """It writes spec.workflowMetadata of a template that was edited since; a refusal would end nothing."""
    old = in_state(State.RUNNING)
    obj = merge(old, change)
    decision = decided(old, obj, user=ARGO)
    assert decision.allowed
    assert patched(obj, decision.patch) == old
    assert not decided(old, obj, Side.VALIDATE, user=ARGO).allowed


def test_argo_writes_progress_and_the_end_undisturbed() -> None:
    """Every Workflow is written so again and again."""
    old = in_state(State.RUNNING)
    changes: tuple[JsonObject, ...] = (
        {"status": {"nodes": {"pod": {"phase": "Succeeded"}}}},
        {**label(well_known.COMPLETED, "true"), "status": {"phase": "Succeeded"}},
        {"spec": {"arguments": {}}},
    )
    for change in changes:
        assert decided(old, merge(old, change), user=ARGO).outcome is Outcome.IGNORED


def test_a_held_workflow_waits_by_its_new_priority() -> None:
    """The mark follows the spec on both sides, and no user needs to write it."""
    old = in_state(State.HELD)
    obj = merge(old, {"spec": {"priority": 7}})
    decision = decided(old, obj)
    right = patched(obj, decision.patch)
    assert texts(right, "metadata", "annotations")[well_known.PRIORITY] == "7"
    assert decided(old, right, Side.VALIDATE).allowed
    assert Code.NOT_MUTATED in {each.code for each in decided(old, obj, Side.VALIDATE).reasons}


def test_a_workflow_without_injected_locks_is_given_none_while_it_runs() -> None:
    """It came before its policy, and what was wrong before an edit is not the editor's fault."""
    old = merge(in_state(State.RUNNING), {"spec": {"templates": [load()]}})
    assert decided(old, merge(old, {"spec": {"entrypoint": "other"}})).patch == ()


def test_a_workflow_that_lacks_one_lock_does_not_lose_another() -> None:
    """Both templates were to be locked, one of them is."""
    templates = [load(synchronization={"mutexes": [{"name": "loads"}]}), {**load(), "name": "main"}]
    templates[1]["dag"] = {"tasks": [{"name": "a", "inline": load()}]}
    del templates[1]["container"]
    old = merge(in_state(State.RUNNING), {"spec": {"templates": [*templates]}})
    assert decided(old, merge(old, {"spec": {"entrypoint": "main"}})).allowed


STAYING = (
    *(well_known.CRON_WORKFLOW, well_known.CREATOR, well_known.CREATOR_EMAIL, well_known.CREATOR_NAME),
    "workflows.argoproj.io/workflow-template",
    "workflows.argoproj.io/cluster-workflow-template",
    "workflows.argoproj.io/resubmitted-from-workflow",
)


@pytest.mark.parametrize("value", [None, "other"])
@pytest.mark.parametrize("key", STAYING)
def test_a_label_of_argos_that_a_policy_selects_by_stays_as_it_is(key: str, value: str | None) -> None:
    """Without it a Workflow would leave the quota: held ones would be released, running ones not counted."""
    policies = snapshot(quota("by-argo", selector={"matchLabels": {key: "a"}}, limits={"workflows": 1}))
    old = workflow({"entrypoint": "main"}, labels={key: "a"}, uid="uid-1")
    held = patched(old, mutate(old, policies).patch)
    change = label(key, value)
    decision = apply_policies(update(held, merge(held, change)), policies, NOW)
    assert [each.code for each in decision.reasons] == [Code.OUT_OF_SIGHT]
    by_argo = apply_policies(update(held, merge(held, change), user=ARGO), policies, NOW)
    assert patched(merge(held, change), by_argo.patch) == held


def test_a_label_that_argo_writes_moves_no_workflow_to_another_quota() -> None:
    """Since 4.1 its controller names the template that a Workflow refers to."""
    key = "workflows.argoproj.io/workflow-template"
    policies = snapshot(
        quota("all", limits={"workflows": 9}),
        quota("base", selector={"matchLabels": {key: "base"}}, limits={"workflows": 1}),
    )
    obj = workflow({"workflowTemplateRef": {"name": "base"}}, uid="uid-1", labels={})
    stored = patched(obj, mutate(obj, policies).patch)
    decision = apply_policies(update(stored, merge(stored, label(key, "base")), user=ARGO), policies, NOW)
    assert patched(merge(stored, label(key, "base")), decision.patch) == stored


class TestRetry:
    """`argo retry` makes a Workflow that is over run again: it is held like a new one."""

    def test_it_is_held_once_more_and_keeps_its_record(self) -> None:
        """Argo continues from the steps that succeeded."""
        old = in_state(State.FINISHED)
        obj = merge(old, RETRY)
        decision = decided(old, obj)
        held = patched(obj, decision.patch)
        assert decision.outcome is Outcome.QUEUED
        assert texts(held, "metadata", "labels")[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
        annotations = texts(held, "metadata", "annotations")
        assert (annotations[well_known.HOLDS], annotations[well_known.RETRIED]) == ("2", "true")
        status = texts(held, "status")
        assert "phase" not in status
        assert str(status["message"]).startswith(well_known.HELD_MESSAGE_PREFIX)
        assert status["nodes"] == at(obj, "status", "nodes")

    def test_it_starts_when_it_is_released_and_not_before(self) -> None:
        """Its deadline would have run out while it waited; its position is shown until then."""
        obj = merge(in_state(State.FINISHED), RETRY)
        held = patched(obj, decided(in_state(State.FINISHED), obj).patch)
        metadata = decoded(held).metadata
        assert metadata is not None
        shown = patched(held, refresh_patch(metadata, "queued by lockkeeper: position 1 of 1"))
        assert texts(shown, "status") == {
            **texts(held, "status"),
            "message": "queued by lockkeeper: position 1 of 1",
        }
        released = patched(shown, release_patch(metadata, NOW + timedelta(hours=9), has_status=True))
        assert texts(released, "status") == {
            **texts(obj, "status"),
            "message": "",
            "startedAt": "2026-03-01T21:00:00Z",
        }
        assert well_known.RETRIED not in texts(released, "metadata", "annotations")
        assert well_known.INSTANCE_ID not in texts(released, "metadata", "labels")

    @pytest.mark.parametrize("phase", ["", "Running"])
    def test_argos_releases_clear_the_phase_in_their_own_ways(self, phase: str) -> None:
        """Nothing and Running have been written by them."""
        old = in_state(State.FINISHED)
        obj = merge(merge(old, RETRY), {"status": {"phase": phase}})
        assert decided(old, obj).outcome is Outcome.QUEUED

    def test_where_quotas_deny_it_needs_a_slot(self) -> None:
        """Of its own, and it counts for the same user as before, whichever user retries it."""
        policies = snapshot(quota("main", limits={"workflows": 1}, onExceed="Deny"))
        old = in_state(State.FINISHED)
        obj = merge(old, RETRY)
        decision = apply_policies(update(old, obj, user="bob", uid="retry-1"), policies, NOW)
        assert decision.reservation is not None
        assert (decision.reservation.id, decision.reservation.user) == ("retry-1", USER)
        stored = patched(obj, decision.patch)
        assert texts(stored, "metadata", "labels")[well_known.RESERVATION] == "retry-1"
        assert well_known.INSTANCE_ID not in texts(stored, "metadata", "labels")
        again = apply_policies(update(old, stored, Side.VALIDATE, user="bob", uid="retry-2"), policies, NOW)
        assert again.allowed
        assert again.reservation is not None
        assert again.reservation.id == "retry-1"

    def test_both_sides_agree_on_it(self) -> None:
        """The validating side sees the marks, and wants no others."""
        old = in_state(State.FINISHED)
        obj = merge(old, RETRY)
        held = patched(obj, decided(old, obj).patch)
        assert decided(old, held, Side.VALIDATE, uid="update-2").allowed
        assert not decided(old, obj, Side.VALIDATE, uid="update-2").allowed


@pytest.mark.parametrize("user", [USER, SERVER, ARGO])
def test_a_retry_is_judged_as_a_retry_whoever_writes_it(user: str) -> None:
    """Argo may come to let its controller retry for a user: it waits, and counts for the same user."""
    old = in_state(State.FINISHED)
    obj = merge(old, RETRY)
    decision = decided(old, obj, user=user)
    assert decision.outcome is Outcome.QUEUED
    again = patched(obj, decision.patch)
    assert texts(again, "metadata", "labels")[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
    annotations = texts(again, "metadata", "annotations")
    assert (annotations[well_known.HOLDS], annotations[well_known.USER]) == ("2", USER)
    assert decided(old, again, Side.VALIDATE, user=user).allowed
    assert not decided(old, obj, Side.VALIDATE, user=user).allowed  # Not held, it would start at once.


@pytest.mark.parametrize("user", [USER, SERVER, ARGO])
def test_nobody_brings_another_program_by_a_retry(user: str) -> None:
    """Argo's controller is believed about what it runs, and not about what a retry changes."""
    old = in_state(State.FINISHED)
    obj = merge(old, retry({"storedTemplates": {"a": {"name": "a", "container": {"image": "other"}}}}))
    codes = {each.code for each in decided(old, obj, Side.VALIDATE, user=user).reasons}
    assert Code.FORGED_STATUS in codes
