"""Positions, reasons in their precedence, and sentences that have what to do."""

from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.decision.quota_messages import must_rise
from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy
from policy.core.queue.planner import Planner
from policy.core.queue.positions import Position, WaitReason, positions
from policy.core.queue.wait_messages import reason, refusal, waited_too_long
from policy.core.quota.compiled_quota import DEFAULT_RULES, QueueRules
from policy.core.quota.pool_borrowing import Member, compile_tree
from policy.core.values.amounts import Usage
from tests.policy.core.builders import NOW, limits
from tests.policy.core.queue.queue_fixtures import RandomQueue, bound, planner, pool_of, waiter

MAIN: Final = bound("main", limits(2, 10))


def _queue() -> Planner:
    """Return a queue in which one runs, with 6 tasks of 10."""
    queue = planner(passes=1)
    queue.set_rules("team-a", QueueRules(aging=None))
    queue.add(waiter("running", MAIN, tasks=6))
    queue.plan(NOW)
    return queue


def _only(queue: Planner) -> Position:
    (found,) = positions(queue, "team-a")
    return found


def test_each_waiter_has_a_position_in_the_order_of_release() -> None:
    """Positions count from 1; those with a fault come last; `most` cuts the list."""
    queue, full = planner(), bound("main", limits(0))
    for uid, priority in (("low", 0), ("high", 5), ("middle", 2)):
        queue.add(waiter(uid, full, priority=priority))
    queue.add(waiter("broken", fault="the policy is broken", priority=9))
    found = positions(queue, "team-a")
    assert [(each.waiter.uid, each.position) for each in found] == [
        ("high", 1),
        ("middle", 2),
        ("low", 3),
        ("broken", 4),
    ]
    assert positions(queue, "team-a", most=2) == found[:2]
    assert positions(queue, "nowhere") == []


def test_the_reason_of_one_that_does_not_fit_has_how_much_is_missing() -> None:
    """The limit, what is needed and what is used."""
    queue = _queue()
    queue.add(waiter("u", MAIN, tasks=5))
    queue.plan(NOW)
    found = _only(queue)
    assert found.reason is WaitReason.WAITING_FOR_QUOTA
    assert reason(found, DEFAULT_RULES) == (
        "waits for room in WorkflowQuota team-a/main (tasks: 5 needed, 6 of 10 used); it starts when "
        "enough of what runs has ended"
    )


def test_one_that_can_never_fit_is_reported_at_once() -> None:
    """Before it was ever tried, and whatever else is short."""
    queue = _queue()
    queue.add(waiter("u", MAIN, tasks=11))
    found = _only(queue)
    assert found.reason is WaitReason.EXCEEDS_MAX_QUOTA
    assert reason(found, DEFAULT_RULES) == (
        "it can never start: it needs tasks=11 and WorkflowQuota team-a/main allows tasks=10; set "
        "spec.parallelism to 10 or less"
    )


def test_a_hold_is_the_reason_before_all_limits() -> None:
    """Even one that can never fit has the hold as its reason."""
    queue = _queue()
    rules = QueueRules(stop_policy=StopPolicy.HOLD_AND_DRAIN)
    queue.set_rules("team-a", rules)
    queue.add(waiter("u", MAIN, tasks=11))
    found = _only(queue)
    assert found.reason is WaitReason.ON_HOLD
    assert reason(found, rules) == (
        "team-a is on hold (HoldAndDrain): nothing starts, and nothing new may queue until "
        "spec.stopPolicy is None"
    )


def test_a_fault_is_reported_as_it_is() -> None:
    """Misconfigured comes first of all."""
    queue = planner()
    queue.add(waiter("u", fault="WorkflowQuota team-a/main: spec.limits is no map"))
    found = _only(queue)
    assert found.reason is WaitReason.MISCONFIGURED
    assert (
        reason(found, DEFAULT_RULES) == "it is not released: WorkflowQuota team-a/main: spec.limits is no map"
    )


