"""`make bench-guard`: nothing has become slower unnoticed. Under a minute, and on a busy machine, too.

Figures are ratios within one process: CPU time of a part of a review over that of decoding the same body with
msgspec and no types; CPU time of a start over that of a process that imports msgspec alone. Of each side the
smallest of many short loops counts, in ABBA order. Of a release planned the steps of Python's interpreter are
counted, those of a review as well, and of Workflows the bytes. Where a figure is above its limit
(bench/guard_limits.toml) more is measured, and the smallest stand: what others on the machine do makes a loop
slower, never faster.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

from bench import memory, planning
from bench.inprocess import DECIDE, DECODE, WHOLE, load_policies, parts_of, recorder_to
from bench.processes import ROOT
from bench.recording import record
from bench.reviews import CASES, Case, body, uids, write_policies
from policy.core.decision.decision import Side
from policy.core.policies.snapshot import Snapshot
from webhook import wire

LIMITS: Final = ROOT / "bench" / "guard_limits.toml"
MARGIN: Final = 1.15
"""A limit is at most this much above what was measured."""
ATTEMPTS: Final = 5
UNIT: Final = "decode without types"
NEW_TEMPLATE: Final = "decode, a new template"
GUARDED: Final = (DECODE, DECIDE, WHOLE)
PLANNING: Final = "steps of a release planned"
START: Final = "start of the webhook"
RUNNING: Final = "bytes of a Workflow that runs"
WAITING: Final = "bytes of a Workflow that waits"
STEPS: Final = "steps of "
COUNTED_BY: Final = (3, 11)
"""The version of Python whose steps are limited; another one needs others for the same work."""
_LOOPS: Final = 30
_LOOP_SECONDS: Final = 0.004
_RELEASES: Final = 100
_WORKFLOWS: Final = 20_000
_IMPORTS: Final = {"unit": "import msgspec", "start": "import lockkeeper.cli.serve"}


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a figure may be at most, what it was, and why the limit is there."""

    name: str
    measured: float
    most: float
    why: str


def limits(file: Path = LIMITS) -> dict[str, Limit]:
    """Return the limits by the names of their figures."""
    found = msgspec.convert(tomllib.loads(file.read_text()), dict[str, list[Limit]])
    return {each.name: each for each in found["limit"]}


class Smallest:
    """The smallest cost of each thing that was measured so far, and how often each may still be looked at."""

    def __init__(self) -> None:
        self._cost: dict[str, float] = {}

    def add(self, name: str, cost: float) -> None:
        """Record a cost."""
        self._cost[name] = min(cost, self._cost.get(name, cost))

    def ratio(self, name: str, unit: str) -> float:
        """Return a cost over another."""
        return self._cost[name] / self._cost[unit]


class ReviewParts:
    """The parts of a review of one size, and their unit."""

    def __init__(self, case: Case, parts: Mapping[str, Callable[[], object]]) -> None:
        self.case = case
        self.parts = dict(parts)
        self._calls = {name: _calls(part) for name, part in self.parts.items()}
        self._smallest = Smallest()

    def measure(self) -> dict[str, float]:
        """Measure all parts once more, and return their ratios to the unit."""
        names = list(self.parts)
        gc.collect()
        gc.disable()
        try:
            for number in range(_LOOPS):
                for name in names if number % 2 == 0 else reversed(names):
                    self._smallest.add(name, _loop(self.parts[name], self._calls[name]))
        finally:
            gc.enable()
        return {
            f"{name}, {self.case.name}": self._smallest.ratio(name, UNIT) for name in names if name != UNIT
        }


def _loop(part: Callable[[], object], calls: int) -> float:
    since = time.thread_time()
    for _ in range(calls):
        part()
    return (time.thread_time() - since) / calls


def _calls(part: Callable[[], object]) -> int:
    part()
    return max(1, int(_LOOP_SECONDS / max(_loop(part, 3), 1e-7)))


def review_parts(case: Case, snapshot: Snapshot, log: Path) -> ReviewParts:
    """Return what is guarded of a review of one size."""
    content = body(case, uids(1)[0])
    every = parts_of(content, snapshot, recorder_to(log, snapshot))
    numbers = count()

    def decode_new() -> object:
        """Decode a review of which one template has never been seen."""
        new = content.replace(b"fact_0", b"fact_0%07d" % next(numbers), 1)
        return wire.decode(new, Side.MUTATE)

    parts = {UNIT: lambda: msgspec.json.decode(content), **{name: every[name] for name in GUARDED}}
    return ReviewParts(case, {**parts, NEW_TEMPLATE: decode_new} if case.templates > 1 else parts)


