"""The cluster as the page shows it: the view, one Workflow's story, locks and policies; read when asked."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Final, TypeAlias

import msgspec

from lockkeeper.actions.changes import not_found
from lockkeeper.locks.live_locks import SemaphoreLimits, ShownLocks, live_traces, shown
from lockkeeper.locks.lock_sentences import lock_sentences
from lockkeeper.page_state.change_watch import Kinds, of_locks, of_policies, of_the_view
from lockkeeper.page_state.history import Chart, History
from lockkeeper.page_state.last_read import (
    LASTS,
    AtOneTime,
    Changes,
    LastRead,
    Latest,
    ReadingShare,
    Timed,
    UnlessUnchanged,
)
from lockkeeper.page_state.measured_history import MeasuredHistory, PrometheusError, RangeQueries, Span
from lockkeeper.page_state.policy_rows import SeenPolicies, read_policies
from lockkeeper.page_state.start_times import Background, StartTimes, in_thread
from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.cluster_view.story import SeenWorkflow, Story, StoryState, story_of_other
from policy.core.cluster_view.view import ClusterView, WaitingRow
from policy.core.lock_queues.lock_queues import live_deadlocks, lock_queues
from policy.service.reading.argo_limits_read import read_argo_limit
from policy.service.reading.cluster_reading import ClusterReader
from policy.service.reading.cluster_views import cluster_view
from policy.service.reading.live_roots import LiveRoots
from policy.service.reading.queued_story import story_of_queued

_MOST_OTHERS: Final = 200
"""Stories that are kept of Workflows that do not wait; when there are more, all are told anew."""
_SECOND: Final = timedelta(seconds=1)
Read: TypeAlias = Callable[[Timed | None], Timed]
"""Reads something; it gets what was read before."""
WatchOf: TypeAlias = Callable[[Kinds, Event], Changes]
"""Returns what looks for changes of some kinds until the event."""
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)


class SeenCluster(AtOneTime, frozen=True):
    """The view, and what it was made of; `mark` is another where what is shown is another.

    At the time `at` it was still so. `waiting` are the rows by namespace and name; `stories` are those that
    were asked for; `starts` is the number of the computation that the expected starts are from.
    """

    roots: LiveRoots
    view: ClusterView
    mark: str
    waiting: dict[tuple[str, str], WaitingRow]
    stories: dict[str, tuple[Story | None, datetime]]
    starts: int


class Past(msgspec.Struct, frozen=True):
    """The history, and another `mark` where it is another; `charts` are made when they are called for.

    `span` is how far back Prometheus was asked, `fault` why it could not be.
    """

    charts: Callable[[], list[Chart]]
    mark: str
    fault: str = ""
    span: Span | None = None


class SeenLocks(AtOneTime, frozen=True):
    """All locks; how long waits last is as of `read_at`."""

    read_at: datetime
    locks: ShownLocks
    mark: str


class ClusterState:
    """What there is in one namespace, or with "" in all of them.

    With `changes`, nothing is read again while nothing changes; `share` bounds what readings take,
    `background` runs what nobody waits for, and `prometheus` knows more of the past than this process.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        namespace: str,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        cost: Callable[[], float],
        changes: WatchOf | None = None,
        share: ReadingShare | None = None,
        background: Background = in_thread,
        prometheus: RangeQueries | None = None,
    ) -> None:
        self.namespace = namespace
        self._history = History()
        self._measured = None if prometheus is None else MeasuredHistory(api=prometheus, stopwatch=stopwatch)
        self._cluster = cluster
        self._clock = clock
        self._stopwatch = stopwatch
        self._cost = cost
        self._share = share or ReadingShare()
        self._stopped = Event()
        self._starts = StartTimes(stopwatch=stopwatch, cost=cost, share=self._share, background=background)
        self._reader = ClusterReader(
            cluster=cluster, ledgers=Ledgers(cluster=cluster, clock=clock), clock=clock
        )

        def unless_unchanged(read: Read[Timed], kinds: Kinds) -> Read[Timed]:
            watch = None if changes is None else changes(kinds, self._stopped)
            return UnlessUnchanged(read, clock=clock, changes=watch)

        def kept(read: Read[Timed]) -> LastRead[Timed]:
            return LastRead(read=read, stopwatch=stopwatch, cost=cost, share=self._share)

        of_view = unless_unchanged(self._read_view, of_the_view(namespace))
        self._view = kept(lambda before: self._with_new_starts(of_view(before)))
        self._locks = kept(unless_unchanged(self._read_locks, of_locks(namespace)))
        self._policies = kept(unless_unchanged(self._read_policies, of_policies(namespace)))
        self._telling = Lock()
        self._others: dict[tuple[str, str], LastRead[Story]] = {}

    def stop(self) -> None:
        """Look for changes no longer."""
        self._stopped.set()

    def view(self) -> Latest[SeenCluster]:
        """Return quotas, those that wait, and those that run."""
        latest = self._view.current()
        if latest.value is not None:
            self._history.record(latest.value.view, latest.value.at)
        return latest

    def past(self, seen: SeenCluster, span: Span) -> Past:
        """Return the history of the quotas of a view: from Prometheus, or what this process has seen."""
        if self._measured is None:
            return Past(self._history.charts, self._history.mark)
        try:
            charts = self._measured.charts(seen.view, self._clock(), span)
        except PrometheusError as error:
            return Past(self._history.charts, mark_of((self._history.mark, str(error))), str(error))
        return Past(lambda: charts, mark_of((span, charts)), span=span)

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
        if told is not None:
            return told
        latest = self._other(namespace, name).current()
        if latest.value is None or isinstance(latest.error, (NotFound, Forbidden)):
            raise latest.error or NotFound(f"{namespace}/{name} was not read")
        return latest.value

    def _other(self, namespace: str, name: str) -> LastRead[Story]:
        """Return what keeps the story of one that does not wait: its locks may take long to read."""
        with self._telling:
            if len(self._others) >= _MOST_OTHERS:
                self._others.clear()
            kept = self._others.get((namespace, name))
            if kept is None:
                kept = self._others[namespace, name] = LastRead(
                    read=lambda _: self._story_of_other(namespace, name),
                    stopwatch=self._stopwatch,
                    cost=self._cost,
                    share=self._share,
                )
            return kept

    def _story_of_queued(self, seen: SeenCluster, uid: str) -> Story | None:
        with self._telling:  # Two that ask for the same at once would compute it twice.
            story, at = seen.stories.get(uid, (None, _NO_TIME))
            if seen.at - at >= LASTS:  # It says how long a wait lasts.
                story = story_of_queued(seen.roots, uid)
                seen.stories[uid] = story, seen.at
            return story

    def _story_of_other(self, namespace: str, name: str) -> Story:
        try:
            obj = self._cluster.get(WORKFLOWS, name, namespace=namespace)
        except NotFound:
            raise NotFound(not_found(self._cluster, namespace, name)) from None
        found = msgspec.convert(obj, SeenWorkflow)
        if found.held and self._is_younger_than_view(found):
            text = f"{name} was created just now: its place is not known yet"
            return Story(namespace, name, StoryState.NEW, (text,))
        locks = tuple(lock_sentences(self._cluster, found, self._clock))
        argo = read_argo_limit(self._cluster, namespace) if found.waits_in_argo else None
        return story_of_other(found, self._clock(), locks=locks, argo=argo)

    def _is_younger_than_view(self, found: SeenWorkflow) -> bool:
        """Return whether a Workflow may have been created after the view was read; the API counts seconds."""
        seen, created = self._view.current().value, found.metadata.creation_timestamp
        return seen is not None and created is not None and created + _SECOND > seen.roots.reading.at

    def _read_view(self, before: SeenCluster | None) -> SeenCluster:
        roots = LiveRoots(self._reader.read(self.namespace, lengths=True))
        starts = self._starts.put_into(roots)
        return self._seen(roots, starts, before)

    def _with_new_starts(self, seen: SeenCluster) -> SeenCluster:
        """Return what was read with the expected starts that were computed since."""
        if seen.starts == self._starts.computed:
            return seen
        roots = LiveRoots(seen.roots.reading)
        starts = self._starts.put_into(roots, begin=False)
        return msgspec.structs.replace(self._seen(roots, starts, None), at=seen.at)

    def _seen(self, roots: LiveRoots, starts: int, before: SeenCluster | None) -> SeenCluster:
        view = cluster_view(roots, (self.namespace,) if self.namespace else ())
        mark = mark_of(msgspec.structs.replace(view, at=_NO_TIME))
        known = {} if before is None or before.mark != mark else before.stories
        waiting = {(each.namespace, each.name): each for each in view.waiting}
        return SeenCluster(view.at, roots, view, mark, waiting, known, starts)

    def _read_locks(self, _before: SeenLocks | None) -> SeenLocks:
        now = self._clock()
        found = lock_queues(
            live_traces(self._cluster, self.namespace, self._clock), SemaphoreLimits(self._cluster)
        )
        stuck = live_deadlocks(found)
        without_time = shown(found, stuck, _NO_TIME)
        return SeenLocks(now, now, shown(found, stuck, now), mark_of(without_time))

    def _read_policies(self, _before: SeenPolicies | None) -> SeenPolicies:
        rows, unread = read_policies(self._cluster, self.namespace)
        return SeenPolicies(self._clock(), rows, unread, mark_of((rows, unread)))


def mark_of(value: object) -> str:
    """Return a short text that is the same for equal values, and another for others."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=12).hexdigest()
