"""Windows of time that have the waiting."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lockkeeper.suggesting.strategies.busy_hours import busy_hours
from policy.core.policy_kinds.quota_parts import QuotaLimits
from policy.core.quota.windows import compile_windows, in_force

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def span(days: float) -> tuple[float, float]:
    """Return so many days from Monday on."""
    return MONDAY.timestamp(), (MONDAY + timedelta(days=days)).timestamp()


def wait(day: int, hour: float, hours: float) -> tuple[float, float]:
    """Return a wait that begins at an hour of a day."""
    begun = MONDAY + timedelta(days=day, hours=hour)
    return begun.timestamp(), (begun + timedelta(hours=hours)).timestamp()


def test_the_shortest_hours_with_all_waiting_are_tried_also_an_hour_earlier() -> None:
    """From two to four in the morning, and from one, when what they wait for begins to run."""
    found = busy_hours([wait(0, 2.5, 1), wait(1, 3, 0.9)], "UTC", span(5))
    assert [(each.first, each.hours) for each in found] == [(3, 1), (2, 2), (1, 3)]
    assert found[0].window("w").schedule == "0 3 * * *"


def test_a_window_over_midnight_opens_on_the_day_before() -> None:
    """Waiting on Tuesday at one belongs to the window that opens on Monday at 23."""
    found = busy_hours([wait(0, 23.1, 2.5)], "UTC", span(8))
    longest = found[-1]
    assert (longest.first, longest.hours, longest.days) == (22, 4, (1,))
    assert longest.window("w").schedule == "0 22 * * 1"


def test_hours_are_those_of_the_zone() -> None:
    """Two in the morning of UTC is three in Berlin, where the window is read."""
    (found, *_) = busy_hours([wait(0, 2, 0.5)], "Europe/Berlin", span(1))
    assert (found.first, found.window("w").time_zone) == (3, "Europe/Berlin")


def test_who_waits_all_day_has_no_window() -> None:
    """A limit says that."""
    found = busy_hours([wait(0, 0, 23.9)], "UTC", span(1))
    assert all(each.hours <= 20 for each in found)
    assert busy_hours([], "UTC", span(1)) == ()


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 23.9), st.floats(0.01, 5)), min_size=1, max_size=8))
def test_the_longest_window_is_open_whenever_somebody_waits(drawn: list[tuple[int, float, float]]) -> None:
    """As the product itself reads the schedule; it is the last of those that are tried."""
    waits = [wait(*each) for each in drawn]
    found = busy_hours(waits, "UTC", span(12))
    hours = {int(at // 3600) % 24 for begun, ended in waits for at in range(int(begun), int(ended), 600)}
    if len(hours) > 15 or not found:
        return
    spec = max(found, key=lambda each: each.hours).window("w")
    (window,) = compile_windows([spec])
    for begun, ended in waits:
        for at in range(int(begun), int(ended), 600):
            now = datetime.fromtimestamp(at, UTC)
            assert in_force(QuotaLimits(), [window], now).opened == ("w",)
