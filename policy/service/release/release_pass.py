"""Decides in one pass which Workflows are released: from what has changed to the patch that is sent.

The steps of `ReleasePass.run_pass`, in their order, and what can stop a release in each:

1. End what was stopped or deleted while it waited, and fold in what has changed. The whole pass waits while
   the watch does not know a label that quotas select by; a root waits while this leader has not fenced it
   (protocol rule 1).
2. Put the limits of now in force, and find the roots where anything is to be done. Others are left alone.
3. End what newer Workflows of the same key supersede, and delete what a CronWorkflow replaces.
4. Plan and reserve, root by root (`RootState.settle`). `SchedulingQueue` refuses: on hold, not the head of a
   strict queue, above what limits ever are, no capacity, or capacity that is withheld for one that was
   overtaken too often; a Workflow with a fault is in no group. The write is a compare-and-swap, and ends the
   pass with `Deposed` where another leader has fenced the ledger (rule 2).
5. Send what is reserved (`ReleaseSender`), not before (rule 3), and only to a Workflow that is held and waits
   for this very release; meanwhile the next root is planned. After an error it waits for its next try; one
   that Argo cannot decode is not sent.
6. Fail those that have waited for too long, publish the usage, report what bypassed admission, and write
   positions into those that wait.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.objects import well_known
from policy.core.policies.governing_quotas import label_keys
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import RESERVATION_TTL, Ledger, Purpose, expire, overdue
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import Limits
from policy.service.leading.fences import Fences
from policy.service.leading.ledger_moves import LedgerMoves, is_misplaced
from policy.service.release.bypass_reports import BypassReports
from policy.service.release.cron_replace import CronReplace
from policy.service.release.decode_check import DecodeCheck
from policy.service.release.position_messages import WRITE_EVERY, PositionMessages
from policy.service.release.published_usage import PublishedUsage
from policy.service.release.release_sender import ReleaseSender, Reporter, SendAll
from policy.service.release.requested_ends import RequestedEnds
from policy.service.release.root_state import RootState
from policy.service.release.superseding import Superseding
from policy.service.status.start_board import StartBoard
from policy.service.tracking.run_ends import RunEnds
from policy.service.tracking.tracked import track
from policy.service.tracking.tracker import LIVE, Tracker, WorkflowChange

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LOOK_EVERY: Final = RESERVATION_TTL / 3
"""How often all ledgers are read, so that the slot of a create that was lost is free again."""


def unknown_capacity(_: str) -> Limits | None:
    """Return None: what nodes allow a pool has not been measured."""
    return None


class ReleasePass:
    """Carries out passes; `publish` receives the view of usage after each.

    `capacity` returns what nodes allow a pool, by its name. `send_all` sends the releases of a pass.
    `run_ends` sees who starts and ends, and `starts` has when those that wait are expected to start.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        ledgers: Ledgers,
        snapshot: Callable[[], Snapshot],
        clock: Callable[[], datetime],
        publish: Callable[[UsageView], None],
        reporter: Reporter,
        capacity: Callable[[str], Limits | None] = unknown_capacity,
        send_all: SendAll = map,
        write_every: timedelta = WRITE_EVERY,
        run_ends: RunEnds | None = None,
        starts: StartBoard | None = None,
    ) -> None:
        self._cluster = cluster
        self._starts = StartBoard() if starts is None else starts
        self._starts_shown = self._starts.number
        self._run_ends = run_ends
        self._ledgers = ledgers
        self._snapshot = snapshot
        self._clock = clock
        self._publish = publish
        self._capacity = capacity
        self._reporter = reporter
        self._sender = ReleaseSender(cluster=cluster, clock=clock, reporter=reporter, send_all=send_all)
        self._messages = PositionMessages(
            cluster=cluster, clock=clock, reporter=reporter, every=write_every, starts=self._starts.of
        )
        self._requested_ends = RequestedEnds(cluster=cluster, clock=clock, reporter=reporter)
        self._decode_check = DecodeCheck(cluster=cluster, reporter=reporter)
        self._bypasses = BypassReports(reporter=reporter, now=clock())
        self._fences = Fences(ledgers=ledgers)
        self._moves = LedgerMoves(ledgers=ledgers, fences=self._fences)
        self._cron_replace = CronReplace(cluster=cluster)
        self._superseding = Superseding(cluster=cluster, clock=clock, reporter=reporter)
        self._usage = PublishedUsage()
        self._states: dict[Root, RootState] = {}
        self._policies: object = None
        self._labels: tuple[object, frozenset[str]] = (None, frozenset())
        self._dirty: set[Root] = set()
        self._ledgers_read_at = clock()
        self._more = False

    @property
    def unwritten(self) -> bool:
        """Whether some Workflows do not show their position yet."""
        return self._messages.unwritten

    def next_event(self) -> datetime | None:
        """Return when the next pass is due though nothing changes; None where only changes cause one."""
        more = (self._cron_replace.more, self._requested_ends.more, self._superseding.more)
        if self._more or any(more) or self._policies is None:
            return self._clock()
        times = [state.next_event() for state in self._states.values()]
        times += [self._ledgers_read_at + LOOK_EVERY, self._sender.next_try()]
        times += [self._messages.next_round(), self._bypasses.next_round()]
        times += [self._requested_ends.next_try(), self._superseding.next_try()]
        times.append(self._decode_check.next_check(self._clock()))
        return min((each for each in times if each is not None), default=None)

    def fence_new(self, tracker: Tracker) -> bool:
        """Raise the epoch of every root that this leader has not fenced yet; return whether there were any.

        These are the roots of all pools, of governed namespaces, and those where a Workflow is held. The
        caller lists the objects after it and before the next pass (protocol rule 1). The tracker receives the
        labels to store; it may be outdated by that.
        """
        snapshot = self._snapshot()
        tracker.keep_labels(self._labels_of(snapshot))
        return self._fences.raise_new(sorted(self._namespaces_by_root(snapshot, tracker)))

    def _labels_of(self, snapshot: Snapshot) -> frozenset[str]:
        """Return the labels that quotas select by, computed once for each set of policies."""
        if self._labels[0] is not snapshot.compiled:
            self._labels = (snapshot.compiled, label_keys(snapshot))
        return self._labels[1]

    def run_pass(
        self,
        tracker: Tracker,
        *,
        stopping: Callable[[], bool] = lambda: False,
        pressed: Callable[[], bool] = lambda: False,
    ) -> int:
        """Fold in what changed, release what fits, write messages; return how many were released.

        A root that is new since `fence_new` waits for the next pass, and so do all while the tracker does not
        know a label that quotas select by. Once `stopping` returns True nothing more is sent: the next leader
        completes what is reserved, and the lease is given up without waiting for thousands. Once `pressed`
        returns True, because something has changed, messages are written later.

        Raises:
            Deposed: a ledger carries a higher epoch than ours.
        """
        snapshot, now = self._snapshot(), self._clock()
        if not tracker.has_labels(self._labels_of(snapshot)):
            self._more = True
            return 0
        self._requested_ends.end(tracker, stopping)
        self._fold(tracker, snapshot, now)
        self._apply_time(now)
        states = (self._states[root] for root in sorted(self._dirty & self._states.keys()))
        found = (each for state in states for each in state.superseded())
        if self._superseding.end(found, tracker, stopping):
            self._fold(tracker, snapshot, now)
        self._cron_replace.delete_replaced(stopping)
        self._more = False
        try:
            self._settle(tracker, now, stopping)
        finally:  # What is reserved is sent, whichever ledger could not be written after that.
            released = self._sender.finish()
        self._dirty.clear()
        tracker.forget_departed()
        self._sender.forget_released(tracker)
        view = self._usage.view(self._states, now, self._bypasses.counts)
        self._publish(view)
        self._bypasses.report(tracker, now)
        self._take_starts()
        self._messages.write(self._states, tracker, view, stopping, pressed)
        return released

    def _take_starts(self) -> None:
        """Let messages be looked at again where other starts are expected now."""
        if self._starts_shown != self._starts.number:
            self._starts_shown = self._starts.number
            for root, state in self._states.items():
                self._messages.changed(root, state.planner.pending.priorities())

    def _settle(self, tracker: Tracker, now: datetime, stopping: Callable[[], bool]) -> None:
        """Plan and reserve root by root, and begin to send what is reserved in each."""
        for root in sorted(self._dirty & self._states.keys()):
            state = self._states[root]
            before = state.releases.keys()
            self._write(root, now)
            self._messages.starting(
                each.namespace for id_, each in state.releases.items() if id_ not in before
            )
            self._dirty.discard(root)
            self._sender.start(state.releases.values(), tracker, stopping)
            self._sender.give_up(state.planner, tracker, stopping)
            self._usage.changed(root, state)
            self._messages.changed(root, state.planner.pending.priorities())

    # What has changed.

    def _namespaces_by_root(self, snapshot: Snapshot, tracker: Tracker) -> dict[Root, set[str]]:
        """Return the roots, each with the namespaces that are known in it."""
        found: dict[Root, set[str]] = {Root.of_pool(pool.metadata.name): set() for pool in snapshot.pools}
        for namespace in {*tracker.namespaces(), *snapshot.quotas, *snapshot.namespace_labels}:
            policies = snapshot.policies(namespace)
            if policies.quotas or tracker.holds_in(namespace):
                found.setdefault(policies.root, set()).add(namespace)
        return found

    def _fold(self, tracker: Tracker, snapshot: Snapshot, now: datetime) -> None:
        """Bring the states of roots up to date; where policies changed they are created again."""
        changes = self._checked(tracker.take_changes(), tracker, now)
        if self._run_ends is not None:
            self._run_ends.observe(changes, now)
        self._starts.offer(tracker, changes, now)
        self._cron_replace.observe(changes)
        self._bypasses.observe(changes, snapshot, now)
        if self._policies is not snapshot.compiled or self._needs_state(changes, snapshot, tracker):
            self._policies = None  # Should the cluster fail meanwhile, all of it is done again.
            self._rebuild(tracker, snapshot, changes, now)
            self._policies = snapshot.compiled
        else:
            self._take(changes, snapshot, now)
        for state in self._states.values() if tracker.departed else ():
            state.departed(tracker.departed)
        self._dirty.update(snapshot.policies(each).root for each in {*tracker.departed.values()})

    def _checked(
        self, changes: list[WorkflowChange], tracker: Tracker, now: datetime
    ) -> list[WorkflowChange]:
        """Check what bypassed admission; return the changes, and those that are checked now without one."""
        self._decode_check.observe(changes)
        checked = self._decode_check.check(now)
        if not checked:
            return changes
        known = {each.after.uid for each in changes if each.after is not None}
        found = (tracker.get(uid) for uid in checked if uid not in known)
        return [*changes, *(WorkflowChange(each, each) for each in found if each is not None)]

    def _needs_state(self, changes: Sequence[WorkflowChange], snapshot: Snapshot, tracker: Tracker) -> bool:
        """Return whether a Workflow is in a namespace that no state includes, though one should."""
        for each in changes:
            if each.after is None:
                continue
            policies = snapshot.policies(each.after.namespace)
            state = self._states.get(policies.root)
            if policies.root in self._fences and (state is None or each.after.namespace not in state.known):
                return bool(policies.quotas) or tracker.holds_in(each.after.namespace)
        return False

    def _take(self, changes: Sequence[WorkflowChange], snapshot: Snapshot, now: datetime) -> None:
        for each in changes:
            tracked = each.after or each.before
            if tracked is None:
                continue
            root = snapshot.policies(tracked.namespace).root
            state = self._states.get(root)
            if state is not None and tracked.namespace in state.known:
                state.change(each.before, each.after, now)
                self._dirty.add(root)

    def _rebuild(
        self, tracker: Tracker, snapshot: Snapshot, changes: Sequence[WorkflowChange], now: datetime
    ) -> None:
        """Create again, from what is tracked, the states of roots whose policies or namespaces changed."""
        by_root = self._namespaces_by_root(snapshot, tracker)
        wanted = {root: namespaces for root, namespaces in by_root.items() if root in self._fences}
        unchanged = {
            root: state
            for root, state in self._states.items()
            if root in wanted and state.take_over(snapshot, wanted[root])
        }
        self._usage.keep(wanted)
        self._moves.lose(
            root for root, state in self._states.items() if not state.known <= wanted.get(root, set())
        )
        self._states = unchanged
        self._dirty.update(root for root, state in unchanged.items() if state.recount_waiting())
        self._take(changes, snapshot, now)
        ledgers = self._moves.gather(snapshot, wanted, now)
        self._dirty.update(self._moves.destinations())
        for root, namespaces in sorted(wanted.items()):
            if root in unchanged:
                continue
            state = self._states[root] = RootState(
                root=root,
                snapshot=snapshot,
                namespaces=namespaces,
                find=tracker.get,
                now=now,
                ledger=ledgers.get(root, Ledger(root)),
                capacity=self._capacity_of(root),
                fault=self._decode_check.fault,
            )
            for tracked in tracker.in_namespaces(namespaces):
                state.change(None, tracked, now)
            self._dirty.add(root)

    def _apply_time(self, now: datetime) -> None:
        """Mark the roots that time has changed: windows, retries, reservations of creates that were lost."""
        if now - self._ledgers_read_at >= LOOK_EVERY:
            self._ledgers_read_at = now
            snapshot = self._snapshot()
            for root, ledger in self._ledgers.all().items():
                state = self._states.get(root)
                if state is None and is_misplaced(ledger, snapshot, self._states):
                    self._policies = None  # It belongs elsewhere, or nowhere.
                elif state is not None and (
                    any(each.purpose is Purpose.CREATE for each in ledger.reservations.values())
                    or not state.matches(ledger)
                ):
                    self._dirty.add(root)  # A create may be lost, or another process has written.
        for root, state in self._states.items():
            due = state.releases and self._sender.has_due(state.releases.values(), now)
            if state.put_limits(now, self._capacity_of(root)) or due:
                self._dirty.add(root)

    def _capacity_of(self, root: Root) -> Limits | None:
        return self._capacity(root.pool) if root.pool else None

    # What is written.

    def _write(self, root: Root, now: datetime) -> None:
        """Write the ledger of a root by compare-and-swap, and record what was written."""
        state = self._states[root]
        moved = self._moves.arriving(root)
        expired = 0

        def change(ledger: Ledger) -> Ledger:
            nonlocal expired  # Of the last time that this runs, whose result is written.
            self._fences.check(ledger)
            left = self._expired(ledger, now)
            expired = len(ledger.reservations) - len(left.reservations)
            return state.settle(left, now, moved=moved)

        written = self._ledgers.update(root, change)
        if expired:
            self._reporter.expired(expired)
        self._more = state.written(written) or self._more
        self._moves.arrived(root)

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        """Drop create reservations for which a consistent list has no live object (protocol rule 4c)."""
        due = overdue(ledger, now)
        wanted = ",".join(each.id for each in due if _LABEL_VALUE.fullmatch(each.id))
        if not wanted:  # An id that is no label value can be on no object.
            return expire(ledger, now, ())
        selector = f"{LIVE},{well_known.RESERVATION} in ({wanted})"
        listing = self._cluster.list(WORKFLOWS, labels=selector, metadata_only=True)
        return expire(ledger, now, [track(item).reservation for item in listing.items])
