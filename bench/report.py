"""Measurements as rows, as the table for people, and against the budgets."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, TypeAlias

import msgspec

from bench.inprocess import DECIDE, Part
from bench.load import Measured
from bench.processes import KOPF, NULL, OURS, VARIANTS
from bench.reviews import CASES

Results: TypeAlias = dict[tuple[str, str], list[Measured]]
"""The measurements of each size and server, in the order of the rounds."""

BUSY: Final = 0.9
"""Share of its CPU below which a server was kept waiting, by the generator or by others on the machine: then
its requests/s say little, and its CPU time a request tells more."""
PARTS_VARIANT: Final = "in process"


class Row(msgspec.Struct, frozen=True):
    """One figure."""

    case: str
    variant: str
    metric: str
    value: float
    unit: str


class Goal(msgspec.Struct, frozen=True):
    """A budget, and which figure has to keep it."""

    text: str
    variant: str
    metric: str
    bound: float
    at_least: bool


GOAL_CASE: Final = "20 kB"
GOALS: Final = (
    Goal(">= 15x kopf's throughput", OURS, "throughput_vs_kopf", 15, at_least=True),
    Goal(">= 15x kopf's reviews per CPU second", OURS, "cpu_vs_kopf", 15, at_least=True),
    Goal("<= 120 us of CPU above the null app", OURS, "cpu_above_null", 120, at_least=False),
    Goal("decide <= 60 us", PARTS_VARIANT, DECIDE, 60, at_least=False),
)


def rate(measured: Measured) -> float:
    """Return requests per second."""
    return measured.requests / measured.seconds


METRICS: Final[tuple[tuple[str, str, Callable[[Measured], float]], ...]] = (
    ("throughput", "requests/s", rate),
    ("cpu", "us/request", lambda each: each.cpu_us),
    ("p50", "ms", lambda each: each.p50_ms),
    ("p99", "ms", lambda each: each.p99_ms),
    ("load_cpu", "us/request", lambda each: each.own_cpu_us),
    ("busy", "of one CPU", lambda each: rate(each) * each.cpu_us / 1e6),
    ("load_busy", "of one CPU", lambda each: rate(each) * each.own_cpu_us / 1e6),
)


def rows(results: Results, parts: Sequence[Part]) -> list[Row]:
    """Return every figure: medians of the rounds; a ratio is the median of the ratios within each round."""
    found = []
    for case in (each.name for each in CASES):
        for variant in VARIANTS:
            own, null, kopf = (results[case, each] for each in (variant, NULL, KOPF))
            for name, unit, read in METRICS:
                found.append(Row(case, variant, name, median(map(read, own)), unit))
            ratio = median(rate(a) / rate(b) for a, b in zip(own, kopf, strict=True))
            found.append(Row(case, variant, "throughput_vs_kopf", ratio, "x"))
            ratio = median(rate(a) / rate(b) for a, b in zip(own, null, strict=True))
            found.append(Row(case, variant, "throughput_vs_null", ratio, "x"))
            ratio = median(b.cpu_us / a.cpu_us for a, b in zip(own, kopf, strict=True))
            found.append(Row(case, variant, "cpu_vs_kopf", ratio, "x"))
            above = median(a.cpu_us - b.cpu_us for a, b in zip(own, null, strict=True))
            found.append(Row(case, variant, "cpu_above_null", above, "us/request"))
        found += [Row(case, PARTS_VARIANT, part.part, part.us, "us") for part in parts if part.case == case]
    return found


def table(results: Results, parts: Sequence[Part]) -> str:
    """Return the table; in-process parts have a time only."""
    figures = {(row.case, row.variant, row.metric): row.value for row in rows(results, parts)}
    heads = (
        "x kopf",
        "by CPU",
        "x null",
        "req/s",
        "CPU us",
        "+ null",
        "p50 ms",
        "p99 ms",
        "busy",
        "load us",
        "busy",
    )
    lines = [f"{'size':<8}{'':<24}" + "".join(f"{head:>9}" for head in heads)]
    for case in (each.name for each in CASES):
        for variant in VARIANTS:
            cells = _cells(
                {metric: value for (of, by, metric), value in figures.items() if (of, by) == (case, variant)}
            )
            lines.append(f"{case:<8}{variant:<24}" + "".join(f"{cell:>9}" for cell in cells))
        lines += [
            f"{case:<8}{'· ' + part.part:<24}{'':<36}{part.us:>9.1f}" for part in parts if part.case == case
        ]
    return "\n".join(lines)


def _cells(figures: dict[str, float]) -> tuple[str, ...]:
    waits = "" if figures["busy"] >= BUSY else "*"
    return (
        f"{figures['throughput_vs_kopf']:.2f}",
        f"{figures['cpu_vs_kopf']:.2f}",
        f"{figures['throughput_vs_null']:.2f}",
        f"{figures['throughput']:.0f}",
        f"{figures['cpu']:.0f}",
        f"{figures['cpu_above_null']:+.0f}",
        f"{figures['p50']:.1f}",
        f"{figures['p99']:.1f}",
        f"{figures['busy'] * 100:.0f}%{waits}",
        f"{figures['load_cpu']:.0f}",
        f"{figures['load_busy'] * 100:.0f}%",
    )


def goals(found: Sequence[Row]) -> str:
    """Return whether each budget is kept, one a line."""
    lines = []
    for goal in GOALS:
        value = next(
            row.value
            for row in found
            if (row.case, row.variant, row.metric) == (GOAL_CASE, goal.variant, goal.metric)
        )
        met = value >= goal.bound if goal.at_least else value <= goal.bound
        lines.append(f"{GOAL_CASE}: {goal.text:<40}{value:>8.1f}  {'met' if met else 'NOT MET'}")
    return "\n".join(lines)
