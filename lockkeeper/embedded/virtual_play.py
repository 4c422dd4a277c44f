"""The embedded mode on a virtual clock, in one thread: the whole product plays a load as fast as it can.

The webhook's own bytes in and out, the leader's own passes over ledgers and watch, and the simulated Argo; no
sockets and no waiting. What is created is exactly as long as its load says, so the same load can be played by
`lockkeeper simulate` and compared, release by release; and what comes out is a history as a cluster has it.

The steps at one time, in their order: Argo ends what ends, users create, the leader makes its passes.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

import jsonpatch
import msgspec

from lockkeeper.embedded.api_server import AdmissionCall, read_answer
from lockkeeper.simulated_argo.argo import SimulatedArgo
from lockkeeper.simulated_argo.simulated_runs import SimulatedRun
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, Selection, WatchEvent
from policy.cluster.workflow_reads import ClusterRelatives
from policy.core.decision.decision import Decision, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.lock_limits import LockLimits
from policy.core.policies.snapshot import Snapshot
from policy.service.release.release_pass import ReleasePass
from policy.service.release.release_sender import Reporter
from policy.service.simulation.arrivals import at
from policy.service.simulation.past_run import PastRun
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import LIVE, Tracker
from policy.sources.snapshot_store import SnapshotStore
from webhook.review import Reviewing, review
from webhook.wire import Received

_BUDGET: Final = timedelta(seconds=10)
_NOTHING: Final = "None"
_MOST_PASSES: Final = 1_000
"""Passes at one time at most: none is endless."""
_HORIZON: Final = 14 * 86_400.0
"""Seconds after the last end, before what waits is taken to wait for ever."""


class _Recorder:
    """Notes in which order the leader released, and ignores the rest of what a Reporter is told."""

    def __init__(self) -> None:
        self.released_names: list[str] = []

    def released(self, workflow: Tracked, took: timedelta) -> None:  # noqa: ARG002 - a protocol
        """Note a release."""
        self.released_names.append(f"{workflow.namespace}/{workflow.name}")

    def __getattr__(self, _: str) -> Callable[..., None]:
        return self._ignore

    def _ignore(self, *_: object) -> None:
        """Ignore what else is told."""


class PlayedTimes(NamedTuple):
    """When a Workflow ended, in seconds since 1970."""

    namespace: str
    name: str
    ended: float


class VirtualPlay:
    """One play. `releases` are the names of those that were released, in order; `denied` those refused."""

    def __init__(self, *, snapshot: Snapshot, begin: float, reporter: Reporter | None = None) -> None:
        self.now = begin
        self.denied: list[tuple[str, str]] = []
        self._snapshot = snapshot
        self._random = Random(1)  # noqa: S311 - uids that are the same each time
        self._cluster = MemoryCluster(clock=self._clock, rng=self._random, log_size=100_000)
        self._snapshots = SnapshotStore(snapshot=snapshot, clock=self._clock)
        self._lock_limits = LockLimits(snapshot)
        ledgers = Ledgers(cluster=self._cluster, clock=self._clock)
        self._recorder = _Recorder()
        self._tracker = Tracker()
        self._pass = ReleasePass(
            cluster=self._cluster,
            ledgers=ledgers,
            snapshot=self._snapshots.current,
            clock=self._clock,
            publish=self._snapshots.put_usage,
            reporter=reporter or self._recorder,
        )
        self._reviewing = Reviewing(
            snapshot=self._snapshots.current,
            reservations=ledgers,
            clock=self._clock,
            stopwatch=lambda: self.now,
            monotonic=lambda: self.now,
            recorder=_NoRecord(),
            relatives=ClusterRelatives(cluster=self._cluster),
        )
        self._runs: dict[str, PastRun] = {}
        self._argo = SimulatedArgo(
            cluster=self._cluster,
            clock=self._clock,
            stopwatch=lambda: self.now,
            limit_of=lambda lock: self._lock_limits.limit(lock, self._clock()) or 0,
            task_time=timedelta(),
            seconds_of=self._seconds_of,
            with_nodes=True,
        )
        self._last_end = begin
        self._seen = self._cluster.list(WORKFLOWS).resource_version
        self._relist()
        self._settle()  # A webhook waits for a leader to have counted what runs, and this clock stands still.

    @property
    def releases(self) -> list[str]:
        """The names of those that were released, in that order."""
        return self._recorder.released_names

    def play(self, runs: Iterable[PastRun]) -> None:
        """Create every run at its time, and let time pass until nothing happens any more."""
        for run in runs:
            self._pass_time(run.created)
            self._create(run)
        self._pass_time(None)

    def history(self) -> Iterator[JsonObject]:
        """Yield all Workflows as the cluster has them now, oldest first."""
        items = self._cluster.list(WORKFLOWS).items
        yield from sorted(items, key=lambda each: _text(each, "metadata", "creationTimestamp"))

    def told(self) -> Iterator[PlayedTimes]:
        """Yield when each Workflow that has ended did so."""
        for item in self.history():
            ended = _text(item, "status", "finishedAt")
            if ended != _NOTHING:
                place = _text(item, "metadata", "namespace"), _text(item, "metadata", "name")
                yield PlayedTimes(*place, datetime.fromisoformat(ended).timestamp())

    def _clock(self) -> datetime:
        return at(self.now)

    def _seconds_of(self, run: SimulatedRun) -> float:
        return self._runs[f"{run.namespace}/{run.name}"].stretches[run.next].seconds

    # Time.

    def _pass_time(self, until: float | None) -> None:
        """Let everything happen up to a time, or (None) until nothing happens any more."""
        dirty = True
        while True:
            due = self._next()
            over = due is None or (until is not None and due > until)
            if dirty and (until is None or until > self.now or not over):
                self._settle()
                dirty = False
                continue
            if due is None or over:
                break
            self.now = max(self.now, due)
            self._argo.finish_due()
            dirty = True
        if until is not None:
            self.now = max(self.now, until)

    def _next(self) -> float | None:
        """Return when the next task ends, or the leader is to make a pass by time alone."""
        ends = self._argo.next_due()
        if ends is not None:
            self._last_end = max(self._last_end, ends)
        passes = self._pass.next_event()
        wakes = None if passes is None else max(passes.timestamp(), self.now + 1)
        if ends is None and (wakes is None or wakes > self._last_end + _HORIZON or not self._waits()):
            return None
        return min(each for each in (ends, wakes) if each is not None)

    def _waits(self) -> bool:
        return any(each.held for each in self._tracker) or bool(self._argo.locks.waiting)

    def _settle(self) -> None:
        """Let the leader see what has changed, and Argo what the leader has released, until neither does."""
        for _ in range(_MOST_PASSES):
            self._follow()
            while self._pass.fence_new(self._tracker) or self._tracker.outdated:
                self._relist()
            self._pass.run_pass(self._tracker)
            if not self._follow():
                return

    def _follow(self) -> bool:
        """Hand over what has changed since the last time; return whether anything has."""
        events = list(self._cluster.watch(WORKFLOWS, since=self._seen, timeout=0))
        if not events:
            return False
        selection = Selection(WORKFLOWS, labels=LIVE, metadata_only=True)
        shape = self._tracker.shape
        for live in self._cluster.watch_as(selection, shape, since=self._seen, timeout=0):
            self._tracker.apply(live)
        self._seen = events[-1].resource_version
        for event in events:
            self._show(event)
        return True

    def _show(self, event: WatchEvent[JsonObject]) -> None:
        """Show a Workflow to Argo, if it is one that Argo sees and has not completed."""
        labels = event.object.get("metadata", {})
        found = labels.get("labels") if isinstance(labels, dict) else None
        named = found if isinstance(found, dict) else {}
        if well_known.INSTANCE_ID not in named and named.get(well_known.COMPLETED) != "true":
            self._argo.take(event.object)

    def _relist(self) -> None:
        selection = Selection(WORKFLOWS, labels=LIVE, metadata_only=True)
        self._tracker.reset(self._cluster.list_as(selection, self._tracker.shape))

    # Users.

    def _create(self, run: PastRun) -> None:
        """Send a run through both webhooks as the API server does, and store it."""
        obj: JsonObject = msgspec.json.decode(run.manifest)
        call = AdmissionCall(obj=obj, namespace=run.namespace, user=run.user)
        for side in (Side.MUTATE, Side.VALIDATE):
            uid = str(UUID(int=self._random.getrandbits(128), version=4))
            body = msgspec.json.encode(msgspec.structs.replace(call, obj=obj).review(uid))
            answer = read_answer(review(body, side, _BUDGET, self._reviewing), uid)
            if not answer.allowed:
                self.denied.append((f"{run.namespace}/{run.name}", answer.message))
                return
            if answer.patch:
                obj = jsonpatch.apply_patch(obj, list(answer.patch))
        self._runs[f"{run.namespace}/{run.name}"] = run
        self._cluster.create(WORKFLOWS, obj, namespace=run.namespace)


class _NoRecord:
    """The record of reviews, which nobody reads."""

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Forget it."""


def _text(obj: JsonObject, *path: str) -> str:
    found: object = obj
    for each in path:
        found = found.get(each) if isinstance(found, dict) else None
    return str(found)
