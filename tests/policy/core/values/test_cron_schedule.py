"""Moments of schedules, by an oracle that walks minute by minute, above all when clocks change.

What Argo's own parser says of the same lines is compared in tests/e2e/test_cron_as_argo.py.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.core.values.cron_schedule import Cron, zone_named

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
def test_it_matches_every_minute_whose_local_time_matches(
    moment: tuple[str, datetime], minutes: set[int], hours: set[int]
) -> None:
    """A repeated hour has its turns twice, a skipped one has none."""
    name, now = moment
    zone = zone_named(name)
    cron = Cron(f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))} * * *", zone)
    start = now.replace(second=0) - timedelta(hours=50)
    walked = (start + number * MINUTE for number in range(100 * 60))
    faces = [(each, each.astimezone(zone)) for each in walked]
    around = [each for each, face in faces if face.minute in minutes and face.hour in hours]
    assert cron.last(now) == max(each for each in around if each <= now)
    assert cron.next(now) == min(each for each in around if each > now)


@pytest.mark.parametrize(
    ("zone", "schedule", "after", "moment"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", "2026-03-30T02:30"),
        ("America/New_York", "30 2 * * *", "2026-03-07T12:00", "2026-03-09T02:30"),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", "2026-10-05T02:15"),
        ("Africa/Cairo", "0 0 * * *", "2024-04-25T12:00", "2024-04-27T00:00"),
        ("UTC", "30 2 * * *", "2026-03-28T12:00", "2026-03-29T02:30"),
    ],
)
def test_a_start_in_the_skipped_hour_is_skipped(zone: str, schedule: str, after: str, moment: str) -> None:
    """A CronWorkflow and a CronJob with the same schedule do not run that day either."""
    assert Cron(schedule, zone_named(zone)).next(_at(after, zone)) == _at(moment, zone)


@pytest.mark.parametrize(
    ("zone", "schedule", "first", "following"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T02:30", "2026-10-26T02:30"),
        ("America/New_York", "30 1 * * *", "2026-11-01T01:30", "2026-11-02T01:30"),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05T01:45", "2026-04-06T01:45"),
    ],
)
def test_a_start_in_the_repeated_hour_happens_twice(
    zone: str, schedule: str, first: str, following: str
) -> None:
    """`fold=1` is the second of both."""
    cron = Cron(schedule, zone_named(zone))
    again = _at(first, zone).replace(fold=1).astimezone(UTC)
    assert cron.next(_at(first, zone)) == again
    assert cron.last(again) == again
    assert cron.last(again - MINUTE) == _at(first, zone).astimezone(UTC)
    assert cron.next(again) == _at(following, zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ("0 0 */2 * MON", "2 3 5 7 9 11 13 15"),
        ("0 0 1-31/2 * mon", "2 3 5 7 9 11 13 15"),
        ("0 0 1 * */2", "3 5 7 8 10 12 14 15"),
        ("0 0 */1 * MON", "2 9 16 23 30"),
        ("0 0 ? * MON", "2 9 16 23 30"),
        ("0 0 1-31 * MON", "2 3 4 5 6 7 8 9"),
        ("0 0 13 * 5", "6 13 20 27"),
        ("0 0 5/10 * *", "5 15 25"),
        ("0 0 ,2,,4, * ?", "2 4"),
    ],
)
def test_days_of_the_month_and_of_the_week_are_alternatives(schedule: str, days: str) -> None:
    """Unless one of them is a star; */2 is none, */1 is. The days are those that robfig/cron 3.0.1 gave."""
    cron, now, found = Cron(schedule, UTC), datetime(2026, 11, 1, tzinfo=UTC), []
    while (moment := cron.next(now)) is not None and moment.month == now.month:
        found.append(str(moment.day))
        now = moment
    assert " ".join(found).startswith(days)


def test_a_schedule_may_name_its_zone() -> None:
    """As in a CronWorkflow; but it may not differ from the zone given beside it."""
    berlin = zone_named("Europe/Berlin")
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for prefix in ("CRON_TZ=Europe/Berlin ", "TZ=Europe/Berlin  "):
        assert Cron(f"{prefix}0 20 * * *", UTC).next(now) == Cron("0 20 * * *", berlin).next(now)
        assert Cron(f"{prefix}@daily", berlin).next(now) == Cron("@daily", berlin).next(now)
    with pytest.raises(ValueError, match=r"names the zone Europe/Berlin, .* Asia/Tokyo: keep one"):
        Cron("CRON_TZ=Europe/Berlin 0 20 * * *", zone_named("Asia/Tokyo"))
    with pytest.raises(ValueError, match="is no time zone"):
        Cron("TZ=Mars/Phobos 0 20 * * *", UTC)


@pytest.mark.parametrize(
    ("schedule", "advice"),
    [
        ("0 0 * * 7", "7 is no day here, write 0 or sun for Sunday"),
        ("0 0 * * 5-7", "7 is no day here, write 0 or sun for Sunday"),
        ("0 0 L * *", "L, W and # are not known to Argo and Kubernetes"),
        ("0 0 15W * *", "L, W and # are not known to Argo and Kubernetes"),
        ("0 0 * * 5#2", "L, W and # are not known to Argo and Kubernetes"),
        ("0 0 * * fri-mon", "ends before it begins: write two ranges"),
        ("0 0 1-2-3 * *", "more than one hyphen"),
        ("0 0 1/2/3 * *", "more than one step"),
        ("@every 1h", "write a step, as in"),
    ],
)
def test_what_other_crons_know_is_refused_with_what_to_write(schedule: str, advice: str) -> None:
    """Policies from before may say it: cron 3.0 and systemd understand it."""
    with pytest.raises(ValueError, match=advice):
        Cron(schedule, UTC)


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
    """The message shows how to write one, for any input, and is short."""
    with pytest.raises(ValueError, match=r"is no schedule: .*five fields|never occurs") as caught:
        Cron(schedule, UTC)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "name", ["", "Mars/Phobos", "Europe", "../../etc/passwd", "a\0b", "x" * 5000, "localtime"]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """Paths and the machine's own zone are no names of zones."""
    with pytest.raises(ValueError, match=r"is no time zone: write a name such as Europe/Berlin or UTC"):
        zone_named(name)