class Bytecodes:
    """Counts the steps of Python's interpreter within its contexts: the same number on any machine."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count while the context lasts, in functions that are called in it."""
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.count += 1
        return self._trace


def review_figures(reviews: Sequence[ReviewParts]) -> dict[str, float]:
    """Return the steps of a whole review of each size."""
    found = {}
    for each in reviews:
        steps, whole = Bytecodes(), each.parts[WHOLE]
        whole()
        with steps.counting():
            whole()
        found[f"steps of a review, {each.case.name}"] = float(steps.count)
    return found


def planning_figures() -> dict[str, float]:
    """Return the steps of a release that is planned.

    Its CPU time depends on who else uses the caches of the processor: it touches all that waits.
    """
    steps = Bytecodes()
    planning.measure(5_000, _RELEASES, steps.counting)
    return {PLANNING: steps.count / _RELEASES}


class Start:
    """The CPU time of a process that imports the webhook."""

    def __init__(self) -> None:
        self._smallest = Smallest()

    def measure(self) -> dict[str, float]:
        """Start each some times more."""
        for number in range(4):
            for name in _IMPORTS if number % 2 == 0 else reversed(_IMPORTS):
                self._smallest.add(name, _cpu_of(_IMPORTS[name]))
        return {START: self._smallest.ratio("start", "unit")}


def _cpu_of(code: str) -> float:
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{code} failed")
    return used.ru_utime + used.ru_stime


def memory_figures() -> dict[str, float]:
    """Return the bytes of Workflows; they are counted, and nearly the same in every run."""
    memory.bytes_of_each(held=True, known=100)  # What is made once counts for none of them.
    return {
        RUNNING: memory.bytes_of_each(held=False, known=_WORKFLOWS),
        WAITING: memory.bytes_of_each(held=True, known=_WORKFLOWS),
    }


def guard(measures: list[Callable[[], dict[str, float]]], allowed: Mapping[str, Limit]) -> dict[str, float]:
    """Measure everything, and what is above its limit again; return the figures."""
    found: dict[str, float] = {}
    for measure in measures:
        for _ in range(ATTEMPTS):
            figures = measure()
            found |= figures
            if all(value <= allowed[name].most for name, value in figures.items() if name in allowed):
                break
    return found


def exceeded(found: Mapping[str, float], allowed: Mapping[str, Limit]) -> list[str]:
    """Return a sentence for each figure that is above its limit, or has none, and each limit of no figure."""
    said = [
        f"{name} is {value:.3f}, above its limit of {allowed[name].most:g} ({allowed[name].why})"
        for name, value in found.items()
        if name in allowed and value > allowed[name].most
    ]
    said += [f"{name} has no limit in {LIMITS.name}" for name in found if name not in allowed]
    return said + [f"the limit of {name} is that of no figure" for name in allowed if name not in found]


def table(found: Mapping[str, float], allowed: Mapping[str, Limit]) -> str:
    """Return the figures beside their limits."""
    lines = [f"{'':<36}{'now':>10}{'limit':>10}"]
    for name, value in found.items():
        most = f"{allowed[name].most:>10g}" if name in allowed else f"{'none':>10}"
        lines.append(f"{name:<36}{value:>10.3f}{most}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and fail where something is above its limit."""
    parser = argparse.ArgumentParser(prog="bench.guard", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the figures to docs and bench/results")
    given = parser.parse_args()
    allowed = limits()
    with tempfile.TemporaryDirectory(prefix="lockkeeper-guard-") as temporary:
        folder = Path(temporary)
        snapshot = load_policies(write_policies(folder / "policies"))
        reviews = [review_parts(case, snapshot, folder / "log") for case in CASES]
        measures = [*(each.measure for each in reviews), Start().measure, memory_figures]
        if sys.version_info[:2] == COUNTED_BY:
            measures += [lambda: review_figures(reviews), planning_figures]
        else:
            allowed = {name: each for name, each in allowed.items() if not name.startswith(STEPS)}
        found = guard(measures, allowed)
    text = table(found, allowed)
    print(text)
    if given.record:
        print(f"written to {record('guard', text).relative_to(ROOT)}")
    wrong = exceeded(found, allowed)
    for each in wrong:
        print(f"bench-guard: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
