"""`make bench-simulate`: what `lockkeeper simulate` costs, as ratios that hold on any machine.

A history of 200 namespaces in 10 pools with borrowing, fair share, priorities and locks is simulated by the
command in a process of its own. Its CPU time stands beside that of reading the same file with msgspec alone,
and of the embedded mode playing the same runs on the same clock; and beside that of a tenth of the history.
`--runs 100000` is the goal's size: at most 60 s on a quiet core, and 600 MB; the default is a fifth of it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from bench.processes import ROOT
from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.embedded.virtual_play import VirtualPlay
from lockkeeper.histories.opening import open_history
from policy.core.objects.argo_version import DEFAULT_VERSION

NAMESPACES: Final = 200
POOLS: Final = 10
BEGIN: Final = datetime(2026, 11, 2, tzinfo=UTC)
GOAL_SECONDS: Final = 60
GOAL_RUNS: Final = 100_000
GOAL_MEGABYTES: Final = 600
GOAL_GROWTH: Final = 11.0
_SECONDS_BETWEEN: Final = 6.0
_MOST_EMBEDDED: Final = 1_000
_READ: Final = "import msgspec, sys; msgspec.json.decode(open(sys.argv[1], 'rb').read())"
_IMPORT: Final = "import msgspec"


class Cost(msgspec.Struct, frozen=True):
    """What a process cost."""

    cpu_seconds: float
    megabytes: float


def policies(folder: Path) -> Path:
    """Write the policies, and return their file."""
    found: list[dict[str, Any]] = [_namespace(f"ns-{each}", f"p{each % POOLS}") for each in range(NAMESPACES)]
    for number in range(POOLS):
        spec = {
            "namespaceSelector": {"matchLabels": {"pool": f"p{number}"}},
            "limits": {"workflows": 40, "tasks": 160},
            "perWorkflow": {"defaultTasks": 4},
            "namespaceDefaults": {"limits": {"workflows": 4}},
            "borrowing": {"enabled": True},
            "fairShare": {"halfLife": "12h"},
            "onExceed": "Queue",
        }
        found.append(_policy("ClusterWorkflowQuota", f"p{number}", spec))
    lock = {"semaphore": {"configMap": "sem", "key": "db"}}
    spec = {
        "namespaceSelector": {},
        "semaphores": [{"configMap": "sem", "key": "db", "limit": 4}],
        "inject": [{"name": "db", "templates": {"names": ["load"]}, "lock": lock}],
    }
    found.append(_policy("ClusterSynchronizationPolicy", "locks", spec))
    file = folder / "policies.yaml"
    file.write_bytes(b"\n---\n".join(map(msgspec.json.encode, found)))
    return file


def _namespace(name: str, pool: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"pool": pool}}}


def _policy(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "lockkeeper.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def history(folder: Path, runs: int) -> Path:
    """Write a history as kubectl prints it, and return its file."""
    file = folder / f"history-{runs}.json"
    with file.open("wb") as out:
        out.write(b'{"kind": "List", "items": [\n')
        for number, workflow in enumerate(_workflows(runs)):
            out.write((b",\n" if number else b"") + msgspec.json.encode(workflow))
        out.write(b"\n]}\n")
    return file


def _workflows(runs: int) -> Iterator[dict[str, Any]]:
    random, at = Random(17), BEGIN  # noqa: S311 - the same each time
    for number in range(runs):
        at += timedelta(seconds=random.expovariate(1 / _SECONDS_BETWEEN))
        started = at + timedelta(seconds=random.randrange(30))
        ended = started + timedelta(seconds=min(36_000, 300 * random.paretovariate(1.4)))
        template, name = random.choice(("load", "main", "main")), f"run-{number:07d}"
        times = {"startedAt": f"{started:%FT%TZ}", "finishedAt": f"{ended:%FT%TZ}"}
        node = {"id": name, "name": name, "type": "Pod", "phase": "Succeeded", "templateName": template}
        yield {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "name": name,
                "namespace": f"ns-{int(random.random() ** 1.3 * NAMESPACES)}",
                "uid": f"uid-{number}",
                "creationTimestamp": f"{at:%FT%TZ}",
                "labels": {"workflows.argoproj.io/creator-email": f"user-{random.randrange(50)}"},
            },
            "spec": {
                "entrypoint": template,
                "priority": random.choice((0, 0, 0, 5, 10)),
                "parallelism": random.choice((1, 2, 4, 8)),
                "templates": [{"name": template, "container": {"image": "busybox", "args": ["x" * 200]}}],
            },
            "status": {"phase": "Succeeded", **times, "nodes": {name: {**node, **times}}},
        }


def simulated(file: Path, rules: Path) -> Cost:
    """Return what a simulation costs."""
    return cost("-m", "lockkeeper", "simulate", str(file), "--policies", str(rules))


def cost(*arguments: str) -> Cost:
    """Return what a process of Python costs."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=ROOT, env={**os.environ}
    )
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = code
    if code:
        raise SystemExit(f"{arguments} failed with {code}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def embedded_seconds(folder: Path, rules: Path, runs: int) -> float:
    """Return the CPU seconds of the embedded mode for each run, without sockets and waiting."""
    found = open_history(str(history(folder, runs)), with_nodes=False, namespace="default")
    play = VirtualPlay(snapshot=load_once(rules, DEFAULT_VERSION), begin=found.begin)
    begun = time.process_time()
    play.play(found.runs())
    found.close()
    return (time.process_time() - begun) / runs


def main(arguments: list[str]) -> int:
    """Measure, print, and say whether the goals hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=GOAL_RUNS // 5)
    runs: int = parser.parse_args(arguments).runs
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rules, whole, tenth = policies(folder), history(folder, runs), history(folder, runs // 10)
        empty = cost("-c", _IMPORT).cpu_seconds
        small, large = simulated(tenth, rules), simulated(whole, rules)
        reading = cost("-c", _READ, str(whole)).cpu_seconds - empty
        embedded = embedded_seconds(folder, rules, min(runs, _MOST_EMBEDDED))
    each = large.cpu_seconds / runs
    growth = large.cpu_seconds / small.cpu_seconds
    rows = (
        ("runs", f"{runs}"),
        ("CPU time", f"{large.cpu_seconds:.1f} s, {1e6 * each:.0f} us a run (goal: 600 us on a quiet core)"),
        ("memory", f"{large.megabytes:.0f} MB (goal: {GOAL_MEGABYTES} MB)"),
        ("against reading the history with msgspec alone", f"{large.cpu_seconds / reading:.0f} times"),
        ("against the embedded mode playing it", f"1/{embedded / each:.0f}"),
        ("against a tenth of the history", f"{growth:.1f} times (goal: {GOAL_GROWTH:.0f})"),
    )
    for name, value in rows:
        print(f"{name:<50}{value}")
    return 0 if large.megabytes <= GOAL_MEGABYTES and growth <= GOAL_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