def test_the_reason_of_one_below_a_reserve_has_the_reserve() -> None:
    """There is capacity, but not for this priority."""
    queue = _queue()
    queue.add(waiter("u", MAIN, tasks=1, withheld=Usage(1)))
    queue.plan(NOW)
    found = _only(queue)
    assert found.reason is WaitReason.WAITING_FOR_HIGHER_PRIORITY
    assert reason(found, DEFAULT_RULES) == (
        "waits for room in WorkflowQuota team-a/main (workflows: 1 needed, 1 of 1 used); the rest is "
        "reserved for higher priorities than 0, so raise spec.priority or wait until "
        "more of what runs has ended"
    )


def test_one_behind_the_head_of_a_strict_queue_has_that_reason() -> None:
    """There is capacity, and others go first."""
    queue = _queue()
    queue.set_rules("team-a", QueueRules(strategy=QueueStrategy.STRICT_FIFO, aging=None))
    queue.add(waiter("head", MAIN, tasks=5, arrival=1))
    queue.add(waiter("small", MAIN, tasks=1, arrival=2))
    queue.plan(NOW)
    head, small = positions(queue, "team-a")
    assert (head.reason, small.reason) == (
        WaitReason.WAITING_FOR_QUOTA,
        WaitReason.WAITING_FOR_HIGHER_PRIORITY,
    )
    assert reason(small, QueueRules(aging=None)) == (
        "there is room, but others that wait go first; a higher spec.priority brings it forward"
    )
    assert reason(small, DEFAULT_RULES) == (
        "there is room, but others that wait go first; it passes more of the priorities above its own with "
        "every 1h that it waits, and a higher spec.priority brings it forward at once"
    )


def test_one_that_a_protected_one_blocks_has_that_reason_too() -> None:
    """The big one was passed often enough."""
    queue = planner(passes=1)
    most = bound("main", limits(9, 10))
    queue.add(waiter("running", most, tasks=5))
    queue.plan(NOW)
    for number, (uid, tasks) in enumerate((("big", 8), ("passes", 1), ("barred", 1))):
        queue.add(waiter(uid, most, tasks=tasks, arrival=number))
    queue.plan(NOW)
    assert [each.reason for each in positions(queue, "team-a")] == [
        WaitReason.WAITING_FOR_QUOTA,
        WaitReason.WAITING_FOR_HIGHER_PRIORITY,
    ]


def test_one_that_fits_is_being_released() -> None:
    """Between its arrival and the next plan."""
    queue = planner()
    queue.add(waiter("u"))
    found = _only(queue)
    assert found.reason is WaitReason.RELEASING
    assert reason(found, DEFAULT_RULES) == "it is being released"


def test_a_full_pool_is_reported_with_what_is_left_to_the_member() -> None:
    """What others are guaranteed is not there to be had."""
    queue = planner()
    members = [Member("team-a", "", limits(2)), Member("team-b", "", limits(2), lending=limits(1))]
    queue.set_pool(pool_of(compile_tree([Member("", None, limits(4)), *members])))
    for number in range(4):
        queue.add(waiter(f"u{number}", shares=True, arrival=number))
    assert len(queue.plan(NOW)) == 3
    assert reason(_only(queue), DEFAULT_RULES) == (
        "waits for room in ClusterWorkflowQuota pool for team-a (workflows: 1 needed, 3 of 3 used); it "
        "starts when enough of what runs has ended"
    )


def test_a_pool_whose_limit_fell_below_what_runs_has_nothing_left_and_no_less() -> None:
    """A member that uses nothing of it hears of a limit of 0, not of one below it."""
    queue = planner()
    members = [Member("team-a", ""), Member("team-b", "")]
    wide, narrow = (compile_tree([Member("", None, limits(most)), *members]) for most in (10, 2))
    queue.set_pool(pool_of(wide))
    for number in range(8):
        queue.add(waiter(f"u{number}", shares=True, arrival=number))
    assert len(queue.plan(NOW)) == 8
    queue.set_pool(pool_of(narrow, ever=wide))
    queue.add(waiter("late", namespace="team-b", shares=True))
    queue.plan(NOW)
    (found,) = positions(queue, "team-b")
    assert reason(found, DEFAULT_RULES) == (
        "waits for room in ClusterWorkflowQuota pool for team-b (workflows: 1 needed, 0 of 0 used); it "
        "starts when enough of what runs has ended"
    )


