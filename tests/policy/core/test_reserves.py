"""Reserves: the last slots are for priorities above a level."""

from hypothesis import given
from hypothesis import strategies as st

from policy.core.amounts import ZERO, Usage
from policy.core.reserves import Reserve, less, withheld
from tests.policy.core.builders import limits

usages = st.builds(Usage, st.integers(0, 5), st.integers(0, 5))
reserves = st.lists(st.builds(Reserve, st.integers(-2, 2), usages), max_size=4)


def test_only_priorities_above_the_level_may_use_a_reserve() -> None:
    """At the level it is closed, above it is open; several are kept apart."""
    given_reserves = [Reserve(0, Usage(2, 5)), Reserve(10, Usage(1, 1))]
    assert [withheld(given_reserves, priority) for priority in (-1, 0, 1, 10, 11)] == [
        Usage(3, 6),
        Usage(3, 6),
        Usage(1, 1),
        Usage(1, 1),
        ZERO,
    ]


@given(reserves, st.integers(-3, 3), st.integers(-3, 3))
def test_a_higher_priority_is_kept_from_no_more(given_reserves: list[Reserve], one: int, other: int) -> None:
    """Raising the priority never hurts."""
    low, high = withheld(given_reserves, min(one, other)), withheld(given_reserves, max(one, other))
    assert high.workflows <= low.workflows
    assert high.tasks <= low.tasks


def test_what_is_kept_back_lowers_limits_to_zero_at_most() -> None:
    """And no limit stays no limit."""
    assert less(limits(5, None), Usage(2, 7)) == limits(3, None)
    assert less(limits(1, 4), Usage(2, 3)) == limits(0, 1)
    assert less(limits(1), ZERO) == limits(1)
