"""Cron schedules as Argo and Kubernetes read them: their fields, and the last and the next time in a zone.

Users write the same schedule into a CronWorkflow, a CronJob and a window, so it has to mean the same in all
of them: robfig/cron v3, `ParseStandard` (parser.go). Extensions of other crons are refused with what to write
instead: 7 for Sunday, L, W and #. A `*/2` restricts its field; `*/1` is the same as a star.

Times are those of spec.go `Next`: every minute of elapsed time whose local time matches. A time in the hour
that is skipped in spring is skipped on that day, and one in the hour that is repeated in autumn happens
twice. In zones that change their clocks at midnight, or by half an hour, `Next` itself misses some of these
minutes, up to a year of them; we do not (docs/adr/0025).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_LONGEST: Final = 200
_FORM: Final = 'five fields "minute hour day-of-month month day-of-week", as in "0 20 * * 1-5"'
SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
EVERY: Final = "@every "
_STARS: Final = frozenset({"*", "?"})
_MONTH_NAMES: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAY_NAMES: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_SUNDAY_ELSEWHERE: Final = 7
_LONGEST_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_ZONE: Final = re.compile(r"(?:CRON_)?TZ=(\S*) +(.*)", re.DOTALL)
_LARGEST_STEP: Final = 99
"""Any step that is larger gives only the first value of its range."""
_YEARS: Final = 5
"""How many years are searched, as by `Next`."""
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7


class CronField(msgspec.Struct, frozen=True):
    """One of the five fields: its name in messages, its bounds, and words for its numbers."""

    name: str
    low: int
    high: int
    words: Mapping[str, int] = {}


_DAYS: Final = CronField("day-of-month", 1, 31)
_MONTHS: Final = CronField("month", 1, 12, {word: number for number, word in enumerate(_MONTH_NAMES, 1)})
_WEEKDAYS: Final = CronField("day-of-week", 0, 6, {word: number for number, word in enumerate(_DAY_NAMES)})
FIELDS: Final = (CronField("minute", 0, 59), CronField("hour", 0, 23), _DAYS, _MONTHS, _WEEKDAYS)


class _FieldValues(msgspec.Struct, frozen=True):
    """The numbers that one field names, and whether a star leaves the field open."""

    numbers: frozenset[int]
    star: bool = False


class _CronFields(msgspec.Struct, frozen=True):
    """A parsed schedule: the local times at which it matches. Weekday 0 is Sunday."""

    minutes: _FieldValues
    hours: _FieldValues
    days: _FieldValues
    months: _FieldValues
    weekdays: _FieldValues

    def matches_day(self, local: datetime) -> bool:
        """Return whether it matches on a day at all."""
        if local.month not in self.months.numbers:
            return False
        weekday = local.isoweekday() % _WEEK
        return self._either(by_month=local.day in self.days.numbers, by_week=weekday in self.weekdays.numbers)

    def ever_matches(self) -> bool:
        """Return whether it ever matches: 30 February does not, nor does a field that names nothing."""
        by_month = any(
            day <= _LONGEST_MONTH[month - 1] for month in self.months.numbers for day in self.days.numbers
        )
        named = self.minutes.numbers and self.hours.numbers and self.months.numbers
        return bool(named) and self._either(by_month=by_month, by_week=bool(self.weekdays.numbers))

    def _either(self, *, by_month: bool, by_week: bool) -> bool:
        """Days of the month and of the week are alternatives, unless one of them is a star (`dayMatches`)."""
        if self.days.star or self.weekdays.star:
            return by_month and by_week
        return by_month or by_week


class Cron:
    """A valid schedule in a zone; immutable, and equal to another of the same text and zone."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        """Parse the expression, which may name its zone itself where `zone` is UTC.

        Raises:
            ValueError: it is no schedule, never matches, or names another zone.
        """
        self._expression = expression
        named, rest = zone_in(expression)
        self._zone = zone if named is None else _only_zone(named, zone)
        self._fields = _parse(rest)
        if not self._fields.ever_matches():
            raise ValueError(f"{expression!r} never occurs: there is no such day")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cron):
            return NotImplemented
        return (self._expression, self._zone) == (other._expression, other._zone)

    def __hash__(self) -> int:
        return hash((self._expression, self._zone))

    @property
    def zone(self) -> tzinfo:
        """The zone of its local times."""
        return self._zone

    def last(self, now: datetime) -> datetime | None:
        """Return the latest time at or before `now` (aware), None where there is none within `_YEARS`."""
        return self._search(_whole_minute(now), -1, _minutes_back)

    def next(self, now: datetime) -> datetime | None:
        """Return the first time after `now` (aware), None where there is none within `_YEARS`."""
        return self._search(_whole_minute(now) + _MINUTE, 1, _minutes_ahead)

    def _search(
        self, time: datetime, sign: int, minutes_off: Callable[[datetime, _CronFields], int]
    ) -> datetime | None:
        local = time.astimezone(self._zone)
        last_year = local.year + sign * _YEARS
        while sign * local.year <= sign * last_year:
            minutes = minutes_off(local, self._fields)
            if not minutes:
                return time
            time = self._step(time, sign * minutes)
            local = time.astimezone(self._zone)
        return None

    def _step(self, time: datetime, minutes: int) -> datetime:
        """Return the time so many minutes away, or the first one before it with another UTC offset."""
        offset = self._offset(time)
        target = time + minutes * _MINUTE
        if self._offset(target) == offset:
            return target
        same, changed = 0, abs(minutes)
        step = _MINUTE if minutes > 0 else -_MINUTE
        while changed - same > 1:
            middle = (same + changed) // 2
            if self._offset(time + middle * step) == offset:
                same = middle
            else:
                changed = middle
        return time + changed * step

    def _offset(self, time: datetime) -> timedelta | None:
        return time.astimezone(self._zone).utcoffset()


def _whole_minute(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(second=0, microsecond=0)


def _minutes_ahead(local: datetime, fields: _CronFields) -> int:
    """Return in how many minutes the schedule may match at the earliest; 0 where it matches now."""
    if not fields.matches_day(local):
        return _DAY - local.hour * _HOUR - local.minute
    if local.hour not in fields.hours.numbers:
        return _HOUR - local.minute
    later = (minute - local.minute for minute in fields.minutes.numbers if minute >= local.minute)
    return min(later, default=_HOUR - local.minute)


def _minutes_back(local: datetime, fields: _CronFields) -> int:
    """Return how many minutes ago the schedule may have matched at the latest; 0 where it matches now."""
    if not fields.matches_day(local):
        return local.hour * _HOUR + local.minute + 1
    if local.hour not in fields.hours.numbers:
        return local.minute + 1
    earlier = (local.minute - minute for minute in fields.minutes.numbers if minute <= local.minute)
    return min(earlier, default=local.minute + 1)


def _only_zone(named: str, given: tzinfo) -> tzinfo:
    """Return the zone that an expression names; it may not differ from the one given beside it."""
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
        # The local zone of the machine may differ between replicas.
        zone = ZoneInfo(name) if name != "localtime" else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
    if zone is None:
        raise ValueError(f"{name[:_LONGEST]!r} is no time zone: write a name such as Europe/Berlin or UTC")
    return UTC if name == "UTC" else zone


def zone_in(expression: str) -> tuple[str | None, str]:
    """Return the zone that an expression begins with (`CRON_TZ=Europe/Berlin 0 20 * * *`), and the rest."""
    found = _ZONE.fullmatch(expression)
    return (None, expression) if found is None else (found[1], found[2].strip())


def _parse(expression: str) -> _CronFields:
    """Parse a schedule that names no zone.

    Raises:
        ValueError: it is no schedule; the message says what to write.
    """
    shown = repr(expression[:_LONGEST])
    if expression.startswith(EVERY):
        raise ValueError(
            f"{shown} has no moments of its own, it counts from whenever its controller starts: "
            'write a step, as in "*/30 * * * *"'
        )
    texts = SHORTHANDS.get(expression, expression).split()
    if len(expression) > _LONGEST or len(texts) != len(FIELDS):
        raise ValueError(f"{shown} is no schedule: write {_FORM}")
    try:
        values = [_values(text, field) for text, field in zip(texts, FIELDS, strict=True)]
    except ValueError as error:
        raise ValueError(f"{shown} is no schedule: {error}; write {_FORM}") from error
    return _CronFields(*values)


def _values(text: str, field: CronField) -> _FieldValues:
    """Parse one field, a list of ranges; empty entries between commas are ignored."""
    ranges = [_range(each, field) for each in text.split(",") if each]
    numbers = frozenset(number for each in ranges for number in each.numbers)
    return _FieldValues(numbers, star=any(each.star for each in ranges))


def _range(text: str, field: CronField) -> _FieldValues:
    """Parse `*`, `N` or `N-M`, with or without `/STEP` (`getRange`); `N/STEP` ends at the highest number."""
    whole, *steps = text.split("/")
    ends = whole.split("-")
    star = ends[0] in _STARS
    low, high = (field.low, field.high) if star else _ends(ends, text, field)
    step = 1
    if len(steps) > 1:
        raise ValueError(f"{field.name} {text!r} has more than one step")
    if steps:
        step = _number(steps[0], text, field)
        high = field.high if len(ends) == 1 else high
    _check(low, high, step, text, field)
    return _FieldValues(frozenset(range(low, high + 1, min(step, _LARGEST_STEP))), star=star and step == 1)


def _ends(ends: Sequence[str], text: str, field: CronField) -> tuple[int, int]:
    if len(ends) > 2:  # noqa: PLR2004 - a range has two ends
        raise ValueError(f"{field.name} {text!r} has more than one hyphen")
    numbers = [_named(each, text, field) for each in ends]
    return numbers[0], numbers[-1]


def _check(low: int, high: int, step: int, text: str, field: CronField) -> None:
    for number in (low, high):
        if field is _WEEKDAYS and number == _SUNDAY_ELSEWHERE:
            raise ValueError(f"day-of-week {text!r}: 7 is no day here, write 0 or sun for Sunday")
        if not field.low <= number <= field.high:
            raise ValueError(f"{field.name} {text!r} is not within {field.low} to {field.high}")
    if low > high:
        raise ValueError(f"{field.name} {text!r} ends before it begins: write two ranges, with a comma")
    if step < 1:
        raise ValueError(f"{field.name} {text!r} has a step below 1")


def _named(word: str, text: str, field: CronField) -> int:
    number = field.words.get(word.lower())
    return _number(word, text, field) if number is None else number


def _number(word: str, text: str, field: CronField) -> int:
    if _INTEGER.fullmatch(word):
        return int(word)
    if field in (_DAYS, _WEEKDAYS) and any(sign in text.upper() for sign in "LW#"):
        raise ValueError(
            f"{field.name} {text!r}: L, W and # are not known to Argo and Kubernetes, name the days"
        )
    raise ValueError(f"{field.name} {text!r} is no number")
