"""Bugs planted in what a ledger says of accounts that come and go with quotas and pools."""

from collections.abc import Callable

from policy.cluster.ledgers import Ledgers
from policy.core.decision.decision import ReservationRequest
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Reservation
from policy.service.leading.ledger_moves import LedgerMoves
from policy.service.release.controller import Controller
from policy.service.release.release_pass import ReleasePass
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import Tracker
from tests.simulation.bugs_of_reviews import Spoilt
from tests.simulation.faithful import Faithful
from webhook.reservations import Reservations


class UncountedAccount(Faithful):
    """Rule 9 broken: what the leader has not counted yet is taken for empty."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return Ledgers(cluster=ledgers._cluster, clock=ledgers._clock, led=False)


class _LeavesBehind(LedgerMoves):
    """Carries nothing over."""

    def arriving(self, root: Root) -> list[Reservation]:
        del root
        return []


class LeftBehind(Faithful):
    """Rule 10 broken: a namespace that goes to another pool leaves its reservations where they were."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        release_pass = make(ReleasePass)
        release_pass._moves = _LeavesBehind(ledgers=release_pass._ledgers, fences=release_pass._fences)
        return release_pass


class _BelievesLabels(Spoilt):
    """Believes a reservation of whoever carries its label."""

    def holds(self, request: ReservationRequest) -> bool:
        found = self.ledgers.read(request.root).reservations.get(request.id)
        return found is not None and found.namespace == request.namespace


class LabelBelieved(Faithful):
    """Rule 8 broken: a copy of the label passes while the mutating webhook is away."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _BelievesLabels(ledgers)


class _Boundless(Tracker):
    """Counts nobody who is below a root, however many there are."""

    def _assign_slots(self, top: Tracked, *, shared: bool) -> None:
        self._move(top, None)
        for each in self._tree.descendants(top.uid, self._runs):
            if (found := self._live.get(each)) is not None:
                self._move(found, top.label_pairs if shared else None)


class BoundlessRoot(Faithful):
    """Descendants are not bounded by what their root was admitted with."""

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        controller = make(Controller)
        controller._tracker = _Boundless()
        return controller


class _RootsForEver(Tracker):
    """Goes on to take whoever was admitted as a child for one, when its root is over."""

    def _remove(self, tracked: Tracked) -> None:
        below = [self._live[each] for each in self._tree.children(tracked.uid) if each in self._live]
        above = {each.uid: each.child.root_labels for each in below if each.child is not None}
        super()._remove(tracked)
        for each in below:
            self._move(self._live[each.uid], above[each.uid])


class RootForEver(Faithful):
    """Who outlives his root does not count."""

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        controller = make(Controller)
        controller._tracker = _RootsForEver()
        return controller
