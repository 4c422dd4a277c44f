"""What fits in one root: the usage of each account and of the pool's tree, and what limits leave of them."""

from collections.abc import Iterable

from policy.core.queue.equivalence_groups import InadmissibleAt
from policy.core.queue.ordering import Requirements, Want
from policy.core.quota.accounts import Account
from policy.core.quota.demands import Demand, Shortfall, member_shortfalls, shortfalls
from policy.core.quota.pool_borrowing import Pool
from policy.core.values.amounts import ZERO, Limits, Usage, less


class Headroom:
    """The usage in one root, and the limits that are in force. An account that has no limits is not limited.

    In a pool that borrows, the share of each member has an account, and so has the usage of all members
    (`whole`). `version` changes with every change of limits. `touched` are the accounts whose usage
    has changed since they were taken out of it.
    """

    __slots__ = ("_shares", "ever", "limits", "pool", "touched", "used", "version", "whole")

    def __init__(self) -> None:
        self.used: dict[Account, Usage] = {}
        self.touched: dict[Account, None] = {}
        self.limits: dict[Account, Limits] = {}
        self.ever: dict[Account, Limits] = {}
        self.pool: Pool | None = None
        self.whole: Account | None = None
        self.version = 0
        self._shares: dict[str, Account] = {}

    def set_limits(self, account: Account, limits: Limits, ever: Limits) -> None:
        """Put limits in force; `ever` are the highest at any time."""
        self.limits[account] = limits
        self.ever[account] = ever
        self.version += 1

    def set_pool(self, pool: Pool | None) -> None:
        """Put a pool's tree in force, and count the present usage in it."""
        self.pool, self.whole, self._shares = pool, None, {}
        self.version += 1
        if pool is None:
            return
        self.whole = Account.of_pool(pool.name)
        for name in pool.usage.tree.members:
            share = self._shares[name] = Account.share(pool.name, name)
            if share in self.used:
                pool.usage.charge(name, self.used[share])

    def set_used(self, account: Account, usage: Usage) -> None:
        """Set the usage of an account."""
        self._change(account, usage, usage - self.used.get(account, ZERO))

    def charge(self, accounts: Iterable[Account], usage: Usage) -> None:
        """Count a Workflow on its accounts; a negative usage takes it back."""
        for account in accounts:
            self._change(account, self.used.get(account, ZERO) + usage, usage)

    def _change(self, account: Account, usage: Usage, change: Usage) -> None:
        self.touched[account] = None
        if usage == ZERO:
            self.used.pop(account, None)
        else:
            self.used[account] = usage
        if self.pool is not None and self._shares.get(account.namespace) == account:
            self.pool.usage.charge(account.namespace, change)

    def accounts(self, needs: Requirements) -> tuple[Account, ...]:
        """Return the accounts on which a Workflow with these requirements counts."""
        own = tuple(want.demand.account for want in needs.wants)
        if self.whole is None or not needs.shares:
            return own
        return (*own, self._shares[needs.namespace], self.whole)

    def borrows(self, needs: Requirements) -> bool:
        """Return whether its member would go beyond its share of the pool."""
        pool = self.pool
        return pool is not None and needs.shares and pool.usage.would_borrow(needs.namespace, needs.requested)

    def inadmissible_at(self, needs: Requirements) -> InadmissibleAt | None:
        """Return where it does not fit, its own accounts first; None where it fits."""
        for want in needs.wants:
            if not self._admits(want, needs.requested):
                return self.bucket_at(want.demand.account, needs)
        if self.pool is None or self.whole is None or not needs.shares:
            return None
        usage, member = self.pool.usage, needs.namespace
        if usage.fits(member, needs.requested, needs.withheld):
            return None
        whole = usage.within_cap(member, needs.requested)
        return self.bucket_at(self.whole if whole else self._shares[member], needs)

    def bucket_at(self, account: Account, needs: Requirements) -> InadmissibleAt:
        """Return the bucket at an account of all that need as much there."""
        if self.pool is not None and needs.shares and account == self.whole:
            guarantee = self.pool.usage.unused_guarantee(needs.namespace)
            return InadmissibleAt(account, (needs.requested, needs.withheld, guarantee))
        withheld = [want.withheld for want in needs.wants if want.demand.account == account]
        return InadmissibleAt(account, (needs.requested, *withheld))

    def fits_at(self, account: Account, needs: Requirements) -> bool:
        """Return whether it fits at one of its accounts."""
        for want in needs.wants:
            if want.demand.account == account and not self._admits(want, needs.requested):
                return False
        if self.pool is None or not needs.shares:
            return True
        usage, member = self.pool.usage, needs.namespace
        if account == self.whole:
            return usage.fits_in_pool(member, needs.requested, needs.withheld)
        return account != self._shares[member] or usage.within_cap(member, needs.requested)

    def never_fitting(self, needs: Requirements) -> list[Shortfall]:
        """Return the limits that can never admit it, even without other usage and when they are highest."""
        demands = []
        for want in needs.wants:
            account = want.demand.account
            most = less(self.ever.get(account, self._limits_of(want.demand)), want.withheld)
            demands.append(Demand(account, most, want.demand.source))
        if self.pool is not None and self.whole is not None and needs.shares:
            most = self.pool.ever.potential(needs.namespace, needs.withheld)
            demands.append(Demand(self.whole, most, self.pool.source))
        return shortfalls({}, needs.requested, demands)

    def shortfalls(self, needs: Requirements, *, reserves: bool = True) -> list[Shortfall]:
        """Return the limits that do not admit it now; without `reserves`, those that admit no priority."""
        demands = []
        for want in needs.wants:
            demand = want.demand
            limits = self._limits_of(demand)
            bound = less(limits, want.withheld) if reserves else limits
            demands.append(Demand(demand.account, bound, demand.source, demand.ever, demand.rises))
        found = shortfalls(self.used, needs.requested, demands)
        if self.pool is not None and needs.shares:
            withheld = needs.withheld if reserves else ZERO
            found += member_shortfalls(self.pool, self._shares[needs.namespace], needs.requested, withheld)
        return found

    def _admits(self, want: Want, requested: Usage) -> bool:
        demand = want.demand
        bound = less(self._limits_of(demand), want.withheld)
        return bound.admits(self.used.get(demand.account, ZERO) + requested)

    def _limits_of(self, demand: Demand) -> Limits:
        """Return the limits in force on an account; those of a key are in the demand, as keys have no end."""
        return self.limits.get(demand.account, demand.limits)
