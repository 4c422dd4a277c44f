"""The cluster as the page shows it: the view, one Workflow's story, locks and policies; read when asked."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

import msgspec

from lockkeeper.actions.changes import not_found
from lockkeeper.locks.live_locks import SemaphoreLimits, ShownLocks, live_traces, shown
from lockkeeper.locks.lock_sentences import lock_sentences
from lockkeeper.page.change_watch import ChangeWatch
from lockkeeper.page.history import History
from lockkeeper.page.last_read import LastRead, Latest
from lockkeeper.page.policy_rows import SeenPolicies, read_policies
from policy.cluster.errors import NotFound
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.cluster_view.story import SeenWorkflow, Story, story_of_other
from policy.core.cluster_view.view import ClusterView, WaitingRow
from policy.core.lock_queues.lock_queues import live_deadlocks, lock_queues
from policy.service.reading.argo_limits_read import read_argo_limit
from policy.service.reading.cluster_reading import ClusterReader
from policy.service.reading.cluster_views import cluster_view
from policy.service.reading.live_roots import LiveRoots
from policy.service.reading.queued_story import story_of_queued

_STORY_LASTS: Final = timedelta(seconds=30)
"""A story is told again after so long, though nothing else has changed: it says how long a wait lasts."""
_VIEW_LASTS: Final = timedelta(seconds=30)
"""A view is made again after so long, though nothing was written: limits change by themselves."""
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)


class SeenCluster(msgspec.Struct, frozen=True):
    """The view, and what it was made of; `mark` is another where what is shown is another.

    At the time `at` it was still so. `waiting` are the rows by namespace and name; `stories` are those that
    were asked for.
    """

    at: datetime
    roots: LiveRoots
    view: ClusterView
    mark: str
    waiting: dict[tuple[str, str], WaitingRow]
    stories: dict[str, tuple[Story | None, datetime]]


class SeenLocks(msgspec.Struct, frozen=True):
    """All locks at one time."""

    at: datetime
    locks: ShownLocks
    mark: str


class ClusterState:
    """What there is in one namespace, or with "" in all of them.

    With `changes`, a view of all is not made again while nothing changes. One namespace may be in a pool with
    others that cannot be watched, so it is.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        namespace: str,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        cost: Callable[[], float],
        changes: ChangeWatch | None = None,
    ) -> None:
        self.namespace = namespace
        self.history = History()
        self._cluster = cluster
        self._clock = clock
        self._changes = None if namespace else changes
        self._read_since_begin = False
        self._reader = ClusterReader(
            cluster=cluster, ledgers=Ledgers(cluster=cluster, clock=clock), clock=clock
        )
        self._view = LastRead(read=self._read_view, stopwatch=stopwatch, cost=cost)
        self._locks = LastRead(read=self._read_locks, stopwatch=stopwatch, cost=cost)
        self._policies = LastRead(read=self._read_policies, stopwatch=stopwatch, cost=cost)
        self._telling = Lock()

    def view(self) -> Latest[SeenCluster]:
        """Return quotas, those that wait, and those that run."""
        return self._view.current()

    def locks(self) -> Latest[SeenLocks]:
        """Return who holds and who waits for every lock."""
        return self._locks.current()

    def policies(self) -> Latest[SeenPolicies]:
        """Return all policies with their conditions."""
        return self._policies.current()

    def story(self, seen: SeenCluster, namespace: str, name: str) -> Story:
        """Return the story of a Workflow.

        Raises:
            NotFound: there is no such Workflow; the nearest name is in the message.
            ClusterError: it cannot be read.
        """
        row = seen.waiting.get((namespace, name))
        told = None if row is None else self._story_of_queued(seen, row.uid)
        return told or self._story_of_other(namespace, name)

    def _story_of_queued(self, seen: SeenCluster, uid: str) -> Story | None:
        with self._telling:  # Two that ask for the same at once would compute it twice.
            story, at = seen.stories.get(uid, (None, _NO_TIME))
            if seen.at - at >= _STORY_LASTS:
                story = story_of_queued(seen.roots, uid)
                seen.stories[uid] = story, seen.at
            return story

    def _story_of_other(self, namespace: str, name: str) -> Story:
        try:
            obj = self._cluster.get(WORKFLOWS, name, namespace=namespace)
        except NotFound:
            raise NotFound(not_found(self._cluster, namespace, name)) from None
        found = msgspec.convert(obj, SeenWorkflow)
        locks = tuple(lock_sentences(self._cluster, found, self._clock))
        argo = read_argo_limit(self._cluster, namespace) if found.waits_in_argo else None
        return story_of_other(found, self._clock(), locks=locks, argo=argo)

    def _read_view(self, before: SeenCluster | None) -> SeenCluster:
        now = self._clock()
        if before is not None and self._at_rest(before, now):
            self.history.record(msgspec.structs.replace(before.view, at=now))
            return msgspec.structs.replace(before, at=now)
        self._read_since_begin = False
        if self._changes is not None:
            self._changes.begin()
        roots = LiveRoots(self._reader.read(self.namespace))
        view = cluster_view(roots, (self.namespace,) if self.namespace else ())
        self.history.record(view)
        mark = mark_of(msgspec.structs.replace(view, at=_NO_TIME))
        known = {} if before is None or before.mark != mark else before.stories
        self._read_since_begin = True
        waiting = {(each.namespace, each.name): each for each in view.waiting}
        return SeenCluster(view.at, roots, view, mark, waiting, known)

    def _at_rest(self, before: SeenCluster, now: datetime) -> bool:
        """Return whether what was read before is still so; windows and ages change by themselves, slowly."""
        if self._changes is None or not self._read_since_begin or now - before.view.at >= _VIEW_LASTS:
            return False
        return self._changes.unchanged

    def _read_locks(self, _before: SeenLocks | None) -> SeenLocks:
        now = self._clock()
        found = lock_queues(
            live_traces(self._cluster, self.namespace, self._clock), SemaphoreLimits(self._cluster)
        )
        stuck = live_deadlocks(found)
        without_time = shown(found, stuck, _NO_TIME)
        return SeenLocks(now, shown(found, stuck, now), mark_of(without_time))

    def _read_policies(self, _before: SeenPolicies | None) -> SeenPolicies:
        rows, unread = read_policies(self._cluster, self.namespace)
        return SeenPolicies(self._clock(), rows, unread, mark_of((rows, unread)))


def mark_of(value: object) -> str:
    """Return a short text that is the same for equal values, and another for others."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=12).hexdigest()
