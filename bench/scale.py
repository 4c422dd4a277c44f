"""`python -m bench.scale`: a day of a large cluster, second by second, and what is busy first.

A day has quiet nights, busy days, and at each full hour a burst of cron runs. Workflows are created, held,
released as slots become free, run and end; each step costs CPU time of the webhooks, the API server, etcd
and the leader. What a step costs was measured on a real control plane by `make bench-queue`, whose output is
read here. Argo's own writes and those of pods, which that scenario has not, cost what a write was measured to
cost. Then the day is played with twice as many Workflows, and so on, until something cannot keep up.
docs/scale.md says what follows.
"""

import argparse
import re
import sys
from collections import deque
from itertools import count
from math import exp
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import ROOT
from bench.recording import RESULTS, record

MEASURED: Final = RESULTS / "2026-12-01-0018-d4a7d22-queue.txt"
PAGE: Final = ROOT / "docs" / "scale.md"
DAY: Final = 86_400
WORKFLOWS: Final = 1_000_000
POOLS: Final = 100
RUNS: Final = 600
"""Seconds that a Workflow runs."""
CRON: Final = 0.25
CRON_SECONDS: Final = 30
"""The part of Workflows that is created at full hours, and how long that takes."""
OFFICE: Final = range(8, 18)
BUSY: Final = 3.0
"""Hours of a day in which so many more are created than in others."""
SLOTS: Final = 1.25
"""All limits together, as a multiple of what runs on average."""
PODS: Final = 5
WRITES_OF_POD: Final = 6
WRITES_OF_ARGO: Final = 11
"""Created, bound, three times its status, deleted; and the status of a Workflow, and results of its tasks."""
PASSES: Final = 10
"""Passes of the leader in a second, at most; each writes the ledgers of the pools that have changed."""
RELEASES: Final = 380.0
"""Releases a second that one leader has sent in a burst of 5,000 (`make bench-release`, 2 shared CPUs)."""
BYTES_RUNNING: Final = 440
BYTES_WAITING: Final = 990
"""What a leader remembers of a Workflow (`make bench-release ARGS="--only memory"`)."""
KILOBYTES: Final = 8
"""An object that is written, on average over Workflows of 20 kB and pods."""
KEPT: Final = 300
"""Seconds of history that etcd keeps before it is compacted."""
PATIENCE: Final = 10.0
"""Seconds of work that may wait: then reviews and requests time out."""
LEADERS: Final = 4
"""If there were so many, one for each set of roots (ADR 43)."""
MOST: Final = 16


class Costs(msgspec.Struct, frozen=True):
    """Seconds of CPU: of a write in the API server and in etcd, of a Workflow in webhooks and leader.

    `writes` are ours for each Workflow, without ledgers: releases, positions, events and statuses.
    """

    api: float
    etcd: float
    webhook: float
    leader: float
    writes: float


class Station(msgspec.Struct):
    """Something that works: how many seconds of work it does in a second, and how much waits for it."""

    name: str
    cores: float
    total: float = 0.0
    waiting: float = 0.0
    longest: float = 0.0
    minute: float = 0.0
    busiest: float = 0.0

    def work(self, seconds: float, now: int) -> None:
        """Do what has come in this second, as far as it can."""
        self.total += seconds
        self.waiting = max(0.0, self.waiting + seconds - self.cores)
        self.longest = max(self.longest, self.waiting / self.cores)
        self.minute = seconds if now % 60 == 0 else self.minute + seconds
        self.busiest = max(self.busiest, self.minute / 60)


class Day(msgspec.Struct, frozen=True):
    """What a day was like."""

    stations: list[Station]
    writes: float
    most_writes: float
    ours: float
    most_running: int
    most_waiting: int
    left: int


def costs(file: Path = MEASURED) -> Costs:
    """Read the costs of steps from the output of `make bench-queue`."""
    text = file.read_text()
    workflows = float(_number(r"(\d+) Workflows", text))

    def of(name: str) -> float:
        return float(_number(rf"^ *{re.escape(name)} +([\d.]+)$", text))

    writes = of("writes per Workflow, the load's two included")
    return Costs(
        api=of("CPU kube-apiserver, s") / workflows / writes,
        etcd=of("CPU etcd, s") / workflows / writes,
        webhook=of("CPU webhook, s") / workflows,
        leader=of("CPU leader, s") / workflows,
        writes=writes - 2 - of("PUT quotaledgers"),
    )


