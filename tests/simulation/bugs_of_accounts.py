"""Bugs planted in what a ledger says of accounts that come and go with quotas and pools."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from policy.cluster.ledgers import Ledgers
from policy.core.amounts import ZERO
from policy.core.decision import ReservationRequest
from policy.core.ledger import Ledger, Reservation
from policy.service.books import Books
from policy.service.moving import Movers
from policy.service.releaser import Releaser
from tests.simulation.bugs_of_reviews import Spoilt
from tests.simulation.faithful import Faithful
from webhook.reserving import Reservations


class UncountedAccount(Faithful):
    """Rule 9 broken: what the leader has not counted yet is taken for empty."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return Ledgers(cluster=ledgers._cluster, clock=ledgers._clock, led=False)


class _ForgetsStanding(Releaser):
    """Opens accounts without those who have reserved already."""

    def _settled(self, books: Books, ledger: Ledger, now: datetime, moved: Sequence[Reservation]) -> Ledger:
        open_ = {**dict.fromkeys(books.used, ZERO), **ledger.used}
        return super()._settled(books, msgspec.structs.replace(ledger, used=open_), now, moved)


class StandingForgotten(Faithful):
    """Rule 9 broken: a reservation made before a quota was there does not count on it."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        return make(_ForgetsStanding)


class _LeavesBehind(Movers):
    """Carries nothing over."""

    def arriving(self, root: str) -> list[Reservation]:
        del root
        return []


class LeftBehind(Faithful):
    """Rule 10 broken: a namespace that goes to another pool leaves its reservations where they were."""

    def releaser(self, make: Callable[[type[Releaser]], Releaser]) -> Releaser:
        releaser = make(Releaser)
        releaser._movers = _LeavesBehind(ledgers=releaser._ledgers)
        return releaser


class _BelievesLabels(Spoilt):
    """Believes a reservation of whoever carries its label."""

    def holds(self, request: ReservationRequest) -> bool:
        found = self.ledgers.read(request.root).reservations.get(request.id)
        return found is not None and found.namespace == request.namespace


class LabelBelieved(Faithful):
    """Rule 8 broken: a copy of the label passes while the mutating webhook is away."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _BelievesLabels(ledgers)
