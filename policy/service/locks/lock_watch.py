"""What is done about the queues of locks: they are shown, deadlocks reported, overlooked waiters touched.

Nothing is remembered beyond the term. A deadlock is reported once it has lasted for a while, because
Workflows are seen one after another; its event has a name of its own, so another leader does not report it
again.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError, NotFound, Trouble
from policy.cluster.protocol import EVENTS, WORKFLOWS, MergePatch
from policy.core.lock_model.lock_names import LockName
from policy.core.lock_model.semaphore_definitions import limit_named
from policy.core.lock_queues.deadlock_circles import circles
from policy.core.lock_queues.live_workflow import Traced
from policy.core.lock_queues.lock_queues import (
    LiveDeadlock,
    LockQueue,
    live_deadlocks,
    lock_queues,
    poisoned_text,
)
from policy.core.lock_queues.touches import Touch, Why, free_locks, none_touched, touches
from policy.core.objects import well_known
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy
from policy.service.leading.term_works import Passes
from policy.service.locks.lock_traces import Follower, Traces, WatchedCluster, scopes
from policy.service.status.events import Action, EventSeverity, ReportedEvent, event_of

_SETTLE: Final = 0.5
"""Seconds from a change to the pass over it: Workflows change all the time."""
_IDLE: Final = 5.0
"""Seconds between two passes while nothing changes: deadlines pass and locks stay free."""
REPORTED_AFTER: Final = 2.0
"""Seconds that a deadlock lasts before it is reported."""
_MOST_TOLD: Final = 10
"""Waiters for one poisoned lock that are told by an event."""
_MOST_NOTE: Final = 1000
"""Characters of an event's note; the API takes 1024."""


class LockRecorder(Protocol):
    """Counts what is done about locks."""

    def touched(self, why: Why) -> None:
        """A Workflow was touched."""
        ...

    def deadlocked(self) -> None:
        """A deadlock was reported."""
        ...


class LocksView(msgspec.Struct, frozen=True):
    """Every lock that is held or waited for, and the deadlocks that last."""

    queues: tuple[LockQueue, ...] = ()
    deadlocks: tuple[LiveDeadlock, ...] = ()


NOTHING_SEEN: Final = LocksView()


