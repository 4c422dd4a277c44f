"""How much room there is: what is taken on each account and in the pool's tree, and what that leaves."""

from collections.abc import Iterable, Iterator
from typing import Final

from policy.core.queue.equivalence_groups import InadmissibleAt, Shape
from policy.core.quota.accounts import Account
from policy.core.quota.demands import Demand, Shortfall, share_shortfall, shortfalls
from policy.core.quota.pool_tree import Pool
from policy.core.values.amounts import ZERO, Limits, Usage, less

_NO_LIMITS: Final = Limits()


class Headroom:
    """What is taken in one root, and the limits that hold there. An account without limits has none.

    Of a pool that borrows, a member's share is an account, and so is what all use together.
    """

    def __init__(self) -> None:
        self.taken: dict[Account, Usage] = {}
        self.limits: dict[Account, Limits] = {}
        self.ever: dict[Account, Limits] = {}
        self.pool: Pool | None = None
        self.whole: Account | None = None
        self.version = 0
        self._shares: dict[str, Account] = {}

    def set_limits(self, account: Account, limits: Limits, ever: Limits) -> None:
        """Put limits in force; `version` tells that some were changed."""
        self.limits[account] = limits
        self.ever[account] = ever
        self.version += 1

    def set_pool(self, pool: Pool | None) -> None:
        """Put a pool's tree in force, with what is taken already."""
        self.pool, self.whole, self._shares = pool, None, {}
        self.version += 1
        if pool is None:
            return
        self.whole = Account("", pool.name)
        for name in pool.usage.tree.members:
            share = self._shares[name] = Account.share(pool.name, name)
            if share in self.taken:
                pool.usage.charge(name, self.taken[share])

    def set_taken(self, account: Account, usage: Usage) -> None:
        """Set what is taken on an account."""
        self._change(account, usage, usage - self.taken.get(account, ZERO))

    def charge(self, accounts: Iterable[Account], weight: Usage) -> None:
        """Count a Workflow on its accounts; a negative weight takes it back."""
        for account in accounts:
            self._change(account, self.taken.get(account, ZERO) + weight, weight)

    def _change(self, account: Account, usage: Usage, change: Usage) -> None:
        if usage == ZERO:
            self.taken.pop(account, None)
        else:
            self.taken[account] = usage
        if self.pool is not None and self._shares.get(account.namespace) == account:
            self.pool.usage.charge(account.namespace, change)

    def accounts(self, shape: Shape) -> tuple[Account, ...]:
        """Return the accounts on which a shape counts."""
        own = tuple(want.demand.account for want in shape.wants)
        if self.whole is None or not shape.shares:
            return own
        return (*own, self._shares[shape.namespace], self.whole)

    def borrows(self, shape: Shape) -> bool:
        """Tell whether a shape would go beyond its member's share of the pool."""
        pool = self.pool
        return pool is not None and shape.shares and pool.usage.would_borrow(shape.namespace, shape.weight)

    def short(self, shape: Shape) -> InadmissibleAt | None:
        """Return where a shape has no room, looking at its own accounts first; None where it fits."""
        for want in shape.wants:
            if not self._admits(want.demand.account, shape.weight, want.withheld):
                return self.inadmissible_at(want.demand.account, shape)
        if self.pool is None or self.whole is None or not shape.shares:
            return None
        usage, member = self.pool.usage, shape.namespace
        if usage.fits(member, shape.weight, shape.withheld):
            return None
        whole = usage.within_cap(member, shape.weight)
        return self.inadmissible_at(self.whole if whole else self._shares[member], shape)

    def inadmissible_at(self, account: Account, shape: Shape) -> InadmissibleAt:
        """Return the place at an account where shapes stand that need as much there as this one."""
        if self.pool is not None and shape.shares and account == self.whole:
            kept = self.pool.usage.kept(shape.namespace)
            return InadmissibleAt(account, (shape.weight, shape.withheld, kept))
        withheld = [want.withheld for want in shape.wants if want.demand.account == account]
        return InadmissibleAt(account, (shape.weight, *withheld))

    def has_room(self, account: Account, shape: Shape) -> bool:
        """Tell whether one account of a shape has room for it."""
        for want in shape.wants:
            if want.demand.account == account and not self._admits(account, shape.weight, want.withheld):
                return False
        if self.pool is None or not shape.shares:
            return True
        if account == self.whole:
            return self.pool.usage.pool_has(shape.namespace, shape.weight, shape.withheld)
        return account != self._shares[shape.namespace] or self.pool.usage.within_cap(
            shape.namespace, shape.weight
        )

    def never(self, shape: Shape) -> bool:
        """Tell whether a shape can never fit, with nobody running and the limits at their most."""
        return next(self.never_by(shape), None) is not None

    def never_by(self, shape: Shape) -> Iterator[Shortfall]:
        """Yield the limits that can never admit a shape."""
        for want in shape.wants:
            account = want.demand.account
            most = less(self.ever.get(account, self.limits.get(account, _NO_LIMITS)), want.withheld)
            if not most.admits(shape.weight):
                yield Shortfall(Demand(account, most, want.demand.source), ZERO, shape.weight)
        if self.pool is not None and self.whole is not None and shape.shares:
            most = self.pool.ever.potential(shape.namespace, shape.withheld)
            if not most.admits(shape.weight):
                yield Shortfall(Demand(self.whole, most, self.pool.source), ZERO, shape.weight)

    def short_by(self, shape: Shape, *, reserves: bool = True) -> list[Shortfall]:
        """Return the limits that have no room now; without `reserves`, those that have none for anybody."""
        demands = []
        for want in shape.wants:
            asked = want.demand
            limits = self.limits.get(asked.account, _NO_LIMITS)
            bound = less(limits, want.withheld) if reserves else limits
            demands.append(Demand(asked.account, bound, asked.source, asked.ever, asked.rises))
        found = shortfalls(self.taken, shape.weight, demands)
        if self.pool is not None and shape.shares:
            kept = shape.withheld if reserves else ZERO
            share = share_shortfall(self.pool, self._shares[shape.namespace], shape.weight, kept)
            found += [] if share is None else [share]
        return found

    def _admits(self, account: Account, weight: Usage, kept: Usage) -> bool:
        bound = less(self.limits.get(account, _NO_LIMITS), kept)
        return bound.admits(self.taken.get(account, ZERO) + weight)
