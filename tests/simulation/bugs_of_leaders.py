"""Bugs planted in a controller: its release pass, or its loop, forgets one rule."""

from collections.abc import Callable
from datetime import datetime

from policy.cluster.errors import ClusterError
from policy.cluster.list_and_watch import WatchInbox
from policy.cluster.protocol import WORKFLOWS, Unread, WatchEvent
from policy.core.objects import well_known
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger, Purpose, cancel, expire
from policy.service.leading.fences import Fences
from policy.service.release.controller import Controller
from policy.service.release.release_pass import ReleasePass
from policy.service.release.release_sender import ReleaseSender, SendResult
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracker import Tracker
from tests.policy.service.world import part
from tests.simulation.faithful import Faithful


class _Unfenced(Fences):
    """Never looks at the epoch: whatever the ledger carries is its own."""

    def check(self, ledger: Ledger) -> None:
        self._epochs[ledger.root] = ledger.epoch

    def refence(self, root: Root, change: Callable[[Ledger], Ledger]) -> Ledger:
        if root in self:
            self.check(self._ledgers.read(root))
        return super().refence(root, change)


class NoEpoch(Faithful):
    """Rule 2 broken: a deposed leader goes on."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        release_pass = make(ReleasePass)
        release_pass._fences = release_pass._moves._fences = _Unfenced(ledgers=release_pass._ledgers)
        return release_pass


class _ListsFirst(Controller):
    """Lists before it raises epochs, and not after it."""

    def _pass(self) -> None:
        if not self._listed:
            self._list()
        self._release_pass.fence_new(self._tracker)
        self._release_pass.run_pass(self._tracker)


class ListBeforeFence(Faithful):
    """Rule 1 broken: what the old leader did between list and fence is missed."""

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        return make(_ListsFirst)


class _PatchesFirst(ReleasePass):
    """Sends the releases of its plan before it writes the ledger."""

    def run_pass(
        self,
        tracker: Tracker,
        *,
        stopping: Callable[[], bool] = lambda: False,
        pressed: Callable[[], bool] = lambda: False,
    ) -> int:
        self.__dict__["tracker"] = tracker
        return super().run_pass(tracker, stopping=stopping, pressed=pressed)

    def _write(self, root: Root, now: datetime) -> None:
        planned = self._states[root].settle(self._ledgers.read(root), now)
        releases = [each for each in planned.reservations.values() if each.purpose is Purpose.RELEASE]
        self._sender.start(releases, self.__dict__["tracker"], lambda: False)
        self._sender.finish()
        super()._write(root, now)


class PatchBeforeReserve(Faithful):
    """Rule 3 broken: a Workflow may run before its slot is taken."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        return make(_PatchesFirst)


class _Cancels(ReleasePass):
    """Takes a reservation back when its release got no answer."""

    def run_pass(
        self,
        tracker: Tracker,
        *,
        stopping: Callable[[], bool] = lambda: False,
        pressed: Callable[[], bool] = lambda: False,
    ) -> int:
        released = super().run_pass(tracker, stopping=stopping, pressed=pressed)
        owed = list(self._sender._delays)

        def drop(current: Ledger) -> Ledger:
            for each in owed:
                current = cancel(current, each)
            return current

        for root in self._states if owed else ():
            self._ledgers.update(root, drop)
        return released


class CancelRelease(Faithful):
    """Rule 5 broken: the patch may still be on its way."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        return make(_Cancels)


class _ExpiresBlindly(ReleasePass):
    """Drops overdue reservations without asking the API for their objects."""

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        return expire(ledger, now, ())


class ExpireWithoutList(Faithful):
    """Rule 4c broken: the watch may not have shown the object yet."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        return make(_ExpiresBlindly)


class _ExpiresSoon(ReleasePass):
    """Drops create reservations that no object carries, long before the API server may have given up."""

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        listing = self._cluster.list(WORKFLOWS, labels=well_known.RESERVATION, metadata_only=True)
        carried = {part(each, "metadata", "labels", well_known.RESERVATION) for each in listing.items}
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

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        return make(_ExpiresSoon)


class _NeverExpires(ReleasePass):
    """Keeps create reservations for ever."""

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        del now
        return ledger


class NeverExpire(Faithful):
    """A create that was lost keeps its slot for ever."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        return make(_NeverExpires)


class _KeepsOld(WatchInbox[LiveMetadata | Unread]):
    """Delivers events of an older watch after a newer listing."""

    def _hand_over(
        self, generation: int, what: WatchEvent[LiveMetadata | Unread] | ClusterError | None
    ) -> None:
        super()._hand_over(self._generation if isinstance(what, WatchEvent) else generation, what)


class OldEvents(Faithful):
    """Rule 7 broken: what was counted already is forgotten again."""

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        controller = make(Controller)
        controller._inbox = _KeepsOld(controller, name="workflow-watch", stopped=controller._stopped)
        return controller


class _SendsOnce(ReleaseSender):
    """Sends a release once only: what got no answer is not sent again."""

    def _record(self, result: SendResult) -> bool:
        answered = super()._record(result)
        if result.error is not None:
            self._sent.add(result.due.release)
        return answered


class ReleaseOnce(Faithful):
    """Rule 5 broken the other way: a release that failed is never completed."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        release_pass = make(ReleasePass)
        right = release_pass._sender
        release_pass._sender = _SendsOnce(
            cluster=right._cluster, clock=right._clock, reporter=right._reporter
        )
        return release_pass
