"""What is wrong with the parts of quotas, such as windows, reserves and borrowing: with field paths."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, timedelta
from functools import partial
from typing import Final, TypeVar

from policy.core.objects.workflow import HIGHEST_PRIORITY, LOWEST_PRIORITY
from policy.core.policy_kinds.quota_parts import (
    RESOURCES,
    BorrowingSpec,
    ElasticSpec,
    FairShareSpec,
    QueueSpec,
    QuotaLimits,
    ReserveSpec,
    ShareSpec,
    WindowSpec,
)
from policy.core.queue.fair_share import MAX_WEIGHT
from policy.core.values.amounts import INT64_MAX, UNLIMITED_WORD
from policy.core.values.cron_schedule import Cron, zone_named
from policy.core.values.durations import duration
from policy.core.values.problems import Problem, too_many

MAX_WINDOWS: Final = 32
MAX_RESERVES: Final = 16
_MAX_WEIGHTS: Final = 1000
_MAX_SHARES: Final = 1000
_MAX_RATE: Final = 1_000_000
_LONGEST_NAME: Final = 63
_SHORTEST_WINDOW: Final = timedelta(minutes=1)
_SHORTEST_AGING: Final = timedelta(minutes=1)
_SHORTEST_HALF_LIFE: Final = timedelta(minutes=1)
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_Parsed = TypeVar("_Parsed")


def limits_problems(limits: QuotaLimits, path: str) -> Iterator[Problem]:
    """Yield what is wrong with amounts of Workflows and tasks."""
    for name in RESOURCES:
        amount = getattr(limits, name)
        if isinstance(amount, int) and amount < 0:
            yield Problem(f"{path}.{name}", f"must be 0 or more, or {UNLIMITED_WORD}; got {amount}")
        elif isinstance(amount, int) and amount > INT64_MAX:
            yield Problem(f"{path}.{name}", f"must be at most {INT64_MAX}, or {UNLIMITED_WORD}")


def window_problems(specs: Sequence[WindowSpec], path: str) -> Iterator[Problem]:
    """Yield what is wrong with windows, except for the amounts: these are checked as those of all limits."""
    yield from too_many(specs, MAX_WINDOWS, path)
    seen: dict[str, int] = {}
    for index, spec in enumerate(specs[:MAX_WINDOWS]):
        where = f"{path}[{index}]"
        first = seen.setdefault(spec.name, index)
        if not spec.name:
            yield Problem(f"{where}.name", "is empty: name the window, statuses and messages show it")
        elif len(spec.name) > _LONGEST_NAME:
            message = f"has {len(spec.name)} characters: at most {_LONGEST_NAME} are allowed"
            yield Problem(f"{where}.name", message)
        elif first != index:
            yield Problem(f"{where}.name", f"{spec.name!r} is the name of {path}[{first}] too")
        zone, problem = _tried(partial(zone_named, spec.time_zone), f"{where}.timeZone")
        yield from problem
        yield from _tried(partial(Cron, spec.schedule, zone or UTC), f"{where}.schedule")[1]
        length, problem = _tried(partial(duration, spec.duration), f"{where}.duration")
        yield from problem
        if length is not None and length < _SHORTEST_WINDOW:
            yield Problem(f"{where}.duration", f"{spec.duration!r} is shorter than a minute: use 1m or more")
        if spec.limits == QuotaLimits():
            yield Problem(f"{where}.limits", "sets no limit: give workflows, tasks or both")


def queue_problems(spec: QueueSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with how Workflows of a namespace wait."""
    if spec.max_length is not None:
        yield from _count(spec.max_length, f"{path}.maxLength")
    if spec.max_wait is not None:
        yield from _at_least(spec.max_wait, timedelta(seconds=1), f"{path}.maxWait")
    yield from _at_least(spec.aging, _SHORTEST_AGING, f"{path}.aging")


def reserve_problems(specs: Sequence[ReserveSpec], limits: QuotaLimits, path: str) -> Iterator[Problem]:
    """Yield what is wrong with reserves of these limits; together they may not be more than all of it."""
    yield from too_many(specs, MAX_RESERVES, path)
    for index, spec in enumerate(specs[:MAX_RESERVES]):
        where = f"{path}[{index}]"
        if not LOWEST_PRIORITY <= spec.above_priority < HIGHEST_PRIORITY:
            message = f"must be from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY - 1}, or no priority is above it"
            yield Problem(f"{where}.abovePriority", f"{message}; got {spec.above_priority}")
        if not (spec.workflows or spec.tasks):
            yield Problem(where, "reserves nothing: give workflows, tasks or both")
        for name in RESOURCES:
            size: int = getattr(spec, name)
            yield from _count(size, f"{where}.{name}")
            if size > 0 and not isinstance(getattr(limits, name), int):
                yield Problem(f"{where}.{name}", f"reserves a part of limits.{name}, which is not set")
    for name in RESOURCES:
        bound, reserved = getattr(limits, name), sum(max(0, getattr(spec, name)) for spec in specs)
        if isinstance(bound, int) and reserved > max(0, bound):
            yield Problem(path, f"reserves {reserved} {name} of {bound}: lower them, or raise limits.{name}")


