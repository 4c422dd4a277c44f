"""One pass of the leader: fold in what changed, write the ledgers that it concerns, then send the releases.

The order is the protocol's: the reservation is in the ledger before the patch that frees a Workflow is sent,
and the patch tests uid, hold and resourceVersion.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core import marks
from policy.core.amounts import Limits
from policy.core.governing import label_keys
from policy.core.ledger import RESERVATION_TTL, Ledger, Purpose, Reservation, expire, overdue
from policy.core.snapshot import Snapshot, pool_root
from policy.core.usage import UsageView
from policy.service.books import Books
from policy.service.crons import CronKeeper
from policy.service.fencing import Fences
from policy.service.inspecting import Inspector
from policy.service.letting_go import LettingGo, Reporter, Together
from policy.service.moving import Movers, strays
from policy.service.passed_by import Bypasses
from policy.service.telling import TELL_EVERY, Teller
from policy.service.tracker import LIVE, Change, Tracker, track
from policy.service.viewing import Views

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LOOK_EVERY: Final = RESERVATION_TTL / 3
"""How often all ledgers are looked at, so that the slot of a create that was lost comes back."""


def unknown_capacity(_: str) -> Limits | None:
    """Return that nobody has measured what nodes allow a pool."""
    return None


class Releaser:
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
        self._letting_go = LettingGo(cluster=cluster, clock=clock, reporter=reporter, together=together)
        self._teller = Teller(cluster=cluster, clock=clock, reporter=reporter, every=tell_every)
        self._inspector = Inspector(cluster=cluster, reporter=reporter)
        self._passed_by = Bypasses(reporter=reporter, now=clock())
        self._fences = Fences(ledgers=ledgers)
        self._movers = Movers(ledgers=ledgers, fences=self._fences)
        self._crons = CronKeeper(cluster=cluster)
        self._views = Views()
        self._books: dict[str, Books] = {}
        self._policies: object = None
        self._labels: tuple[object, frozenset[str]] = (None, frozenset())
        self._dirty: dict[str, None] = {}
        self._looked_at = clock()
        self._more = False

    @property
    def unsent(self) -> int:
        """How many releases stand in a ledger and could not be sent."""
        return self._letting_go.unsent

    @property
    def untold(self) -> bool:
        """Whether some do not show yet where they stand."""
        return self._teller.untold

    def next_event(self) -> datetime | None:
        """Return when the next pass is due though nothing happens; None where only events bring one."""
        if self._more or self._crons.left or self._policies is None:
            return self._clock()
        moments = [books.next_event() for books in self._books.values()]
        moments += [self._looked_at + LOOK_EVERY, self._letting_go.next_try()]
        moments += [self._teller.next_round(), self._passed_by.next_round()]
        moments.append(self._inspector.next_look(self._clock()))
        return min((each for each in moments if each is not None), default=None)

    def fence_new(self, roots: Sequence[str]) -> bool:
        """Raise the epoch of every root that this leader has not fenced yet; tells whether there were any.

        The caller lists the objects after it and before the next pass (protocol rule 1).
        """
        return self._fences.raise_new(roots)

    def roots(self, tracker: Tracker) -> list[str]:
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
        for root in sorted(self._dirty):
            books = self._books.get(root)
            if books is None:
                continue
            self._write(root, now)
            del self._dirty[root]
            released += self._letting_go.send(books.releases(), tracker, stopping)
            self._letting_go.give_up(books.planner, tracker, stopping)
            self._views.put(root, books)
            self._teller.changed(root, books.planner.line.namespaces())
        self._dirty.clear()
        tracker.forget_departed()
        self._letting_go.forget_gone(tracker)
        self._publish(self._view())
        self._passed_by.report(tracker, now)
        self._teller.tell(self._books, tracker, self._views.merged(), stopping, pressed)
        return released

    def _view(self) -> UsageView:
        """Return the view of all roots, with what came past admission."""
        view, passed = self._views.merged(), self._passed_by.shown()
        return msgspec.structs.replace(view, not_admitted=passed) if passed else view

    # What has changed.

    def _housed(self, snapshot: Snapshot, tracker: Tracker) -> dict[str, set[str]]:
        """Return the roots, each with the namespaces that are known in it."""
        housed: dict[str, set[str]] = {pool_root(pool): set() for pool in snapshot.pools}
        for namespace in {*tracker.namespaces(), *snapshot.quotas, *snapshot.namespace_labels}:
            policies = snapshot.policies(namespace)
            if policies.quotas or tracker.holds_in(namespace):
                housed.setdefault(policies.root, set()).add(namespace)
        return housed

    def _fold(self, tracker: Tracker, snapshot: Snapshot, now: datetime) -> None:
        """Bring the books up to date: those of changed policies are opened anew, the others take changes."""
        changes = self._looked_at_first(tracker.take_changes(), tracker, now)
        self._crons.see(changes)
        self._passed_by.see(changes, snapshot, now)
        if self._policies is not snapshot.compiled or self._new_places(changes, snapshot, tracker):
            self._policies = None  # Should the cluster fail meanwhile, all of it is done again.
            self._reopen(tracker, snapshot, changes, now)
            self._policies = snapshot.compiled
        else:
            self._take(changes, snapshot, now)
        for books in self._books.values():
            books.departed(tracker.departed)
        self._dirty.update(dict.fromkeys(snapshot.policies(each).root for each in tracker.departures()))

    def _looked_at_first(self, changes: list[Change], tracker: Tracker, now: datetime) -> list[Change]:
        """Look at what came past admission; what is known now of one that did not change is a change, too."""
        self._inspector.see(changes)
        looked = self._inspector.look(now)
        if not looked:
            return changes
        known = {each.after.uid for each in changes if each.after is not None}
        found = (tracker.get(uid) for uid in looked if uid not in known)
        return [*changes, *(Change(each, each) for each in found if each is not None)]

    def _new_places(self, changes: Sequence[Change], snapshot: Snapshot, tracker: Tracker) -> bool:
        """Tell whether a Workflow lives where no books are kept, though they should be."""
        for each in changes:
            if each.after is None:
                continue
            policies = snapshot.policies(each.after.namespace)
            books = self._books.get(policies.root)
            if policies.root in self._fences and (books is None or each.after.namespace not in books.known):
                return bool(policies.quotas) or tracker.holds_in(each.after.namespace)
        return False

    def _take(self, changes: Sequence[Change], snapshot: Snapshot, now: datetime) -> None:
        for each in changes:
            tracked = each.after or each.before
            if tracked is None:
                continue
            root = snapshot.policies(tracked.namespace).root
            books = self._books.get(root)
            if books is not None and tracked.namespace in books.known:
                books.change(each.before, each.after, now)
                self._dirty[root] = None

    def _reopen(self, tracker: Tracker, snapshot: Snapshot, changes: Sequence[Change], now: datetime) -> None:
        """Open the books of every root whose policies or namespaces have changed, from what is tracked."""
        housed = {
            root: namespaces
            for root, namespaces in self._housed(snapshot, tracker).items()
            if root in self._fences
        }
        kept = {
            root: books
            for root, books in self._books.items()
            if root in housed and books.fits(snapshot, housed[root])
        }
        for root in self._books.keys() - housed.keys():
            self._views.drop(root)
        self._movers.lose(
            root for root, books in self._books.items() if not books.known <= housed.get(root, set())
        )
        self._books = kept
        self._dirty.update(dict.fromkeys(root for root, books in kept.items() if books.weigh_again()))
        self._take(changes, snapshot, now)
        ledgers = self._movers.gather(snapshot, housed, now)
        self._dirty.update(dict.fromkeys(self._movers.destinations()))
        for root, namespaces in sorted(housed.items()):
            if root in kept:
                continue
            books = self._books[root] = Books(
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
                books.change(None, tracked, now)
            self._dirty[root] = None

    def _by_time(self, now: datetime) -> None:
        """Let time do what it does: windows, waits that are over, reservations that nobody claims."""
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            snapshot = self._snapshot()
            for root, ledger in self._ledgers.all().items():
                books = self._books.get(root)
                if books is None and strays(ledger, snapshot, self._books):
                    self._policies = None  # It belongs elsewhere, or nowhere.
                elif books is not None and (_creates(ledger) or not books.stand_in(ledger)):
                    self._dirty[root] = None  # A create may be lost, or another's write has arrived.
        for root, books in self._books.items():
            moved, due = books.at(now, self._allowed(root)), books.next_event()
            if moved or (due is not None and due <= now) or self._letting_go.owes(books):
                self._dirty[root] = None

    def _allowed(self, root: str) -> Limits | None:
        return self._capacity(root.partition(".")[2]) if root.startswith("pool.") else None

    # What is written.

    def _write(self, root: str, now: datetime) -> Ledger:
        """Write the ledger of a root by compare-and-swap, and take note of it."""
        books = self._books[root]
        moved = self._movers.arriving(root)

        def change(ledger: Ledger) -> Ledger:
            self._fences.check(ledger)
            return self._settled(books, self._expired(ledger, now), now, moved)

        written = self._ledgers.update(root, change)
        self._more = books.written(written) or self._more
        self._movers.arrived(root)
        return written

    def _settled(self, books: Books, ledger: Ledger, now: datetime, moved: Sequence[Reservation]) -> Ledger:
        """Return what the books make of a ledger."""
        return books.settle(ledger, now, moved=moved)

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        """Drop create reservations of which a consistent list knows no live object (protocol rule 4c)."""
        due = overdue(ledger, now)
        wanted = ",".join(each.id for each in due if _LABEL_VALUE.fullmatch(each.id))
        if not wanted:  # What is no label value can be on no object.
            return expire(ledger, now, ())
        selector = f"{LIVE},{marks.RESERVATION} in ({wanted})"
        listing = self._cluster.list(WORKFLOWS, labels=selector, metadata_only=True)
        return expire(ledger, now, [track(item).reservation for item in listing.items])


def _creates(ledger: Ledger) -> bool:
    """Tell whether anything is reserved for creates that nobody has seen yet."""
    return any(each.purpose is Purpose.CREATE for each in ledger.reservations.values())
