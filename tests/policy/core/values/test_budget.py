"""Looks at the time: how often, and that what was begun ends."""

import pytest

from policy.core.values.budget import STEPS, UNBOUNDED, Part, TimeSpentError, paced
from tests.policy.core.counting_budget import CountingBudget


@pytest.mark.parametrize("count", [0, 1, STEPS - 1, STEPS, STEPS + 1, 10 * STEPS])
def test_all_items_are_yielded_in_their_order(count: int) -> None:
    """Checks of the time do not change the items."""
    assert list(paced(range(count), UNBOUNDED, Part.LOCKS)) == list(range(count))


def test_few_items_cost_nothing() -> None:
    """An ordinary Workflow has few of everything."""
    budget = CountingBudget(100)
    few = list(range(STEPS))
    assert paced(few, budget, Part.LOCKS) is few
    assert budget.checks == 0


def test_many_items_cost_a_look_every_so_many() -> None:
    """So the time is seen soon after it is over: before each piece but the first."""
    budget = CountingBudget(100)
    assert len(list(paced(range(10 * STEPS), budget, Part.LOCKS))) == 10 * STEPS
    assert budget.checks == 9


def test_no_item_is_yielded_after_the_time_is_spent() -> None:
    """The work ends where it is, with the name of its part."""
    coming = iter(paced(range(10 * STEPS), CountingBudget(3), Part.GRAPH))
    assert [next(coming) for _ in range(4 * STEPS)] == list(range(4 * STEPS))
    with pytest.raises(TimeSpentError, match="in the part graph"):
        next(coming)
