"""Durations read as Go and Kubernetes write them, and come back in the same form."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.values.durations import duration, written


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10h", timedelta(hours=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("90s", timedelta(seconds=90)),
        ("7d", timedelta(days=7)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("0s", timedelta(0)),
        ("1h0m0s", timedelta(hours=1)),
    ],
)
def test_a_duration_reads_as_it_is_written(text: str, length: timedelta) -> None:
    """What Go prints is read, and days beside it."""
    assert duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "10", "h", "-1h", "1.5h", "30m1h", "1h1h", "1 h", "1ms", "\uff11h", "5w"]
)
def test_what_is_no_duration_is_refused_with_the_form(text: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(ValueError, match=r"is no duration: write a number of d, h, m and s"):
        duration(text)


def test_a_duration_of_centuries_is_refused() -> None:
    """A slip of the pen cannot overflow the calendar."""
    with pytest.raises(ValueError, match=r"^'99999d' is longer than 36500d$"):
        duration("99999d")


@given(st.integers(0, 36_499 * 86_400))
def test_what_is_written_reads_back(seconds: int) -> None:
    """`written` and `duration` are inverse for whole seconds."""
    length = timedelta(seconds=seconds)
    assert duration(written(length)) == length
