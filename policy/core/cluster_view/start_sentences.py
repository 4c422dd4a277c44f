"""An expected start in words: as a time from now, and as times of a day."""

from datetime import UTC, datetime, timedelta
from typing import Final

from policy.core.cluster_view.view import StartRange
from policy.core.values.durations import written

_MINUTE: Final = timedelta(minutes=1)
_SECONDS_SHOWN: Final = timedelta(minutes=2)
_MINUTES_SHOWN: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)


def start_sentence(expected: StartRange | None, now: datetime) -> str:
    """Return when it may start, how sure that is, and by what; or why nothing is said of it."""
    if expected is None:
        return "when it starts cannot be said: too little is known of how long those before it run"
    soonest, latest = _rounded(expected, now)
    if latest <= timedelta(0):
        return "it is expected to start within seconds"
    return (
        f"it is expected to start in {_between(soonest, latest)} ({clock_range(expected, now)} UTC): so in 6 "
        "of 10 cases, by how long runs took and who came lately"
    )


def waits_for(expected: StartRange, now: datetime) -> str:
    """Return the time until it may start, as `5m-20m`."""
    return _between(*_rounded(expected, now), "-")


def clock_range(expected: StartRange, now: datetime) -> str:
    """Return the times of the day in UTC, as `14:05-14:20`; with their dates where they are not of today."""
    earliest, latest = (each.astimezone(UTC) for each in (expected.earliest, expected.latest))
    latest += _MINUTE - timedelta(microseconds=1)
    same = earliest.date() == latest.date() == now.astimezone(UTC).date()
    form = "%H:%M" if same else "%Y-%m-%d %H:%M"
    texts = [each.strftime(form) for each in (earliest, latest)]
    return "-".join(dict.fromkeys(texts)) if same else " to ".join(dict.fromkeys(texts))


def _between(soonest: timedelta, latest: timedelta, to: str = " to ") -> str:
    texts = (written(soonest), written(latest))
    return to.join(dict.fromkeys(texts))


def _rounded(expected: StartRange, now: datetime) -> tuple[timedelta, timedelta]:
    """Return both from now: whole minutes, or hours where it takes days; the earliest down, the latest up."""
    soonest, latest = (max(timedelta(0), each - now) for each in (expected.earliest, expected.latest))
    if latest < _SECONDS_SHOWN:
        return soonest, latest
    step = _MINUTE if latest < _MINUTES_SHOWN else _HOUR
    return soonest // step * step, -(-latest // step) * step
