"""How long runs take: by template, by name, by namespace, bounded, and the same after it was stored."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.core.cluster_view.run_lengths import (
    MOST_SERIES,
    NOTHING,
    KnownSeries,
    RunLengths,
    series_of,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def known(*runs: tuple[str, str, int], shared: str = "") -> RunLengths:
    """Return what is known by runs: namespace, name, and minutes."""
    made = RunLengths()
    for namespace, name, minutes in runs:
        made.add(series_of(namespace, name, shared), minutes * MINUTE, NOW)
    return made


@pytest.mark.parametrize(
    ("one", "other"),
    [("load-x7k2p", "load-bcdfg"), ("nightly-1764547200", "nightly-1764633600")],
)
def test_names_that_differ_in_their_random_end_are_one_series(one: str, other: str) -> None:
    """The API server puts it there, or Argo's cron."""
    assert series_of("a", one) == series_of("a", other)
    assert series_of("a", one) != series_of("b", one)


def test_a_name_that_somebody_wrote_is_a_series_by_itself() -> None:
    """No part of it is taken for random: these have vowels."""
    assert series_of("a", "load-first") != series_of("a", "load-other")


def test_the_template_comes_before_the_name_and_the_namespace_last() -> None:
    """Three runs are enough for a series, five for a namespace."""
    made = known(*[("a", "x-bcdfg", 9)] * 3, shared="WorkflowTemplate/etl")
    for _ in range(3):
        made.add(series_of("a", "y-bcdfg"), MINUTE, NOW)
    by_template = made.lengths(series_of("a", "new", "WorkflowTemplate/etl")).quantile(50)
    assert by_template is not None
    assert abs(by_template - 540) <= 540 // 8
    by_name = made.lengths(series_of("a", "y-fghjk", "WorkflowTemplate/other")).quantile(50)
    assert by_name is not None
    assert abs(by_name - 60) <= 60 // 8
    assert made.lengths(series_of("a", "never-seen")).total == 9 * 1024
    assert made.lengths(series_of("b", "never-seen")) is NOTHING


def test_two_runs_are_too_little() -> None:
    """Nothing is said by them."""
    assert known(*[("a", "x-bcdfg", 9)] * 2).lengths(series_of("a", "x-bcdfg")) is NOTHING


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(("x", "y")), st.integers(0, 9000)), max_size=60
    )
)
def test_what_is_stored_is_read_back(runs: list[tuple[str, str, int]]) -> None:
    """The next leader knows as much."""
    made = known(*runs)
    stored = msgspec.json.decode(msgspec.json.encode(made.stored(NOW)), type=tuple[KnownSeries, ...])
    assert RunLengths.read(stored).stored(NOW) == stored


@pytest.mark.parametrize("lengths", ["x", "1", "9:x", "999999:1", "-1:5", "1:0", f"1:{1 << 60}"])
def test_what_was_not_stored_by_us_is_refused(lengths: str) -> None:
    """Somebody may have edited the object."""
    with pytest.raises(ValueError, match=r"."):
        RunLengths.read((KnownSeries("a", "0", 1, lengths),))


def test_the_number_of_series_is_bounded_and_the_most_used_stay() -> None:
    """Names that come once push nothing out that comes each day."""
    made = known(*[("a", "daily-bcdfg", 5)] * 9)
    for number in range(MOST_SERIES + 100):
        made.add(series_of("a", f"once-{number}"), MINUTE, NOW)
    assert len(made) <= MOST_SERIES
    assert made.lengths(series_of("a", "daily-bcdfg")).total == 9 * 1024
    assert len(msgspec.json.encode(made.stored(NOW))) < 500_000


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_the_number_of_counts_is_bounded(seed: int) -> None:
    """A series of lengths of every kind has many."""
    made = RunLengths(most_buckets=500)
    for number in range(1000):
        made.add(series_of("a", f"s{number % 9}"), (seed + number) ** 2 * MINUTE / 60, NOW)
    assert made.buckets <= 500
    assert made.buckets == sum(each.lengths.count(":") for each in made.stored(NOW))
