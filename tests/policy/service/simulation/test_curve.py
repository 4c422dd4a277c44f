"""A number over time in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from policy.service.simulation.curve import MOST_PARTS, Curve, common_width

_STEPS = st.lists(st.tuples(st.floats(0, 4_000), st.integers(0, 9)), max_size=30)


def test_the_mean_of_a_part_is_weighed_by_time() -> None:
    """Ten Workflows for half a minute are five in the mean of that minute."""
    curve = Curve()
    curve.put(30, 10)
    curve.put(60, 0)
    assert curve.parts(120).means == (5.0, 0.0)


def test_the_highest_value_of_each_part_is_kept() -> None:
    """A short peak is seen, though the mean hides it."""
    curve = Curve()
    curve.put(70, 8)
    curve.put(71, 0)
    assert curve.parts(120).peaks == (0.0, 8.0)
    assert curve.highest == 8


def test_a_long_history_has_wider_parts_and_not_more() -> None:
    """Ten years take no more memory than an hour."""
    curve = Curve()
    for day in range(3_650):
        curve.put(day * 86_400.0, day % 7)
    parts = curve.parts(3_650 * 86_400.0)
    assert len(parts.means) <= MOST_PARTS
    assert parts.width == common_width(3_650 * 86_400.0)


@given(_STEPS)
def test_the_area_is_that_of_all_parts_together(steps: list[tuple[float, int]]) -> None:
    """Nothing is counted twice or lost where parts are cut."""
    curve, at = Curve(), 0.0
    for wait, value in steps:
        at += wait
        curve.put(at, value)
    until = at + 10
    parts = curve.parts(until)
    lengths = [min(parts.width, until - number * parts.width) for number in range(len(parts.means))]
    total = sum(mean * length for mean, length in zip(parts.means, lengths, strict=True))
    assert abs(total - curve.area) < 1e-3
