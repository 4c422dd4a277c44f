"""TODO."""

from collections.abc import Iterable, Mapping

import msgspec

from policy.core.quota.accounts import Account
from policy.core.quota.pool_tree import Pool, Tree
from policy.core.values.amounts import ZERO, Limits, Usage


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
