"""Ranges that take in by how much earlier ones were wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.cluster_view.past_misses import STEPS, bucket_of_miss, stated
from policy.core.values.quantile_sketch import BUCKETS, UNIT, QuantileSketch

LOW, HIGH = 600, 1200


def learned(*starts: float, times: int = 50) -> QuantileSketch:
    """Return the misses of these starts, each so many times."""
    counts: dict[int, int] = {}
    for start in starts:
        bucket = bucket_of_miss(start, LOW, HIGH)
        counts[bucket] = counts.get(bucket, 0) + times * UNIT
    return QuantileSketch(0, counts)


def test_without_misses_the_range_is_as_it_was_computed() -> None:
    """A new root has missed nothing yet."""
    assert stated(QuantileSketch(), LOW, HIGH) == (LOW, HIGH)


def test_ends_of_the_range_are_a_half_width_from_its_middle() -> None:
    """So misses of long waits and of short ones are added up."""
    middle = BUCKETS // 2
    assert [bucket_of_miss(at, LOW, HIGH) - middle for at in (LOW, 900, HIGH)] == [-STEPS, 0, STEPS]
    assert bucket_of_miss(10**9, LOW, HIGH) == BUCKETS - 1


def test_starts_that_come_late_move_the_range_to_later() -> None:
    """All came between 1,500 and 1,800 seconds."""
    low, high = stated(learned(1500, 1650, 1800), LOW, HIGH)
    assert 1200 < low <= 1500
    assert 1650 < high <= 1900


def test_starts_that_are_foreseen_well_make_the_range_narrow() -> None:
    """As where all runs take the same time."""
    low, high = stated(learned(890, 900, 910), LOW, HIGH)
    assert 850 < low < high < 950


def test_a_time_that_is_certain_stays_so() -> None:
    """A window opens then, whatever was missed before."""
    assert stated(learned(5000), 900, 900) == (900, 900)


@given(st.lists(st.floats(0, 10_000), max_size=9), st.integers(0, 5000), st.integers(0, 5000))
def test_a_stated_range_is_one_and_none_of_it_is_past(starts: list[float], low: int, width: int) -> None:
    """Whatever was learned."""
    found = stated(learned(*starts), low, low + width)
    assert 0 <= found[0] <= found[1]


@pytest.mark.parametrize("low", [0, 60, 3600])
def test_a_later_computed_range_is_stated_later(low: int) -> None:
    """One further back is never told an earlier start."""
    misses = learned(700, 1300)
    ranges = [stated(misses, low + each, low + each + 300) for each in range(0, 3000, 300)]
    assert all(one[0] <= other[0] and one[1] <= other[1] for one, other in pairwise(ranges))
