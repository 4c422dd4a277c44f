"""Amounts are exact: sums come apart again, and a limit admits what counting one by one admits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.values.amounts import (
    UNLIMITED,
    UNLIMITED_WORD,
    ZERO,
    Amount,
    Limits,
    Reserve,
    Usage,
    less,
    withheld,
)
from tests.policy.core.builders import limits

counts = st.integers(min_value=0, max_value=10**9)
small = st.integers(min_value=0, max_value=4)
amounts = st.one_of(st.just(UNLIMITED), counts.map(Amount))
small_amounts = st.one_of(st.just(UNLIMITED), small.map(Amount))
usages = st.builds(Usage, counts, counts, counts)
usages = st.builds(Usage, st.integers(0, 5), st.integers(0, 5))
reserves = st.lists(st.builds(Reserve, st.integers(-2, 2), usages), max_size=4)


@given(usages, usages)
def test_what_was_added_can_be_taken_away_again(one: Usage, other: Usage) -> None:
    """A sum is reversible, unbounded Workflows included, so a total never drifts."""
    assert (one + other) - other == one


@given(usages, usages, usages)
def test_sums_do_not_depend_on_order(one: Usage, two: Usage, three: Usage) -> None:
    """Addition commutes and associates, so events may be counted in any order."""
    assert (one + two) + three == three + (two + one)
    assert one + ZERO == one


@given(small_amounts, small_amounts, st.lists(small_amounts, max_size=6))
def test_limits_admit_what_counting_one_by_one_admits(
    workflows: Amount, tasks: Amount, running: list[Amount]
) -> None:
    """`admits` equals an oracle that looks at each Workflow and knows infinity."""
    used = sum((Usage.of(each) for each in running), ZERO)
    infinity = float("inf")

    def number(amount: Amount) -> float:
        return infinity if amount.value is None else amount.value

    fits_workflows = len(running) <= number(workflows)
    # Unbounded tasks fit only where nobody counts them.
    needed = sum(number(each) for each in running)
    fits_tasks = tasks.value is None or needed <= tasks.value
    assert Limits(workflows, tasks).admits(used) == (fits_workflows and fits_tasks)


@given(amounts, amounts)
def test_the_tightest_bound_covers_what_both_cover(one: Amount, other: Amount) -> None:
    """`tightest` is the intersection of two bounds, in either order."""
    both = one.tightest(other)
    assert both == other.tightest(one)
    for bound in (one.value, other.value, 0):
        for count in (bound or 0, (bound or 0) + 1):
            assert both.covers(count) == (one.covers(count) and other.covers(count))


@given(st.builds(Limits, small_amounts, small_amounts), st.builds(Limits, small_amounts, small_amounts))
def test_the_tightest_limits_admit_what_both_admit(one: Limits, other: Limits) -> None:
    """`Limits.tightest` holds for Workflows and tasks apart."""
    for usage in (Usage(2, 3), Usage(1, 0, 1), Usage(0, 4), Usage(4, 0)):
        assert one.tightest(other).admits(usage) == (one.admits(usage) and other.admits(usage))


@pytest.mark.parametrize(
    ("field", "amount"), [(0, Amount(0)), (10, Amount(10)), (UNLIMITED_WORD, UNLIMITED), (None, UNLIMITED)]
)
def test_an_absent_amount_and_the_word_are_unlimited_and_zero_is_not(
    field: int | None, amount: Amount
) -> None:
    """A policy's 0 is a bound: None is never taken for zero nor zero for None."""
    assert Amount.parse(field) == amount
    assert Amount.parse(field).covers(1) == (field != 0)


def test_a_negative_amount_is_refused_with_what_it_may_be() -> None:
    """A negative limit is an error that names both legal forms."""
    with pytest.raises(ValueError, match=r"^must be 0 or more, or Unlimited; got -1$"):
        Amount.parse(-1)


def test_amounts_read_as_people_write_them() -> None:
    """An amount prints as its number or the word."""
    assert (str(Amount(7)), str(UNLIMITED)) == ("7", "unlimited")


def test_one_unbounded_workflow_makes_the_sum_of_tasks_unlimited_until_it_is_subtracted() -> None:
    """Unlimited is a state of the sum, not a number that sticks."""
    running = Usage.of(Amount(3)) + Usage.of(UNLIMITED)
    assert running.task_amount == UNLIMITED
    assert (running - Usage.of(UNLIMITED)).task_amount == Amount(3)


def test_a_task_limit_never_admits_an_unbounded_workflow() -> None:
    """A Workflow that may start any number of tasks fits no bound."""
    assert not Limits(tasks=Amount(10**9)).admits(Usage.of(UNLIMITED))
    assert Limits(workflows=Amount(1)).admits(Usage.of(UNLIMITED))


def test_only_a_task_limit_asks_how_many_tasks_a_workflow_runs() -> None:
    """`bounds_tasks` tells limits on tasks from limits on Workflows."""
    assert not Limits(workflows=Amount(0)).bounds_tasks
    assert Limits(tasks=Amount(0)).bounds_tasks


def test_only_priorities_above_the_level_may_use_a_reserve() -> None:
    """The level itself may not use it, a higher one may; several reserves add up."""
    given_reserves = [Reserve(0, Usage(2, 5)), Reserve(10, Usage(1, 1))]
    assert [withheld(given_reserves, priority) for priority in (-1, 0, 1, 10, 11)] == [
        Usage(3, 6),
        Usage(3, 6),
        Usage(1, 1),
        Usage(1, 1),
        ZERO,
    ]


@given(reserves, st.integers(-3, 3), st.integers(-3, 3))
def test_no_more_is_withheld_from_a_higher_priority(
    given_reserves: list[Reserve], one: int, other: int
) -> None:
    """Raising the priority never hurts."""
    low, high = withheld(given_reserves, min(one, other)), withheld(given_reserves, max(one, other))
    assert high.workflows <= low.workflows
    assert high.tasks <= low.tasks


def test_what_is_withheld_lowers_limits_to_zero_at_most() -> None:
    """And no limit stays no limit."""
    assert less(limits(5, None), Usage(2, 7)) == limits(3, None)
    assert less(limits(1, 4), Usage(2, 3)) == limits(0, 1)
    assert less(limits(1), ZERO) == limits(1)
