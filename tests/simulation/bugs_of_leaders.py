"""Bugs planted in a controller: its releaser, or its loop, forgets one rule."""

from collections.abc import Callable, Sequence
from datetime import datetime

from policy.cluster.protocol import WORKFLOWS, WatchEvent
from policy.core import holding, marks
from policy.core.ledger import Ledger, Purpose, cancel, expire
from policy.core.snapshot import Snapshot
from policy.service.accounting import Books, balance
from policy.service.controller import Controller, Seen, Wake
from policy.service.releaser import Releaser
from policy.service.tracker import Tracked
from tests.policy.service.world import part
from tests.simulation.faithful import Faithful


class _Unfenced(Releaser):
    """Never looks at the epoch: whatever the ledger carries is its own."""

    def _write(
        self, root: str, workflows: Sequence[Tracked], snapshot: Snapshot, departed: frozenset[str]
    ) -> Books:
        self._epochs[root] = self._ledgers.read(root).epoch
        return super()._write(root, workflows, snapshot, departed)


class NoEpoch(Faithful):
    """Rule 2 broken: a deposed leader goes on."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_Unfenced)


class _ListsFirst(Controller):
    """Lists before it raises epochs, and not after it."""

    def _pass(self) -> None:
        if not self._listed:
            self._list()
        self._releaser.fence_new(self._releaser.roots(self._tracker))
        self._releaser.run_pass(self._tracker)


class ListBeforeFence(Faithful):
    """Rule 1 broken: what the old leader did between list and fence is missed."""

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        return make(_ListsFirst)


class _PatchesFirst(Releaser):
    """Sends the releases of its plan before it writes the ledger."""

    def _write(
        self, root: str, workflows: Sequence[Tracked], snapshot: Snapshot, departed: frozenset[str]
    ) -> Books:
        books = balance(self._ledgers.read(root), workflows, snapshot, self._clock(), departed=departed)
        self._send_releases(books.ledger, workflows)
        return super()._write(root, workflows, snapshot, departed)


class PatchBeforeReserve(Faithful):
    """Rule 3 broken: a Workflow may run before its slot is taken."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_PatchesFirst)


class _Cancels(Releaser):
    """Takes a reservation back when its release got no answer."""

    def _send_releases(self, ledger: Ledger, workflows: Sequence[Tracked]) -> int:
        released = super()._send_releases(ledger, workflows)
        if self.unsent:
            ids = [holding.release_id(each.metadata) for each in workflows if each.held]

            def drop(current: Ledger) -> Ledger:
                for each in ids:
                    current = cancel(current, each)
                return current

            self._ledgers.update(ledger.root, drop)
        return released


class CancelRelease(Faithful):
    """Rule 5 broken: the patch may still be on its way."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_Cancels)


class _ExpiresBlindly(Releaser):
    """Drops overdue reservations without asking the API for their objects."""

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        return expire(ledger, now, ())


class ExpireWithoutList(Faithful):
    """Rule 4c broken: the watch may not have shown the object yet."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_ExpiresBlindly)


class _ExpiresSoon(Releaser):
    """Drops create reservations that no object carries, long before the API server may have given up."""

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        listing = self._cluster.list(WORKFLOWS, labels=marks.RESERVATION, metadata_only=True)
        carried = {part(each, "metadata", "labels", marks.RESERVATION) for each in listing.items}
        for each in list(ledger.reservations.values()):
            if (
                each.purpose is Purpose.CREATE
                and each.id not in carried
                and (now - each.at).total_seconds() > 1
            ):
                ledger = cancel(ledger, each.id)
        return ledger


class ExpireTooSoon(Faithful):
    """Rule 4c broken: the API server's longest request has not passed."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_ExpiresSoon)


class _NeverExpires(Releaser):
    """Keeps create reservations for ever."""

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        del now
        return ledger


class NeverExpire(Faithful):
    """A create that was lost keeps its slot for ever."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_NeverExpires)


class _FoldsOld(Controller):
    """Folds events of an older watch into a newer listing."""

    def _fold(self, item: Seen | Wake) -> None:
        if isinstance(item, Seen) and isinstance(item.what, WatchEvent):
            self._tracker.apply(item.what)
        else:
            super()._fold(item)


class OldEvents(Faithful):
    """Rule 7 broken: what was counted already is forgotten again."""

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        return make(_FoldsOld)


class _Patient(Releaser):
    """Sends a release once only: what got no answer is left to nobody."""

    def _send_releases(self, ledger: Ledger, workflows: Sequence[Tracked]) -> int:
        sent = self.__dict__.setdefault("sent", set())
        fresh = [each for each in workflows if holding.release_id(each.metadata) not in sent]
        sent.update(
            holding.release_id(each.metadata)
            for each in fresh
            if each.held and holding.release_id(each.metadata) in ledger.reservations
        )
        return super()._send_releases(ledger, fresh)


class ReleaseOnce(Faithful):
    """Rule 5 broken the other way: a release that failed is never completed."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_Patient)
