"""The ledger of a quota root, as a value: what is used, what is reserved, and by which epoch of leader.

The rules that keep a limit exact (fence first, reserve then release, what may drop a reservation) are those
of docs/protocol.md. Every function returns a new ledger; writing it by compare-and-swap is the caller's.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.demands import Demand, NodeBound, ShareDemand, Shortfall, share_shortfalls, shortfalls
from policy.core.quota.pool_tree import compile_tree
from policy.core.values.amounts import ZERO, Limits, Usage, less

RESERVATION_TTL: Final = timedelta(seconds=90)
"""Longer than the API server's longest request (60 s by default), so a late create cannot outlive it."""


class Purpose(StrEnum):
    """Why a slot is reserved: for a create that is being answered, or for a held Workflow to be released."""

    CREATE = "Create"
    RELEASE = "Release"


SlotName: TypeAlias = tuple[str, str]


class Reservation(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A slot taken before the Workflow can run. `id` is as protocol rule 8 says; `at` is aware.

    `user` is whose it is, should a quota that bounds users come into force meanwhile.
    """

    id: str
    namespace: str
    workflow: str
    accounts: tuple[Account, ...]
    weight: Usage
    at: datetime
    purpose: Purpose = Purpose.CREATE
    user: str = ""

    @property
    def slot(self) -> SlotName:
        """What creates have in common that share a slot: no two Workflows of one name are there at a time.

        One without a name shares with nobody.
        """
        return (self.namespace, self.workflow) if self.workflow else (self.id, "")


def workflow_of(release: str) -> str:
    """Return the uid of the Workflow that a release is of, by the id of the release (protocol rule 8)."""
    return release.partition(".")[0]


class Ledger(msgspec.Struct, frozen=True):
    """One root's accounts and reservations; `epoch` fences leaders that were deposed (rule 1).

    `used` has every account that the leader keeps, also where nothing is used: one that is not there was not
    counted yet, and nobody may reserve on it. `capacity` is what nodes allow a pool that follows them, and
    `history` what was used before, for fair share under the next leader. One that is `closed` is nobody's: no
    leader has its epoch, and one that needs it fences it first.
    """

    root: Root
    epoch: int = 0
    used: Mapping[Account, Usage] = {}
    reservations: Mapping[str, Reservation] = {}
    capacity: Limits | None = None
    history: Mapping[Tenant, int] = {}
    closed: bool = False

    def releases(self) -> dict[str, Reservation]:
        """Return the reservations of releases by their ids, oldest first."""
        return {key: each for key, each in self.reservations.items() if each.purpose is Purpose.RELEASE}

    def taken(self, *, beside: Reservation | None = None) -> dict[Account, Usage]:
        """Return used plus reserved, by account; `beside` one, without those that share its slot.

        Creates of one name share a slot (rule 12): of those on their way at most one is there at a time.
        """
        total = dict(self.used)
        sharing: dict[SlotName, list[Reservation]] = {}
        for reservation in self.reservations.values():
            if reservation.purpose is Purpose.CREATE:
                sharing.setdefault(reservation.slot, []).append(reservation)
            else:
                _add(total, reservation.accounts, reservation.weight)
        if beside is not None and beside.purpose is Purpose.CREATE:
            sharing.pop(beside.slot, None)
        for together in sharing.values():
            if len(together) == 1:
                _add(total, together[0].accounts, together[0].weight)
            else:
                for account, usage in _most(together).items():
                    _add(total, (account,), usage)
        return total


def _add(total: dict[Account, Usage], accounts: Iterable[Account], weight: Usage) -> None:
    for account in accounts:
        total[account] = total.get(account, ZERO) + weight


def _most(together: Iterable[Reservation]) -> dict[Account, Usage]:
    """Return what covers each of some creates, of which one alone can be there."""
    most: dict[Account, Usage] = {}
    for each in together:
        for account in each.accounts:
            most[account] = most.get(account, ZERO).most(each.weight)
    return most


def under_nodes(
    ledger: Ledger, demands: Iterable[Demand], share: ShareDemand | None, bound: NodeBound | None
) -> tuple[tuple[Demand, ...], ShareDemand | None]:
    """Return what is demanded of a pool with the limits that nodes allow, as the leader measured last."""
    if bound is None:
        return tuple(demands), share
    allowed = bound.lowest if ledger.capacity is None else ledger.capacity
    left = less(allowed, bound.withheld)
    found = tuple(
        msgspec.structs.replace(each, limits=each.limits.tightest(left))
        if each.account == bound.account
        else each
        for each in demands
    )
    if share is None:
        return found, None
    total = share.written.tightest(allowed)
    members = [
        member if member.parent is not None else msgspec.structs.replace(member, nominal=total)
        for member in share.tree.members.values()
    ]
    return found, msgspec.structs.replace(share, tree=compile_tree(members))


def not_counted(ledger: Ledger, accounts: Iterable[Account]) -> list[Account]:
    """Return the accounts that the leader does not keep (yet): what is taken of them is not known.

    The account of a user comes into being with the first that is counted for the user, so it is kept where
    that of its quota is.
    """
    return [each.whole for each in accounts if each.whole not in ledger.used]


def reserve(
    ledger: Ledger,
    reservation: Reservation,
    demands: Iterable[Demand],
    share: ShareDemand | None = None,
) -> tuple[Ledger, list[Shortfall]]:
    """Return the ledger with the reservation, or the ledger unchanged and what is short.

    A reservation that is already there is left as it is: a repeated request finds its own (rule 8). Creates
    of the same name that are on their way are not counted beside it: one alone can succeed (rule 12).
    """
    if reservation.id in ledger.reservations:
        return ledger, []
    taken = ledger.taken(beside=reservation)
    short = shortfalls(taken, reservation.weight, demands)
    if share is not None:
        short += share_shortfalls(taken, reservation.weight, share)
    if short:
        return ledger, short
    return with_reservations(ledger, [reservation]), []


def with_reservations(ledger: Ledger, added: Iterable[Reservation]) -> Ledger:
    """Return the ledger with reservations that were already found to fit."""
    merged = {**ledger.reservations, **{reservation.id: reservation for reservation in added}}
    return msgspec.structs.replace(ledger, reservations=merged)


def cancel(ledger: Ledger, reservation_id: str) -> Ledger:
    """Drop a reservation whose object was refused, finished or deleted (rules 4b, 4d)."""
    if reservation_id not in ledger.reservations:
        return ledger
    kept = {key: value for key, value in ledger.reservations.items() if key != reservation_id}
    return msgspec.structs.replace(ledger, reservations=kept)


def overdue(ledger: Ledger, now: datetime) -> list[Reservation]:
    """Return the create reservations past their time; they may go once a consistent list found nothing.

    A release reservation never expires: it is completed by whoever leads (rule 5).
    """
    return [
        reservation
        for reservation in ledger.reservations.values()
        if reservation.purpose is Purpose.CREATE and now - reservation.at >= RESERVATION_TTL
    ]


def expire(ledger: Ledger, now: datetime, seen: Iterable[str]) -> Ledger:
    """Drop overdue create reservations of which no object was `seen` in a consistent list (rule 4c)."""
    alive = set(seen)
    gone = {reservation.id for reservation in overdue(ledger, now)} - alive
    if not gone:
        return ledger
    kept = {key: value for key, value in ledger.reservations.items() if key not in gone}
    return msgspec.structs.replace(ledger, reservations=kept)


def recount(ledger: Ledger, used: Mapping[Account, Usage], counted: Iterable[str]) -> Ledger:
    """Set `used` to what the leader's watch holds and drop the reservations that it counted (rules 4a, 7)."""
    done = set(counted)
    kept = {key: value for key, value in ledger.reservations.items() if key not in done}
    return msgspec.structs.replace(ledger, used=dict(used), reservations=kept)


def fence(ledger: Ledger) -> Ledger:
    """Return the ledger with the next epoch: the first write of a new leader (rule 1)."""
    return msgspec.structs.replace(ledger, epoch=ledger.epoch + 1, closed=False)


MOST_CREATES: Final = 1_000
MOST_OF_USER: Final = 250
MOST_OF_NAME: Final = 16
"""Creates on their way: in a ledger, of one user, and of one name, which share a slot."""
_MOST_ACCOUNTS: Final = 8 * MOST_CREATES
"""Accounts that they count on together: the author of quotas decides how many one create has."""
_MOST_ACCOUNTS_OF_USER: Final = _MOST_ACCOUNTS // 4
_SHOWN: Final = 100
"""Characters of a name in a message."""
_LATER: Final = "on their way, and the controller has not counted them yet; try again in a moment"


def crowd(ledger: Ledger, wanted: Reservation) -> str:
    """Return why one more create has no place in the ledger, or nothing."""
    if wanted.id in ledger.reservations:
        return ""
    creates = [each for each in ledger.reservations.values() if each.purpose is Purpose.CREATE]
    if sum(each.slot == wanted.slot for each in creates) >= MOST_OF_NAME:
        name = f"{wanted.namespace}/{wanted.workflow}"
        return f"{MOST_OF_NAME} creates of Workflow {name[:_SHOWN]} are {_LATER}"
    own = [each for each in creates if each.user == wanted.user]
    if len(own) >= MOST_OF_USER or _accounts(own, wanted) > _MOST_ACCOUNTS_OF_USER:
        user = wanted.user[:_SHOWN]
        return f"{len(own)} creates of user {user} under the quotas of {ledger.root} are {_LATER}"
    if len(creates) >= MOST_CREATES or _accounts(creates, wanted) > _MOST_ACCOUNTS:
        return f"{len(creates)} creates under the quotas of {ledger.root} are {_LATER}"
    return ""


def _accounts(creates: Iterable[Reservation], wanted: Reservation) -> int:
    return sum(len(each.accounts) for each in creates) + len(wanted.accounts)