def test_the_reason_of_one_above_its_share_of_a_pool_has_when_that_rises() -> None:
    """As the webhook warns at the create: it does not fit whatever ends."""
    queue = planner()
    members = [Member("team-a", "")]
    night, day = (compile_tree([Member("", None, limits(10, tasks)), *members]) for tasks in (9, 2))
    queue.set_pool(pool_of(day, ever=night, rises="a window opens"))
    queue.add(waiter("u", shares=True, tasks=5))
    queue.plan(NOW)
    found = _only(queue)
    assert found.reason is WaitReason.WAITING_FOR_QUOTA
    (short,) = found.short
    assert short.must_rise
    assert reason(found, DEFAULT_RULES) == must_rise(short)
    assert "a window opens" in must_rise(short)


@given(st.integers(0, 2**40), st.integers(1, 60))
def test_none_that_waits_after_a_plan_is_reported_as_released(seed: int, length: int) -> None:
    """Reasons agree with the planner: only what was released has that reason, and all others have another."""
    case = RandomQueue(seed)
    for _ in range(length):
        case.step()
        case.plan()
    for name in case.names:
        found = positions(case.planner, name)
        assert [each.position for each in found] == list(range(1, len(found) + 1))
        waiting = {each.uid for each in case.oracle.waiters.values() if each.namespace == name}
        assert {each.waiter.uid for each in found} == waiting
        for each in found:
            assert each.reason is not WaitReason.RELEASING
            hopeless = each.reason is WaitReason.EXCEEDS_MAX_QUOTA
            stopped = each.reason in (WaitReason.ON_HOLD, WaitReason.MISCONFIGURED)
            assert stopped or hopeless == case.oracle.never(each.waiter)
            assert reason(each, case.oracle.rules[name])


@pytest.mark.parametrize(
    ("depth", "rules", "text"),
    [
        (4, QueueRules(max_length=5), None),
        (99, QueueRules(), None),
        (0, QueueRules(stop_policy=StopPolicy.HOLD), None),
        (
            5,
            QueueRules(max_length=5),
            (
                "the queue of team-a is full: 5 wait, 5 may; try again when the queue is shorter, or ask "
                "for a higher spec.queue.maxLength"
            ),
        ),
        (
            0,
            QueueRules(stop_policy=StopPolicy.HOLD_AND_DRAIN),
            (
                "team-a is on hold (HoldAndDrain): nothing starts, and nothing new may queue until "
                "spec.stopPolicy is None"
            ),
        ),
    ],
)
def test_a_new_workflow_is_refused_where_the_queue_takes_none(
    depth: int, rules: QueueRules, text: str | None
) -> None:
    """A full queue and a drained one; a held one still takes in."""
    assert refusal("team-a", depth, rules) == text


def test_the_message_of_one_that_waited_too_long_has_how_long() -> None:
    """The message of its failure, with the next thing to do."""
    assert waited_too_long("team-a", timedelta(hours=6, seconds=5), timedelta(hours=6)) == (
        "lockkeeper: it waited 6h5s in team-a and did not start: spec.queue.maxWait is "
        "6h. Submit it again, or "
        "ask for a higher limit"
    )


@given(
    waiting=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["", "ann", "bob"]), st.integers(0, 40)), max_size=40
    ),
    gone=st.sets(st.integers(0, 39)),
    most=st.integers(1, 12),
)
def test_the_first_are_those_that_sorting_all_finds(
    waiting: list[tuple[int, str, int]], gone: set[int], most: int
) -> None:
    """A long queue is not sorted whole for the positions of ten of it."""
    queue, full = planner(), bound("main", limits(0))
    for number, (priority, user, minutes) in enumerate(waiting):
        queue.add(
            waiter(
                f"u{number}",
                full,
                priority=priority,
                user=user,
                age=timedelta(minutes=minutes),
                arrival=number,
            )
        )
    for number in sorted(gone):
        queue.remove(f"u{number}")
    assert positions(queue, "team-a", most) == positions(queue, "team-a")[:most]