class LockWatch(Passes):
    """The work of one term: `run` watches until `stop`; `view` is what was seen last."""

    def __init__(
        self,
        *,
        cluster: WatchedCluster,
        snapshot: Callable[[], Snapshot],
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        recorder: LockRecorder,
        trouble: Trouble,
        me: str,
    ) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._clock = clock
        self._stopwatch = stopwatch
        self._recorder = recorder
        self._trouble = trouble
        self._me = me
        super().__init__(settle=_SETTLE)
        self._followers: dict[str, Follower] = {}
        self._requested: set[str] = set()
        self._free: Mapping[str, datetime] = {}
        self._touched = none_touched()
        self._since: dict[tuple[str, tuple[str, ...]], float] = {}
        self._reported: set[tuple[str, tuple[str, ...]]] = set()
        self._told: set[tuple[str, str]] = set()
        self.traces = Traces(changed=self.wake, clock=clock)
        self.view = NOTHING_SEEN

    def uses(self, lock: str) -> bool:
        """Return whether any Workflow holds or wants a lock; its namespace is watched from then on."""
        if not self.traces.uses(lock):
            return False
        namespace = LockName.parse(lock).namespace
        if namespace not in self._requested:
            self._requested.add(namespace)
            self.wake()
        return True

    def run(self) -> None:
        """Watch until stopped; no error of the cluster ends it."""
        try:
            super().run()
        finally:
            for follower in self._followers.values():
                follower.stop()

    def run_pass(self) -> float:
        """Act on the queues as they are now; return the seconds until the next pass is due."""
        snapshot = self._snapshot()
        self._follow(snapshot)
        now = self._clock()
        found = lock_queues(self.traces.busy(), lambda lock: limit_of(lock, snapshot))
        self.view = LocksView(found, self._report_new(live_deadlocks(found)))
        self._report_poisoned(found)
        self._free = free_locks(found, self._free, now)
        for touch in touches(found, free_since=self._free, before=self._touched, now=now):
            self._touch(touch, now)
        self._touched.keep({waiter.workflow.uid for queue in found for waiter in queue.waiters})
        return REPORTED_AFTER if self._since.keys() - self._reported else _IDLE

    def _follow(self, snapshot: Snapshot) -> None:
        """Start to follow the scopes that are to be watched, and stop the others."""
        wanted = scopes(_governed(snapshot) | self._requested)
        for scope in sorted(wanted - self._followers.keys()):
            follower = Follower(cluster=self._cluster, scope=scope, traces=self.traces, trouble=self._trouble)
            self._followers[scope] = follower
            follower.start()
        if wanted <= self.traces.watched():  # Until the new scopes are listed the others stay.
            for scope in self._followers.keys() - wanted:
                self._followers.pop(scope).stop()
                self.traces.forget(scope)

    def _report_new(self, found: tuple[LiveDeadlock, ...]) -> tuple[LiveDeadlock, ...]:
        """Report the deadlocks that have lasted long enough, each once; return all of those."""
        seconds = self._stopwatch()
        keys = {(each.workflow.uid, each.locks): each for each in found}
        self._since = {key: self._since.get(key, seconds) for key in keys}
        self._reported &= keys.keys()
        lasting = [key for key, since in self._since.items() if seconds - since >= REPORTED_AFTER]
        told = {key: self._report(keys[key]) for key in lasting if key not in self._reported}
        old = self._reported | {key for key, new in told.items() if new is False}
        for circle in circles(keys[key] for key in lasting):  # Counted once, though told on each Workflow.
            members = {(each.workflow.uid, each.locks) for each in circle}
            if any(told.get(key) for key in members) and not members & old:
                self._recorder.deadlocked()
        self._reported.update(key for key, new in told.items() if new is not None)
        return tuple(keys[key] for key in lasting)

    def _report_poisoned(self, found: Iterable[LockQueue]) -> None:
        """Tell the first who wait for a lock that Argo gives to nobody, each once."""
        waits = [
            (queue, waiter.workflow)
            for queue in found
            if queue.poisoned
            for waiter in queue.waiters[:_MOST_TOLD]
        ]
        self._told &= {(workflow.uid, queue.lock) for queue, workflow in waits}
        for queue, workflow in waits:
            key = (workflow.uid, queue.lock)
            note = f"{queue.lock} {poisoned_text(queue)}"
            event = _event(workflow, "LockPoisoned", note, self._clock(), once=("poisoned", *key))
            if key not in self._told and self._created(event, "waits for a poisoned lock") is not None:
                self._told.add(key)

    def _report(self, deadlock: LiveDeadlock) -> bool | None:
        """Create the event of a deadlock; return whether it is new, None where it is to be tried again."""
        once = (deadlock.workflow.uid, *deadlock.locks)
        event = _event(deadlock.workflow, "LockDeadlock", deadlock.text, self._clock(), once=once)
        return self._created(event, "is in a deadlock")

    def _created(self, event: ReportedEvent, what: str) -> bool | None:
        """Create an event; return whether it is new, None where it is to be tried again."""
        try:
            self._cluster.create(EVENTS, event_of(event, me=self._me), namespace=event.namespace)
        except AlreadyExists:
            return False
        except ClusterError as error:
            self._trouble(f"telling that {event.namespace}/{event.name} {what}", error)
            return False if isinstance(error, NotFound) else None
        return True

    def _touch(self, touch: Touch, now: datetime) -> None:
        workflow = touch.workflow
        self._touched.failed(workflow.uid, now, None)
        stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        patch = MergePatch({"metadata": {"annotations": {well_known.TOUCHED: stamp}, "uid": workflow.uid}})
        try:
            self._cluster.patch(WORKFLOWS, workflow.name, patch, namespace=workflow.namespace)
        except NotFound:
            return
        except ClusterError as error:
            self._trouble(f"touching {workflow.key}, which waits for a lock", error)
        else:
            self._recorder.touched(touch.why)


def _governed(snapshot: Snapshot) -> set[str]:
    """Return the namespaces that a policy of locks selects."""
    found: set[str] = set()
    for policy in snapshot.lock_policies:
        if isinstance(policy, ClusterSynchronizationPolicy):
            selector = policy.spec.namespace_selector
            found.update(
                name for name, labels in snapshot.namespace_labels.items() if selector.matches(labels)
            )
        else:
            found.add(policy.metadata.namespace)
    return found


def limit_of(lock: str, snapshot: Snapshot) -> int | None:
    """Return the limit of a lock as Argo reads it now; None where that is not known."""
    maps = snapshot.config_maps
    return limit_named(lock, lambda namespace, name, key: maps.get((namespace, name), {}).get(key))


def _event(
    workflow: Traced, reason: str, text: str, now: datetime, *, once: tuple[str, ...]
) -> ReportedEvent:
    """Return the event to report of a Workflow; what is reported `once` has one name."""
    return ReportedEvent(
        namespace=workflow.namespace,
        name=workflow.name,
        uid=workflow.uid,
        reason=reason,
        note=text if len(text) <= _MOST_NOTE else f"{text[: _MOST_NOTE - 1]}…",
        type=EventSeverity.WARNING,
        at=now,
        action=Action.WAITING,
        once="\0".join(once),
    )
