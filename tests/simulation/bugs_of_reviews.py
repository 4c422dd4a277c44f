"""Bugs planted in the webhooks: how they name, compare and give back reservations."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec

from policy.cluster.ledgers import Ledgers
from policy.core.decision.decision import ReservationRequest, Side
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.accounts import Root
from policy.core.quota.demands import Shortfall
from policy.core.quota.ledger import Ledger, Purpose, with_reservations
from tests.policy.service.world import part
from tests.simulation.faithful import Faithful
from webhook.reservations import Reservations


class SameReservationId(Faithful):
    """Rule 8 broken: reservations are named after the user and not after the request."""

    def asked(self, body: bytes, side: Side) -> bytes:
        if side is not Side.MUTATE:
            return body
        review: JsonObject = msgspec.json.decode(body)
        request = review["request"]
        if isinstance(request, dict):
            request["uid"] = f"of-{part(request, 'userInfo', 'username')}"
        return msgspec.json.encode(review)

    def answered(self, body: bytes, answer: bytes) -> bytes:
        uid = part(msgspec.json.decode(body), "request", "uid")
        review: JsonObject = msgspec.json.decode(answer)
        response = review["response"]
        if isinstance(response, dict):
            response["uid"] = uid
        return msgspec.json.encode(review)


class Spoilt:
    """A review's ledger that passes everything on; bugs override what they spoil."""

    def __init__(self, ledgers: Ledgers) -> None:
        self.ledgers = ledgers

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        return self.ledgers.reserve(request, deadline=deadline)

    def probe(self, request: ReservationRequest) -> list[Shortfall]:
        return self.ledgers.probe(request)

    def holds(self, request: ReservationRequest) -> bool:
        return self.ledgers.holds(request)

    def cancel(self, request: ReservationRequest) -> None:
        self.ledgers.cancel(request)


class _NeverCancels(Spoilt):
    def cancel(self, request: ReservationRequest) -> None:
        del request


class NoCancel(Faithful):
    """Rule 4d broken: a refused create keeps its slot until it expires."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _NeverCancels(ledgers)


class _TakesOver(Spoilt):
    """Gives the slot of a name to the newest create of it, as if the others could not land any more."""

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        short = super().reserve(request, deadline=deadline)
        if not short:
            self.ledgers.update(request.root, partial(_alone_of_its_name, request.id))
        return short


def _alone_of_its_name(newest: str, ledger: Ledger) -> Ledger:
    own = ledger.reservations.get(newest)
    if own is None:
        return ledger
    kept = {
        key: each
        for key, each in ledger.reservations.items()
        if each is own or each.purpose is not Purpose.CREATE or each.slot != own.slot
    }
    return msgspec.structs.replace(ledger, reservations=kept)


class TakesOver(Faithful):
    """Rule 12 broken: a create takes the reservation of another of its name away."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _TakesOver(ledgers)


class _DropsTogether(Spoilt):
    """Gives back what all creates of a name have reserved when one of them is refused."""

    def cancel(self, request: ReservationRequest) -> None:
        self.ledgers.update(request.root, partial(_without_name, (request.namespace, request.workflow)))


def _without_name(slot: tuple[str, str], ledger: Ledger) -> Ledger:
    kept = {
        key: each
        for key, each in ledger.reservations.items()
        if each.purpose is not Purpose.CREATE or each.slot != slot
    }
    return msgspec.structs.replace(ledger, reservations=kept)


class DropsTogether(Faithful):
    """Rule 12 broken: one create that is refused gives back the slot of others of its name."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _DropsTogether(ledgers)


class _Forgetful(Spoilt):
    """Compares with what is used alone: what others have reserved is put aside while it decides."""

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        return _Alone(self.ledgers).reserve(request, deadline=deadline)


class _Alone(Ledgers):
    def __init__(self, ledgers: Ledgers) -> None:
        super().__init__(cluster=ledgers._cluster, clock=ledgers._clock)

    def update(
        self, root: Root, change: Callable[[Ledger], Ledger], *, deadline: datetime | None = None
    ) -> Ledger:
        def alone(ledger: Ledger) -> Ledger:
            bare = msgspec.structs.replace(ledger, reservations={})
            return with_reservations(change(bare), ledger.reservations.values())

        return super().update(root, alone, deadline=deadline)


class UsedAlone(Faithful):
    """Rule 7 broken: `used` is compared with the limit, without the reservations."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _Forgetful(ledgers)
