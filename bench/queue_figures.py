"""What a run of the scenario cost: CPU and memory of every process, and how many requests."""

import json
import os
import re
import ssl
import statistics
from collections import Counter
from http.client import HTTPSConnection
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import cpu_us
from bench.queue_load import Outcome
from bench.queue_scenario import CLASSES
from bench.queue_site import Site
from policy.cluster.kube.server_pool import ClosingSocket
from tests.e2e.control_plane import LOOPBACK, ControlPlane

LOAD: Final = "load"
"""Our own process: who creates and plays."""
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE", "APPLY"})
_REQUESTS: Final = re.compile(r"^apiserver_request_total\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)
_CALLS: Final = re.compile(
    r"^apiserver_admission_webhook_admission_duration_seconds_count\{(.*)\} ([0-9.e+]+)$", re.MULTILINE
)
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_METRICS_SECONDS: Final = 60.0


class Reading(msgspec.Struct, frozen=True):
    """The counters at one moment: CPU seconds by process, and requests by verb and resource."""

    cpu: dict[str, float]
    requests: Counter[str]


class Figures(msgspec.Struct, frozen=True):
    """The figures of one run of one build."""

    workflows: int
    wall: float
    waits: dict[str, tuple[float, float]]
    cpu: dict[str, float]
    memory: dict[str, float]
    requests: dict[str, float]
    exceeded: int
    load: tuple[float, float]

    @property
    def writes(self) -> float:
        """Writes per Workflow, those of who creates and plays included."""
        return sum(count for what, count in self.requests.items() if what.partition(" ")[0] in WRITES)


def reading(site: Site) -> Reading:
    """Read the counters."""
    pids = {**site.pids, LOAD: (os.getpid(),)}
    cpu = {name: cpu_us(each) / 1e6 for name, each in pids.items()}
    text = scraped(site.plane, "/metrics").decode()
    found: Counter[str] = Counter()
    for line in _REQUESTS.finditer(text):
        labels = dict(_LABEL.findall(line[1]))
        what = "/".join(filter(None, (labels.get("resource", ""), labels.get("subresource", ""))))
        refused = "" if labels["code"].startswith("2") else f" ({labels['code']})"
        found[f"{labels['verb']} {what or 'other'}{refused}"] += int(float(line[2]))
    for line in _CALLS.finditer(text):
        labels = dict(_LABEL.findall(line[1]))
        found[f"call {labels['name']}"] += int(float(line[2]))
    return Reading(cpu, found)


def figures(site: Site, before: Reading, outcome: Outcome) -> Figures:
    """Return what has changed since a reading, for each Workflow where that makes sense."""
    after = reading(site)
    every = sum(map(len, outcome.waits.values()))
    moved = {what: count - before.requests[what] for what, count in after.requests.items()}
    pids = {**site.pids, LOAD: (os.getpid(),)}
    return Figures(
        workflows=every,
        wall=outcome.wall,
        waits={each.name: _mean_and_p99(outcome.waits[each.name]) for each in CLASSES},
        cpu={name: after.cpu[name] - before.cpu[name] for name in after.cpu},
        memory={name: sum(map(_peak_mb, each)) for name, each in pids.items()},
        requests={what: count / every for what, count in sorted(moved.items()) if count},
        exceeded=len(outcome.exceeded),
        load=os.getloadavg()[:2],
    )


def scraped(plane: ControlPlane, path: str) -> bytes:
    """Return what the API server answers an administrator on one of its own paths."""
    context = ssl.create_default_context(cafile=str(plane.ca))
    context.sslsocket_class = ClosingSocket
    port = int(plane.url.rpartition(":")[2])
    connection = HTTPSConnection(LOOPBACK, port, context=context, timeout=_METRICS_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {plane.token}"})
        return connection.getresponse().read()
    finally:
        connection.close()


def _mean_and_p99(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return statistics.fmean(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def _peak_mb(pid: int) -> float:
    """Return the most memory that a process ever had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def as_json(found: list[tuple[str, Figures]]) -> str:
    """Return all runs, each with the name of its build."""
    rows = [{"build": build, **msgspec.to_builtins(each)} for build, each in found]
    return json.dumps(rows, indent=1)
