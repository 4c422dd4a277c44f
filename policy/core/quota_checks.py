"""What is wrong with the values of the moving parts of quotas: each problem with its field path."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from policy.core.amounts import AmountField
from policy.core.durations import duration
from policy.core.fairshare import MAX_WEIGHT
from policy.core.fields import QuotaLimits
from policy.core.problems import Problem
from policy.core.quota_kinds import BorrowingSpec, ElasticSpec, FairShareSpec, QueueSpec, ReserveSpec
from policy.core.selectors import too_many

MAX_RESERVES: Final = 16
MAX_WEIGHTS: Final = 1000
MAX_RATE: Final = 1_000_000
SHORTEST_AGING: Final = timedelta(minutes=1)
SHORTEST_HALF_LIFE: Final = timedelta(minutes=1)
RESOURCES: Final = ("workflows", "tasks")


def queue_problems(spec: QueueSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with how a namespace waits."""
    if spec.max_length is not None and spec.max_length < 0:
        yield Problem(f"{path}.maxLength", f"must be 0 or more; got {spec.max_length}")
    if spec.max_wait is not None:
        yield from _at_least(spec.max_wait, timedelta(seconds=1), f"{path}.maxWait")
    yield from _at_least(spec.aging, SHORTEST_AGING, f"{path}.aging")


def reserve_problems(specs: Sequence[ReserveSpec], limits: QuotaLimits, path: str) -> Iterator[Problem]:
    """Yield what is wrong with reserves of these limits; together they may not be more than all of it."""
    yield from too_many(specs, MAX_RESERVES, path)
    for index, spec in enumerate(specs[:MAX_RESERVES]):
        where = f"{path}[{index}]"
        if not (spec.workflows or spec.tasks):
            yield Problem(where, "reserves nothing: give workflows, tasks or both")
        for name in RESOURCES:
            size: int = getattr(spec, name)
            if size < 0:
                yield Problem(f"{where}.{name}", f"must be 0 or more; got {size}")
            elif size and not isinstance(getattr(limits, name), int):
                yield Problem(f"{where}.{name}", f"reserves a part of limits.{name}, which is not set")
    for name in RESOURCES:
        bound, reserved = getattr(limits, name), sum(max(0, getattr(spec, name)) for spec in specs)
        if isinstance(bound, int) and reserved > bound:
            yield Problem(path, f"reserves {reserved} {name} of {bound}: lower them, or raise limits.{name}")


def borrowing_problems(spec: BorrowingSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with how members borrow and lend."""
    for field, limits in (("borrowingLimit", spec.borrowing_limit), ("lendingLimit", spec.lending_limit)):
        for name in RESOURCES:
            yield from _not_negative(getattr(limits, name), f"{path}.{field}.{name}")


def fair_share_problems(spec: FairShareSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with how the past counts."""
    yield from too_many(spec.weights, MAX_WEIGHTS, f"{path}.weights")
    for name, weight in sorted(spec.weights.items()):
        if not 1 <= weight <= MAX_WEIGHT:
            yield Problem(f"{path}.weights.{name}", f"must be from 1 to {MAX_WEIGHT}; got {weight}")
    yield from _at_least(spec.half_life, SHORTEST_HALF_LIFE, f"{path}.halfLife")


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
        if rate is not None and not 1 <= rate <= MAX_RATE:
            yield Problem(f"{path}.{name}", f"must be from 1 to {MAX_RATE}; got {rate}")
    for name in RESOURCES:
        low, high = getattr(spec.min, name), getattr(spec.max, name)
        yield from _not_negative(low, f"{path}.min.{name}")
        yield from _not_negative(high, f"{path}.max.{name}")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            yield Problem(f"{path}.min.{name}", f"{low} is above max.{name} {high}: lower it")
    yield from _at_least(spec.stabilization, timedelta(0), f"{path}.stabilization")


def _not_negative(field: AmountField | None, path: str) -> Iterator[Problem]:
    if isinstance(field, int) and field < 0:
        yield Problem(path, f"must be 0 or more; got {field}")


def _at_least(text: str, shortest: timedelta, path: str) -> Iterator[Problem]:
    try:
        length = duration(text)
    except ValueError as error:
        yield Problem(path, str(error))
        return
    if length < shortest:
        yield Problem(path, f"{text!r} is too short: use {int(shortest.total_seconds())}s or more")
