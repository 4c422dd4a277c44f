"""Moments of schedules, by an oracle that walks minute by minute, above all when clocks change."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.core.cron import Cron, zone_named

MINUTE: Final = timedelta(minutes=1)
CHANGES: Final = {
    # When clocks go forward, when they go back: the UTC hour before which nothing has changed.
    "Europe/Berlin": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "America/New_York": (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC)),
    "UTC": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
}


def _at(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone_named(zone))


def _matches(wall: datetime, minutes: set[int], hours: set[int]) -> bool:
    return wall.minute in minutes and wall.hour in hours


def _every_so_often(
    start: datetime, end: datetime, zone: tzinfo, minutes: set[int], hours: set[int]
) -> Iterator[datetime]:
    """Walk elapsed time: each minute that shows the right face."""
    while start < end:
        if _matches(start.astimezone(zone), minutes, hours):
            yield start
        start += MINUTE


def _on_the_wall(
    start: datetime, end: datetime, zone: tzinfo, minutes: set[int], hours: set[int]
) -> Iterator[datetime]:
    """Walk the wall: each time of each day once; one that never shows counts as the next that does."""
    wall = start.astimezone(zone).replace(second=0, tzinfo=None) - timedelta(days=1)
    last = end.astimezone(zone).replace(tzinfo=None) + timedelta(days=1)
    found = set()
    while wall < last:
        if _matches(wall, minutes, hours):
            shown = wall
            while shown.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != shown:
                shown += MINUTE
            found.add(shown.replace(tzinfo=zone).astimezone(UTC))
        wall += MINUTE
    yield from sorted(moment for moment in found if start <= moment < end)


@st.composite
def _moments(draw: st.DrawFn) -> tuple[str, datetime]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = draw(st.sampled_from(CHANGES[zone]))
    return zone, change + timedelta(seconds=draw(st.integers(-9 * 3600, 9 * 3600)))


@given(
    _moments(), st.sets(st.integers(0, 59), min_size=1, max_size=3), st.sets(st.integers(0, 4), min_size=1)
)
@example(("Europe/Berlin", datetime(2026, 10, 25, 1, 10, tzinfo=UTC)), {30}, {2})
@example(("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 10, tzinfo=UTC)), {45}, {1})
def test_a_time_on_the_wall_comes_once_a_day_also_when_clocks_change(
    moment: tuple[str, datetime], minutes: set[int], hours: set[int]
) -> None:
    """Neither left out in spring nor twice in autumn, whenever one asks."""
    name, now = moment
    schedule = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))} * * *"
    cron, zone = Cron(schedule, zone_named(name)), zone_named(name)
    around = list(
        _on_the_wall(now - timedelta(days=1, hours=2), now + timedelta(days=1, hours=2), zone, minutes, hours)
    )
    assert cron.last(now) == max(each for each in around if each <= now)
    assert cron.next(now) == min(each for each in around if each > now)


@given(_moments(), st.integers(1, 40), st.sampled_from(["*", "1-4"]))
def test_every_so_often_follows_elapsed_time(moment: tuple[str, datetime], step: int, hour: str) -> None:
    """A repeated hour has its turns twice, a skipped one has none."""
    name, now = moment
    cron, zone = Cron(f"*/{step} {hour} * * *", zone_named(name)), zone_named(name)
    hours = set(range(24)) if hour == "*" else {1, 2, 3, 4}
    around = list(
        _every_so_often(
            (now - timedelta(hours=30)).replace(second=0),
            now + timedelta(hours=30),
            zone,
            set(range(0, 60, step)),
            hours,
        )
    )
    assert cron.last(now) == max(each for each in around if each <= now)
    assert cron.next(now) == min(each for each in around if each > now)


@pytest.mark.parametrize(
    ("zone", "schedule", "after", "moment"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", "2026-03-29T03:00"),
        ("America/New_York", "30 2 * * *", "2026-03-07T12:00", "2026-03-08T03:00"),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", "2026-10-04T02:30"),
        ("UTC", "30 2 * * *", "2026-03-28T12:00", "2026-03-29T02:30"),
    ],
)
def test_a_start_in_the_skipped_hour_comes_when_the_clocks_change(
    zone: str, schedule: str, after: str, moment: str
) -> None:
    """As in cron: at once after the change, not an hour or a day later."""
    assert Cron(schedule, zone_named(zone)).next(_at(after, zone)) == _at(moment, zone)


@pytest.mark.parametrize(
    ("zone", "schedule", "first", "following"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T02:30", "2026-10-26T02:30"),
        ("America/New_York", "30 1 * * *", "2026-11-01T01:30", "2026-11-02T01:30"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05T01:45", "2026-04-06T01:45"),
    ],
)
def test_a_start_that_happens_twice_comes_the_first_time_only(
    zone: str, schedule: str, first: str, following: str
) -> None:
    """`fold=0` is the first of both, and the second is passed over."""
    cron = Cron(schedule, zone_named(zone))
    again = _at(first, zone).replace(fold=1).astimezone(UTC)
    assert cron.last(again) == _at(first, zone).astimezone(UTC)
    assert cron.next(again) == cron.next(_at(first, zone)) == _at(following, zone).astimezone(UTC)


@given(_moments(), st.sampled_from(["0 20 * * 1-5", "*/7 * * * *", "@monthly", "0 0 29 2 *"]))
def test_last_and_next_enclose_now(moment: tuple[str, datetime], schedule: str) -> None:
    """`last` counts now in, `next` does not, and nothing lies between."""
    cron, now = Cron(schedule, zone_named(moment[0])), moment[1]
    last, following = cron.last(now), cron.next(now)
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert cron.next(last) == following
    assert cron.last(following - timedelta(seconds=1)) == last


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "0 0 0 * * *",
        "60 * * * *",
        "* 24 * * *",
        "a b c d e",
        "*/0 * * * *",
        "0 0 30 2 *",
        "@often",
        "9" * 5000 + " * * * *",
        "0 0 * * *" + " " * 300 + "x",
    ],
)
def test_what_is_no_schedule_is_refused_with_the_form(schedule: str) -> None:
    """The message shows how to write one, whatever came, and stays short."""
    with pytest.raises(ValueError, match=r"is no schedule: .*five fields|never comes") as caught:
        Cron(schedule, UTC)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "name", ["", "Mars/Phobos", "Europe", "../../etc/passwd", "a\0b", "x" * 5000, "localtime"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """Paths and the machine's own zone are no names of zones."""
    with pytest.raises(ValueError, match=r"is no time zone: write a name such as Europe/Berlin or UTC"):
        zone_named(name)
