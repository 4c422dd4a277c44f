"""One pass over the queue: in order, as many as fit, never over a limit, and everybody knows their place."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import permutations
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.amounts import ZERO, Amount, Limits, Usage
from policy.core.ledger import Account, Demand
from policy.core.queueing import Plan, Waiter, WaitReason, plan
from tests.policy.core.builders import NOW, demand, limits, weight

NAMESPACES: Final = ("team-a", "team-b")


def _waiter(
    uid: str,
    *,
    namespace: str = "team-a",
    priority: int = 0,
    age: int = 0,
    arrival: int = 0,
    tasks: int | None = 0,
    demands: Sequence[Demand] = (),
) -> Waiter:
    return Waiter(
        uid=uid,
        namespace=namespace,
        name=f"wf-{uid}",
        priority=priority,
        created=NOW - timedelta(seconds=age),
        arrival=arrival,
        weight=weight(tasks),
        demands=tuple(demands),
    )


def _released(decided: Plan) -> list[str]:
    return [waiter.uid for waiter in decided.released]


bounds = st.one_of(st.just(Amount(None)), st.integers(0, 5).map(Amount))


@st.composite
def _queues(draw: st.DrawFn) -> tuple[list[Waiter], dict[Account, Usage]]:
    """Draw a queue over two namespaces and a pool, with ties of every kind, and what is used already."""
    demands = {
        name: [
            demand(draw(st.builds(Limits, bounds, bounds)), namespace=name),
            demand(draw(st.builds(Limits, bounds, bounds)), namespace=name, user="ann"),
        ]
        for name in NAMESPACES
    }
    shared = demand(draw(st.builds(Limits, bounds, bounds)), namespace="", quota_name="shared")
    waiters = []
    for number in range(draw(st.integers(0, 8))):
        namespace = draw(st.sampled_from(NAMESPACES))
        wanted = [each for each in (*demands[namespace], shared) if draw(st.booleans())]
        waiters.append(
            _waiter(
                f"u{number}",
                namespace=namespace,
                priority=draw(st.integers(-1, 1)),
                age=draw(st.integers(0, 2)),
                arrival=draw(st.integers(0, 3)),
                tasks=draw(st.one_of(st.integers(0, 4), st.none())),
                demands=wanted,
            )
        )
    accounts = [each.account for each in (*demands["team-a"], *demands["team-b"], shared)]
    taken = {account: Usage(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for account in accounts}
    return waiters, taken


queues = _queues()


def _over(waiter: Waiter, taken: Mapping[Account, Usage]) -> bool:
    return any(
        not each.limits.admits(taken.get(each.account, ZERO) + waiter.weight) for each in waiter.demands
    )


@given(queues)
def test_a_pass_does_what_walking_the_queue_by_hand_does(
    drawn: tuple[list[Waiter], dict[Account, Usage]],
) -> None:
    """Brute force: take the best waiter again and again, and charge it where it fits."""
    waiters, taken = drawn
    tally, left = dict(taken), list(waiters)
    released: list[str] = []
    waiting: list[str] = []
    while left:
        best = left[0]
        for each in left[1:]:
            if each.priority != best.priority:
                best = each if each.priority > best.priority else best
            elif each.created != best.created:
                best = each if each.created < best.created else best
            elif (each.arrival, each.uid) < (best.arrival, best.uid):
                best = each
        left.remove(best)
        if _over(best, tally):
            waiting.append(best.uid)
            continue
        for wanted in best.demands:
            tally[wanted.account] = tally.get(wanted.account, ZERO) + best.weight
        released.append(best.uid)
    decided = plan(waiters, taken)
    assert _released(decided) == released
    assert [each.waiter.uid for each in decided.waiting] == waiting


@given(queues)
def test_those_who_go_together_stay_within_every_limit_that_held_before(
    drawn: tuple[list[Waiter], dict[Account, Usage]],
) -> None:
    """A pass never breaks a limit, and leaves nobody behind who would still fit."""
    waiters, taken = drawn
    decided = plan(waiters, taken)
    tally = dict(taken)
    for waiter in decided.released:
        for each in waiter.demands:
            tally[each.account] = tally.get(each.account, ZERO) + waiter.weight
    for waiter in decided.released:
        assert all(each.limits.admits(tally[each.account]) for each in waiter.demands)
    assert all(_over(each.waiter, tally) for each in decided.waiting)


@given(queues, st.randoms(use_true_random=False))
def test_a_pass_does_not_depend_on_the_order_in_which_waiters_come(
    drawn: tuple[list[Waiter], dict[Account, Usage]], shuffler: Random
) -> None:
    """A new leader that lists in another order decides the same."""
    waiters, taken = drawn
    before = dict(taken)
    mixed = list(reversed(waiters))
    shuffler.shuffle(mixed)
    assert plan(mixed, taken) == plan(waiters, taken)
    assert taken == before


@given(queues)
def test_everybody_who_waits_has_a_place_in_their_namespace(
    drawn: tuple[list[Waiter], dict[Account, Usage]],
) -> None:
    """Positions count from 1 without gaps, in each namespace apart, and the reason is about what is short."""
    decided = plan(*drawn)
    for namespace in NAMESPACES:
        positions = [each.position for each in decided.waiting if each.waiter.namespace == namespace]
        assert positions == list(range(1, len(positions) + 1))
    for each in decided.waiting:
        assert each.short
        never = any(not short.demand.limits.admits(each.waiter.weight) for short in each.short)
        assert each.reason is (WaitReason.EXCEEDS_MAX_QUOTA if never else WaitReason.WAITING_FOR_QUOTA)


def test_priority_goes_before_age_before_arrival_before_uid() -> None:
    """The whole order, in every order of arrival in the list."""
    in_order = [
        _waiter("urgent", priority=5),
        _waiter("old", age=60, arrival=9),
        _waiter("first", arrival=1),
        _waiter("a-tie", arrival=2),
        _waiter("b-tie", arrival=2),
        _waiter("low", priority=-1, age=3600),
    ]
    wanted = [each.uid for each in in_order]
    assert all(_released(plan(mixed, {})) == wanted for mixed in permutations(in_order))


def test_as_many_as_fit_go_in_one_pass() -> None:
    """Three free slots release three, not one a pass."""
    bound = demand(limits(5))
    decided = plan(
        [_waiter(f"u{n}", arrival=n, demands=[bound]) for n in range(6)], {bound.account: Usage(2)}
    )
    assert _released(decided) == ["u0", "u1", "u2"]
    assert [each.position for each in decided.waiting] == [1, 2, 3]


def test_a_smaller_one_passes_one_that_is_blocked() -> None:
    """BestEffortFIFO: the head keeps its place, but does not block what fits beside it."""
    bound = demand(limits(tasks=10))
    big, small = _waiter("big", age=9, tasks=8, demands=[bound]), _waiter("small", tasks=2, demands=[bound])
    decided = plan([small, big], {bound.account: Usage(1, 5)})
    assert _released(decided) == ["small"]
    assert [(each.waiter.uid, each.position) for each in decided.waiting] == [("big", 1)]


def test_all_demands_have_to_fit_and_a_blocked_waiter_charges_none() -> None:
    """A waiter that is short on one account takes nothing from the other."""
    own, full = demand(limits(1)), demand(limits(0), namespace="", quota_name="shared")
    decided = plan([_waiter("both", age=1, demands=[own, full]), _waiter("own", demands=[own])], {})
    assert _released(decided) == ["own"]
    assert [each.demand for each in decided.waiting[0].short] == [full]


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        (4, WaitReason.WAITING_FOR_QUOTA),
        (5, WaitReason.EXCEEDS_MAX_QUOTA),
        (None, WaitReason.EXCEEDS_MAX_QUOTA),
    ],
)
def test_what_can_never_fit_says_so(tasks: int | None, reason: WaitReason) -> None:
    """ExceedsMaxQuota is told from waiting, so that people do not wait for nothing."""
    bound = demand(limits(tasks=4))
    decided = plan([_waiter("u", tasks=tasks, demands=[bound])], {bound.account: Usage(1, 1)})
    assert [each.reason for each in decided.waiting] == [reason]


def test_a_waiter_without_demands_goes_at_once() -> None:
    """When its quota was deleted nothing holds it any more."""
    assert _released(plan([_waiter("free")], {})) == ["free"]
