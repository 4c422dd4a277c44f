"""How much room there is: what is taken on each account and in the pool's tree, and what that leaves."""

from collections.abc import Iterable, Iterator
from typing import Final

from policy.core.amounts import ZERO, Amount, Limits, Usage
from policy.core.groups import Parked, Shape
from policy.core.ledger import Account, Demand, Shortfall
from policy.core.reserves import less
from policy.core.shares import Shares
from policy.core.tree import Tree

NO_LIMITS: Final = Limits()


ROOT: Final = ""
"""Name of a pool in its own tree, where members have the names of their namespaces."""


class Pool:
    """The tree of a pool as it is now, and `ever`, as it is at its most."""

    def __init__(self, *, name: str, source: str, tree: Tree, ever: Tree) -> None:
        self.name = name
        self.source = source
        self.shares = Shares(tree, {})
        self.ever = Shares(ever, {})
        self.account = Account.of_pool(name)
        self._share = Account.share(name, "").quota

    def member(self, namespace: str) -> Account:
        """Return the account of a member."""
        return Account(namespace, self._share)

    def has(self, account: Account) -> bool:
        """Tell whether an account is that of a member."""
        return account.quota == self._share and account.namespace in self.shares.tree.members


class Rooms:
    """What is taken in one root, and the limits that hold there. An account without limits has none."""

    def __init__(self) -> None:
        self.taken: dict[Account, Usage] = {}
        self.limits: dict[Account, Limits] = {}
        self.ever: dict[Account, Limits] = {}
        self.pool: Pool | None = None
        self.version = 0

    def set_limits(self, account: Account, limits: Limits, ever: Limits) -> None:
        """Put limits in force; `version` tells that some were changed."""
        self.limits[account] = limits
        self.ever[account] = ever
        self.version += 1

    def set_pool(self, pool: Pool | None) -> None:
        """Put a pool's tree in force, with what is taken already."""
        self.pool = pool
        self.version += 1
        if pool is None:
            return
        for account, usage in self.taken.items():
            if pool.has(account):
                pool.shares.charge(account.namespace, usage)

    def set_taken(self, account: Account, usage: Usage) -> None:
        """Set what is taken on an account."""
        before = self.taken.get(account, ZERO)
        if usage == ZERO:
            self.taken.pop(account, None)
        else:
            self.taken[account] = usage
        pool = self.pool
        if pool is not None and pool.has(account):
            pool.shares.charge(account.namespace, usage - before)

    def charge(self, accounts: Iterable[Account], weight: Usage) -> None:
        """Count a Workflow on its accounts; a negative weight takes it back."""
        for account in accounts:
            self.set_taken(account, self.taken.get(account, ZERO) + weight)

    def accounts(self, shape: Shape) -> tuple[Account, ...]:
        """Return the accounts on which a shape counts."""
        own = tuple(want.demand.account for want in shape.wants)
        if self.pool is None or not shape.shares:
            return own
        return (*own, self.pool.member(shape.namespace), self.pool.account)

    def borrows(self, shape: Shape) -> bool:
        """Tell whether a shape would go beyond its member's share of the pool."""
        pool = self.pool
        return pool is not None and shape.shares and pool.shares.would_borrow(shape.namespace, shape.weight)

    def short(self, shape: Shape) -> Parked | None:
        """Return where a shape has no room, looking at its own accounts first; None where it fits."""
        for want in shape.wants:
            if not self._admits(want.demand.account, shape.weight, want.withheld):
                return self.parked_at(want.demand.account, shape)
        pool = self.pool
        if pool is None or not shape.shares:
            return None
        if not pool.shares.within_cap(shape.namespace, shape.weight):
            return self.parked_at(pool.member(shape.namespace), shape)
        if pool.shares.pool_has(shape.namespace, shape.weight, shape.withheld):
            return None
        return self.parked_at(pool.account, shape)

    def parked_at(self, account: Account, shape: Shape) -> Parked:
        """Return the place at an account where shapes stand that need as much there as this one."""
        pool = self.pool
        if pool is not None and shape.shares and account == pool.account:
            return Parked(account, (shape.weight, shape.withheld, pool.shares.kept(shape.namespace)))
        withheld = [want.withheld for want in shape.wants if want.demand.account == account]
        return Parked(account, (shape.weight, *withheld))

    def has_room(self, account: Account, shape: Shape) -> bool:
        """Tell whether one account of a shape has room for it."""
        for want in shape.wants:
            if want.demand.account == account and not self._admits(account, shape.weight, want.withheld):
                return False
        pool = self.pool
        if pool is None or not shape.shares:
            return True
        if account == pool.account:
            return pool.shares.pool_has(shape.namespace, shape.weight, shape.withheld)
        return account != pool.member(shape.namespace) or pool.shares.within_cap(
            shape.namespace, shape.weight
        )

    def never(self, shape: Shape) -> bool:
        """Tell whether a shape can never fit, with nobody running and the limits at their most."""
        return next(self.never_by(shape), None) is not None

    def never_by(self, shape: Shape) -> Iterator[Shortfall]:
        """Yield the limits that can never admit a shape."""
        for want in shape.wants:
            account = want.demand.account
            most = less(self.ever.get(account, self.limits.get(account, NO_LIMITS)), want.withheld)
            if not most.admits(shape.weight):
                yield Shortfall(Demand(account, most, want.demand.source), ZERO, shape.weight)
        pool = self.pool
        if pool is not None and shape.shares:
            most = pool.ever.potential(shape.namespace, shape.withheld)
            if not most.admits(shape.weight):
                yield Shortfall(Demand(pool.account, most, pool.source), ZERO, shape.weight)

    def short_by(self, shape: Shape, *, reserves: bool = True) -> Iterator[Shortfall]:
        """Yield the limits that have no room now; without `reserves`, those that have none for anybody."""
        for want in shape.wants:
            account = want.demand.account
            bound = less(self.limits.get(account, NO_LIMITS), want.withheld if reserves else ZERO)
            used = self.taken.get(account, ZERO)
            if not bound.admits(used + shape.weight):
                demand = Demand(account, bound, want.demand.source, want.demand.ever, want.demand.rises)
                yield Shortfall(demand, used, shape.weight)
        pool = self.pool
        kept = shape.withheld if reserves else ZERO
        if pool is None or not shape.shares or pool.shares.fits(shape.namespace, shape.weight, kept):
            return
        used = pool.shares.used(shape.namespace)
        left = pool.shares.available(shape.namespace, kept)
        bound = Limits(_up_to(left.workflows, used.workflows), _up_to(left.tasks, used.tasks))
        demand = Demand(pool.member(shape.namespace), bound, f"{pool.source} for {shape.namespace}")
        yield Shortfall(demand, used, shape.weight)

    def _admits(self, account: Account, weight: Usage, kept: Usage) -> bool:
        bound = less(self.limits.get(account, NO_LIMITS), kept)
        return bound.admits(self.taken.get(account, ZERO) + weight)


def _up_to(left: Amount, used: int) -> Amount:
    """Return the most that a member may have now: what it uses, and what is left to it."""
    return left if left.value is None else Amount(left.value + used)
