"""When a CronWorkflow is due: its schedules as Argo's controller counts them (robfig/cron v3)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from policy.core.objects.workflow import CronWorkflowSpec
from policy.core.values.cron_schedule import EVERY, Cron, zone_in, zone_named

_PARTS: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_MOST_MISSED: Final = 1_000
"""So many missed times of one schedule are counted at most: an `@every 1s` after a day has more."""


def schedules_of(spec: CronWorkflowSpec) -> tuple[str, ...]:
    """Return its schedules, each with its time zone as Argo writes it; the list has precedence."""
    given = spec.schedules or ((spec.schedule,) if spec.schedule else ())
    zone = f"CRON_TZ={spec.timezone} " if spec.timezone and spec.timezone != "Local" else ""
    return tuple(f"{zone}{each}" for each in given)


def next_moment(schedule: str, after: datetime) -> datetime | None:
    """Return the first time of a schedule after a time, None where there is none.

    Without a zone it is in UTC, as in Argo's image.

    Raises:
        ValueError: it is no schedule.
    """
    zone, rest = zone_in(schedule)
    if rest.startswith(EVERY):
        return after.replace(microsecond=0) + _delay(rest.removeprefix(EVERY))
    return Cron(rest, zone_named(zone) if zone else UTC).next(after)


def missed_moment(schedules: Sequence[str], last: datetime, now: datetime) -> datetime | None:
    """Return the latest time between two times at which a run was due: of the first schedule that has one."""
    for schedule in schedules:
        missed, due = None, next_moment(schedule, last)
        for _ in range(_MOST_MISSED):
            if due is None or due >= now:
                break
            missed, due = due, next_moment(schedule, due)
        if missed is not None:
            return missed
    return None


def _delay(text: str) -> timedelta:
    """Return a duration as Go writes it, in whole seconds, and one at least."""
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))
    return timedelta(seconds=max(1, int(seconds)))
