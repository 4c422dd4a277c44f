"""Draws the Workflows of a described load: arrivals by the rate of each hour, with lengths and sizes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import count
from math import log
from random import Random
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from lockkeeper.histories.load_description import ArrivalProcess, Load, RunTime, length_range, rates_of
from policy.core.values.durations import duration
from policy.service.simulation.past_run import PastRun, Stretch

_HOUR: Final = timedelta(hours=1)
_SATURDAY: Final = 5
_TEMPLATE: Final = "main"
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
_NAMES: Final = len(_LETTERS) ** 5
_STEP: Final = 8_675_309
"""Has no divisor in common with the number of names, so each number has a name of its own."""
_LONGEST: Final = 366 * 86_400.0
_Choice = TypeVar("_Choice", int, str)
_API_VERSION: Final = "argoproj.io/v1alpha1"


def drawn_runs(load: Load) -> Iterator[PastRun]:
    """Yield the Workflows of a load in the order of their creation."""
    streams = (_Stream(load, number, process).runs() for number, process in enumerate(load.arrivals))
    yield from merge(*streams, key=lambda run: run.created)


class _Stream:
    """The Workflows of one source."""

    def __init__(self, load: Load, number: int, process: ArrivalProcess) -> None:
        self._load = load
        self._process = process
        self._number = number
        self._random = Random(f"{load.seed} {number}")  # noqa: S311 - the same load each time

    def runs(self) -> Iterator[PastRun]:
        process, numbers = self._process, count(1)
        for at in self._arrivals():
            created = float(int(at.timestamp()))  # As Kubernetes writes it.
            for _ in range(process.together):
                yield self._run(created, next(numbers))

    def _arrivals(self) -> Iterator[datetime]:
        """Yield the times of arrivals: of each hour as many as its rate gives, at random times in it."""
        zone, rates = ZoneInfo(self._load.time_zone), rates_of(self._process)
        hour = self._load.begin.astimezone(UTC)
        end = hour + timedelta(days=self._load.days)
        while hour < end:
            local = hour.astimezone(zone)
            rate = rates[local.hour]
            if rate > 0 and not (self._process.weekdays_only and local.weekday() >= _SATURDAY):
                at = hour + _HOUR * (self._random.expovariate(rate))
                while at < min(hour + _HOUR, end):
                    yield at
                    at += _HOUR * self._random.expovariate(rate)
            hour += _HOUR

    def _run(self, created: float, number: int) -> PastRun:
        process, random = self._process, self._random
        unique = number * len(self._load.arrivals) + self._number
        name = f"{process.name}-{_suffix(unique)}"
        tasks, priority = _number(random, process.tasks), _number(random, process.priority)
        spec: dict[str, object] = {
            "entrypoint": _TEMPLATE,
            "templates": [{"name": _TEMPLATE, "container": {"image": "load"}}],
            **process.spec,
        }
        if tasks is not None:
            spec["parallelism"] = tasks
        if priority:
            spec["priority"] = priority
        metadata: dict[str, object] = {"name": name, "namespace": process.namespace}
        if process.labels:
            metadata["labels"] = process.labels
        manifest = {"apiVersion": _API_VERSION, "kind": "Workflow", "metadata": metadata, "spec": spec}
        seconds = round(_seconds(random, process.run_time))
        return PastRun(
            created=created,
            namespace=process.namespace,
            name=name,
            uid=f"load-{self._number}-{number}",
            user=process.user,
            template=process.name,
            stretches=(Stretch(float(seconds), (str(spec["entrypoint"]),)),),
            manifest=msgspec.json.encode(manifest),
        )


def _suffix(number: int) -> str:
    """Return what makes a name the only one, in the form that the API server gives it."""
    if number >= _NAMES:
        return str(number)
    left, letters = number * _STEP % _NAMES, ""
    for _ in range(5):
        left, at = divmod(left, len(_LETTERS))
        letters += _LETTERS[at]
    return letters


def _number(random: Random, given: int | dict[int, float] | None) -> int | None:
    """Return a number, or one of several by their weights."""
    return _chosen(random, given) if isinstance(given, dict) else given


def _chosen(random: Random, given: dict[_Choice, float]) -> _Choice:
    return random.choices(list(given), list(given.values()))[0]


def _seconds(random: Random, length: RunTime) -> float:
    """Return the length of one run, at least a second."""
    if length.fixed is not None:
        drawn = duration(length.fixed).total_seconds()
    elif length.mean is not None:
        drawn = random.expovariate(1 / max(1.0, duration(length.mean).total_seconds()))
    elif length.median is not None:
        drawn = random.lognormvariate(
            log(max(1.0, duration(length.median).total_seconds())), log(length.spread)
        )
    elif length.among is not None:
        drawn = random.uniform(*length_range(_chosen(random, length.among)))
    else:
        drawn = duration(length.shortest or "1s").total_seconds() * random.paretovariate(length.tail)
    most = duration(length.longest).total_seconds() if length.longest is not None else _LONGEST
    return max(1.0, min(drawn, most))
