"""The ledger of a quota root, as a value: what is used, what is reserved, and by which epoch of leader.

The rules that keep a limit exact (fence first, reserve then release, what may drop a reservation) are those
of docs/protocol.md. Every function returns a new ledger; writing it by compare-and-swap is the caller's.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from policy.core.amounts import ZERO, Limits, Usage, less
from policy.core.shares import Pool
from policy.core.tree import Tree, compile_tree

RESERVATION_TTL: Final = timedelta(seconds=90)
"""Longer than the API server's longest request (60 s by default), so a late create cannot outlive it."""


class Root(msgspec.Struct, frozen=True, order=True):
    """What has a ledger of its own: a pool with all of its members, or a namespace that is in no pool.

    The text of it is the name of the ledger: `pool.NAME` or `namespace.NAME`.
    """

    kind: str
    name: str = ""

    @staticmethod
    def of_pool(name: str) -> "Root":
        """Return the root of a pool."""
        return Root("pool", name)

    @staticmethod
    def of_namespace(name: str) -> "Root":
        """Return the root of a namespace that is in no pool."""
        return Root("namespace", name)

    @staticmethod
    def parse(text: str) -> "Root":
        """Return the root of this text."""
        kind, _, name = text.partition(".")
        return Root(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}" if self.name else self.kind

    @property
    def pool(self) -> str:
        """The name of the pool, "" for a namespace."""
        return self.name if self.kind == "pool" else ""


class Account(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """What is counted together: a quota in a namespace ("" for a pool), for one user where it is per user."""

    namespace: str
    quota: str
    user: str = ""

    @staticmethod
    def of_pool(pool: str) -> "Account":
        """Return the account of what all members of a pool use."""
        return Account("", pool)

    @staticmethod
    def share(pool: str, namespace: str) -> "Account":
        """Return the account of what a member uses of a pool that borrows; no quota can have its name."""
        return Account(namespace, f"{pool}/share")

    @staticmethod
    def defaults(pool: str, namespace: str) -> "Account":
        """Return the account of the quota that a pool gives each of its members."""
        return Account(namespace, f"{pool}.defaults")

    def of_user(self, user: str) -> "Account":
        """Return the account of one user on the same quota."""
        return Account(self.namespace, self.quota, user)

    @property
    def whole(self) -> "Account":
        """The account of all users of the same quota."""
        return Account(self.namespace, self.quota) if self.user else self


class Tenant(msgspec.Struct, frozen=True, order=True):
    """Who is compared by fair share: a namespace (no user) with others, or a user with others of it."""

    namespace: str
    user: str = ""


class Demand(msgspec.Struct, frozen=True):
    """One account that a Workflow touches and the limits that must hold there; `source` names the policy.

    `ever` is the most that they ever are, None where that is these; `rises` says by what they get there.
    """

    account: Account
    limits: Limits
    source: str
    ever: Limits | None = None
    rises: str = ""

    @property
    def most(self) -> Limits:
        """The most that is ever allowed."""
        return self.limits if self.ever is None else self.ever


class ShareDemand(msgspec.Struct, frozen=True):
    """What a Workflow demands of a pool that borrows: room in the tree of shares, as the member `member`.

    `account` counts what the member uses of the pool, and `pool` what all do. `written` is the limit of all
    as it is written, and `withheld` what is kept for higher priorities. `ever` is the tree at its most, and
    `rises` says by what it gets there.
    """

    member: str
    account: Account
    pool: Account
    written: Limits
    tree: Tree
    withheld: Usage
    source: str
    ever: Tree
    rises: str = ""


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


class Shortfall(msgspec.Struct, frozen=True):
    """A demand that does not fit: what is used or reserved already, and what was asked for."""

    demand: Demand
    used: Usage
    requested: Usage

    @property
    def never_fits(self) -> bool:
        """Whether the request alone is above the limit whenever that is highest (reason ExceedsMaxQuota)."""
        return not self.demand.most.admits(self.requested)

    @property
    def must_rise(self) -> bool:
        """Whether the request alone is above the limit of now, which is higher at another time."""
        demand = self.demand
        return bool(demand.rises) and not (self.never_fits or demand.limits.admits(self.requested))


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


def shortfalls(taken: Mapping[Account, Usage], weight: Usage, demands: Iterable[Demand]) -> list[Shortfall]:
    """Return every demand that `weight` on top of `taken` would break; empty means that it fits."""
    found = []
    for demand in demands:
        used = taken.get(demand.account, ZERO)
        if not demand.limits.admits(used + weight):
            found.append(Shortfall(demand, used, weight))
    return found


def share_shortfall(pool: Pool, account: Account, weight: Usage, withheld: Usage) -> Shortfall | None:
    """Return what is short where a pool's member, whose `account` it is, asks for `weight`; None: it fits."""
    usage, member = pool.usage, account.namespace
    if usage.fits(member, weight, withheld):
        return None
    own, left = usage.used(member), usage.available(member, withheld)
    must_rise = pool.rises and not usage.potential(member, withheld).admits(weight)
    demand = Demand(
        account=account,
        limits=Limits(left.workflows.plus(own.workflows), left.tasks.plus(own.tasks)),
        source=f"{pool.source} for {member}",
        ever=pool.ever.potential(member, withheld),
        rises=pool.rises if must_rise else "",
    )
    return Shortfall(demand, own, weight)


def share_shortfalls(taken: Mapping[Account, Usage], weight: Usage, share: ShareDemand) -> list[Shortfall]:
    """Return what is short of a pool that borrows, with what is `taken` of it; nothing where it fits."""
    name, source = share.pool.quota, share.source
    pool = Pool(name=name, source=source, tree=share.tree, ever=share.ever, rises=share.rises)
    for account, usage in taken.items():
        if account.quota == share.account.quota and account.namespace in share.tree.members:
            pool.usage.charge(account.namespace, usage)
    short = share_shortfall(pool, share.account, weight, share.withheld)
    return [] if short is None else [short]


class NodeBound(msgspec.Struct, frozen=True):
    """The account of a pool that follows nodes, and what they allow before anybody has measured them.

    `withheld` is what the pool keeps for higher priorities, of what nodes allow too.
    """

    account: Account
    lowest: Limits
    withheld: Usage = ZERO


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
