"""Bugs planted in groups: a key that is not reserved, that is lost or changed, or is free too early."""

from collections.abc import Callable, Iterable

import msgspec

from policy.cluster.protocol import QUOTA_LEDGERS, Cluster, Resource
from policy.core.decision.decision import Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.ledger import Purpose, Reservation
from policy.service.release.release_pass import ReleasePass
from policy.service.release.superseded import Superseded
from policy.service.release.superseding import Superseding
from policy.service.tracking.tracker import Tracker
from tests.policy.service.world import labels_of, name_of, part
from tests.simulation.bugs_of_writes import Forwarding
from tests.simulation.faithful import Faithful


def _without_keys(reservation: Reservation) -> Reservation:
    """Return a reservation that counts on no key of a group."""
    accounts = tuple(each for each in reservation.accounts if not (each.group and each.key))
    return msgspec.structs.replace(reservation, accounts=accounts)


def _released_without_keys(reservation: Reservation) -> Reservation:
    return _without_keys(reservation) if reservation.purpose is Purpose.RELEASE else reservation


def _changed(resource: Resource, obj: JsonObject, change: Callable[[Reservation], Reservation]) -> JsonObject:
    """Return a ledger with every reservation changed, and any other object as it is."""
    status = obj.get("status") if resource == QUOTA_LEDGERS else None
    if not isinstance(status, dict):
        return obj
    read = msgspec.convert(status.get("reservations", ()), tuple[Reservation, ...])
    return {**obj, "status": {**status, "reservations": msgspec.to_builtins([*map(change, read)])}}


class _ReservesNoKeys(Forwarding):
    """Writes ledgers whose releases count on no keys."""

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        return super().replace(resource, _changed(resource, obj, _released_without_keys))


class KeyUnreserved(Faithful):
    """A release reserves no slot of its key."""

    def controller_cluster(self, client: Cluster) -> Cluster:
        return _ReservesNoKeys(client)


class _MovesNoKeys(Forwarding):
    """Writes what moves to another ledger without its keys."""

    def __init__(self, inner: Cluster) -> None:
        super().__init__(inner)
        self._first: dict[str, str] = {}

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        ledger = name_of(obj)

        def moved_without_keys(reservation: Reservation) -> Reservation:
            stays = self._first.setdefault(reservation.id, ledger) == ledger
            return reservation if stays else _without_keys(reservation)

        return super().replace(resource, _changed(resource, obj, moved_without_keys))


class KeyLeftBehind(Faithful):
    """Rule 10 broken for keys: what moves to another ledger counts on no key there."""

    def controller_cluster(self, client: Cluster) -> Cluster:
        return _MovesNoKeys(client)


class _CountsNoMore(Superseding):
    """Takes a Workflow that is asked to stop for one that has ended."""

    def end(self, found: Iterable[Superseded], tracker: Tracker, stopping: Callable[[], bool]) -> bool:
        listed = list(found)
        ended = super().end(listed, tracker, stopping)
        asked = [each.workflow for each in listed if each.cancel and each.workflow.uid in self._asked]
        for each in asked:
            tracker.ended(each)
        return ended or bool(asked)


class EndsTooEarly(Faithful):
    """The newcomer starts when the running one is asked to stop, and not when it has ended."""

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        release_pass = make(ReleasePass)
        made = release_pass._superseding
        release_pass._superseding = _CountsNoMore(
            cluster=made._cluster, clock=made._clock, reporter=made._reporter
        )
        return release_pass


class KeyRecomputed(Faithful):
    """Whoever runs again, or is edited, gets the keys that its labels give it by now."""

    def asked(self, body: bytes, side: Side) -> bytes:
        review: JsonObject = msgspec.json.decode(body)
        before, after = part(review, "request", "oldObject"), part(review, "request", "object")
        if not isinstance(before, dict) or not isinstance(after, dict):
            return body
        again = labels_of(before).get(well_known.COMPLETED) != labels_of(after).get(well_known.COMPLETED)
        for each in (before,) if again and side is Side.VALIDATE else (before, after):
            annotations = part(each, "metadata", "annotations")
            if isinstance(annotations, dict):
                annotations.pop(well_known.GROUPS, None)
        return msgspec.json.encode(review)
