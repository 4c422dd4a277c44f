"""Moments of a cron schedule in a time zone: the last one and the next one, daylight saving right.

The rules are those of Debian's cron, by the library cronsim:
- A schedule with a fixed minute and a fixed hour means a time on the wall. A time in the hour that is skipped
  in spring comes at the moment of the change; one that happens twice in autumn comes the first time only.
- A schedule whose minute or hour starts with `*` means every so often: it follows elapsed time, so it neither
  comes in a skipped hour nor leaves the repeated one out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

FIELDS: Final = 5
LONGEST_EXPRESSION: Final = 200
FORM: Final = 'five fields "minute hour day-of-month month day-of-week", as in "0 20 * * 1-5"'
SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SECOND: Final = timedelta(seconds=1)
_LONGEST_CHANGE: Final = timedelta(hours=3)
"""Longer than clocks were ever set back but for a change of the date line."""
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Cron:
    """A schedule in a zone, found valid. Nothing in it changes; two of the same words are equal."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        """Read the expression.

        Raises:
            ValueError: it is none, or it never comes.
        """
        self._expression = SHORTHANDS.get(expression, expression)
        self._zone = zone
        _check(self._expression)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cron):
            return NotImplemented
        return (self._expression, self._zone) == (other._expression, other._zone)

    def __hash__(self) -> int:
        return hash((self._expression, self._zone))

    def last(self, now: datetime) -> datetime | None:
        """Return the latest moment at or before `now` (aware), or None where there was none in 50 years."""
        now = now.astimezone(UTC)
        # On the wall the repeated hour comes before itself, so the search begins after it.
        for moment in self._moments(now + _LONGEST_CHANGE + _SECOND, reverse=True):
            if moment <= now:
                return moment
        return None

    def next(self, now: datetime) -> datetime | None:
        """Return the first moment after `now` (aware), or None where there is none in 50 years."""
        now = now.astimezone(UTC)
        for moment in self._moments(now - _LONGEST_CHANGE, reverse=False):
            if moment > now:
                return moment
        return None

    def _moments(self, start: datetime, *, reverse: bool) -> Iterator[datetime]:
        walk = CronSim(self._expression, start.astimezone(self._zone), reverse=reverse)
        return (moment.astimezone(UTC) for moment in walk)


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


def _check(expression: str) -> None:
    """Refuse what is no schedule of five fields, and one that never comes."""
    if len(expression) > LONGEST_EXPRESSION or len(expression.split()) != FIELDS:
        raise ValueError(f"{expression[:LONGEST_EXPRESSION]!r} is no schedule: write {FORM}")
    try:
        first = next(CronSim(expression, _ANY_TIME), None)
    except CronSimError as error:
        raise ValueError(f"{expression!r} is no schedule: {_lower(str(error))}; write {FORM}") from error
    if first is None:
        raise ValueError(f"{expression!r} never comes: no such day in 50 years")


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
