"""`make bench-release`: what a leader costs, and how fast it releases Workflows on a real control plane.

The leader runs in this process: the real controller over the Kubernetes client. What it reaches is compared
with the same client sending the same patches for the same Workflows in the same run, one after the other.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from statistics import median, quantiles
from threading import Condition, Event, Thread
from typing import Final

import msgspec

from bench import listing, memory, planning
from bench.plane import HANDS, Versions, add_held, add_namespaces, admitted, cluster
from lockkeeper.assembly.controller import several_at_once
from lockkeeper.process.console import utc_now
from policy.cluster.errors import ClusterError
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, JsonPatch, MergePatch
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.queue.positions import WaitReason
from policy.service.release.controller import Controller
from policy.service.release.release_pass import ReleasePass
from policy.service.tracking.tracked import Tracked, track
from policy.service.tracking.tracker import LIVE
from policy.sources.snapshot_store import SnapshotStore
from tests.e2e.building import GoIsMissingError

SETTLE: Final = 2.0
PAUSE: Final = 0.05
"""Seconds for the leader to write positions, and between two ends, or one pass would do for both."""
PATIENCE: Final = 600.0
"""Seconds until something that does not happen ends the measurement."""
SPREAD: Final = 10
"""Namespaces over which the Workflows of the first measurement are spread."""
RUNNING: Final = 20
"""The limit of the namespace with the long queue."""
RATIO: Final = 0.70
FREED: Final = 0.250
"""The goals: of the raw rate, and seconds until the next one is released (p99)."""


class Released:
    """Notes when each Workflow was released; the reporter of the leader that is measured."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self._changed = Condition()

    def released(self, workflow: Tracked, took: timedelta) -> None:  # noqa: ARG002 - a protocol
        """Note the moment at which the patch was answered."""
        with self._changed:
            self.at[workflow.name] = time.perf_counter()
            self._changed.notify_all()

    def waits(self, workflow: Tracked, message: str) -> None:
        """Waits are not measured."""

    def reason(self, workflow: Tracked, reason: WaitReason, message: str) -> None:
        """Nor are their reasons."""

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """No Workflow has a time limit for its wait here."""

    def ended(self, workflow: Tracked, message: str) -> None:
        """Nobody stops one that waits here."""

    def superseded(self, workflow: Tracked, message: str) -> None:
        """No quota has groups here."""

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """Say so: the figures would mean nothing."""
        print(f"{workflow.name} could not be released: {error}", file=sys.stderr)

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """Everything is admitted here."""

    def expired(self, reservations: int) -> None:
        """Every create here is stored."""

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Say so."""
        print(f"{doing}: {error}", file=sys.stderr)

    def wait(self, wanted: int) -> None:
        """Wait until so many were released in all. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.at) >= wanted, PATIENCE):
                raise TimeoutError(f"{len(self.at)} of {wanted} were released")


@contextmanager
def leading(on: KubeCluster, snapshots: SnapshotStore, released: Released) -> Iterator[None]:
    """Let the real leader work in a thread of this process; when the context begins it has seen all."""
    ledgers = Ledgers(cluster=on, clock=utc_now, leads=True)
    release_pass = ReleasePass(
        cluster=on,
        ledgers=ledgers,
        snapshot=snapshots.current,
        clock=utc_now,
        publish=snapshots.put_usage,
        reporter=released,
        send_all=several_at_once(),
    )
    controller = Controller(cluster=on, release_pass=release_pass, clock=utc_now, trouble=released.trouble)
    ready = Event()
    snapshots.on_policies(controller.wake)
    snapshots.on_usage(ready.set)
    thread = Thread(target=controller.run, name="leader", daemon=True)
    thread.start()
    if not ready.wait(PATIENCE):
        raise TimeoutError("the leader made no pass")
    time.sleep(SETTLE)  # The first of the queue get their positions.
    try:
        yield
    finally:
        controller.stop()
        thread.join(PATIENCE)


def live(on: KubeCluster) -> list[Tracked]:
    """Return the Workflows that are not completed."""
    return [track(item) for item in on.list(WORKFLOWS, labels=LIVE, metadata_only=True).items]


def raw_rate(on: KubeCluster, workflows: Iterable[Tracked]) -> float:
    """Send every release one after the other, and return how many a second were answered."""
    patches = [
        (each, JsonPatch(hold.release_patch(each.metadata, utc_now(), has_status=True))) for each in workflows
    ]
    since = time.perf_counter()
    for each, patch in patches:
        on.patch(WORKFLOWS, each.name, patch, namespace=each.namespace)
    return len(patches) / (time.perf_counter() - since)


def hold_again(on: KubeCluster, workflows: Iterable[Tracked]) -> None:
    """Hold Workflows that were released, as the webhook does with one that is retried."""

    def hold(each: Tracked) -> None:
        value: JsonObject = {
            "metadata": {
                "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE},
                "annotations": {well_known.HOLDS: str(int(each.holds or "0") + 1)},
            },
            "status": {
                "phase": well_known.HELD_PHASE,
                "message": f"{well_known.HELD_MESSAGE_PREFIX}: position 1",
            },
        }
        on.patch(WORKFLOWS, each.name, MergePatch(value), namespace=each.namespace)

    with ThreadPoolExecutor(HANDS) as hands:
        for _ in hands.map(hold, workflows):
            pass


