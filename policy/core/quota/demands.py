"""What a Workflow demands of its accounts, and what is short of it: the limit, its usage and the request."""

from collections.abc import Iterable, Mapping

import msgspec

from policy.core.quota.accounts import Account
from policy.core.quota.pool_borrowing import Pool, PoolUsage, Tree
from policy.core.values.amounts import ZERO, Limits, Usage


class Demand(msgspec.Struct, frozen=True):
    """One account that a Workflow counts on and the limits that must hold there; `source` names the policy.

    `ever` are the highest limits at any time, None where they never change; `rises` has in words when they
    apply, and `opens` the next time that a window allows the request, where that was looked up.
    """

    account: Account
    limits: Limits
    source: str
    ever: Limits | None = None
    rises: str = ""
    opens: str = ""

    @property
    def most(self) -> Limits:
        """The highest limits at any time."""
        return self.limits if self.ever is None else self.ever


class ShareDemand(msgspec.Struct, frozen=True):
    """What a Workflow demands of a pool that borrows: capacity in the tree of shares.

    `account` counts the usage of its member in the pool, and `pool` that of all members. `written` is the
    limit of all in the policy, and `withheld` what is reserved for higher priorities. `ever` is the tree with
    the highest limits at any time; `rises` has in words when they apply, and `opens` the next time.
    """

    account: Account
    pool: Account
    written: Limits
    tree: Tree
    withheld: Usage
    source: str
    ever: Tree
    rises: str = ""
    opens: str = ""


class Shortfall(msgspec.Struct, frozen=True):
    """A demand that does not fit: what is used or reserved already, and what was requested.

    `holders` are the names of Workflows that use the key of a group, as far as they are known.
    """

    demand: Demand
    used: Usage
    requested: Usage
    holders: tuple[str, ...] = ()

    @property
    def never_fits(self) -> bool:
        """Whether the request alone is above the highest limit (reason ExceedsMaxQuota)."""
        return not self.demand.most.admits(self.requested)

    @property
    def must_rise(self) -> bool:
        """Whether the request alone is above the limit of now, but fits a higher limit at another time."""
        demand = self.demand
        return bool(demand.rises) and not (self.never_fits or demand.limits.admits(self.requested))


def shortfalls(used: Mapping[Account, Usage], requested: Usage, demands: Iterable[Demand]) -> list[Shortfall]:
    """Return every demand that does not admit `requested` on top of `used`; empty means that it fits."""
    found = []
    for demand in demands:
        of_account = used.get(demand.account, ZERO)
        if not demand.limits.admits(of_account + requested):
            found.append(Shortfall(demand, of_account, requested))
    return found


def member_shortfalls(
    pool: Pool, account: Account, requested: Usage, withheld: Usage, opens: str = ""
) -> list[Shortfall]:
    """Return what is short for a Workflow of the member with this share account; empty where it fits."""
    usage, member = pool.usage, account.namespace
    if usage.fits(member, requested, withheld):
        return []
    own, left = usage.used(member), usage.available(member, withheld)
    must_rise = pool.rises and not usage.tree.potential(member, withheld).admits(requested)
    demand = Demand(
        account=account,
        limits=Limits(left.workflows.plus(own.workflows), left.tasks.plus(own.tasks)),
        source=f"{pool.source} for {member}",
        ever=pool.ever.potential(member, withheld),
        rises=pool.rises if must_rise else "",
        opens=opens if must_rise else "",
    )
    return [Shortfall(demand, own, requested)]


def share_shortfalls(used: Mapping[Account, Usage], requested: Usage, share: ShareDemand) -> list[Shortfall]:
    """Return what is short of a pool that borrows, with what all members have `used`; empty where it fits."""
    name, source = share.pool.quota, share.source
    pool = Pool(name, source, PoolUsage(share.tree), share.ever, share.rises)
    for account, usage in used.items():
        if account.quota == share.account.quota and account.namespace in share.tree.members:
            pool.usage.charge(account.namespace, usage)
    return member_shortfalls(pool, share.account, requested, share.withheld, share.opens)


class NodeBound(msgspec.Struct, frozen=True):
    """The account of a pool whose limits follow nodes, and the limits while nodes are not measured yet.

    `withheld` is what the pool reserves for higher priorities; it counts for the limits by nodes too.
    """

    account: Account
    lowest: Limits
    withheld: Usage = ZERO
