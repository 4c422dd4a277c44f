"""Moments of a cron schedule in a time zone: the last one and the next one, also where clocks change.

They are those at which Argo and Kubernetes start what has the same schedule (robfig/cron v3, spec.go `Next`):
every minute of elapsed time whose face on the wall matches. So what lies in the hour that is skipped in
spring is skipped on that day, and what lies in the hour that is repeated in autumn happens twice. In zones
that change their clocks at midnight, or by half an hour, `Next` itself passes over some of these minutes, up
to a year of them; we do not (docs/adr/0025).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from policy.core.values.cron_fields import LONGEST_EXPRESSION, CronFields, read_fields, zone_in

_YEARS: Final = 5
"""How far ahead a time is searched, as `Next` does."""
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7


class Cron:
    """A schedule in a zone, found valid. Nothing in it changes; two of the same words are equal."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        """Read the expression, which may name its zone itself where `zone` is UTC.

        Raises:
            ValueError: it is no schedule, it never matches, or it names another zone.
        """
        self._expression = expression
        named, rest = zone_in(expression)
        self._zone = zone if named is None else _only_zone(named, zone)
        self._fields = read_fields(rest)
        if not self._fields.comes():
            raise ValueError(f"{expression!r} never comes: there is no such day")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cron):
            return NotImplemented
        return (self._expression, self._zone) == (other._expression, other._zone)

    def __hash__(self) -> int:
        return hash((self._expression, self._zone))

    def last(self, now: datetime) -> datetime | None:
        """Return the latest time at or before `now` (aware), or None where there was none in YEARS."""
        return self._search(_whole_minute(now), -1, _back)

    def next(self, now: datetime) -> datetime | None:
        """Return the first time after `now` (aware), or None where there is none in YEARS."""
        return self._search(_whole_minute(now) + _MINUTE, 1, _ahead)

    def _search(
        self, moment: datetime, way: int, leap: Callable[[datetime, CronFields], int]
    ) -> datetime | None:
        wall = moment.astimezone(self._zone)
        last_year = wall.year + way * _YEARS
        while way * wall.year <= way * last_year:
            minutes = leap(wall, self._fields)
            if not minutes:
                return moment
            moment = self._step(moment, way * minutes)
            wall = moment.astimezone(self._zone)
        return None

    def _step(self, moment: datetime, minutes: int) -> datetime:
        """Return the time so many minutes later, or where the clocks change on the way there."""
        offset = self._offset(moment)
        target = moment + minutes * _MINUTE
        if self._offset(target) == offset:
            return target
        same, changed = 0, abs(minutes)
        way = _MINUTE if minutes > 0 else -_MINUTE
        while changed - same > 1:
            middle = (same + changed) // 2
            if self._offset(moment + middle * way) == offset:
                same = middle
            else:
                changed = middle
        return moment + changed * way

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self._zone).utcoffset()


def _whole_minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _ahead(wall: datetime, fields: CronFields) -> int:
    """Return how many minutes on the schedule may match at the earliest; 0 where it matches now."""
    if not _is_day(wall, fields):
        return _DAY - wall.hour * _HOUR - wall.minute
    if wall.hour not in fields.hours.numbers:
        return _HOUR - wall.minute
    later = (minute - wall.minute for minute in fields.minutes.numbers if minute >= wall.minute)
    return min(later, default=_HOUR - wall.minute)


def _back(wall: datetime, fields: CronFields) -> int:
    """Return how many minutes ago the schedule may have matched at the latest; 0 where it matches now."""
    if not _is_day(wall, fields):
        return wall.hour * _HOUR + wall.minute + 1
    if wall.hour not in fields.hours.numbers:
        return wall.minute + 1
    earlier = (wall.minute - minute for minute in fields.minutes.numbers if minute <= wall.minute)
    return min(earlier, default=wall.minute + 1)


def _is_day(wall: datetime, fields: CronFields) -> bool:
    return fields.day(wall.month, wall.day, wall.isoweekday() % _WEEK)


def _only_zone(named: str, given: tzinfo) -> tzinfo:
    """Return the zone that an expression names, which may not be another than the one beside it."""
    zone = zone_named(named)
    if given not in (UTC, zone):
        raise ValueError(
            f"the schedule names the zone {named}, and the time zone beside it is {given}: keep one"
        )
    return zone


def zone_named(name: str) -> tzinfo:
    """Return a time zone of the IANA database, such as `Europe/Berlin` or `UTC`.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        # The zone of the machine would differ between replicas.
        zone = ZoneInfo(name) if name != "localtime" else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
    if zone is None:
        raise ValueError(
            f"{name[:LONGEST_EXPRESSION]!r} is no time zone: write a name such as Europe/Berlin or UTC"
        )
    return UTC if name == "UTC" else zone
