"""Which locks each live Workflow holds or waits for, in the namespaces whose locks are watched.

One thread a scope lists and watches whole Workflows, decoded straight into narrow structs; each makes one
small record. A scope is a namespace, or all of them where many are watched.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Final, Protocol

import msgspec

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.list_and_watch import list_and_watch, shaped_objects
from policy.cluster.protocol import (
    WORKFLOWS,
    Applying,
    Cluster,
    EventType,
    Listing,
    ReadingAs,
    Selection,
    Unread,
    WatchEvent,
)
from policy.core.lock_model.lock_names import LockName
from policy.core.lock_queues.live_workflow import LiveWorkflow, Traced
from policy.core.lock_queues.trace import trace
from policy.service.tracking.tracker import LIVE

EVERYWHERE: Final = ""
MOST_SCOPES: Final = 10
"""Namespaces that are watched one by one; of more, all Workflows of the cluster are watched in one."""
_MOST_SETS: Final = 10_000
_WATCH_SECONDS: Final = 300.0


class WatchedCluster(Cluster, Applying, ReadingAs, Protocol):
    """A cluster of which large objects can be read in a shape."""


def scopes(namespaces: Iterable[str]) -> frozenset[str]:
    """Return what is to be watched for these namespaces."""
    wanted = frozenset(namespaces)
    return wanted if len(wanted) <= MOST_SCOPES else frozenset({EVERYWHERE})


class Traces:
    """The records; safe for any number of threads. `changed` is called when one of them may have changed."""

    def __init__(self, *, changed: Callable[[], None], clock: Callable[[], datetime]) -> None:
        self._changed = changed
        self._clock = clock
        self._lock = Lock()
        self._traced: dict[str, dict[tuple[str, str], Traced]] = {}
        self._named: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._sets: dict[frozenset[str], frozenset[str]] = {}

    def busy(self) -> list[Traced]:
        """Return those that hold or wait for a lock."""
        with self._lock:
            return [
                each for scope in self._traced.values() for each in scope.values() if each.holds or each.waits
            ]

    def uses(self, lock: str) -> bool:
        """Return whether any Workflow holds, wants, or may want a lock; True where that is unknown."""
        namespace = LockName.parse(lock).namespace
        with self._lock:
            watched = namespace in self._traced or EVERYWHERE in self._traced
            return not watched or self._named[lock] > 0 or self._open[namespace] > 0

    def watched(self) -> frozenset[str]:
        """Return the scopes that were listed."""
        with self._lock:
            return frozenset(self._traced)

    def reset(self, scope: str, items: Iterable[LiveWorkflow | Unread]) -> None:
        """Start a scope again from a listing; a Workflow that cannot be decoded counts as using no lock."""
        traced = [trace(item, unborn=self._clock()) for item in items if isinstance(item, LiveWorkflow)]
        with self._lock:
            self._forget(scope)
            self._traced[scope] = {}
            for each in traced:
                self._put(scope, each)
        self._changed()

    def apply(self, scope: str, event: WatchEvent[LiveWorkflow | Unread]) -> None:
        """Fold one event in."""
        found = event.object
        if isinstance(found, Unread) or event.type is EventType.DELETED:
            named = found if isinstance(found, Unread) else found.metadata
            with self._lock:
                before = self._traced.get(scope, {}).pop((named.namespace or "", named.name or ""), None)
                moved = before is not None
                if before is not None:
                    self._count(before, -1)
        else:
            traced = trace(found, unborn=self._clock())
            with self._lock:
                known = self._traced.get(scope)  # None where the scope is not watched any more.
                moved = known is not None and known.get((traced.namespace, traced.name)) != traced
                if moved:
                    self._put(scope, traced)
        if moved:
            self._changed()

    def forget(self, scope: str) -> None:
        """Forget a scope that is not watched any more."""
        with self._lock:
            self._forget(scope)

    def _forget(self, scope: str) -> None:
        for each in self._traced.pop(scope, {}).values():
            self._count(each, -1)

    def _shared(self, traced: Traced) -> Traced:
        """Return a record that shares its sets with others: runs of one template name the same locks."""
        if len(self._sets) > _MOST_SETS:
            self._sets.clear()
        return msgspec.structs.replace(
            traced,
            named=self._sets.setdefault(traced.named, traced.named),
            indexed=self._sets.setdefault(traced.indexed, traced.indexed),
        )

    def _put(self, scope: str, traced: Traced) -> None:
        traced = self._shared(traced)
        key = (traced.namespace, traced.name)
        before = self._traced[scope].get(key)
        if before is not None:
            self._count(before, -1)
        self._traced[scope][key] = traced
        self._count(traced, 1)

    def _count(self, traced: Traced, by: int) -> None:
        held, waited = (each.lock for each in traced.holds), (each.lock for each in traced.waits)
        for lock in traced.named.union(held, waited):
            self._named[lock] += by
            if not self._named[lock]:
                del self._named[lock]
        if traced.open_ended:
            self._open[traced.namespace] += by


class Follower:
    """Follows one scope in a thread of its own until stopped: a Consumer of whole Workflows."""

    def __init__(self, *, cluster: WatchedCluster, scope: str, traces: Traces, trouble: Trouble) -> None:
        selection = Selection(WORKFLOWS, namespace=scope, labels=LIVE)
        self._source = shaped_objects(cluster, selection, LiveWorkflow, timeout=_WATCH_SECONDS)
        self._scope = scope
        self._traces = traces
        self._trouble = trouble
        self._stopped = Event()

    def start(self) -> None:
        """Start the thread."""
        name = f"locks-{self._scope or 'everywhere'}"
        Thread(target=self._follow, name=name, daemon=True).start()

    def stop(self) -> None:
        """End with the next event or time-out of the watch; nothing is folded in after that."""
        self._stopped.set()

    def listed(self, listing: Listing[LiveWorkflow | Unread]) -> None:
        """Start the scope again."""
        self._traces.reset(self._scope, listing.items)

    def changed(self, event: WatchEvent[LiveWorkflow | Unread]) -> None:
        """Fold one event in, unless it arrives after the stop: the scope may be forgotten by then."""
        if not self._stopped.is_set():
            self._traces.apply(self._scope, event)

    def failed(self, error: ClusterError) -> None:
        """Report an error; the scope is listed again."""
        self._trouble("watching Workflows for their locks", error)

    def _follow(self) -> None:
        list_and_watch(self._source, self, stopped=self._stopped)