def _number(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise LookupError(f"the output has no {pattern}")
    return found[1]


def arrivals(workflows: int) -> list[float]:
    """Return how many are created in each second of a day."""
    weights = [BUSY if hour in OFFICE else 1.0 for hour in range(24)]
    steady = workflows * (1 - CRON) / sum(weights) / 3600
    burst = workflows * CRON / 24 / CRON_SECONDS
    return [
        steady * weights[second // 3600] + (burst if second % 3600 < CRON_SECONDS else 0.0)
        for second in range(DAY)
    ]


def play(workflows: int, cost: Costs) -> Day:
    """Play a day, second by second."""
    stations = [Station("API servers", 24.0), Station("etcd", 4.0), Station("leader", 1.0)]
    stations += [Station("webhooks", 3.0), Station("sending of releases", 1.0)]
    stations.append(Station(f"{LEADERS} leaders", float(LEADERS)))
    api, etcd, leader, webhooks, sending, leaders = stations
    slots = SLOTS * workflows * RUNS / DAY
    ends: deque[float] = deque([0.0] * RUNS, maxlen=RUNS)
    queued = running = writes = ours = minute = most_writes = most_running = most_waiting = 0.0
    for now, created in enumerate(arrivals(workflows)):
        ended = ends.popleft()
        released = min(queued + created, slots - running + ended, RELEASES)
        ends.append(released)
        queued += created - released
        running += released - ended
        ledgers = PASSES * POOLS * (1 - exp(-(released + ended) / PASSES / POOLS))
        own = released * cost.writes + ledgers
        written = created + ended + own + running * (PODS * WRITES_OF_POD + WRITES_OF_ARGO) / RUNS
        api.work(written * cost.api, now)
        etcd.work(written * cost.etcd, now)
        leader.work((created + released + ended) * cost.leader / 3, now)
        leaders.work((created + released + ended) * cost.leader / 3, now)
        webhooks.work(created * cost.webhook, now)
        sending.work(released / RELEASES, now)
        writes, ours = writes + written, ours + own
        minute = written if now % 60 == 0 else minute + written
        most_writes = max(most_writes, minute / 60)
        most_running, most_waiting = max(most_running, running), max(most_waiting, queued)
    return Day(stations, writes, most_writes, ours, round(most_running), round(most_waiting), round(queued))


def walls(cost: Costs) -> dict[str, int]:
    """Return for each station at how many times the day it has more to do than it can, MOST at most."""
    found: dict[str, int] = {}
    for times in count(1):
        day = play(times * WORKFLOWS, cost)
        for each in day.stations:
            if each.longest > PATIENCE:
                found.setdefault(each.name, times)
        if day.left > times * WORKFLOWS / 24:  # More wait at midnight than come in an hour.
            found.setdefault("sending of releases", times)
        if len(found) == len(day.stations) or times == MOST:
            return found
    raise AssertionError("counting ends")


def report(cost: Costs) -> str:
    """Return the table of the day, and where each wall is."""
    day = play(WORKFLOWS, cost)
    api, etcd, webhook, leader = (each * 1000 for each in (cost.api, cost.etcd, cost.webhook, cost.leader))
    lines = [
        f"{WORKFLOWS:,} Workflows a day in {POOLS} pools, each of {RUNS} s and {PODS} pods;",
        f"{CRON:.0%} come at full hours within {CRON_SECONDS} s.",
        f"CPU of a write: API server {api:.2f} ms, etcd {etcd:.2f} ms;",
        f"of a Workflow: webhooks {webhook:.2f} ms, leader {leader:.2f} ms;",
        f"writes of ours for a Workflow: {cost.writes:.2f}, and those of ledgers.",
        "",
        f"{'':<22}{'capacity':>10}{'mean':>9}{'busiest minute':>17}{'longest wait':>15}",
    ]
    lines += [_row(each) for each in day.stations]
    kept = day.most_writes * KEPT * KILOBYTES / 1e6
    memory = (day.most_running * BYTES_RUNNING + day.most_waiting * BYTES_WAITING) / 1e6
    lines += [
        "",
        f"writes: {day.writes / DAY:.0f} a second, {day.most_writes:.0f} in the busiest minute",
        f"part of them that is ours: {day.ours / day.writes:.1%}",
        f"history that etcd keeps in its busiest {KEPT // 60} minutes: {kept:.1f} GB at most",
        f"at most {day.most_running:,} run and {day.most_waiting:,} wait: {memory:.0f} MB in the leader",
        "",
        "what has more to do than it can, and when:",
    ]
    found = walls(cost)
    for each in day.stations:
        times = found.get(each.name)
        when = f"more than {MOST} times" if times is None else f"{times} times"
        lines.append(f"  {each.name:<22}{when} as many Workflows")
    return "\n".join(lines)


def _row(station: Station) -> str:
    mean = station.total / DAY
    row = f"{station.name:<22}{station.cores:>10.0f}{mean:>9.2f}{station.busiest:>17.2f}"
    return f"{row}{station.longest:>13.1f} s"


def main() -> int:
    """Play, print, and keep."""
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument("--costs", type=Path, default=MEASURED, help="the output of make bench-queue")
    parser.add_argument("--record", action="store_true", help="write it to docs/scale.md and bench/results")
    given = parser.parse_args()
    text = report(costs(given.costs))
    print(text)
    if given.record:
        print(f"written to {record('scale', text, page=PAGE).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
