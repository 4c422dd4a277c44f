"""A small simulation of Argo's controller, for the embedded mode: it starts, locks, and finishes Workflows.

It does what Lockkeeper depends on: it sees only Workflows without a controller instance id, sets phase,
labels and times, takes workflow-level locks before it starts and template-level locks before each task, and
orders waiters of a lock by priority, then age. What it does not do: it runs the leaf templates of
`spec.templates` one after another, whatever entrypoint, steps and DAG; it has no conditions, retries,
pods or deadlines; every task takes the same time. A resource template that creates a Workflow does create it,
and where it has a success condition waits until that is over: if it was refused or failed, so has its parent.
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

from lockkeeper.embedded.lock_status import NO_LOCKS, lock_status
from policy.cluster.errors import ClusterError
from policy.cluster.list_and_watch import watch_from
from policy.cluster.protocol import WORKFLOWS, Cluster, EventType, MergePatch, WatchEvent
from policy.core.lock_model.block_locks import locks_in
from policy.core.lock_model.parameters import TagValues, workflow_values
from policy.core.lock_model.template_bodies import all_bodies, type_of
from policy.core.objects import well_known
from policy.core.objects.identities import SERVICE_ACCOUNT
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    EMPTY_SPEC,
    Metadata,
    Synchronization,
    Template,
    Workflow,
)
from policy.core.policy_kinds.kinds import LEAF_TYPES
from policy.sources.yaml_positions import parse

_SEEN: Final = f"!{well_known.INSTANCE_ID},{well_known.COMPLETED}!=true"
_WATCH_SECONDS: Final = 300.0
_LIMITS_SECONDS: Final = 1.0
"""How often limits are read again for waiters: a policy was edited, or a window opened."""
LimitOf = Callable[[str], int]


Create = Callable[[JsonObject, str, str], str]
"""Creates a Workflow in a namespace as a user; returns its uid, or "" where it was refused."""


class Task(msgspec.Struct, frozen=True):
    """One leaf template to run and the locks that it needs; `child` is what it creates, and may wait for."""

    template: str
    locks: frozenset[str]
    child: JsonObject | None = None
    waits: bool = False


class SimulatedRun(msgspec.Struct):
    """A Workflow on its way: which task is next, and which locks it holds.

    `told` is the step and the busy lock of which its status tells.
    """

    namespace: str
    name: str
    uid: str
    order: tuple[int, datetime, str]
    whole: frozenset[str]
    tasks: tuple[Task, ...]
    account: str = "default"
    next: int = -1
    told: tuple[int, str] = (-1, "")

    @property
    def wanted(self) -> frozenset[str]:
        """The locks that the next step needs: the Workflow's own first, then each task's."""
        return self.whole if self.next < 0 else self.tasks[self.next].locks

    @property
    def locks(self) -> bool:
        """Whether it takes any lock."""
        return bool(self.whole) or any(each.locks for each in self.tasks)


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
    """Runs what it sees until stopped; `task_time` is how long each task takes."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        limit_of: LimitOf,
        task_time: timedelta,
        create: Create = lambda *_: "",
    ) -> None:
        self._cluster = cluster
        self._create = create
        self._parents: dict[str, SimulatedRun] = {}
        self._clock = clock
        self._stopwatch = stopwatch
        self._task_seconds = task_time.total_seconds()
        self.locks = Locks(limit_of=limit_of)
        self._started: set[str] = set()
        self._timers: list[tuple[float, int, SimulatedRun]] = []
        self._ticket = count()
        self._inbox: SimpleQueue[JsonObject | None] = SimpleQueue()
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
            self._finish_due()

    def _watch(self, version: str) -> None:
        def changed(event: WatchEvent[JsonObject]) -> None:
            if event.type is not EventType.DELETED:
                self._inbox.put(event.object)

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
        run = plan_run(item)
        if run.uid not in self._started:
            self._started.add(run.uid)
            self.locks.waiting.append(run)
            self._grant()

    def _finish_due(self) -> None:
        while self._timers and self._timers[0][0] <= self._stopwatch():
            run = heapq.heappop(self._timers)[2]
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
            self._mark(run, "Running", {"startedAt": _stamp(self._clock())})
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
        heapq.heappush(self._timers, (self._stopwatch() + self._task_seconds, next(self._ticket), run))

    def _advance(self, run: SimulatedRun) -> None:
        """Queue for the next task's locks, or finish."""
        run.next += 1
        if run.next < len(run.tasks):
            self.locks.waiting.append(run)
        else:
            self._end(run, "Succeeded")

    def _fail(self, run: SimulatedRun) -> None:
        """End a Workflow over the task that it runs."""
        self.locks.give_back(run.tasks[run.next].locks)
        self._end(run, "Failed")

    def _end(self, run: SimulatedRun, phase: str) -> None:
        """End a Workflow, and let the one continue that waits for it."""
        self.locks.give_back(run.whole)
        self._mark(run, phase, {"finishedAt": _stamp(self._clock())})
        parent = self._parents.pop(run.uid, None)
        if parent is None:
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
            at=_stamp(self._clock()),
        )
        self._patch(run, {"status": status})

    def _mark(self, run: SimulatedRun, phase: str, times: JsonObject) -> None:
        """Write phase, labels and times, as the controller does with every change."""
        completed = "false" if phase == "Running" else "true"
        patch: JsonObject = {
            "metadata": {"labels": {well_known.PHASE: phase, well_known.COMPLETED: completed}},
            "status": {"phase": phase, **times, **(NO_LOCKS if run.locks else {})},
        }
        self._patch(run, patch)

    def _patch(self, run: SimulatedRun, patch: JsonObject) -> None:
        try:
            self._cluster.patch(WORKFLOWS, run.name, MergePatch(patch), namespace=run.namespace)
        except ClusterError:
            return  # It was deleted meanwhile; its locks are freed all the same.


