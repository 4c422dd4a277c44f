"""The five fields of a cron schedule, as the parser reads them that Argo and Kubernetes have in common.

Users write the same schedule into a CronWorkflow, a CronJob and a window, so it has to mean the same in all
of them: robfig/cron v3, `ParseStandard` (parser.go). What other crons know besides is refused with what to
write instead: 7 for Sunday, L, W and #. A `*/2` is no star: it restricts its field; `*/1` is one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

LONGEST_EXPRESSION: Final = 200
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
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_SUNDAY_ELSEWHERE: Final = 7
_LONGEST_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_ZONE: Final = re.compile(r"(?:CRON_)?TZ=(\S*) +(.*)", re.DOTALL)
_HIGHEST: Final = 99
"""A step beyond it gives the first value of its range alone, however large it is."""


class CronField(msgspec.Struct, frozen=True):
    """What may be in one field: its name in messages, its bounds, and words for its numbers."""

    name: str
    low: int
    high: int
    words: Mapping[str, int] = {}


_MINUTE: Final = CronField("minute", 0, 59)
_HOUR: Final = CronField("hour", 0, 23)
_DAY: Final = CronField("day-of-month", 1, 31)
_MONTH: Final = CronField("month", 1, 12, {word: number for number, word in enumerate(_MONTHS, 1)})
_WEEKDAY: Final = CronField("day-of-week", 0, 6, {word: number for number, word in enumerate(_WEEKDAYS)})
FIELDS: Final = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


class Values(msgspec.Struct, frozen=True):
    """The numbers of one field, and whether it leaves its field open by a star."""

    numbers: frozenset[int]
    star: bool = False


class CronFields(msgspec.Struct, frozen=True):
    """A parsed schedule: at which local times it matches. Of weekdays, 0 is Sunday."""

    minutes: Values
    hours: Values
    days: Values
    months: Values
    weekdays: Values

    def day(self, month: int, day: int, weekday: int) -> bool:
        """Return whether it matches on a day at all.

        Days of the month and of the week are alternatives, unless one of them is a star (`dayMatches`).
        """
        if month not in self.months.numbers:
            return False
        by_month, by_week = day in self.days.numbers, weekday in self.weekdays.numbers
        if self.days.star or self.weekdays.star:
            return by_month and by_week
        return by_month or by_week

    def comes(self) -> bool:
        """Return whether it ever matches: 30 February does not, nor does a field that names nothing."""
        if not (self.minutes.numbers and self.hours.numbers and self.months.numbers):
            return False
        by_week = bool(self.weekdays.numbers)
        by_month = any(
            day <= _LONGEST_MONTH[month - 1] for month in self.months.numbers for day in self.days.numbers
        )
        if self.days.star or self.weekdays.star:
            return by_month and by_week
        return by_month or by_week


def zone_in(expression: str) -> tuple[str | None, str]:
    """Return the zone that an expression begins with (`CRON_TZ=Europe/Berlin 0 20 * * *`), and the rest."""
    found = _ZONE.fullmatch(expression)
    return (None, expression) if found is None else (found[1], found[2].strip())


def read_fields(expression: str) -> CronFields:
    """Read a schedule that names no zone.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    shown = repr(expression[:LONGEST_EXPRESSION])
    if expression.startswith(EVERY):
        raise ValueError(
            f"{shown} has no moments of its own, it counts from whenever its controller starts: "
            'write a step, as in "*/30 * * * *"'
        )
    texts = SHORTHANDS.get(expression, expression).split()
    if len(expression) > LONGEST_EXPRESSION or len(texts) != len(FIELDS):
        raise ValueError(f"{shown} is no schedule: write {_FORM}")
    try:
        values = [_values(text, field) for text, field in zip(texts, FIELDS, strict=True)]
    except ValueError as error:
        raise ValueError(f"{shown} is no schedule: {error}; write {_FORM}") from error
    return CronFields(*values)


def _values(text: str, field: CronField) -> Values:
    """Read one field, a list of ranges; what is empty between commas is passed over."""
    ranges = [_range(each, field) for each in text.split(",") if each]
    numbers = frozenset(number for each in ranges for number in each.numbers)
    return Values(numbers, star=any(each.star for each in ranges))


def _range(text: str, field: CronField) -> Values:
    """Read `*`, `N`, `N-M`, each with `/STEP` or without (`getRange`); `N/STEP` ends at the highest."""
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
    return Values(frozenset(range(low, high + 1, min(step, _HIGHEST))), star=star and step == 1)


def _ends(ends: Sequence[str], text: str, field: CronField) -> tuple[int, int]:
    if len(ends) > 2:  # noqa: PLR2004 - a range has two ends
        raise ValueError(f"{field.name} {text!r} has more than one hyphen")
    numbers = [_named(each, text, field) for each in ends]
    return numbers[0], numbers[-1]


def _check(low: int, high: int, step: int, text: str, field: CronField) -> None:
    for number in (low, high):
        if field is _WEEKDAY and number == _SUNDAY_ELSEWHERE:
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
    if field in (_DAY, _WEEKDAY) and any(sign in text.upper() for sign in "LW#"):
        raise ValueError(
            f"{field.name} {text!r}: L, W and # are not known to Argo and Kubernetes, name the days"
        )
    raise ValueError(f"{field.name} {text!r} is no number")
