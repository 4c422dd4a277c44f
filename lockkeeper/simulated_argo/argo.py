"""A small simulation of Argo's controller, for the embedded mode: it starts, locks, and finishes Workflows.

It does what Lockkeeper depends on: it sees only Workflows without a controller instance id, sets phase,
labels and times, takes workflow-level locks before it starts and template-level locks before each task,
orders waiters of a lock by priority, then age, and ends what is to end (`spec.shutdown`). What it does not
do: it runs the leaf templates of `spec.templates`, or of the template in `workflowTemplateRef`, one after
another, whatever entrypoint, steps and DAG; it has no conditions, retries, pods, deadlines or suspension;
every task takes the same time. A resource template that creates a Workflow does create it, and where it has a
success condition waits until that is over: if it was refused or failed, so has its parent.
Of parameters it knows those of the Workflow in the names of locks: a lock on a condition is taken as if that
held, one whose name is not known not at all.
"""

import heapq
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import count
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final

import msgspec

from lockkeeper.simulated_argo.lock_status import NO_LOCKS, lock_status
from lockkeeper.simulated_argo.simulated_runs import SimulatedRun, ended_nodes, plan_run, with_template
from lockkeeper.simulated_argo.written_parts import stamp
from policy.cluster.errors import ClusterError
from policy.cluster.list_and_watch import watch_from
from policy.cluster.protocol import WORKFLOWS, Cluster, EventType, MergePatch, WatchEvent
from policy.core.objects import well_known
from policy.core.objects.identities import SERVICE_ACCOUNT
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject, JsonValue

_SEEN: Final = f"!{well_known.INSTANCE_ID},{well_known.COMPLETED}!=true"
_WATCH_SECONDS: Final = 300.0
_LIMITS_SECONDS: Final = 1.0
"""How often limits are read again for waiters: a policy was edited, or a window opened."""

LimitOf = Callable[[str], int]
Create = Callable[[JsonObject, str, str], str]
"""Creates a Workflow in a namespace as a user; returns its uid, or "" where it was refused."""
SecondsOf = Callable[[SimulatedRun], float]
"""Returns how long the task of a run takes that it begins."""


class WorkflowGone(msgspec.Struct, frozen=True):
    """That a Workflow was deleted, or is not seen any more."""

    uid: str


class Locks:
    """Holders and waiters of every lock; a lock's limit is read at each grant."""

    def __init__(self, *, limit_of: LimitOf) -> None:
        self._limit_of = limit_of
        self.held: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.waiting: list[SimulatedRun] = []

    def take(self, names: Iterable[str]) -> bool:
        """Take all the locks, or none of them."""
        wanted = tuple(names)
        if any(self.held.get(name, 0) >= self._limit_of(name) for name in wanted):
            return False
        for name in wanted:
            self.held[name] = self.held.get(name, 0) + 1
            self.most[name] = max(self.most.get(name, 0), self.held[name])
        return True

    def busy(self, names: Iterable[str]) -> str:
        """Return a lock of these that is not to be had, "" where there is none."""
        return next((each for each in sorted(names) if self.held.get(each, 0) >= self._limit_of(each)), "")

    def give_back(self, names: Iterable[str]) -> None:
        """Free locks that were taken."""
        for name in names:
            self.held[name] -= 1