def borrowing_problems(spec: BorrowingSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with how members borrow and lend."""
    yield from limits_problems(spec.borrowing_limit, f"{path}.borrowingLimit")
    yield from limits_problems(spec.lending_limit, f"{path}.lendingLimit")
    yield from too_many(spec.shares, _MAX_SHARES, f"{path}.shares")
    for namespace, share in sorted(spec.shares.items()):
        where = f"{path}.shares.{namespace}"
        if not _NAMESPACE.fullmatch(namespace):
            yield Problem(f"{path}.shares", f"{namespace!r} is no name of a namespace")
        if share == ShareSpec():
            yield Problem(where, "gives no share: give workflows, tasks or both")
        for name in RESOURCES:
            size: int | None = getattr(share, name)
            if size is not None:
                yield from _count(size, f"{where}.{name}")


def fair_share_problems(spec: FairShareSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with how earlier usage counts."""
    yield from too_many(spec.weights, _MAX_WEIGHTS, f"{path}.weights")
    for name, weight in sorted(spec.weights.items()):
        if not _NAMESPACE.fullmatch(name):
            yield Problem(f"{path}.weights", f"{name!r} is no name of a namespace")
        if not 1 <= weight <= MAX_WEIGHT:
            yield Problem(f"{path}.weights.{name}", f"must be from 1 to {MAX_WEIGHT}; got {weight}")
    yield from _at_least(spec.half_life, _SHORTEST_HALF_LIFE, f"{path}.halfLife")


def elastic_problems(spec: ElasticSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with limits that follow nodes."""
    yield from spec.selector.problems(f"{path}.selector")
    rates = {
        "tasksPerNode": spec.tasks_per_node,
        "tasksPerCPU": spec.tasks_per_cpu,
        "workflowsPerNode": spec.workflows_per_node,
    }
    if all(rate is None for rate in rates.values()):
        yield Problem(path, f"follows nothing: give one of {', '.join(rates)}")
    if spec.tasks_per_node is not None and spec.tasks_per_cpu is not None:
        yield Problem(path, "takes tasksPerNode or tasksPerCPU, not both")
    for name, rate in rates.items():
        if rate is not None and not 1 <= rate <= _MAX_RATE:
            yield Problem(f"{path}.{name}", f"must be from 1 to {_MAX_RATE}; got {rate}")
    yield from limits_problems(spec.min, f"{path}.min")
    yield from limits_problems(spec.max, f"{path}.max")
    for name in RESOURCES:
        yield from _between(spec, name, path)
    yield from _at_least(spec.stabilization, timedelta(0), f"{path}.stabilization")


def _between(spec: ElasticSpec, name: str, path: str) -> Iterator[Problem]:
    """Yield what is wrong with the bounds of one resource that follows nodes, or does not."""
    low, high = getattr(spec.min, name), getattr(spec.max, name)
    rate = next(iter(spec.rates(name)), None)
    if rate is None:
        for bound, given in (("min", low), ("max", high)):
            if given is not None:
                yield Problem(f"{path}.{bound}.{name}", f"bounds nothing: no rate makes {name} follow nodes")
    elif not isinstance(low, int):
        message = f"is needed with {rate}, as a number: what may run where no node is ready"
        yield Problem(f"{path}.min.{name}", message)
    elif isinstance(high, int) and low > high:
        yield Problem(f"{path}.min.{name}", f"{low} is above max.{name} {high}: lower it")


def _count(count: int, path: str) -> Iterator[Problem]:
    if count < 0:
        yield Problem(path, f"must be 0 or more; got {count}")
    elif count > INT64_MAX:
        yield Problem(path, f"must be at most {INT64_MAX}")


def _at_least(text: str, shortest: timedelta, path: str) -> Iterator[Problem]:
    length, problem = _tried(partial(duration, text), path)
    yield from problem
    if length is not None and length < shortest:
        yield Problem(path, f"{text!r} is too short: use {int(shortest.total_seconds())}s or more")


def _tried(read: Callable[[], _Parsed], path: str) -> tuple[_Parsed | None, list[Problem]]:
    try:
        return read(), []
    except ValueError as error:
        return None, [Problem(path, str(error))]
