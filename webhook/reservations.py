"""Reserving a slot for a create: the only I/O that a review may do, and only under `onExceed: Deny`."""

from datetime import datetime
from typing import Protocol

from policy.cluster.errors import ClusterError, TooManyCreates
from policy.core.decision import quota_messages
from policy.core.decision.decision import (
    Code,
    Decision,
    Reason,
    ReservationRequest,
    Review,
    Side,
    denied,
)
from policy.core.objects.well_known import RESERVATION
from policy.core.quota.demands import Shortfall
from webhook.http_errors import LedgerUnavailable


class Reservations(Protocol):
    """The ledger as a review needs it; see `policy.cluster.ledgers.Ledgers`."""

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        """Reserve, or return what is short. Raises TooManyCreates."""

    def probe(self, request: ReservationRequest) -> list[Shortfall]:
        """Return what would be short, reserving nothing."""

    def holds(self, request: ReservationRequest) -> bool:
        """Return whether the reservation is there."""

    def cancel(self, request: ReservationRequest) -> None:
        """Give a reservation back."""


class StoredReservations(Protocol):
    """What is stored of Workflows; see `policy.cluster.workflow_reads.StoredWorkflows`."""

    def carries(self, namespace: str, name: str, reservation: str) -> bool:
        """Return whether the Workflow of that name is stored with that reservation."""


class NothingStored:
    """Where there is no cluster to read: a create that is refused is none that was stored."""

    def carries(self, _namespace: str, _name: str, _reservation: str) -> bool:
        """Return that it is not."""
        return False


def apply_ledger(
    decision: Decision,
    review: Review,
    reservations: Reservations,
    deadline: datetime,
    stored: StoredReservations | None = None,
) -> Decision:
    """Return the decision after the ledger was read, where the decision depends on it.

    Raises:
        LedgerUnavailable: the ledger did not answer; the failure policy decides.
    """
    request = decision.reservation
    if request is None:
        return decision
    try:
        if review.side is Side.MUTATE:
            return _reserve(decision, request, review, reservations, deadline)
        return _verify(decision, request, review, reservations, stored or NothingStored())
    except ClusterError as error:
        raise LedgerUnavailable(f"the ledger {request.root} did not answer: {error.message}") from error


def _reserve(
    decision: Decision,
    request: ReservationRequest,
    review: Review,
    reservations: Reservations,
    deadline: datetime,
) -> Decision:
    if not decision.allowed:
        return decision
    dry_run = review.dry_run  # A dry run stores nothing, so it may not take a slot.
    try:
        short = reservations.probe(request) if dry_run else reservations.reserve(request, deadline=deadline)
    except TooManyCreates as crowded:
        return denied(decision, (Reason(Code.TOO_MANY_CREATES, "", crowded.message),))
    if not short:
        return decision
    return denied(decision, tuple(quota_messages.exceeded_reason(each) for each in short))


def _verify(
    decision: Decision,
    request: ReservationRequest,
    review: Review,
    reservations: Reservations,
    stored: StoredReservations,
) -> Decision:
    """Check that the create has its slot, or give the slot back where the create is refused after all.

    Before a create is stored no other client knows the id of its reservation; afterwards every client that
    may read it does. So the slot of one that is stored is not given back, whichever client sends a review.
    """
    if review.dry_run:
        return decision
    if not decision.allowed:
        if request.id != review.uid and not stored.carries(review.namespace, review.name, request.id):
            reservations.cancel(request)
        return decision
    if reservations.holds(request):
        return decision
    message = f"label {RESERVATION} names no reservation of this create. Try again"
    return denied(decision, (Reason(Code.NOT_MUTATED, "metadata.labels", message),))