def leader_rate(on: KubeCluster, namespaces: Sequence[str], versions: Versions, every: int) -> float:
    """Let a leader hold everything, remove its limits, and return the releases a second."""
    released = Released()
    snapshots = SnapshotStore(snapshot=versions.limited(namespaces, 0), clock=utc_now)
    with leading(on, snapshots, released):
        since = time.perf_counter()
        snapshots.put_policies(versions.limited(namespaces, every))
        released.wait(every)
        return every / (max(released.at.values()) - since)


def measure_rates(on: KubeCluster, every: int, rounds: int) -> list[tuple[float, float]]:
    """Return the raw rate and the leader's of every round, in ABBA order."""
    namespaces = [f"rate-{number}" for number in range(SPREAD)]
    versions = Versions()
    add_namespaces(on, namespaces)
    names = [(f"run-{number:05d}", namespaces[number % SPREAD]) for number in range(every)]
    add_held(on, names, versions.limited(namespaces, 0))
    found = []
    for number in range(rounds):
        rates = {}
        for raw in (True, False) if number % 2 == 0 else (False, True):
            rates[raw] = raw_rate(on, live(on)) if raw else leader_rate(on, namespaces, versions, every)
            hold_again(on, live(on))
        found.append((rates[True], rates[False]))
    end_all(on, live(on))
    return found


def end_all(on: KubeCluster, workflows: Iterable[Tracked]) -> None:
    """Mark Workflows as completed."""
    with ThreadPoolExecutor(HANDS) as hands:
        for _ in hands.map(lambda each: end(on, each.name, each.namespace), workflows):
            pass


def end(on: KubeCluster, name: str, namespace: str) -> None:
    """Mark a Workflow as completed, as Argo's controller does."""
    value: JsonObject = {"metadata": {"labels": {well_known.COMPLETED: "true"}}}
    on.patch(WORKFLOWS, name, MergePatch(value), namespace=namespace)


class Freed(msgspec.Struct, frozen=True):
    """One slot that became free: how long the patch took that freed it, and the next release after it."""

    patch: float
    release: float


def measure_freed(on: KubeCluster, queued: int, samples: int) -> list[Freed]:
    """Let one end after the other where many wait, and time the next release, from the answer of the end."""
    namespace, versions, released = "long", Versions(), Released()
    snapshot = versions.limited([namespace], RUNNING)
    add_namespaces(on, [namespace])
    add_held(on, [(f"run-{number:06d}", namespace) for number in range(queued + RUNNING)], snapshot)
    snapshots = SnapshotStore(snapshot=snapshot, clock=utc_now)
    found = []
    with leading(on, snapshots, released):
        released.wait(RUNNING)
        for number, running in zip(range(samples), _in_order(released), strict=False):
            since = time.perf_counter()
            end(on, running, namespace)
            freed = time.perf_counter()
            released.wait(RUNNING + number + 1)
            last = max(released.at.values())
            found.append(Freed(freed - since, last - freed))
            name = f"late-{number:06d}"
            on.create(WORKFLOWS, admitted(name, namespace, snapshot), namespace=namespace)
            time.sleep(PAUSE)
    return found


def _in_order(released: Released) -> Iterator[str]:
    """Yield those that were released, the oldest first, and wait for more."""
    for number in count():
        yield list(released.at)[number]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.release", description=__doc__)
    parser.add_argument("--workflows", type=int, default=1000, help="to be let go at once (1000)")
    parser.add_argument("--rounds", type=int, default=2, help="of the same, beside the raw rate (2)")
    parser.add_argument("--queued", type=int, default=5000, help="in the long queue (5000)")
    parser.add_argument("--only", choices=("memory", "list", "plan", "release"), help="of the four parts")
    parser.add_argument("--samples", type=int, default=300, help="slots that become free there (300)")
    return parser.parse_args()


def report(given: argparse.Namespace) -> bool:
    """Measure releases and print; return whether the goals are met. Skipped without a control plane."""
    try:
        with cluster() as on:
            rates = measure_rates(on, given.workflows, given.rounds)
            for raw, ours in rates:
                print(f"raw {raw:6.1f} patches/s   leader {ours:6.1f} releases/s   {ours / raw:5.2f}")
            ratio = median(ours / raw for raw, ours in rates)
            print(f"{given.workflows} Workflows released at {ratio:.2f} of the raw rate (goal {RATIO:.2f})")
            freed = measure_freed(on, given.queued, given.samples)
    except GoIsMissingError as missing:
        print(f"skipped: {missing}")
        return True
    releases, patches = [each.release for each in freed], [each.patch for each in freed]
    slow = percentile(releases, 99)
    print(f"{given.queued} queued in one namespace, {len(freed)} slots freed, one after the other")
    for what, values in (("freed to released", releases), ("the patch that frees", patches)):
        p50, p99 = percentile(values, 50), percentile(values, 99)
        print(f"  {what:22} p50 {p50 * 1000:6.1f} ms   p99 {p99 * 1000:6.1f} ms")
    print(f"freed to released: p99 {slow * 1000:.0f} ms (goal {FREED * 1000:.0f})")
    return ratio >= RATIO and slow <= FREED


def main() -> int:
    """Measure all parts, and show by the exit code whether the goals are met."""
    given = arguments()
    parts: dict[str, Callable[[], bool]] = {
        "memory": memory.report,
        "list": lambda: listing.report(memory.KNOWN, rounds=5),
        "plan": lambda: planning.report(rounds=2000, repeats=2),
        "release": lambda: report(given),
    }
    met = [part() for name, part in parts.items() if given.only in (None, name)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
