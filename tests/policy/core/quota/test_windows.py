"""Elastic limits: which windows are open, what they make of the limits, and for how long."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.policy_kinds.quota_parts import QuotaLimits, WindowSpec
from policy.core.quota.windows import (
    NEVER,
    ElasticLimits,
    compile_windows,
    in_force,
)
from policy.core.values.amounts import UNLIMITED, Limits, Usage
from policy.core.values.cron_schedule import zone_named
from tests.policy.core.builders import limits

BASE: Final = QuotaLimits(workflows=10, tasks=200)
NIGHT: Final = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(workflows=40), "Europe/Berlin")
REPAIR: Final = WindowSpec("repair", "0 1 * * 0", "1h", QuotaLimits(workflows=0, tasks=5), "Europe/Berlin")
BERLIN: Final = zone_named("Europe/Berlin")


def _elastic(*specs: WindowSpec, base: QuotaLimits = BASE) -> ElasticLimits:
    return ElasticLimits(base, compile_windows(specs))


def _berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "found", "open_windows"),
    [
        ("2026-03-02T19:59:59", limits(10, 200), ()),
        ("2026-03-02T20:00:00", limits(40, 200), ("night",)),
        ("2026-03-03T05:59:59", limits(40, 200), ("night",)),
        ("2026-03-03T06:00:00", limits(10, 200), ()),
        ("2026-03-08T01:30:00", limits(0, 5), ("repair", "night")),
        ("2026-03-08T02:00:00", limits(40, 200), ("night",)),
    ],
)
def test_the_window_that_started_last_sets_each_bound_that_it_names(
    now: str, found: Limits, open_windows: tuple[str, ...]
) -> None:
    """A short window inside a long one wins; what no window names does not change."""
    force = _elastic(NIGHT, REPAIR).at(_berlin(now))
    assert (force.limits, force.opened) == (found, open_windows)


def test_of_two_that_start_together_the_last_listed_wins() -> None:
    """The order of the list decides a tie, for each bound apart."""
    both = [
        WindowSpec(name, "0 8 * * *", "1h", QuotaLimits(workflows=most))
        for name, most in (("a", 1), ("b", 2))
    ]
    both.append(WindowSpec("c", "0 8 * * *", "1h", QuotaLimits(tasks=7)))
    now = datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert _elastic(*both).at(now).limits == limits(2, 7)
    assert _elastic(*reversed(both)).at(now).limits == limits(1, 7)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-28T20:00", "2026-03-29T07:00"),  # The clocks go forward: ten hours end at 7.
        ("2026-10-24T20:00", "2026-10-25T05:00"),  # They go back: ten hours end at 5.
        ("2026-06-01T20:00", "2026-06-02T06:00"),
    ],
)
def test_a_duration_is_elapsed_time(start: str, end: str) -> None:
    """Ten hours stay ten hours in the nights when clocks change."""
    force = _elastic(NIGHT).at(_berlin(start))
    assert force.since == _berlin(start).astimezone(UTC)
    assert force.until == _berlin(end).astimezone(UTC) == force.since + timedelta(hours=10)


specs = st.lists(
    st.builds(
        WindowSpec,
        name=st.sampled_from("abcdef"),
        schedule=st.sampled_from(["0 20 * * *", "30 2 * * *", "*/15 * * * *", "0 0 * * 1-5", "0 1 1 * *"]),
        duration=st.sampled_from(["1m", "10m", "1h", "10h", "2d"]),
        limits=st.builds(
            QuotaLimits,
            workflows=st.one_of(st.none(), st.just("Unlimited"), st.integers(0, 9)),
            tasks=st.one_of(st.none(), st.integers(0, 9)),
        ),
        time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    ),
    max_size=4,
)
times = st.integers(0, 364 * 86_400).map(
    lambda after: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=after)
)


@given(specs, times)
def test_what_is_in_force_stays_until_it_says(given_specs: Sequence[WindowSpec], now: datetime) -> None:
    """Between `since` and `until` every moment gives the same, so the leader may sleep until then."""
    windows = compile_windows(given_specs)
    force = in_force(BASE, windows, now)
    assert force.since <= now < force.until
    inside = [now, force.since, force.until - timedelta(microseconds=1)]
    for moment in [
        each for each in inside if datetime(2025, 1, 1, tzinfo=UTC) < each < datetime(2028, 1, 1, tzinfo=UTC)
    ]:
        assert in_force(BASE, windows, moment).limits == force.limits


@given(specs, times)
def test_a_window_is_open_when_it_started_within_its_duration(
    given_specs: Sequence[WindowSpec], now: datetime
) -> None:
    """Computed again from its schedule alone."""
    windows = compile_windows(given_specs)
    started = {
        index
        for index, each in enumerate(windows)
        if (last := each.cron.last(now)) and now < last + each.length
    }
    assert sorted(in_force(BASE, windows, now).opened) == sorted(windows[index].name for index in started)


@given(specs, st.lists(times, max_size=6))
def test_remembering_changes_nothing(given_specs: Sequence[WindowSpec], moments: Sequence[datetime]) -> None:
    """`at` gives the same in any order of asking, also when a clock goes back."""
    elastic, windows = _elastic(*given_specs), compile_windows(given_specs)
    for now in moments:
        force = elastic.at(now)
        assert (force.limits, force.opened) == (
            in_force(BASE, windows, now).limits,
            in_force(BASE, windows, now).opened,
        )
        assert force.since <= now < force.until


@given(specs, times)
def test_the_highest_covers_what_is_ever_in_force(given_specs: Sequence[WindowSpec], now: datetime) -> None:
    """So what does not fit the highest can never fit."""
    elastic = _elastic(*given_specs)
    force, highest = elastic.at(now).limits, elastic.highest
    assert highest.tightest(force) == force


def test_without_windows_nothing_ever_changes() -> None:
    """The usual quota costs one comparison and no later look."""
    elastic = _elastic()
    assert elastic.at(datetime(2026, 1, 1, tzinfo=UTC)).limits == limits(10, 200)
    assert elastic.at(datetime(2026, 1, 1, tzinfo=UTC)).until == NEVER


def test_unlimited_can_be_a_window() -> None:
    """The word lifts a bound; an absent one leaves it."""
    lifted = WindowSpec("lifted", "0 8 * * *", "1h", QuotaLimits(workflows="Unlimited"))
    assert _elastic(lifted).at(datetime(2026, 3, 2, 8, tzinfo=UTC)).limits == Limits(
        UNLIMITED, limits(0, 200).tasks
    )


EARLY: Final = WindowSpec(
    name="early",
    schedule="0 3 * * *",
    duration="2h",
    time_zone="Europe/Berlin",
    limits=QuotaLimits(workflows=3),
)
FREEZE: Final = WindowSpec(
    name="freeze", schedule="0 0 * * 6", duration="2d", limits=QuotaLimits(workflows=0)
)


@pytest.mark.parametrize(
    ("specs", "base", "now", "wanted", "told"),
    [
        ([EARLY], 0, "2026-06-01 12:00", 1, "window early opens next at 2026-06-02T03:00+02:00"),
        ([EARLY], 0, "2026-06-01 12:00", 3, "window early opens next at 2026-06-02T03:00+02:00"),
        ([EARLY], 0, "2026-06-01 12:00", 4, ""),
        ([FREEZE], 5, "2026-06-06 12:00", 1, "window freeze ends at 2026-06-08T00:00+00:00"),
        # A night inside of the freeze started later, and is what counts; one before it would be too early.
        ([FREEZE, EARLY], 0, "2026-06-06 12:00", 1, "window early opens next at 2026-06-07T03:00+02:00"),
        # A window that opens first and allows no more is not the one.
        ([FREEZE, EARLY], 0, "2026-06-05 23:30", 1, "window early opens next at 2026-06-06T03:00+02:00"),
        ([], 0, "2026-06-05 23:30", 1, ""),
    ],
)
def test_the_next_opening_is_the_first_that_admits_what_is_asked(
    specs: Sequence[WindowSpec], base: int, now: str, wanted: int, told: str
) -> None:
    """With its time in the zone of the window, as its author wrote it."""
    opening = _elastic(*specs, base=QuotaLimits(workflows=base)).opening(_berlin(now), Usage(wanted))
    assert str(opening or "") == told


@given(specs, times, st.integers(0, 12), st.integers(0, 2000))
def test_before_the_next_opening_nothing_admits_it_and_then_it_does(
    given_specs: Sequence[WindowSpec], now: datetime, wanted: int, later: int
) -> None:
    """Whoever waits until then is not let down, and nobody waits too long."""
    elastic, asked = _elastic(*given_specs), Usage(workflows=wanted)
    opening = elastic.opening(now, asked)
    if opening is None or elastic.at(now).limits.admits(asked):
        return
    assert elastic.at(opening.at).limits.admits(asked)
    between = now + timedelta(minutes=later)
    assert between >= opening.at or not elastic.at(between).limits.admits(asked)
    assert elastic.opening(now, asked) == opening
