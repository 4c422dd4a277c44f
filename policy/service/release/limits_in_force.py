"""Which limits of one quota root are in force: set in its planner when time, nodes or edits change them.

A planner takes over an edit that changes limits only. Workflows that wait need capacity in the same accounts
as before, so a queue of any length need not be read again for a number that was changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.queue.fair_share import FairShare
from policy.core.queue.planner import Planner
from policy.core.quota.accounts import Account, Tenant
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.pools import CompiledPool
from policy.core.quota.windows import ALWAYS, NEVER
from policy.core.values.amounts import Limits

_NONE: Final[frozenset[Account]] = frozenset()
"""One for all roots: an empty set takes 216 bytes."""


class LimitsInForce:
    """The policies of some namespaces of one root, and until when their limits stay as they are.

    `capacity` is what nodes allow the pool, None where it was not measured.
    """

    __slots__ = ("capacity", "has_groups", "namespaces", "pool", "refusing", "snapshot", "until")

    def __init__(self, *, snapshot: Snapshot, namespaces: Sequence[str], capacity: Limits | None) -> None:
        self.snapshot = snapshot
        self.namespaces = namespaces
        self.capacity = capacity
        self.pool = _pool_of(snapshot, namespaces)
        self.until = ALWAYS
        quotas = [each for namespace in namespaces for each in snapshot.policies(namespace).quotas]
        groups = [each for each in quotas if each.group is not None]
        self.has_groups = bool(groups)
        refusing = frozenset(each.account for each in groups if each.on_exceed is OnExceed.DENY)
        self.refusing = refusing or _NONE

    @property
    def lender(self) -> CompiledPool | None:
        """The pool, where its members borrow."""
        return self.pool if self.pool is not None and self.pool.borrows else None

    def fair_share(self, history: Mapping[Tenant, int], now: datetime) -> FairShare:
        """Return fair share as it begins with past usage."""
        limits, pool = self._total_limits(now), self.pool
        if pool is None:
            return FairShare(now=now, limits=limits, history=history)
        return FairShare(
            now=now, limits=limits, half_life=pool.half_life, weights=pool.weights, history=history
        )

    def put(self, planner: Planner, now: datetime, capacity: Limits | None) -> bool:
        """Set the limits of `now` in the planner; return False where none can have changed."""
        if capacity == self.capacity and now < self.until:
            return False
        self.capacity = capacity
        self._set_limits(planner, now)
        return True

    def take_over(self, snapshot: Snapshot, planner: Planner) -> bool:
        """Take over another snapshot, if only limits, windows and rules are different in it.

        Returns whether that is so. The next `put` puts them in force.
        """
        pool = _pool_of(snapshot, self.namespaces)
        pairs = [(self.snapshot.policies(each), snapshot.policies(each)) for each in self.namespaces]
        if not _same_but_limits(self.pool, pool) or not all(
            old.pool == new.pool and _same_demands(old.quotas, new.quotas) for old, new in pairs
        ):
            return False
        moved = self.pool != pool or any(old.quotas != new.quotas for old, new in pairs)
        self.snapshot, self.pool = snapshot, pool
        for old, new in pairs:
            if old.rules != new.rules:
                planner.set_rules(new.namespace, new.rules)
                moved = True
        if moved:
            self.until = ALWAYS
        return True

    def _set_limits(self, planner: Planner, now: datetime) -> None:
        """Set the limits of this time in the planner, and remember how long they stay."""
        pool, lender = self.pool, self.lender
        self.until = NEVER if pool is None else pool.until(now)
        if lender is not None:
            # The limits of which shares are computed are in it.
            planner.set_pool(lender.pool_at(now, self.capacity))
        else:
            planner.fair.limits = self._total_limits(now)
        for namespace in self.namespaces:
            for quota in self.snapshot.policies(namespace).quotas:
                self.until = min(self.until, quota.elastic.at(now).until)
                if quota.is_share or quota.on_exceed is OnExceed.WARN:
                    continue
                limits = quota.limits_at(now)
                if pool is not None and not quota.account.namespace and quota.group is None:
                    if pool is lender:
                        continue
                    limits = pool.limits_at(now, self.capacity)
                if limits != planner.headroom.limits.get(quota.account):
                    planner.set_limits(quota.account, limits, ever=quota.highest)

    def _total_limits(self, now: datetime) -> Limits:
        """Return the limits of which the usage of a tenant is a share."""
        if self.pool is not None:
            return self.pool.limits_at(now, self.capacity)
        quotas = [quota for each in self.namespaces for quota in self.snapshot.policies(each).quotas]
        return quotas[0].limits_at(now) if quotas else Limits()


def _pool_of(snapshot: Snapshot, namespaces: Iterable[str]) -> CompiledPool | None:
    """Return the pool that some namespaces belong to, None where they belong to none."""
    return next((pool for each in namespaces if (pool := snapshot.pool(each)) is not None), None)


def _same_but_limits(old: CompiledPool | None, new: CompiledPool | None) -> bool:
    """Return whether two pools differ in limits and windows at most."""
    if old is None or new is None:
        return old is new
    return (
        _with_limits_of(old, new) == new
        and _same_demands((old.quota,), (new.quota,))
        and old.shares.keys() == new.shares.keys()
        and all(_same_demands(shares, new.shares[name]) for name, shares in old.shares.items())
    )


def _same_demands(old: Sequence[CompiledQuota], new: Sequence[CompiledQuota]) -> bool:
    """Return whether these make the same demands on the same accounts, with equal reserves."""
    return len(old) == len(new) and all(_same_demand(*pair) for pair in zip(old, new, strict=True))


def _same_demand(old: CompiledQuota, new: CompiledQuota) -> bool:
    """Return whether two differ in limits, windows and rules at most.

    A demand also has by what limits rise, and how far, for the message of a Workflow that waits for it.
    """
    if old.rises != new.rises or (old.rises and old.highest != new.highest):
        return False
    with_limits = msgspec.structs.replace(
        old,
        elastic=new.elastic,
        highest=new.highest,
        highest_when=new.highest_when,
        rules=new.rules,
        bounds_tasks=new.bounds_tasks,
        constant=new.constant,
    )
    return with_limits == new


def _with_limits_of(old: CompiledPool, new: CompiledPool) -> CompiledPool:
    """Return a pool with the limits of another, and what is computed from them."""
    return msgspec.structs.replace(
        old,
        quota=new.quota,
        shares=new.shares,
        assigned=new.assigned,
        defaults=new.defaults,
        borrowing=new.borrowing,
        lending=new.lending,
        capacity=new.capacity,
        rises=new.rises,
    )