def plan_run(obj: JsonObject) -> SimulatedRun:
    """Return the run of a Workflow: its leaf templates in the order they are written."""
    workflow = msgspec.json.decode(msgspec.json.encode(obj), type=Workflow)
    metadata, spec = workflow.metadata or EMPTY_METADATA, workflow.spec or EMPTY_SPEC
    namespace, name = metadata.namespace or "", metadata.name or ""
    values = workflow_values([spec.arguments], namespace)
    tasks = tuple(
        _task(place.template, _acquired(place.template.synchronization, namespace, values), metadata)
        for place in all_bodies(spec)
        if type_of(place.template) in LEAF_TYPES
    )
    whole = _acquired(spec.synchronization, namespace, values)
    created = metadata.creation_timestamp
    if created is None:
        raise ValueError("a stored object has a creationTimestamp")
    order = (-(spec.priority or 0), created, name)
    account = spec.service_account_name or "default"
    return SimulatedRun(namespace, name, metadata.uid or "", order, whole, tasks, account)


def _task(template: Template, locks: frozenset[str], parent: Metadata) -> Task:
    """Return a task of a Workflow, with the Workflow that it creates."""
    name, resource = template.name or "inline", template.resource
    if resource is None or resource.action != "create":
        return Task(name, locks)
    written = parse((resource.manifest or "").encode()).documents
    child = written[0].value if written else None
    if not isinstance(child, dict) or child.get("kind") != WORKFLOWS.kind:
        return Task(name, locks)
    if resource.set_owner_reference:
        owner: JsonObject = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "name": parent.name,
            "uid": parent.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        metadata = child.get("metadata")
        named = metadata if isinstance(metadata, dict) else {}
        child["metadata"] = {**named, "ownerReferences": [owner]}
    return Task(name, locks, child, bool(resource.success_condition))


def _acquired(block: Synchronization | None, namespace: str, values: TagValues) -> frozenset[str]:
    """Return the locks that a block takes: of those on a condition the first."""
    first: dict[str, str] = {}
    for lock in locks_in(block, "", namespace, values):
        if lock.known:
            first.setdefault(lock.pointer, lock.name)
    return frozenset(first.values())


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
