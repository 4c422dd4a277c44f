"""What the conditions of a policy say, and when they are to be written."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, WORKFLOW_QUOTAS
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.conflicts import Finding, FindingKind
from policy.core.values.problems import Problem
from policy.service.status.conditions import (
    MAX_MESSAGE,
    MAX_PART,
    WrittenCondition,
    conditions_of,
    status_to_write,
)
from policy.sources.last_good_objects import Verdict

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
WRONG = (Problem("spec.limits.workflows", "must be 0 or more"), Problem("", "is no map"))
OVERLAP = Finding(
    FindingKind.OLDER_POOL, "spec.namespaceSelector", "another has them", "ClusterWorkflowQuota a"
)
IDLE = Finding(FindingKind.SELECTS_NOTHING, "spec.selector", "selects no Workflow")


def verdict(*problems: Problem, generation: int = 4, in_force: int = 4, status: JsonValue = None) -> Verdict:
    """Return a verdict on a quota."""
    return Verdict(
        resource=WORKFLOW_QUOTAS,
        namespace="team-a",
        name="etl",
        uid="u",
        resource_version="7",
        generation=generation,
        in_force=in_force,
        problems=problems,
        status=status,
    )


def shown_conditions(given: Verdict, *findings: Finding) -> dict[str, tuple[str, str, str]]:
    """Return status, reason and message of each condition."""
    return {each.type: (each.status, each.reason, each.message) for each in conditions_of(given, findings)}


def written(given: Verdict, *findings: Finding, now: datetime = NOON) -> JsonObject:
    """Return the status that is to be written; there must be something."""
    found = status_to_write(given, findings, now=now)
    assert found is not None
    assert found.urgent
    return found.status


def times(status: JsonObject) -> dict[str, str]:
    """Return the time of transition of each condition."""
    found = msgspec.convert(status["conditions"], list[WrittenCondition])
    return {each.type: each.last_transition_time for each in found}


def test_a_policy_that_is_right_is_ready() -> None:
    """All three conditions are there, so that no user has to guess what an absent one means."""
    assert shown_conditions(verdict()) == {
        "Ready": ("True", "InForce", "it is in force"),
        "Invalid": ("False", "NoProblems", "nothing is wrong with it"),
        "Conflicting": ("False", "NoConflict", "no other policy counts instead of it"),
    }


def test_a_wrong_policy_tells_all_problems_and_what_stays_in_force() -> None:
    """The author learns what holds meanwhile."""
    faults = "spec.limits.workflows: must be 0 or more; is no map"
    found = shown_conditions(verdict(*WRONG, in_force=3))
    assert found["Ready"] == (
        "False",
        "LastGoodInForce",
        f"it is wrong, and generation 3 of it stays in force: {faults}",
    )
    assert found["Invalid"] == ("True", "ProblemsFound", faults)


def test_a_policy_that_was_never_good_shows_that_nothing_of_it_is_in_force() -> None:
    """The most dangerous state: its author believes that there is a limit."""
    status, reason, message = shown_conditions(verdict(*WRONG, in_force=0))["Ready"]
    assert (status, reason) == ("False", "NotInForce")
    assert message.startswith("it is wrong, and nothing of it is in force: spec.limits")


def test_what_other_policies_do_to_it_is_a_condition_of_its_own() -> None:
    """It is in force all the same, so it is ready."""
    found = shown_conditions(verdict(), OVERLAP)
    assert found["Ready"][:2] == ("True", "InForce")
    assert found["Conflicting"] == ("True", "OlderPool", "spec.namespaceSelector: another has them")


def test_a_policy_that_selects_nothing_is_ready_and_shows_it() -> None:
    """Its namespaces may be made after it, and a client that waits for Ready must not wait for them."""
    found = shown_conditions(verdict(), IDLE)
    assert found["Ready"] == (
        "True",
        "SelectsNothing",
        "it is in force, but there is nothing for it to do: spec.selector: selects no Workflow",
    )
    assert found["Conflicting"][0] == "False"


@pytest.mark.parametrize(("length", "count"), [(3, 5000), (MAX_PART, 100), (100_000, 100)])
def test_a_message_is_bounded_and_counts_what_it_leaves_out(length: int, count: int) -> None:
    """A path can be as long as any key of an object."""
    problems = [Problem("spec." + "x" * length, f"unknown field {index}") for index in range(count)]
    message = shown_conditions(verdict(*problems))["Invalid"][2]
    assert len(message) < MAX_MESSAGE + len("; and 5000 more")
    shown = message.count("spec.")
    assert message.endswith(f"; and {count - shown} more")


def test_every_condition_names_the_generation_that_was_checked() -> None:
    """`kubectl wait` and others read it to distinguish an old answer from a new one."""
    status = written(verdict(generation=9))
    assert status["observedGeneration"] == 9
    found = msgspec.convert(status["conditions"], list[WrittenCondition])
    assert {each.observed_generation for each in found} == {9}
    assert [each.type for each in found] == ["Ready", "Invalid", "Conflicting"]


def test_what_is_there_already_is_not_written() -> None:
    """Whichever replica checked it."""
    given = verdict(*WRONG)
    status = written(given)
    assert status_to_write(msgspec.structs.replace(given, status=status), (), now=LATER) is None


def test_a_time_of_transition_moves_only_with_its_status() -> None:
    """A policy that is wrong in another way has been wrong since before."""
    first = written(verdict(*WRONG))
    assert set(times(first).values()) == {"2026-11-23T12:00:00Z"}
    second = written(verdict(WRONG[0], generation=5, status=first), now=LATER)
    assert set(times(second).values()) == {"2026-11-23T12:00:00Z"}
    third = written(verdict(generation=6, status=second), now=LATER)
    assert times(third) == {
        "Ready": "2026-11-23T13:00:00Z",
        "Invalid": "2026-11-23T13:00:00Z",
        "Conflicting": "2026-11-23T12:00:00Z",
    }


def test_times_are_written_in_utc() -> None:
    """As Kubernetes writes them, to the second."""
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=30))) + timedelta(microseconds=5)
    assert set(times(written(verdict(), now=there)).values()) == {"2026-11-23T12:00:00Z"}


@pytest.mark.parametrize(
    "change",
    [
        {"observedGeneration": 3},
        {"observedGeneration": "4"},
        {"conditions": []},
        {"conditions": None},
        {"conditions": "none"},
        {"conditions": [{"type": "Ready"}, 5, None]},
        {"conditions": [{"type": "Ready", "status": "True", "reason": "InForce", "message": "", "x": 1}]},
    ],
)
def test_a_status_that_another_client_changed_is_written_again(change: JsonObject) -> None:
    """Nonsense in it is as if it were not there."""
    whole = written(verdict())
    again = written(verdict(status={**whole, **change}))
    assert again == whole


def test_a_condition_of_another_writer_is_left_as_it_is() -> None:
    """And other fields of the status are not written at all."""
    foreign: JsonObject = {"type": "Billed", "status": "True", "reason": "Paid", "message": "", "other": [1]}
    present: JsonObject = {"running": 5, "conditions": [foreign]}
    status = written(verdict(status=present))
    conditions = status["conditions"]
    assert isinstance(conditions, list)
    assert conditions[-1] == foreign
    assert set(status) == {"observedGeneration", "conditions"}
    assert status_to_write(verdict(status={**present, **status}), (), now=LATER) is None


def test_a_verdict_names_its_policy() -> None:
    """With the namespace where it has one."""
    assert str(verdict()) == "WorkflowQuota team-a/etl"
    pool = msgspec.structs.replace(verdict(), resource=CLUSTER_WORKFLOW_QUOTAS, namespace="")
    assert str(pool) == "ClusterWorkflowQuota etl"


def test_a_lower_limit_of_argo_is_a_condition_of_its_own() -> None:
    """The quota is in force, and no other policy counts instead of it."""
    lower = Finding(FindingKind.ARGO_LIMIT, "spec.limits.workflows", "10 is above 4")
    found = shown_conditions(verdict(), lower)
    assert found["LimitedByArgo"] == ("True", "LowerLimitOfArgo", "spec.limits.workflows: 10 is above 4")
    assert (found["Ready"][0], found["Conflicting"][0]) == ("True", "False")
    assert "LimitedByArgo" not in times(written(verdict(status=written(verdict(), lower))))


def test_a_bound_that_is_reached_is_a_condition_of_its_own_until_it_is_not() -> None:
    """The policy is in force and no other counts instead of it; when all is known again, nothing is said."""
    beyond = Finding(FindingKind.BOUND_REACHED, "metadata.namespace", "40 are left out")
    found = shown_conditions(verdict(), beyond)
    assert found["Incomplete"] == ("True", "BoundReached", "metadata.namespace: 40 are left out")
    assert (found["Ready"][0], found["Conflicting"][0]) == ("True", "False")
    present = written(verdict(), beyond)
    after = written(verdict(status=present))
    assert "Incomplete" not in times(after)
    assert status_to_write(verdict(status=after), (), now=LATER) is None
