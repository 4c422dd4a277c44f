"""One root's books, pure: from the live Workflows and the policies to the next ledger and who is released."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from policy.core import holding
from policy.core.amounts import ZERO, Usage
from policy.core.governing import charged, demands, governing
from policy.core.kinds import OnExceed
from policy.core.ledger import (
    Account,
    Ledger,
    Purpose,
    Reservation,
    recount,
    with_reservations,
)
from policy.core.queueing import Plan, Waiter, plan
from policy.core.snapshot import CompiledQuota, Snapshot
from policy.service.tracker import Tracked


class Books(msgspec.Struct, frozen=True):
    """What one pass makes of a ledger: its next value, and the plan that it carries out."""

    ledger: Ledger
    plan: Plan


def balance(
    ledger: Ledger,
    workflows: Sequence[Tracked],
    snapshot: Snapshot,
    now: datetime,
    *,
    departed: Collection[str] = (),
) -> Books:
    """Count what is live, drop the reservations that this accounts for, and reserve for all that fits.

    `workflows` are all live ones of the root, `departed` the reservations of those that were seen and are
    gone (protocol rule 4b). A release that is reserved already is not planned again: it
    is completed, never cancelled (protocol rule 5).
    """
    counted = recount(ledger, _used(workflows, snapshot), _settled(ledger, workflows, departed))
    outstanding = counted.reservations
    waiters = [
        waiter(each, snapshot)
        for each in workflows
        if each.held and holding.release_id(each.metadata) not in outstanding
    ]
    decided = plan(waiters, counted.taken())
    ids = {each.uid: holding.release_id(each.metadata) for each in workflows if each.held}
    added = [_release(ids[each.uid], each, now) for each in decided.released]
    return Books(with_reservations(counted, added), decided)


def waiter(tracked: Tracked, snapshot: Snapshot) -> Waiter:
    """Return a held Workflow as the planner sees it: it needs a slot of every quota that does not only warn.

    That includes quotas that deny: an edit may have made one of a quota that queued when it was held.
    """
    queueing = [each for each in quotas_of(tracked, snapshot) if each.on_exceed != OnExceed.WARN]
    return Waiter(
        uid=tracked.uid,
        namespace=tracked.namespace,
        name=tracked.name,
        priority=tracked.weighed.priority,
        created=tracked.created,
        arrival=tracked.arrival,
        weight=tracked.weight,
        demands=demands(queueing, tracked.weighed.user),
    )


def quotas_of(tracked: Tracked, snapshot: Snapshot) -> tuple[CompiledQuota, ...]:
    """Return the quotas that govern a live Workflow as policies stand now."""
    labels = holding.original_labels(tracked.metadata)
    return governing(snapshot.policies(tracked.namespace).quotas, labels)


def _used(workflows: Iterable[Tracked], snapshot: Snapshot) -> dict[Account, Usage]:
    used: dict[Account, Usage] = {}
    for tracked in workflows:
        quotas = quotas_of(tracked, snapshot)
        shares = charged(quotas, tracked.weighed.user, tracked.weight, held=tracked.held)
        for account, weight in shares.items():
            used[account] = used.get(account, ZERO) + weight
    return used


def _settled(ledger: Ledger, workflows: Sequence[Tracked], departed: Collection[str]) -> set[str]:
    """Return the reservations that may go: their objects are counted now, or are finished or deleted."""
    live = {tracked.uid: tracked for tracked in workflows}
    seen = {*(tracked.reservation for tracked in workflows), *departed}
    settled = set()
    for reservation in ledger.reservations.values():
        if reservation.purpose is Purpose.CREATE:
            if reservation.id in seen:
                settled.add(reservation.id)
            continue
        tracked = live.get(reservation.id.partition(".")[0])
        if tracked is None or not tracked.held or holding.release_id(tracked.metadata) != reservation.id:
            settled.add(reservation.id)
    return settled


def _release(reservation_id: str, waiter: Waiter, now: datetime) -> Reservation:
    return Reservation(
        id=reservation_id,
        namespace=waiter.namespace,
        workflow=waiter.name,
        accounts=tuple(demand.account for demand in waiter.demands),
        weight=waiter.weight,
        at=now,
        purpose=Purpose.RELEASE,
    )
