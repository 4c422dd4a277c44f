"""`make bench-queue`: Kueue's own baseline scenario, on a real control plane (docs/performance.md).

With --against CHECKOUT another build, a worktree of git, plays the same scenario in turn, in ABBA order, each
time on a control plane of its own. CPU time and writes are what to compare: others on the machine move them
little, but they do move wall and waits. At full size one run takes some minutes; --scale takes a part of the
Workflows of each class.
"""

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final

from bench.processes import ROOT
from bench.queue_figures import LOAD, Figures, as_json, figures, reading, scraped
from bench.queue_load import Execution
from bench.queue_scenario import CLASSES, POOLS, QUEUES, arrivals
from bench.queue_site import site
from bench.recording import commit, record
from tests.e2e.building import GoIsMissingError
from tests.e2e.control_plane import Role
from tests.e2e.helm import HelmIsMissingError

THIS: Final = "this"
BASE: Final = "base"
_WARM_UP: Final = 0.003
"""The part of the scenario that is played before anything is measured."""
_GOALS: Final = (("wall", 0.70), (f"CPU {Role.API_SERVER}", 0.60), ("CPU leader", 0.60))
_SHOWN: Final = 0.005
"""Smaller figures are left out."""
_MEAN_GOAL: Final = 0.70
_P99_GOAL: Final = 1.0


def run(checkout: Path, scale: float, seconds: float, profile: Path | None = None) -> Figures:
    """Let one build play the scenario on a control plane of its own."""
    with TemporaryDirectory(prefix="bench-") as folder, site(checkout, Path(folder)) as running:
        warm = [each for each in arrivals(_WARM_UP) if each.of == CLASSES[0].name]
        renamed = [type(each)(each.due, each.namespace, f"{each.of}-warm", each.of) for each in warm]
        Execution(site=running, arrivals=renamed).play(seconds)
        before = reading(running)
        if profile is not None:
            path = f"/debug/pprof/profile?seconds={max(5, min(50, int(120 * scale)))}"

            def take() -> None:
                profile.write_bytes(scraped(running.plane, path))

            Thread(target=take, daemon=True).start()
        outcome = Execution(site=running, arrivals=arrivals(scale)).play(seconds)
        return figures(running, before, outcome)


def rows(found: Figures) -> dict[str, float]:
    """Return the figures of a run by their names in the table."""
    table = {"wall": found.wall}
    for name, (mean, p99) in found.waits.items():
        table |= {f"{name}: mean": mean, f"{name}: p99": p99}
    table |= {f"CPU {name}": seconds for name, seconds in found.cpu.items()}
    table |= {f"MB {name}": megabytes for name, megabytes in found.memory.items()}
    table["writes"] = found.writes
    return table | dict(found.requests)


def report(runs: list[tuple[str, Figures]]) -> list[str]:
    """Return the table: medians of the runs, and with another build the ratio of both."""
    builds = {name: [rows(each) for build, each in runs if build == name] for name in (BASE, THIS)}
    names = list(dict.fromkeys(name for _, each in runs for name in rows(each)))
    compared = bool(builds[BASE])
    lines = [f"{'':<44}{'base':>9}{'this':>9}{'ratio':>8}" if compared else f"{'':<44}{'this':>9}"]
    for name in names:
        values = {
            build: median(each.get(name, 0.0) for each in tables)
            for build, tables in builds.items()
            if tables
        }
        if max(values.values()) < _SHOWN:
            continue
        line = f"{_label(name):<44}" + "".join(f"{values[build]:>9.2f}" for build in values)
        if compared and values[BASE]:
            line += f"{values[THIS] / values[BASE]:>8.2f}"
        lines.append(line)
    return lines


def _label(name: str) -> str:
    if name == "wall":
        return "wall, s"
    if name.startswith("CPU "):
        return f"{name}, s"
    if name == "writes":
        return "writes per Workflow, the load's two included"
    if ": " in name:
        return f"time to admission, {name}, s"
    return name if name.startswith("MB ") else f"  {name}"


def goals(runs: list[tuple[str, Figures]]) -> list[str]:
    """Return each goal, and whether it is met: the median of the ratios of the two builds in each round."""
    base = [rows(each) for build, each in runs if build == BASE]
    this = [rows(each) for build, each in runs if build == THIS]
    wanted = list(_GOALS)
    for each in CLASSES:
        wanted += [(f"{each.name}: mean", _MEAN_GOAL), (f"{each.name}: p99", _P99_GOAL)]
    lines = []
    for name, most in wanted:
        ratios = sorted(new[name] / old[name] for old, new in zip(base, this, strict=True) if old[name])
        middle = median(ratios) if ratios else 0.0
        spread = f"({ratios[0]:.2f}-{ratios[-1]:.2f})" if ratios else ""
        met = "met" if middle <= most else "NOT MET"
        lines.append(f"{_label(name):<44} at most {most:.2f} of base: {middle:.2f} {spread:<13} {met}")
    return lines


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.queueing", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="the part of the Workflows (1: 15,000)")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another build to compare with")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each build (1)")
    parser.add_argument("--seconds", type=float, default=1800.0, help="after which a run has failed (1800)")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="for a CPU profile of the API server")
    parser.add_argument("--json", type=Path, metavar="FILE", help="for the figures of every run")
    parser.add_argument("--record", action="store_true", help="write the result where results are kept")
    return parser.parse_args()


def main() -> int:
    """Play, print and keep."""
    given = arguments()
    before = os.getloadavg()[0]
    runs: list[tuple[str, Figures]] = []
    try:
        for number in range(given.rounds):
            pair = [(BASE, given.against), (THIS, ROOT)] if given.against else [(THIS, ROOT)]
            for name, checkout in pair if number % 2 == 0 else reversed(pair):
                found = run(checkout.resolve(), given.scale, given.seconds, given.profile)
                runs.append((name, found))
                print(
                    f"round {number + 1}, {name}: {found.wall:.1f} s, {found.exceeded} limits exceeded",
                    file=sys.stderr,
                )
    except (GoIsMissingError, HelmIsMissingError) as missing:
        print(f"skipped: {missing}")
        return 0
    every = runs[0][1].workflows
    named = f"{commit(given.against)} (base) and {commit()} (this)" if given.against else commit()
    head = [
        f"{named}: {every} Workflows of {POOLS * QUEUES} namespaces in {POOLS} pools, {given.rounds} rounds;",
        f"load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} CPUs",
        f"limits exceeded: {sum(each.exceeded for _, each in runs)}; {LOAD} is who creates and ends them",
        "",
    ]
    text = "\n".join([*head, *report(runs), *(["", *goals(runs)] if given.against else [])])
    print(text)
    if given.json:
        given.json.write_text(as_json(runs))
    if given.record:
        print(f"written to {record('queue', text)}")
    return 1 if any(each.exceeded for _, each in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
