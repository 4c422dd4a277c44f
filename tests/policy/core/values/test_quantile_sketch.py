"""Sketches of lengths: bounded, mergeable in any order, and near the lengths that they were made of."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from policy.core.values.quantile_sketch import BUCKETS, LONGEST, UNIT, QuantileSketch, bucket_of

LENGTHS = st.lists(st.integers(0, LONGEST), min_size=1, max_size=200)
PARTS = st.lists(st.tuples(LENGTHS, st.integers(0, 6)), min_size=3, max_size=3)


def sketch(lengths: list[int], period: int = 0) -> QuantileSketch:
    """Return the sketch of some lengths."""
    return reduce(lambda known, each: known.add(each, period), lengths, QuantileSketch(period))


@given(LENGTHS, st.integers(1, 100))
def test_a_quantile_is_wrong_by_an_eighth_at_most(lengths: list[int], share: int) -> None:
    """The bucket of the true one is found, and no bucket is wider than that."""
    found = sketch(lengths).lengths().quantile(share)
    true = sorted(lengths)[max(1, -(-len(lengths) * share // 100)) - 1]
    assert found is not None
    assert abs(found - true) * 8 <= true


@given(PARTS)
def test_merging_is_commutative_and_associative_but_for_what_decay_rounds_off(
    parts: list[tuple[list[int], int]],
) -> None:
    """Leaders may come in any order. One count is rounded once for each period that it passes."""
    first, second, third = (sketch(lengths, period) for lengths, period in parts)
    assert first.merge(second) == second.merge(first)
    left, right = first.merge(second).merge(third), first.merge(second.merge(third))
    assert left.period == right.period
    assert all(
        abs(left.counts.get(each, 0) - right.counts.get(each, 0)) <= 2 for each in left.counts | right.counts
    )


@given(LENGTHS, LENGTHS)
def test_in_one_period_a_merged_sketch_is_that_of_all_lengths(one: list[int], other: list[int]) -> None:
    """Nothing is lost by it."""
    assert sketch(one).merge(sketch(other)) == sketch(one + other)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_buckets_are_in_order_and_bounded(one: int, other: int) -> None:
    """So is their number, whatever lengths come."""
    low, high = sorted((one, other))
    assert 0 <= bucket_of(low) <= bucket_of(high) < BUCKETS


def test_old_lengths_weigh_less_and_are_forgotten() -> None:
    """A count is halved with each period."""
    known = sketch([100] * 4).add(5, 2)
    assert known.total == UNIT + UNIT
    assert known.lengths().quantile(50) == 5
    assert sketch([100]).at(11).counts == {}
    assert sketch([100], period=3).at(1) == sketch([100], period=3)


@given(LENGTHS, st.integers(0, LONGEST))
def test_those_that_ran_longer_are_asked_for_alone(lengths: list[int], elapsed: int) -> None:
    """What has run for ten minutes takes no five."""
    found = sketch(lengths).lengths().quantile(1, longer_than=elapsed)
    if found is not None:
        assert found >= elapsed * 7 // 8
    assert (found is None) <= (max(lengths) <= elapsed * 9 // 8 + 1)


def test_the_doubt_about_a_mean_falls_with_the_number_of_lengths() -> None:
    """Few and different lengths say little."""
    few, many = sketch([60, 600] * 2), sketch([60, 600] * 50)
    assert few.lengths().doubt() > 4 * many.lengths().doubt() > 0
    assert sketch([7] * 9).lengths().doubt() == 0


def test_nothing_is_known_of_nothing() -> None:
    """There is no quantile of an empty sketch."""
    assert QuantileSketch().lengths().quantile(50) is None
    assert QuantileSketch().lengths().doubt() == 0
