"""Whether a Workflow never fits, or only not under the limits of now: the warnings at the create."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.decision.decision import ReservationRequest
from policy.core.decision.quota_messages import exceeded_reason
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.governing_quotas import demands
from policy.core.policies.snapshot import Document
from policy.core.quota.accounts import Account
from policy.core.quota.demands import shortfalls
from policy.core.quota.ledger import Ledger, Reservation, reserve, under_nodes
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    mutate,
    namespace_object,
    pool,
    quota,
    snapshot,
    weight,
    workflow,
)

CLOSED: JsonObject = {"name": "later", "schedule": "0 3 1 1 *", "duration": "1h", "limits": {"tasks": 10}}
OPEN: JsonObject = {"name": "month", "schedule": "* * * * *", "duration": "1h", "limits": {"tasks": 2}}
NODES: JsonObject = {"tasksPerNode": 2, "min": {"tasks": 2}, "max": {"tasks": 10}}
MAIN = "WorkflowQuota team-a/main"
OPENS = "; window later opens next at 2027-01-01T03:00+00:00"
TO_TEN = "set spec.parallelism to 10 or less"
POOL = "ClusterWorkflowQuota shared"


def warned(tasks: int, *documents: Document) -> list[str]:
    """Return the warnings of the create of a Workflow with so many tasks, where none runs."""
    decision = mutate(workflow({"parallelism": tasks}), snapshot(*documents))
    assert decision.allowed, decision.reasons
    return [each.removeprefix("lockkeeper: queued, ") for each in decision.warnings]


def denied(tasks: int, *documents: Document, beside: int = 0) -> str:
    """Return why such a create is refused, where another member of the pool uses so many tasks already."""
    request = mutate(workflow({"parallelism": tasks}), snapshot(*documents)).reservation
    assert isinstance(request, ReservationRequest)
    accounts = {each.account for each in request.demands}
    used = dict.fromkeys(
        accounts | ({request.share.account} if request.share else set()), weight() - weight()
    )
    if request.share is not None:
        used[Account.share("shared", "team-b")] = weight(beside)
    ledger = Ledger(request.root, 1, used)
    asked, share = under_nodes(ledger, request.demands, request.share, request.nodes)
    made = Reservation(
        request.id, request.namespace, request.workflow, tuple(accounts), request.requested, NOW
    )
    _, short = reserve(ledger, made, asked, share)
    assert short
    return exceeded_reason(short[0]).message.partition(". ")[2]


@pytest.mark.parametrize("windows", [[CLOSED], [OPEN]], ids=["opens", "closes"])
def test_what_fits_at_another_time_is_not_reported_as_never_fitting(windows: list[JsonValue]) -> None:
    """The limit is the higher one in a window or outside of it, and the message has that limit."""
    given_limits: JsonObject = {"tasks": 2} if windows == [CLOSED] else {"tasks": 10}
    made = quota(limits=given_limits, windows=windows)
    (warning,) = warned(9, made)
    needs = f"it needs tasks=9 and {MAIN} allows tasks=2 now"
    opens = OPENS if windows == [CLOSED] else ""
    later = f"it starts only when its windows allow it (up to tasks=10){opens}"
    assert warning == f"position 1 of 1 in team-a; {needs}: {later}"
    refusing = quota(limits=given_limits, windows=windows, onExceed="Deny")
    assert denied(9, refusing) == f"It fits only when its windows allow it (up to tasks=10){opens}"
    assert warned(2, made) == []


def test_what_no_window_allows_never_fits() -> None:
    """What is to be set is the most that is ever allowed, and not the limit of now."""
    (warning,) = warned(11, quota(limits={"tasks": 2}, windows=[CLOSED]))
    assert warning == f"but it can never start: it needs tasks=11 and {MAIN} allows tasks=10; {TO_TEN}"
    made = quota(limits={"tasks": 2}, windows=[CLOSED], onExceed="Deny")
    assert denied(11, made) == f"It can never fit: {TO_TEN}"


def test_a_workflow_waits_for_what_nodes_may_allow_later() -> None:
    """Before anybody has measured the nodes they allow the least."""
    made = pool(onExceed="Deny", limits={"tasks": 100}, elastic=NODES)
    assert denied(9, made) == "It fits only when enough nodes are ready (up to tasks=10)"
    assert denied(11, made) == f"It can never fit: {TO_TEN}"
    (warning,) = warned(11, pool(limits={"tasks": 100}, elastic=NODES))
    assert warning == f"but it can never start: it needs tasks=11 and {POOL} allows tasks=10; {TO_TEN}"


def test_windows_and_nodes_are_named_together() -> None:
    """Either may be what is missing."""
    nodes: JsonObject = {**NODES, "max": {"tasks": 8}}
    made = pool(onExceed="Deny", limits={"tasks": 2}, windows=[CLOSED], elastic=nodes)
    assert denied(7, made) == (
        f"It fits only when its windows allow it or enough nodes are ready (up to tasks=8){OPENS}"
    )


@pytest.mark.parametrize("on_exceed", ["Deny", "Queue"])
def test_a_stop_does_not_last_for_ever(on_exceed: str) -> None:
    """A quota that selects a part, or denies, lets nothing start while it is stopped."""
    made = quota(
        limits={"workflows": 3},
        onExceed=on_exceed,
        stopPolicy="Hold",
        selector={"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]},
    )
    if on_exceed == "Deny":
        assert (
            denied(1, made)
            == "It fits only when its spec.stopPolicy is None (up to workflows=3,tasks=unlimited)"
        )
    else:
        (warning,) = warned(1, made)
        assert warning.endswith(
            "it starts only when its spec.stopPolicy is None (up to workflows=3,tasks=unlimited)"
        )


def borrowing(*windows: JsonValue) -> list[Document]:
    """Return a pool of two members with shares of four tasks each."""
    shares: JsonObject = {"limits": {"tasks": 4}}
    made = pool(
        limits={"tasks": 10},
        borrowing={"enabled": True},
        namespaceDefaults=shares,
        windows=[*windows],
        onExceed="Deny",
    )
    return [made, namespace_object(NAMESPACE), namespace_object("team-b")]


def test_what_other_members_use_of_a_pool_is_given_back() -> None:
    """It was reported as never fitting, because less than it needs was left."""
    assert denied(5, *borrowing(), beside=8) == (
        "Try again when a running Workflow has ended, or ask for a higher limit"
    )
    assert denied(11, *borrowing()) == "It can never fit: set spec.parallelism to 10 or less"


def test_a_pool_that_borrows_may_have_windows_too() -> None:
    """Its members wait for them."""
    window: JsonObject = {**CLOSED, "limits": {"tasks": 20}}
    made = borrowing(window)
    assert denied(11, *made) == f"It fits only when its windows allow it (up to tasks=20){OPENS}"
    assert denied(21, *made) == "It can never fit: set spec.parallelism to 20 or less"


@given(
    base=st.integers(0, 6),
    windows=st.lists(st.tuples(st.integers(0, 23), st.integers(1, 30), st.integers(0, 9)), max_size=3),
    tasks=st.integers(1, 10),
    hour=st.integers(0, 23),
)
def test_what_is_reported_as_never_fitting_fits_at_no_time(
    base: int, windows: list[tuple[int, int, int]], tasks: int, hour: int
) -> None:
    """And what is reported to fit at another time has a reason for a higher limit."""
    made = quota(
        limits={"tasks": base},
        windows=[
            {"name": f"w{n}", "schedule": f"0 {at} * * *", "duration": f"{hours}h", "limits": {"tasks": most}}
            for n, (at, hours, most) in enumerate(windows)
        ],
    )
    (compiled,) = snapshot(made).policies(NAMESPACE).quotas
    now = NOW + timedelta(hours=hour)
    short = shortfalls({}, weight(tasks), demands([compiled], "ann", now=now))
    times = [now + timedelta(minutes=30 * step) for step in range(2 * 24 * 2)]
    ever = any(compiled.limits_at(each).admits(weight(tasks)) for each in times)
    if any(each.never_fits for each in short):
        assert not ever
    if short and ever:
        assert short[0].must_rise