class SimulatedArgo:
    """Runs what it sees until stopped; each task takes `task_time`, unless `seconds_of` says how long.

    With `with_nodes` a run that ends is left with its nodes, as a history needs them.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        limit_of: LimitOf,
        task_time: timedelta,
        create: Create = lambda *_: "",
        seconds_of: SecondsOf | None = None,
        with_nodes: bool = False,
    ) -> None:
        seconds = task_time.total_seconds()
        self._cluster = cluster
        self._create = create
        self._parents: dict[str, SimulatedRun] = {}
        self._clock = clock
        self._stopwatch = stopwatch
        self._seconds_of = seconds_of or (lambda _: seconds)
        self._with_nodes = with_nodes
        self.locks = Locks(limit_of=limit_of)
        self._started: set[str] = set()
        self._timers: list[tuple[float, int, SimulatedRun]] = []
        self._ticket = count()
        self._running: dict[str, SimulatedRun] = {}
        self._inbox: SimpleQueue[JsonObject | WorkflowGone | None] = SimpleQueue()
        self._stopped = Event()

    def stop(self) -> None:
        """End the loop."""
        self._stopped.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Work until stopped."""
        listing = self._cluster.list(WORKFLOWS, labels=_SEEN)
        for item in listing.items:
            self._inbox.put(item)
        Thread(target=self._watch, args=(listing.resource_version,), name="argo-watch", daemon=True).start()
        while not self._stopped.is_set():
            self._start_new()
            self.finish_due()

    def _watch(self, version: str) -> None:
        def changed(event: WatchEvent[JsonObject]) -> None:
            if event.type is not EventType.DELETED:
                self._inbox.put(event.object)
            elif isinstance(metadata := event.object.get("metadata"), dict):
                self._inbox.put(WorkflowGone(str(metadata.get("uid"))))

        watch_from(
            version,
            lambda since: self._cluster.watch(WORKFLOWS, since=since, labels=_SEEN, timeout=_WATCH_SECONDS),
            changed=changed,
            stopped=self._stopped.is_set,
        )

    def _start_new(self) -> None:
        """Wait for a Workflow or the next due task, whichever is first."""
        waits = [max(self._timers[0][0] - self._stopwatch(), 0.0)] if self._timers else []
        waits += [_LIMITS_SECONDS] if self.locks.waiting else []
        try:
            item = self._inbox.get(timeout=min(waits, default=None))
        except Empty:
            self._grant()
            return
        if item is None:
            return
        if isinstance(item, WorkflowGone):
            gone = self._running.get(item.uid)
            if gone is not None:
                self._leave(gone)
                self._grant()
            return
        self.take(item)

    def take(self, item: JsonObject) -> None:
        """Start a Workflow that it sees, unless it has done so; end it where it is to end."""
        run = plan_run(with_template(item, self._cluster))
        if run.uid not in self._started:
            self._started.add(run.uid)
            self._running[run.uid] = run
            self.locks.waiting.append(run)
        shutdown, known = shutdown_of(item), self._running.get(run.uid)
        if shutdown and known is not None:
            self._leave(known)
            self._tell_end(known, "Failed", message=f"Stopped with strategy '{shutdown}'")
        self._grant()

    def next_due(self) -> float | None:
        """Return when the next task ends, by the stopwatch."""
        return self._timers[0][0] if self._timers else None

    def finish_due(self) -> None:
        """End the tasks that are due."""
        while self._timers and self._timers[0][0] <= self._stopwatch():
            run = heapq.heappop(self._timers)[2]
            if run.over:
                continue
            self.locks.give_back(run.tasks[run.next].locks)
            self._advance(run)
            self._grant()

    def _grant(self) -> None:
        """Give locks to waiters in order until no waiter can continue; one that continues may free some."""
        granted: SimulatedRun | None = self._next_granted()
        while granted is not None:
            self._proceed(granted)
            granted = self._next_granted()
        for run in self.locks.waiting:
            self._tell(run, self.locks.busy(run.wanted))

    def _next_granted(self) -> SimulatedRun | None:
        for run in sorted(self.locks.waiting, key=lambda each: each.order):
            if self.locks.take(run.wanted):
                self.locks.waiting.remove(run)
                return run
        return None

    def _proceed(self, run: SimulatedRun) -> None:
        """Continue with a step whose locks are held: start the Workflow, or run its task."""
        if run.next < 0:
            self._mark(run, "Running", {"startedAt": stamp(self._clock())})
            self._advance(run)
            return
        self._tell(run, "")
        task = run.tasks[run.next]
        if task.child is not None:
            child = self._create(task.child, run.namespace, f"{SERVICE_ACCOUNT}{run.namespace}:{run.account}")
            if not child:
                self._fail(run)
                return
            if task.waits:
                self._parents[child] = run
                return
        heapq.heappush(self._timers, (self._stopwatch() + self._seconds_of(run), next(self._ticket), run))

    def _advance(self, run: SimulatedRun) -> None:
        """Queue for the next task's locks, or finish."""
        now = stamp(self._clock())
        if run.next >= 0:
            run.times[run.next] = (run.times[run.next][0], now)
        run.next += 1
        if run.next < len(run.tasks):
            run.times[run.next] = (now, now)
            self.locks.waiting.append(run)
        else:
            self._end(run, "Succeeded")

    def _fail(self, run: SimulatedRun) -> None:
        """End a Workflow over the task that it runs."""
        self.locks.give_back(run.tasks[run.next].locks)
        self._end(run, "Failed")

    def _end(self, run: SimulatedRun, phase: str) -> None:
        """End a Workflow that holds its own locks alone."""
        self.locks.give_back(run.whole)
        self._forget(run)
        self._tell_end(run, phase)

    def _leave(self, run: SimulatedRun) -> None:
        """Free what a Workflow holds that goes on no more, wherever it is."""
        waits = any(each is run for each in self.locks.waiting)
        if waits:
            self.locks.waiting = [each for each in self.locks.waiting if each is not run]
        else:
            self.locks.give_back(run.wanted)
        if run.next >= 0:
            self.locks.give_back(run.whole)
        self._forget(run)

    def _forget(self, run: SimulatedRun) -> None:
        run.over = True
        self._running.pop(run.uid, None)

    def _tell_end(self, run: SimulatedRun, phase: str, **more: JsonValue) -> None:
        """Write the end of a Workflow, and let the one continue that waits for it."""
        self._mark(run, phase, {"finishedAt": stamp(self._clock()), **more})
        parent = self._parents.pop(run.uid, None)
        if parent is None or parent.over:
            return
        if phase == "Failed":
            self._fail(parent)
            return
        self.locks.give_back(parent.tasks[parent.next].locks)
        self._advance(parent)

    def _tell(self, run: SimulatedRun, busy: str) -> None:
        """Write which locks it holds, and for which one it waits, where that is news."""
        if not run.locks or run.told == (run.next, busy):
            return
        run.told = run.next, busy
        node = f"{run.name}-{run.next}" if run.next >= 0 else ""
        status = lock_status(
            workflow=f"{run.namespace}/{run.name}",
            whole=run.whole if node else (),
            node=node,
            held=run.wanted if node and not busy else (),
            busy=busy,
            at=stamp(self._clock()),
        )
        self._patch(run, {"status": status})

    def _mark(self, run: SimulatedRun, phase: str, times: JsonObject) -> None:
        """Write phase, labels and times, as the controller does with every change."""
        completed = "false" if phase == "Running" else "true"
        nodes = ended_nodes(run, phase) if self._with_nodes and phase != "Running" else {}
        patch: JsonObject = {
            "metadata": {"labels": {well_known.PHASE: phase, well_known.COMPLETED: completed}},
            "status": {"phase": phase, **(NO_LOCKS if run.locks else {}), **times, **nodes},
        }
        self._patch(run, patch)

    def _patch(self, run: SimulatedRun, patch: JsonObject) -> None:
        try:
            self._cluster.patch(WORKFLOWS, run.name, MergePatch(patch), namespace=run.namespace)
        except ClusterError:
            return  # It was deleted meanwhile; its locks are freed all the same.


def shutdown_of(obj: JsonObject) -> str:
    """Return how a Workflow is to end, "" where it is not."""
    return str(part(obj, "spec", "shutdown") or "")
