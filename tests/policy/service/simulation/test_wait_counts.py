"""Shares of waits, from counts."""

from hypothesis import given
from hypothesis import strategies as st

from policy.service.simulation.group_counts import jain
from policy.service.simulation.wait_counts import WaitCounts, WaitFigures


def test_half_and_95_of_100_are_what_they_say() -> None:
    """The median of 1 to 100 is 50, and 95 of them are 95 at most."""
    counts = WaitCounts()
    for seconds in range(1, 101):
        counts.add(float(seconds))
    assert counts.figures() == WaitFigures(median=50, p95=95, longest=100, mean=50.5)


def test_nobody_who_waited_is_no_wait() -> None:
    """An empty group has figures, too."""
    assert WaitCounts().figures() == WaitFigures()


@given(st.lists(st.floats(0, 400_000), min_size=1, max_size=60))
def test_a_share_is_at_most_a_minute_below_the_exact_one(waits: list[float]) -> None:
    """Long waits are counted in coarser steps, and never told longer than they were."""
    counts = WaitCounts()
    for each in waits:
        counts.add(each)
    exact = sorted(waits)[-(-len(waits) * 95 // 100) - 1]
    assert exact - 60 <= counts.figures().p95 <= exact


def test_the_index_of_jain_is_one_where_all_have_the_same() -> None:
    """1 is even; with one of four that has everything it is a quarter."""
    assert jain([0.5, 0.5, 0.5]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([]) == 1
