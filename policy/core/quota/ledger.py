"""The ledger of a quota root, as a value: its usage, its reservations, and the epoch of its leader.

The rules that keep a limit exact (fence first, reserve then release, what may drop a reservation) are in
docs/protocol.md. Every function returns a new ledger; the caller writes it by compare-and-swap.
"""

from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.demands import Demand, NodeBound, ShareDemand, Shortfall, share_shortfalls, shortfalls
from policy.core.quota.pool_borrowing import compile_tree
from policy.core.values.amounts import ZERO, Limits, Usage, less

RESERVATION_TTL: Final = timedelta(seconds=90)
"""Longer than the API server's longest request (60 s by default), so a late create cannot outlive it."""


class Purpose(StrEnum):
    """Why there is a reservation: for a create that is being answered, or for the release of a Workflow."""

    CREATE = "Create"
    RELEASE = "Release"


class Reservation(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Usage that is reserved before the Workflow can run. `id` follows protocol rule 8; `at` is aware.

    `user` is stored too, in case a quota that limits users comes into force meanwhile, and so are the keys in
    `groups`, by their texts.
    """

    id: str
    namespace: str
    workflow: str
    accounts: tuple[Account, ...]
    requested: Usage = msgspec.field(name="weight")  # The name in stored ledgers.
    at: datetime
    purpose: Purpose = Purpose.CREATE
    user: str = ""
    groups: Mapping[str, str] = {}

    @property
    def slot(self) -> tuple[str, str]:
        """The slot that creates of one name share, since only one Workflow of a name can exist at a time.

        A create without a name has a slot of its own.
        """
        return (self.namespace, self.workflow) if self.workflow else (self.id, "")


def workflow_of(release: str) -> str:
    """Return the uid of the Workflow by the id of its release (protocol rule 8)."""
    return release.partition(".")[0]


class Ledger(msgspec.Struct, frozen=True):
    """The accounts and reservations of one root; `epoch` fences former leaders (rule 1).

    `used` has every account that the leader counts, also where the usage is zero: an account that is missing
    was not counted yet, and no reservation may be made on it. `capacity` are the limits that nodes allow a
    pool that follows them, and `history` is the past usage, for fair share under the next leader. A `closed`
    ledger belongs to no leader; a leader that needs it fences it first. `holders` are the names of those that
    use a key of a group that refuses others, to tell these.
    """

    root: Root
    epoch: int = 0
    used: Mapping[Account, Usage] = {}
    reservations: Mapping[str, Reservation] = {}
    capacity: Limits | None = None
    history: Mapping[Tenant, int] = {}
    closed: bool = False
    holders: Mapping[Account, tuple[str, ...]] = {}

    def releases(self) -> dict[str, Reservation]:
        """Return the reservations of releases by their ids, oldest first."""
        return {key: each for key, each in self.reservations.items() if each.purpose is Purpose.RELEASE}

    def total_usage(self, *, beside: Reservation | None = None) -> dict[Account, Usage]:
        """Return used plus reserved, by account; without the creates that share the slot of `beside`."""
        total = dict(self.used)
        for account, usage in self.reserved_usage(beside=beside).items():
            _add(total, (account,), usage)
        return total

    def reserved_usage(self, *, beside: Reservation | None = None) -> dict[Account, Usage]:
        """Return what is reserved, by account; without the creates that share the slot of `beside`.

        Creates of one name share a slot (rule 12): at most one of them can succeed.
        """
        total: dict[Account, Usage] = {}
        sharing: dict[tuple[str, str], list[Reservation]] = {}
        for reservation in self.reservations.values():
            if reservation.purpose is Purpose.CREATE:
                sharing.setdefault(reservation.slot, []).append(reservation)
            else:
                _add(total, reservation.accounts, reservation.requested)
        if beside is not None and beside.purpose is Purpose.CREATE:
            sharing.pop(beside.slot, None)
        for together in sharing.values():
            if len(together) == 1:
                _add(total, together[0].accounts, together[0].requested)
            else:
                for account, usage in _most(together).items():
                    _add(total, (account,), usage)
        return total


def _add(total: dict[Account, Usage], accounts: Iterable[Account], usage: Usage) -> None:
    for account in accounts:
        total[account] = total.get(account, ZERO) + usage


def _most(together: Iterable[Reservation]) -> dict[Account, Usage]:
    """Return the usage that covers each of some creates, of which only one can succeed."""
    most: dict[Account, Usage] = {}
    for each in together:
        for account in each.accounts:
            most[account] = most.get(account, ZERO).most(each.requested)
    return most


def under_nodes(
    ledger: Ledger, demands: Iterable[Demand], share: ShareDemand | None, bound: NodeBound | None
) -> tuple[tuple[Demand, ...], ShareDemand | None]:
    """Return the demands on a pool with the limits that nodes allow, as the leader measured them last."""
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
    """Return the accounts that the leader does not count (yet), so that their usage is unknown.

    The account of a user is created with the first usage of that user: it is counted if that of its quota is.
    """
    return [each.whole for each in accounts if each.whole not in ledger.used]


def reserve(
    ledger: Ledger, reservation: Reservation, demands: Iterable[Demand], share: ShareDemand | None = None
) -> tuple[Ledger, list[Shortfall]]:
    """Return the ledger with the reservation, or the ledger unchanged and what is short.

    A reservation that exists is not changed: a repeated request finds its own (rule 8). Other creates of the
    same name are not counted beside it, since only one can succeed (rule 12).
    """
    if reservation.id in ledger.reservations:
        return ledger, []
    used = ledger.total_usage(beside=reservation)
    short = shortfalls(used, reservation.requested, demands)
    if share is not None:
        short += share_shortfalls(used, reservation.requested, share)
    if short:
        return ledger, [_with_holders(each, ledger) for each in short]
    return with_reservations(ledger, [reservation]), []


def _with_holders(short: Shortfall, ledger: Ledger) -> Shortfall:
    """Return what is short, with the names of those that use the key of a group."""
    account = short.demand.account
    if not (account.group and account.key):
        return short
    on_their_way = [each.workflow for each in ledger.reservations.values() if account in each.accounts]
    names = dict.fromkeys([*ledger.holders.get(account, ()), *filter(None, on_their_way)])
    return msgspec.structs.replace(short, holders=tuple(names))


def with_reservations(ledger: Ledger, added: Iterable[Reservation]) -> Ledger:
    """Return the ledger with reservations that were already found to fit."""
    merged = {**ledger.reservations, **{reservation.id: reservation for reservation in added}}
    return msgspec.structs.replace(ledger, reservations=merged)


def cancel(ledger: Ledger, reservation_id: str) -> Ledger:
    """Drop a reservation whose object was refused, finished or deleted (rules 4b, 4d)."""
    if reservation_id not in ledger.reservations:
        return ledger
    return msgspec.structs.replace(ledger, reservations=_without(ledger, {reservation_id}))


def overdue(ledger: Ledger, now: datetime) -> list[Reservation]:
    """Return the create reservations that are older than their TTL; see `expire`.

    A release reservation never expires: the present leader completes it (rule 5).
    """
    creates = (each for each in ledger.reservations.values() if each.purpose is Purpose.CREATE)
    return [each for each in creates if now - each.at >= RESERVATION_TTL]


def expire(ledger: Ledger, now: datetime, seen: Iterable[str]) -> Ledger:
    """Drop overdue create reservations of which no object was `seen` in a consistent list (rule 4c)."""
    expired = {reservation.id for reservation in overdue(ledger, now)}.difference(seen)
    if not expired:
        return ledger
    return msgspec.structs.replace(ledger, reservations=_without(ledger, expired))


def recount(ledger: Ledger, used: Mapping[Account, Usage], counted: Iterable[str]) -> Ledger:
    """Set `used` to what the leader's watch counts and drop the reservations counted in it (rules 4a, 7)."""
    return msgspec.structs.replace(ledger, used=dict(used), reservations=_without(ledger, set(counted)))


def _without(ledger: Ledger, dropped: Container[str]) -> dict[str, Reservation]:
    return {key: value for key, value in ledger.reservations.items() if key not in dropped}


def fence(ledger: Ledger) -> Ledger:
    """Return the ledger with the next epoch: the first write of a new leader (rule 1)."""
    return msgspec.structs.replace(ledger, epoch=ledger.epoch + 1, closed=False)


MAX_CREATES: Final = 1_000
MAX_CREATES_OF_USER: Final = 250
MAX_CREATES_OF_NAME: Final = 16
"""Most creates reserved and not counted yet: in a ledger, of one user, and of one name (one slot)."""
_MOST_ACCOUNTS: Final = 8 * MAX_CREATES
"""Most accounts of all these creates: the author of quotas decides how many accounts one create has."""
_MOST_ACCOUNTS_OF_USER: Final = _MOST_ACCOUNTS // 4
_SHOWN: Final = 100
"""Characters of a name in a message."""
_LATER: Final = "on their way, and the controller has not counted them yet; try again in a moment"


def too_many_creates(ledger: Ledger, wanted: Reservation) -> str:
    """Return why the ledger takes no further create, or an empty text."""
    if wanted.id in ledger.reservations:
        return ""
    creates = [each for each in ledger.reservations.values() if each.purpose is Purpose.CREATE]
    if sum(each.slot == wanted.slot for each in creates) >= MAX_CREATES_OF_NAME:
        name = f"{wanted.namespace}/{wanted.workflow}"
        return f"{MAX_CREATES_OF_NAME} creates of Workflow {name[:_SHOWN]} are {_LATER}"
    own = [each for each in creates if each.user == wanted.user]
    if len(own) >= MAX_CREATES_OF_USER or _accounts(own, wanted) > _MOST_ACCOUNTS_OF_USER:
        user = wanted.user[:_SHOWN]
        return f"{len(own)} creates of user {user} under the quotas of {ledger.root} are {_LATER}"
    if len(creates) >= MAX_CREATES or _accounts(creates, wanted) > _MOST_ACCOUNTS:
        return f"{len(creates)} creates under the quotas of {ledger.root} are {_LATER}"
    return ""


def _accounts(creates: Iterable[Reservation], wanted: Reservation) -> int:
    return sum(len(each.accounts) for each in creates) + len(wanted.accounts)
