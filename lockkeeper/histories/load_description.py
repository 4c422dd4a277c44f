"""A load that is described in YAML: who creates how many Workflows at which hours, and how long they run.

For those who plan what does not run yet. docs/planning.md has every field with examples.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from policy.core.values.durations import duration
from policy.core.values.prepared import prepare
from policy.service.simulation.past_run import LAST_TIME

_HOURS: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?", re.ASCII)
_HOURS_OF_DAY: Final = 24
_Tail = Annotated[float, msgspec.Meta(ge=0.1)]
_Weight = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
_Weights = Annotated[dict[int, _Weight], msgspec.Meta(min_length=1)]
_WeightedLengths = Annotated[dict[str, _Weight], msgspec.Meta(min_length=1)]
_Rates = Annotated[dict[str, _Weight], msgspec.Meta(min_length=1)]


class LoadError(ValueError):
    """Something in a load is wrong."""


class _LoadPart(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Base of the parts of a load: unknown fields are faults."""


class RunTime(_LoadPart, frozen=True):
    """How long runs take, in one of six ways.

    `fixed`: always as long. `mean` alone: memoryless (exponential). `median` with `spread`: log-normal, where
    two of three are between median / spread and median x spread. `shortest` with `tail`: a heavy tail
    (Pareto); the lower the number, the heavier, and from 1 down there is no mean. `among`: lengths with their
    weights; `5m-8m` is evenly between both. `recorded`: as runs of a template or of a name in `runLengths`.
    """

    fixed: str | None = None
    mean: str | None = None
    median: str | None = None
    spread: Annotated[float, msgspec.Meta(ge=1, le=1_000)] = 1.5
    shortest: str | None = None
    tail: _Tail = 2.0
    longest: str | None = None
    among: _WeightedLengths | None = None
    recorded: Annotated[str, msgspec.Meta(min_length=1)] | None = None


class ArrivalProcess(_LoadPart, frozen=True, kw_only=True):
    """One source of Workflows. `per_hour` is a rate, or rates by hours as `7-18`; others have none.

    `together` Workflows are created at each arrival. `tasks` and `priority` are a number, or numbers with
    their weights.
    """

    namespace: str
    per_hour: _Weight | _Rates
    run_time: RunTime
    name: str = "workflow"
    user: str = ""
    weekdays_only: bool = False
    together: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    tasks: int | _Weights | None = None
    priority: int | _Weights = 0
    labels: dict[str, str] = {}
    spec: dict[str, Any] = {}


class Load(_LoadPart, frozen=True, kw_only=True):
    """A load: the same seed gives the same Workflows. `run_lengths` is the path of a record of run times."""

    begin: datetime
    days: Annotated[float, msgspec.Meta(gt=0, le=3_660)]
    arrivals: Annotated[tuple[ArrivalProcess, ...], msgspec.Meta(min_length=1)]
    seed: int = 1
    time_zone: str = "UTC"
    run_lengths: str | None = None


prepare(Load)


def read_load(text: bytes) -> Load:
    """Return a load from its JSON.

    Raises:
        LoadError: it is not of that form, or has values that mean nothing.
    """
    try:
        load = msgspec.json.decode(text, type=Load)
    except msgspec.ValidationError as error:
        raise LoadError(str(error)) from error
    if load.begin.tzinfo is None:
        raise LoadError("begin has no zone: write it as 2026-11-02T00:00:00Z")
    if not 0 < load.begin.timestamp() < LAST_TIME - load.days * 86_400:
        raise LoadError("begin is not between 1970 and 2200")
    try:
        ZoneInfo(load.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise LoadError(
            f"timeZone {load.time_zone!r} is not known: write one such as Europe/Berlin"
        ) from error
    for number, each in enumerate(load.arrivals):
        try:
            rates_of(each)
            _check_weights(each)
            _check_times(each.run_time)
        except ValueError as error:
            raise LoadError(f"arrivals[{number}]: {error}") from error
    return load


def rates_of(process: ArrivalProcess) -> tuple[float, ...]:
    """Return the rate of each hour of the day.

    Raises:
        ValueError: hours are not of their form.
    """
    if not isinstance(process.per_hour, dict):
        return (float(process.per_hour),) * _HOURS_OF_DAY
    rates = [0.0] * _HOURS_OF_DAY
    for hours, rate in process.per_hour.items():
        match = _HOURS.fullmatch(hours)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (_HOURS_OF_DAY, 0)
        if not first <= last < _HOURS_OF_DAY:
            raise ValueError(f"perHour: {hours!r} are no hours of a day: write 7-18 or 23, from 0 to 23")
        rates[first : last + 1] = [float(rate)] * (last + 1 - first)
    return tuple(rates)


def length_range(text: str) -> tuple[float, float]:
    """Return from where to where a length of `among` is, in seconds.

    Raises:
        ValueError: it is no duration, nor two of them with a - between.
    """
    shortest, _, longest = text.partition("-")
    low = duration(shortest).total_seconds()
    high = duration(longest).total_seconds() if longest else low
    if high < low:
        raise ValueError(f"runTime: {text!r} ends before it begins")
    return low, high


def _check_weights(process: ArrivalProcess) -> None:
    among = process.run_time.among
    for name, given in (("tasks", process.tasks), ("priority", process.priority), ("runTime.among", among)):
        if isinstance(given, dict) and not any(given.values()):
            raise ValueError(f"{name}: no weight is above 0")


def _check_times(length: RunTime) -> None:
    durations = [length.fixed, length.mean, length.median, length.shortest]
    ways = [each for each in (*durations, length.among, length.recorded) if each is not None]
    if len(ways) != 1:
        raise ValueError("runTime: write exactly one of fixed, mean, median, shortest, among and recorded")
    for text in (*durations, length.longest):
        if text is not None:
            duration(text)
    for text in length.among or ():
        length_range(text)
