"""So many at once, and then so many a second, for each by itself."""

import pytest

from lockkeeper.page.rate_limit import RateLimit, TooOften


def test_a_burst_is_allowed_and_then_a_rate() -> None:
    """What was not used comes back with time, up to the burst."""
    now = [0.0]
    limit = RateLimit(rate=0.5, burst=3, stopwatch=lambda: now[0])
    for _ in range(3):
        limit.take("a")
    with pytest.raises(TooOften) as refused:
        limit.take("a")
    assert (refused.value.seconds, str(refused.value)) == (2, "You ask too often. Try again in 2 s.")
    limit.take("b")
    now[0] = 2.0
    limit.take("a")
    with pytest.raises(TooOften):
        limit.take("a")
    now[0] = 1000.0
    for _ in range(3):
        limit.take("a")
    with pytest.raises(TooOften):
        limit.take("a")


def test_of_very_many_those_are_forgotten_that_asked_longest_ago() -> None:
    """Memory stays bounded, whoever asks."""
    limit = RateLimit(rate=1, burst=1, stopwatch=lambda: 0.0)
    limit.take("first")
    for number in range(10_000):
        limit.take(number)
    limit.take("first")
    with pytest.raises(TooOften):
        limit.take(9_999)
