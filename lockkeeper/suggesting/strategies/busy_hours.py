"""The hours in which Workflows wait, and windows of time that have them.

Waiting is counted by the hour of the day in the zone of the windows, and by the day of the week. A window has
all waiting, or most of it: the fewer hours it is open, the less does it cost.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

import msgspec

from policy.core.policy_kinds.quota_parts import QuotaLimits, WindowSpec
from policy.core.values.cron_schedule import zone_named

_HOURS: Final = 24
_DAYS: Final = 7
_HOUR: Final = 3600.0
_SHARES: Final = (0.6, 0.9, 1.0)
"""Of the waiting, how much a window is to have that is tried."""
_MOST_HOURS: Final = 20
"""A window that is open for longer is open nearly always: limits say the same."""
_WEEK: Final = timedelta(days=7)


class BusyHours(msgspec.Struct, frozen=True):
    """When a window is open: from an hour on for some hours, on some days of the week (0 is Sunday)."""

    first: int
    hours: int
    days: tuple[int, ...]
    zone: str

    @property
    def part(self) -> float:
        """The part of the time that it is open."""
        return self.hours / _HOURS * len(self.days) / _DAYS

    def window(self, name: str) -> WindowSpec:
        """Return it as authors write it; its limits are empty."""
        days = "*" if len(self.days) == _DAYS else ",".join(map(str, self.days))
        return WindowSpec(
            name=name,
            schedule=f"0 {self.first} * * {days}",
            duration=f"{self.hours}h",
            limits=QuotaLimits(),
            time_zone=self.zone,
        )


def busy_hours(
    waits: Iterable[tuple[float, float]], zone: str, span: tuple[float, float]
) -> tuple[BusyHours, ...]:
    """Return windows to try, the shortest first; `waits` and `span` are from and until when, in seconds.

    The limits are raised an hour before the waiting begins, too: what runs then is what others wait for.
    """
    of_week = [[0.0] * _HOURS for _ in range(_DAYS)]
    for at, seconds in _by_hour(waits, zone_named(zone), span[1]):
        of_week[at.isoweekday() % _DAYS][at.hour] += seconds
    of_hours = [sum(day[hour] for day in of_week) for hour in range(_HOURS)]
    if not any(of_hours):
        return ()
    whole_week = timedelta(seconds=span[1] - span[0]) >= _WEEK
    found: dict[BusyHours, None] = {}
    for share in _SHARES:
        first, hours = _shortest(of_hours, share)
        for before in (0, 1):
            if hours + before <= _MOST_HOURS:
                begins, length = (first - before) % _HOURS, hours + before
                days = _days(of_week, begins, length) if whole_week else tuple(range(_DAYS))
                found[BusyHours(begins, length, days, zone)] = None
    return tuple(sorted(found, key=lambda each: (each.part, each.hours, each.first)))


def _days(of_week: Sequence[Sequence[float]], first: int, hours: int) -> tuple[int, ...]:
    """Return the days on which a window opens that has waiting on some day."""
    found = set()
    for day in range(_DAYS):
        for since in range(hours):
            days, hour = divmod(first + since, _HOURS)
            if of_week[(day + days) % _DAYS][hour]:
                found.add(day)
    return tuple(sorted(found))


def _by_hour(
    waits: Iterable[tuple[float, float]], zone: tzinfo, end: float
) -> Iterator[tuple[datetime, float]]:
    """Yield the seconds of each wait in each hour of the day that it touches; at most a week of one."""
    for since, until in waits:
        at, last = since, min(until, end, since + _WEEK.total_seconds())
        while at < last:
            following = min(last, (at // _HOUR + 1) * _HOUR)
            yield datetime.fromtimestamp(at, zone), following - at
            at = following


def _shortest(of_hours: Sequence[float], share: float) -> tuple[int, int]:
    """Return the first hour and the number of the shortest run of hours with a share of all waiting."""
    wanted = share * sum(of_hours) - 1e-6
    for hours in range(1, _HOURS + 1):
        sums = [
            (sum(of_hours[(first + each) % _HOURS] for each in range(hours)), -first)
            for first in range(_HOURS)
        ]
        most, first = max(sums)
        if most >= wanted:
            return -first, hours
    return 0, _HOURS
