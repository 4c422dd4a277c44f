"""What `status`, `queue` and `why` cost on a large cluster: `python -m bench.looking`.

5,000 Workflows wait and 15,000 run, of 50 series in five namespaces of a pool. Each command is run as its
users run it, on the cluster in memory; shown is its own CPU beyond that of reading the cluster.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from random import Random
from time import thread_time
from types import ModuleType
from typing import Final

import msgspec

from lockkeeper.cli import queue, status, why
from lockkeeper.views.terminal import Terminal
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Resource,
)
from policy.cluster.stored_lengths import write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.service.reading.cluster_reading import ClusterReader

WAITING: Final = 5_000
RUNNING: Final = 15_000
MOST: Final = 2.0
"""Seconds of CPU beyond reading."""
_NOW: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_SERIES: Final = 50
_MEMBERS: Final = 5
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz"


class Figure(msgspec.Struct, frozen=True):
    """Seconds of CPU for reading, and for all that a command does besides."""

    command: str
    reading: float
    own: float


def large_cluster(waiting: int = WAITING, running: int = RUNNING) -> MemoryCluster:
    """Return a cluster with a pool whose slots are all taken, and so many that wait."""
    times = [_NOW]
    cluster = MemoryCluster(clock=lambda: times[0], rng=Random(1))  # noqa: S311 - the same cluster each time
    _create(cluster, CLUSTER_WORKFLOW_QUOTAS, "data", spec=_pool(running))
    for member in range(_MEMBERS):
        _create(cluster, NAMESPACES, f"n{member}", labels={"pool": "data"})
        own: JsonObject = {"limits": {"tasks": 10 * running}, "perWorkflow": {"maxPriority": 50}}
        _create(cluster, WORKFLOW_QUOTAS, "own", f"n{member}", spec=own)
    lengths, random = RunLengths(), Random(1)  # noqa: S311 - the same cluster each time
    for series in range(_SERIES):
        for _ in range(40):
            length = timedelta(seconds=int(random.lognormvariate(7, 0.6)))
            lengths.add(series_of(f"n{series % _MEMBERS}", f"s{series}-bcdfg"), length, _NOW)
    write_lengths(cluster, lengths.stored(_NOW))
    for number in range(running + waiting):
        times[0] = _NOW - timedelta(seconds=running + waiting - number)
        _workflow(cluster, number, held=number >= running)
    return cluster


def last_that_waits(waiting: int = WAITING, running: int = RUNNING) -> tuple[str, str]:
    """Return namespace and name of the one that came last."""
    return _names(running + waiting - 1)


def figures(cluster: MemoryCluster, last: tuple[str, str]) -> list[Figure]:
    """Return what each command costs."""
    namespace, name = last
    commands: tuple[tuple[str, ModuleType, list[str]], ...] = (
        ("status", status, []),
        ("queue", queue, []),
        ("queue --running", queue, ["--running"]),
        ("why", why, [name, "-n", namespace]),
    )
    reading = _cost(lambda: _read(cluster))
    found = []
    for label, command, words in commands:
        parser = argparse.ArgumentParser()
        command.configure(parser)
        arguments = parser.parse_args(words)
        spent = _cost(partial(command.act, cluster, arguments, Terminal(), lambda: _NOW))
        found.append(Figure(label, reading, max(0.0, spent - reading)))
    return found


def main() -> int:
    """Print the figures; 1 where a command takes too long."""
    found = figures(large_cluster(), last_that_waits())
    print(f"{'command':16} {'reading':>9} {'own CPU':>9}")
    for each in found:
        print(f"{each.command:16} {each.reading:7.2f} s {each.own:7.2f} s")
    return 0 if all(each.own <= MOST for each in found) else 1


def _cost(run: Callable[[], object]) -> float:
    with redirect_stdout(StringIO()):
        begun = thread_time()
        run()
        return thread_time() - begun


def _read(cluster: MemoryCluster) -> None:
    ledgers = Ledgers(cluster=cluster, clock=lambda: _NOW)
    ClusterReader(cluster=cluster, ledgers=ledgers, clock=lambda: _NOW).read(lengths=True)


def _pool(workflows: int) -> JsonObject:
    return {"namespaceSelector": {"matchLabels": {"pool": "data"}}, "limits": {"workflows": workflows}}


def _names(number: int) -> tuple[str, str]:
    series = number % _SERIES
    digits = (number // len(_SUFFIX) ** place % len(_SUFFIX) for place in range(5))
    return f"n{series % _MEMBERS}", f"s{series}-{''.join(_SUFFIX[each] for each in digits)}"


def _workflow(cluster: MemoryCluster, number: int, *, held: bool) -> None:
    namespace, name = _names(number)
    metadata: JsonObject = {
        "name": name,
        "namespace": namespace,
        "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {},
        "annotations": {
            well_known.TASKS: "1",
            well_known.PRIORITY: str(number % 3),
            well_known.USER: f"user-{number % 40}",
            **({well_known.HOLDS: "1"} if held else {}),
        },
    }
    obj: JsonObject = {"apiVersion": WORKFLOWS.api_version, "kind": WORKFLOWS.kind, "metadata": metadata}
    cluster.create(WORKFLOWS, deepcopy({**obj, "spec": {}}), namespace=namespace)


def _create(
    cluster: MemoryCluster,
    resource: Resource,
    name: str,
    namespace: str = "",
    *,
    spec: JsonObject | None = None,
    labels: dict[str, str] | None = None,
) -> None:
    metadata: JsonObject = {"name": name, "labels": {**(labels or {})}}
    obj: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    cluster.create(resource, {**obj, "spec": spec or {}}, namespace=namespace)


if __name__ == "__main__":
    sys.exit(main())
