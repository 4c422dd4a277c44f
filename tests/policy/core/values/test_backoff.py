"""Waits between tries: they double from the first to the last."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from policy.core.values.backoff import MOST_DOUBLINGS, RetryTimes, backoff


def test_each_wait_is_twice_the_one_before_up_to_the_last() -> None:
    """However long that is."""
    assert [backoff(each, first=0.5, last=5.0) for each in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert [backoff(each, first=1.0, last=60.0) for each in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_nothing_failed_is_as_one_failure() -> None:
    """There is no shorter wait than the first."""
    assert backoff(0, first=1.0, last=9.0) == backoff(-3, first=1.0, last=9.0) == 1.0


@given(st.integers(0, 10**6), st.floats(0.001, 10), st.floats(10, 10**6))
def test_a_wait_never_shrinks_and_stays_within_its_bounds(failures: int, first: float, last: float) -> None:
    """However often it failed."""
    wait = backoff(failures, first=first, last=last)
    assert first <= wait <= min(last, first * 2**MOST_DOUBLINGS)
    assert wait <= backoff(failures + 1, first=first, last=last)


def test_each_waits_for_its_own_failures() -> None:
    """One that fails delays no other, and one that succeeded starts again."""
    retries: RetryTimes[str, float, str] = RetryTimes(first=1.0, last=60.0)
    assert not retries.is_early("a", 0.0)
    assert [retries.failed("a", 10.0, "down").due for _ in range(3)] == [11.0, 12.0, 14.0]
    retries.failed("b", 10.0, "busy")
    assert (retries.is_early("a", 13.9), retries.is_early("a", 14.0)) == (True, False)
    assert retries.next_due() == 11.0
    assert dict(retries.about()) == {"a": "down", "b": "busy"}
    retries.forget("a")
    assert retries.failed("a", 20.0, "down").times == 1


def test_times_of_a_clock_and_of_a_stopwatch_count_alike() -> None:
    """A leader that works by aware times waits as long."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    retries: RetryTimes[str, datetime, None] = RetryTimes(first=1.0, last=60.0)
    assert retries.next_due() is None
    assert [retries.failed("a", noon, None).due for _ in range(2)][-1] == noon + timedelta(seconds=2)


def test_what_is_no_longer_needed_is_removed() -> None:
    """Nothing piles up over a term."""
    retries: RetryTimes[str, float, None] = RetryTimes(first=1.0, last=60.0)
    for key in ("a", "b", "c"):
        retries.failed(key, 0.0, None)
    retries.keep({"b", "z"})
    assert (list(retries), len(retries)) == (["b"], 1)
