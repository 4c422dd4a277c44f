"""Waits between tries: they double from the first to the last."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from policy.core.backoff import MOST_DOUBLINGS, backoff


def test_each_wait_is_twice_the_one_before_up_to_the_last() -> None:
    """In seconds and in times alike."""
    assert [backoff(each, first=0.5, last=5.0) for each in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    first, last = timedelta(seconds=1), timedelta(minutes=1)
    found = [backoff(each, first=first, last=last).total_seconds() for each in range(1, 9)]
    assert found == [1, 2, 4, 8, 16, 32, 60, 60]


def test_nothing_failed_is_as_one_failure() -> None:
    """There is no shorter wait than the first."""
    assert backoff(0, first=1.0, last=9.0) == backoff(-3, first=1.0, last=9.0) == 1.0


@given(st.integers(0, 10**6), st.floats(0.001, 10), st.floats(10, 10**6))
def test_a_wait_never_shrinks_and_stays_within_its_bounds(failures: int, first: float, last: float) -> None:
    """However often it failed."""
    wait = backoff(failures, first=first, last=last)
    assert first <= wait <= min(last, first * 2**MOST_DOUBLINGS)
    assert wait <= backoff(failures + 1, first=first, last=last)
