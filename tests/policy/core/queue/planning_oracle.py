"""The planner's decision once more, by recomputing everything from scratch before each release."""

from collections.abc import Mapping
from datetime import datetime

from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy
from policy.core.queue.fair_share import FairShare
from policy.core.queue.ordering import Waiter
from policy.core.queue.planner import Charge
from policy.core.quota.accounts import Account, Tenant
from policy.core.quota.compiled_quota import DEFAULT_RULES, QueueRules
from policy.core.values.amounts import ZERO, Limits, Usage, less
from tests.policy.core.quota.tree_oracle import PlainPool, would_exceed


class Oracle:
    """Has the same events as a planner, and no structure at all. No group is protected here."""

    def __init__(self, *, fair: FairShare, now: datetime) -> None:
        self.fair = fair
        self.now = now
        self.waiters: dict[str, Waiter] = {}
        self.taken: dict[Account, Usage] = {}
        self.limits: dict[Account, Limits] = {}
        self.rules: dict[str, QueueRules] = {}
        self.plain: PlainPool | None = None
        self.priorities: set[int] = set()

    def count(self, charge: Charge, sign: int) -> None:
        """Count a charge, or no longer."""
        for account in charge.accounts:
            before = self.taken.get(account, ZERO)
            self.taken[account] = before + charge.usage if sign > 0 else before - charge.usage

    def plan(self) -> list[str]:
        """Return the uids of who goes, in order; the priorities that count are those at the beginning."""
        released = []
        self.priorities = {each.priority for each in self.waiters.values() if not each.fault}
        while (waiter := self._first()) is not None:
            released.append(waiter.uid)
            charge = self.charge_of(waiter)
            self.count(charge, 1)
            self.fair.started(Tenant(waiter.namespace), waiter.needs.requested, self.now)
            if waiter.user:
                self.fair.started(Tenant(waiter.namespace, waiter.user), waiter.needs.requested, self.now)
            del self.waiters[waiter.uid]
        return released

    def charge_of(self, waiter: Waiter) -> Charge:
        """Return what a waiter counts for."""
        accounts = [want.demand.account for want in waiter.needs.wants]
        if self.plain is not None and waiter.needs.shares:
            accounts += [Account(waiter.namespace, f"{self.plain.name}/share"), Account("", self.plain.name)]
        return Charge(waiter.namespace, waiter.user, tuple(accounts), waiter.needs.requested)

    def _first(self) -> Waiter | None:
        able = [each for each in self.waiters.values() if self._may_start(each) and self.fits(each)]
        return min(able, key=self._key, default=None)

    def _may_start(self, waiter: Waiter) -> bool:
        rules = self.rules.get(waiter.namespace, DEFAULT_RULES)
        if waiter.fault or rules.stop_policy is not StopPolicy.NONE:
            return False
        if rules.strategy is not QueueStrategy.STRICT_FIFO:
            return True
        ahead = [
            each
            for each in self.waiters.values()
            if each.namespace == waiter.namespace and not each.fault and not self.never(each)
        ]
        return not ahead or min(ahead, key=self._inside) is waiter

    def _inside(self, waiter: Waiter) -> tuple[int, int, datetime, int, str]:
        used = self.fair.ranks.get(Tenant(waiter.namespace, waiter.user), 0) if waiter.user else 0
        return (-self.level(waiter), used, waiter.created, waiter.arrival, waiter.uid)

    def level(self, waiter: Waiter) -> int:
        """Return the priority with its age: with each aging it passes twice as many as with the last."""
        aging = self.rules.get(waiter.namespace, DEFAULT_RULES).aging
        level, steps = waiter.priority, 1
        if aging is None:
            return level
        waited = self.now - waiter.created
        while waited >= aging:
            above = sorted(each for each in self.priorities if each > level)[:steps]
            if not above:
                break
            level, steps, waited = above[-1], steps * 2, waited - aging
        return level

    def _key(self, waiter: Waiter) -> tuple[bool, int, int, int, datetime, int, str]:
        level, used, *rest = self._inside(waiter)
        share = self.fair.ranks.get(Tenant(waiter.namespace), 0)
        return (self.borrows(waiter), level, share, used, *rest)  # type: ignore[return-value]  # Tuples grow here.

    def borrows(self, waiter: Waiter) -> bool:
        """Return whether a waiter would go beyond its namespace's share."""
        if self.plain is None or not waiter.needs.shares:
            return False
        nominal = self.plain.nominal[waiter.namespace]
        used = self.taken.get(Account(waiter.namespace, f"{self.plain.name}/share"), ZERO)
        return not nominal.admits(used + waiter.needs.requested)

    def fits(self, waiter: Waiter) -> bool:
        """Return whether nothing would be exceeded."""
        for want in waiter.needs.wants:
            account = want.demand.account
            bound = less(self.limits.get(account, want.demand.limits), want.withheld)
            if not bound.admits(self.taken.get(account, ZERO) + waiter.needs.requested):
                return False
        return self._pool_admits(waiter, self.taken)

    def never(self, waiter: Waiter) -> bool:
        """Return whether a waiter does not fit even when nothing runs."""
        for want in waiter.needs.wants:
            bound = less(self.limits.get(want.demand.account, want.demand.limits), want.withheld)
            if not bound.admits(waiter.needs.requested):
                return True
        return not self._pool_admits(waiter, {})

    def _pool_admits(self, waiter: Waiter, taken: Mapping[Account, Usage]) -> bool:
        if self.plain is None or not waiter.needs.shares:
            return True
        used = {
            name: taken.get(Account(name, f"{self.plain.name}/share"), ZERO) for name in self.plain.nominal
        }
        return not would_exceed(
            self.plain, used, waiter.namespace, waiter.needs.requested, waiter.needs.withheld
        )
