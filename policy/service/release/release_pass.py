"""One pass of the leader: the way from a change that makes room to the patch that lets a Workflow go.

The steps of `ReleasePass.run_pass`, in their order, and what can stop a release in each:

1. Fold in what has changed. The whole pass waits while the watch does not know a label that quotas ask for,
   and a root waits that this leader has not fenced (protocol rule 1).
2. Put the limits of now in force, and find the roots where anything is to be done. Others are left alone.
3. Delete what a CronWorkflow replaces.
4. Plan and reserve, root by root (`RootState.settle`). `SchedulingQueue` says who may not go: on hold, not
   its turn in a strict queue, above what limits ever are, no room, or an account claimed by one that was
   overtaken too often; one with a fault is in no group. The write is a compare-and-swap, and ends the pass
   with `Deposed` where another leader has fenced the ledger (rule 2).
5. Send what is reserved (`ReleaseSender.send`), not before (rule 3), and never for one that does not wait for
   this release any more. After an error it waits for its next try; one that Argo cannot decode is not sent.
6. End the waits that are over, publish what is used, and write into those that wait where they stand.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.objects import well_known
from policy.core.policies.governing import label_keys
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import RESERVATION_TTL, Ledger, Purpose, expire, overdue
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import Limits
from policy.service.leading.fences import Fences
from policy.service.leading.ledger_moves import Movers, strays
from policy.service.release.bypass_reports import Bypasses
from policy.service.release.cron_replace import CronKeeper
from policy.service.release.decode_check import Inspector
from policy.service.release.position_messages import TELL_EVERY, PositionMessages
from policy.service.release.release_sender import ReleaseSender, Reporter, Together
from policy.service.release.root_state import RootState
from policy.service.release.usage_views import UsageViews
from policy.service.tracking.tracked import track
from policy.service.tracking.tracker import LIVE, Tracker, WorkflowChange

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LOOK_EVERY: Final = RESERVATION_TTL / 3
"""How often all ledgers are looked at, so that the slot of a create that was lost comes back."""


def unknown_capacity(_: str) -> Limits | None:
    """Return that nobody has measured what nodes allow a pool."""
    return None


class ReleasePass:
    """Carries out passes; `publish` receives the view of usage after each.

    `capacity` returns what nodes allow a pool, by its name. `together` sends the releases of a pass.
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
        together: Together = map,
        tell_every: timedelta = TELL_EVERY,
    ) -> None:
        self._cluster = cluster
        self._ledgers = ledgers
        self._snapshot = snapshot
        self._clock = clock
        self._publish = publish
        self._capacity = capacity
        self._sender = ReleaseSender(cluster=cluster, clock=clock, reporter=reporter, together=together)
        self._messages = PositionMessages(cluster=cluster, clock=clock, reporter=reporter, every=tell_every)
        self._inspector = Inspector(cluster=cluster, reporter=reporter)
        self._passed_by = Bypasses(reporter=reporter, now=clock())
        self._fences = Fences(ledgers=ledgers)
        self._movers = Movers(ledgers=ledgers, fences=self._fences)
        self._crons = CronKeeper(cluster=cluster)
        self._views = UsageViews()
        self._states: dict[Root, RootState] = {}
        self._policies: object = None
        self._labels: tuple[object, frozenset[str]] = (None, frozenset())
        self._dirty: set[Root] = set()
        self._looked_at = clock()
        self._more = False

    @property
    def unsent(self) -> int:
        """How many releases stand in a ledger and could not be sent."""
        return self._sender.unsent

    @property
    def untold(self) -> bool:
        """Whether some do not show yet where they stand."""
        return self._messages.untold

    def next_event(self) -> datetime | None:
        """Return when the next pass is due though nothing happens; None where only events bring one."""
        if self._more or self._crons.left or self._policies is None:
            return self._clock()
        moments = [state.next_event() for state in self._states.values()]
        moments += [self._looked_at + LOOK_EVERY, self._sender.next_try()]
        moments += [self._messages.next_round(), self._passed_by.next_round()]
        moments.append(self._inspector.next_look(self._clock()))
        return min((each for each in moments if each is not None), default=None)

    def fence_new(self, roots: Sequence[Root]) -> bool:
        """Raise the epoch of every root that this leader has not fenced yet; tells whether there were any.

        The caller lists the objects after it and before the next pass (protocol rule 1).
        """
        return self._fences.raise_new(roots)

    def roots(self, tracker: Tracker) -> list[Root]:
        """Return the roots that quotas speak of, and those where a Workflow is held; every pool is one.

        A namespace that nobody governs needs no ledger. The tracker learns which labels are asked for; it may
        be outdated by that.
        """
        snapshot = self._snapshot()
        tracker.keep(self._labels_of(snapshot))
        return sorted(self._housed(snapshot, tracker))

    def _labels_of(self, snapshot: Snapshot) -> frozenset[str]:
        """Return the labels that quotas ask for, worked out once for each set of policies."""
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
        """Fold in what changed, release what fits, tell who waits; returns how many were released.

        A root that appeared since `fence_new` waits for the next pass, and so do all while the tracker does
        not know a label that quotas ask for. Once `stopping` says so nothing more
        is sent: whoever leads next completes what is reserved, and the lease is given up without waiting for
        thousands. Once `pressed` says that something has happened, those who wait are told later.

        Raises:
            Deposed: a ledger carries a higher epoch than ours.
        """
        snapshot, now = self._snapshot(), self._clock()
        if not tracker.keeps(self._labels_of(snapshot)):
            self._more = True
            return 0
        self._fold(tracker, snapshot, now)
        self._by_time(now)
        self._crons.drop(stopping)
        released = 0
        self._more = False
        for root in sorted(self._dirty & self._states.keys()):
            state = self._states[root]
            self._write(root, now)
            self._dirty.discard(root)
            released += self._sender.send(state.releases.values(), tracker, stopping)
            self._sender.give_up(state.planner, tracker, stopping)
            self._views.put(root, state)
            self._messages.changed(root, state.planner.pending.priorities())
        self._dirty.clear()
        tracker.forget_departed()
        self._sender.forget_gone(tracker)
        view = self._view()
        self._publish(view)
        self._passed_by.report(tracker, now)
        self._messages.write(self._states, tracker, view, stopping, pressed)
        return released

    def _view(self) -> UsageView:
        """Return the view of all roots, with what came past admission."""
        view, passed = self._views.merged(), self._passed_by.shown()
        return msgspec.structs.replace(view, not_admitted=passed) if passed else view

    # What has changed.

    def _housed(self, snapshot: Snapshot, tracker: Tracker) -> dict[Root, set[str]]:
        """Return the roots, each with the namespaces that are known in it."""
        housed: dict[Root, set[str]] = {Root.of_pool(pool.metadata.name): set() for pool in snapshot.pools}
        for namespace in {*tracker.namespaces(), *snapshot.quotas, *snapshot.namespace_labels}:
            policies = snapshot.policies(namespace)
            if policies.quotas or tracker.holds_in(namespace):
                housed.setdefault(policies.root, set()).add(namespace)
        return housed

    def _fold(self, tracker: Tracker, snapshot: Snapshot, now: datetime) -> None:
        """Bring the states of roots up to date; where policies changed they are made anew."""
        changes = self._looked_at_first(tracker.take_changes(), tracker, now)
        self._crons.see(changes)
        self._passed_by.see(changes, snapshot, now)
        if self._policies is not snapshot.compiled or self._new_places(changes, snapshot, tracker):
            self._policies = None  # Should the cluster fail meanwhile, all of it is done again.
            self._rebuild(tracker, snapshot, changes, now)
            self._policies = snapshot.compiled
        else:
            self._take(changes, snapshot, now)
        departed = tracker.departed
        for state in self._states.values() if departed else ():
            state.departed(departed)
        self._dirty.update(snapshot.policies(each).root for each in tracker.departures())

    def _looked_at_first(
        self, changes: list[WorkflowChange], tracker: Tracker, now: datetime
    ) -> list[WorkflowChange]:
        """Look at what came past admission; what is known now of one that did not change is a change, too."""
        self._inspector.see(changes)
        looked = self._inspector.look(now)
        if not looked:
            return changes
        known = {each.after.uid for each in changes if each.after is not None}
        found = (tracker.get(uid) for uid in looked if uid not in known)
        return [*changes, *(WorkflowChange(each, each) for each in found if each is not None)]

    def _new_places(self, changes: Sequence[WorkflowChange], snapshot: Snapshot, tracker: Tracker) -> bool:
        """Tell whether a Workflow lives where no state is kept, though it should be."""
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
        """Make the states anew, from what is tracked, of roots whose policies or namespaces have changed."""
        housed = {
            root: namespaces
            for root, namespaces in self._housed(snapshot, tracker).items()
            if root in self._fences
        }
        kept = {
            root: state
            for root, state in self._states.items()
            if root in housed and state.fits(snapshot, housed[root])
        }
        for root in self._states.keys() - housed.keys():
            self._views.drop(root)
        self._movers.lose(
            root for root, state in self._states.items() if not state.known <= housed.get(root, set())
        )
        self._states = kept
        self._dirty.update(root for root, state in kept.items() if state.weigh_again())
        self._take(changes, snapshot, now)
        ledgers = self._movers.gather(snapshot, housed, now)
        self._dirty.update(self._movers.destinations())
        for root, namespaces in sorted(housed.items()):
            if root in kept:
                continue
            state = self._states[root] = RootState(
                root=root,
                snapshot=snapshot,
                namespaces=namespaces,
                find=tracker.get,
                now=now,
                ledger=ledgers.get(root, Ledger(root)),
                capacity=self._allowed(root),
                fault=self._inspector.fault,
            )
            for tracked in tracker.of(namespaces):
                state.change(None, tracked, now)
            self._dirty.add(root)

    def _by_time(self, now: datetime) -> None:
        """Let time do what it does: windows, waits that are over, reservations that nobody claims."""
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            snapshot = self._snapshot()
            for root, ledger in self._ledgers.all().items():
                state = self._states.get(root)
                if state is None and strays(ledger, snapshot, self._states):
                    self._policies = None  # It belongs elsewhere, or nowhere.
                elif state is not None and (_creates(ledger) or not state.matches(ledger)):
                    self._dirty.add(root)  # A create may be lost, or another's write has arrived.
        for root, state in self._states.items():
            owes = state.releases and self._sender.owes(state.releases.values(), now)
            if state.at(now, self._allowed(root)) or owes:
                self._dirty.add(root)

    def _allowed(self, root: Root) -> Limits | None:
        return self._capacity(root.pool) if root.pool else None

    # What is written.

    def _write(self, root: Root, now: datetime) -> Ledger:
        """Write the ledger of a root by compare-and-swap, and take note of it."""
        state = self._states[root]
        moved = self._movers.arriving(root)

        def change(ledger: Ledger) -> Ledger:
            self._fences.check(ledger)
            return state.settle(self._expired(ledger, now), now, moved=moved)

        written = self._ledgers.update(root, change)
        self._more = state.written(written) or self._more
        self._movers.arrived(root)
        return written

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        """Drop create reservations of which a consistent list knows no live object (protocol rule 4c)."""
        due = overdue(ledger, now)
        wanted = ",".join(each.id for each in due if _LABEL_VALUE.fullmatch(each.id))
        if not wanted:  # What is no label value can be on no object.
            return expire(ledger, now, ())
        selector = f"{LIVE},{well_known.RESERVATION} in ({wanted})"
        listing = self._cluster.list(WORKFLOWS, labels=selector, metadata_only=True)
        return expire(ledger, now, [track(item).reservation for item in listing.items])


def _creates(ledger: Ledger) -> bool:
    """Tell whether anything is reserved for creates that nobody has seen yet."""
    return any(each.purpose is Purpose.CREATE for each in ledger.reservations.values())
