"""Bugs planted in the webhooks: how they name, compare and give back reservations."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from policy.cluster.ledgers import Ledgers
from policy.core.decision import ReservationRequest, Side
from policy.core.ledger import Ledger, Shortfall, with_reservations
from policy.core.patches import JsonObject
from tests.policy.service.world import part
from tests.simulation.faithful import Faithful
from webhook.reserving import Reservations


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


class _Forgetful(Spoilt):
    """Compares with what is used alone: what others have reserved is put aside while it decides."""

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        return _Alone(self.ledgers).reserve(request, deadline=deadline)


class _Alone(Ledgers):
    def __init__(self, ledgers: Ledgers) -> None:
        super().__init__(cluster=ledgers._cluster, clock=ledgers._clock)

    def update(
        self, root: str, change: Callable[[Ledger], Ledger], *, deadline: datetime | None = None
    ) -> Ledger:
        def alone(ledger: Ledger) -> Ledger:
            bare = msgspec.structs.replace(ledger, reservations={})
            return with_reservations(change(bare), ledger.reservations.values())

        return super().update(root, alone, deadline=deadline)


class UsedAlone(Faithful):
    """Rule 7 broken: `used` is compared with the limit, without the reservations."""

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return _Forgetful(ledgers)
