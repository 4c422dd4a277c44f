"""Expected starts in words: rounded, and with the date where it is another day."""

from datetime import UTC, datetime, timedelta

import pytest

from policy.core.cluster_view.start_sentences import clock_range, start_sentence, waits_for
from policy.core.cluster_view.view import StartRange

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def between(earliest: int, latest: int) -> StartRange:
    """Return a range in seconds from now."""
    return StartRange(NOW + timedelta(seconds=earliest), NOW + timedelta(seconds=latest))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (between(5, 90), "5s-1m30s"),
        (between(310, 1170), "5m-20m"),
        (between(40, 130), "0s-3m"),
        (between(100_000, 200_000), "1d3h-2d8h"),
        (between(600, 600), "10m"),
        (between(-9, -5), "0s"),
    ],
)
def test_a_range_is_rounded_outwards(expected: StartRange, text: str) -> None:
    """The earliest down, the latest up; seconds are shown of what is near alone."""
    assert waits_for(expected, NOW) == text


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (between(310, 1170), "14:05-14:20"),
        (between(300, 300), "14:05"),
        (between(0, 86_400), "2026-11-23 14:00 to 2026-11-24 14:00"),
    ],
)
def test_times_of_another_day_have_their_date(expected: StartRange, text: str) -> None:
    """14:05 alone would be taken for today."""
    assert clock_range(expected, NOW) == text


def test_the_sentence_says_how_sure_it_is() -> None:
    """Or that nothing can be said."""
    assert start_sentence(between(310, 1170), NOW) == (
        "it is expected to start in 5m to 20m (14:05-14:20 UTC): so in 6 of 10 cases, by how long runs took "
        "and who came lately"
    )
    assert start_sentence(None, NOW).startswith("when it starts cannot be said: too little is known")
    assert start_sentence(between(0, 0), NOW) == "it is expected to start within seconds"
