"""Kueue's baseline scenario by `lockkeeper simulate`: how long its Workflows wait, without a cluster.

The Workflows and quotas are those of `make bench-queue`. Kubernetes writes times in whole seconds, and this
scenario has runs of 0.2 s; so all its times are played tenfold, and shown as they are meant. What a cluster
needs for a create, a release and an end is not in it: it is what the policies alone ask for, and what is
above it in a measurement is the price of the machinery.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import ROOT
from bench.queue_scenario import CLASS_OF, CLASSES, POOLS, QUEUES, SHARE, Arrival, arrivals, namespaces, pools
from bench.recording import record
from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.histories.opening import open_history
from lockkeeper.simulation.playing import play
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject

SCALE: Final = 10
"""By how much times are longer in the play: then all of them are whole seconds."""
BEGIN: Final = datetime(2026, 12, 1, tzinfo=UTC)
_P99: Final = 0.99
_RULES: Final = "policies.yaml"
_HISTORY: Final = "history.json"


class PlayedScenario(msgspec.Struct, frozen=True):
    """What came of it: seconds from the first create to the last end, and the waits of each class."""

    wall: float
    waits: dict[str, list[float]]

    def mean(self, name: str) -> float:
        """Return the mean wait of a class in seconds."""
        return sum(self.waits[name]) / len(self.waits[name])

    def p99(self, name: str) -> float:
        """Return the wait in seconds that 99 of 100 of a class do not exceed."""
        return sorted(self.waits[name])[ceil(_P99 * len(self.waits[name])) - 1]


def lower_bound(found: list[Arrival]) -> float:
    """Return the seconds below which no order of release can end: the work of a pool by what it has."""
    work = sum(CLASS_OF[each.of].tasks * CLASS_OF[each.of].seconds for each in found)
    return work / (POOLS * QUEUES * SHARE)


def write_scenario(folder: Path, found: list[Arrival]) -> tuple[Path, Path]:
    """Write policies and history, and return their files."""
    rules, history = folder / _RULES, folder / _HISTORY
    rules.write_bytes(b"\n---\n".join(msgspec.json.encode(each) for each in (*namespaces(), *pools())))
    items = list(_workflows(found))
    history.write_bytes(msgspec.json.encode({"kind": "List", "items": items}))
    return rules, history


def _workflows(found: list[Arrival]) -> Iterator[JsonObject]:
    for number, each in enumerate(found):
        created = BEGIN + timedelta(seconds=round(each.due * SCALE))
        ended = created + timedelta(seconds=round(CLASS_OF[each.of].seconds * SCALE))
        draft = each.draft()
        times: JsonObject = {"startedAt": f"{created:%FT%TZ}", "finishedAt": f"{ended:%FT%TZ}"}
        metadata: JsonObject = {
            "name": each.name,
            "namespace": each.namespace,
            "uid": f"uid-{number}",
            "creationTimestamp": f"{created:%FT%TZ}",
        }
        yield {**draft, "metadata": metadata, "status": {"phase": "Succeeded", **times}}


def played(rules: Path, history: Path) -> PlayedScenario:
    """Play a scenario that was written."""
    opened = open_history(str(history), with_nodes=False, namespace="default")
    try:
        _, fates = play(opened, load_once(rules, DEFAULT_VERSION), policies=rules.name)
        waits: dict[str, list[float]] = {each.name: [] for each in CLASSES}
        last = 0.0
        for number, run in enumerate(opened.runs()):
            waited = fates.values[number]
            if waited < 0:
                raise RuntimeError(f"{run.namespace}/{run.name} never started")
            waits[run.name.partition("-")[0]].append(waited / SCALE)
            last = max(last, run.created + waited + run.seconds)
    finally:
        opened.close()
    return PlayedScenario((last - BEGIN.timestamp()) / SCALE, waits)


def table(found: list[Arrival], outcome: PlayedScenario) -> str:
    """Return the result as people read it."""
    rows = [("wall, s", outcome.wall), ("no order can end before, s", lower_bound(found))]
    for each in CLASSES:
        rows.append((f"time to admission, {each.name}: mean, s", outcome.mean(each.name)))
        rows.append((f"time to admission, {each.name}: p99, s", outcome.p99(each.name)))
    head = f"{len(found)} Workflows of {POOLS * QUEUES} namespaces in {POOLS} pools, on a virtual clock"
    return "\n".join([head, "", *(f"{name:<44}{value:8.2f}" for name, value in rows)])


def main(arguments: list[str]) -> int:
    """Play, print, and with `--record` write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="the part of the Workflows that is played")
    parser.add_argument("--record", action="store_true", help="write the result to docs/planning.md")
    given = parser.parse_args(arguments)
    found = arrivals(given.scale)
    with tempfile.TemporaryDirectory() as temporary:
        shown = table(found, played(*write_scenario(Path(temporary), found)))
    print(shown)
    if given.record:
        record("queue-simulated", shown, page=ROOT / "docs" / "planning.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
