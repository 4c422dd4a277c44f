"""Which Workflow is released next, in one quota root: updated event by event, O(log n) for each release.

Waiters with the same requirements form a group. A group that does not fit is inadmissible as a whole at the
account that has not enough left, and is tried again when that account has; so a queue of any length costs
nothing while it waits. The result depends on the events and their times alone.

All that fit are released, in the order of `ordering` (BestEffortFIFO). There are two exceptions: those that
were overtaken too often are protected (`starvation_guard`), and with StrictFIFO none passes the first of its
namespace. Workflows that can never fit, or are on hold, block no others. `scheduling_queue` has the steps.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.queue.equivalence_groups import EquivalenceGroup
from policy.core.queue.fair_share import FairShare
from policy.core.queue.headroom import Headroom
from policy.core.queue.key_holders import KeyHolders
from policy.core.queue.ordering import Order, Waiter
from policy.core.queue.pending import Pending
from policy.core.queue.scheduling_queue import SchedulingQueue
from policy.core.queue.starvation_guard import LONG_WAIT, MAX_OVERTAKES
from policy.core.quota.accounts import Account, Tenant
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.pool_borrowing import ROOT, Pool
from policy.core.values.amounts import ZERO, Limits, Usage

_SAMPLE: Final = timedelta(minutes=1)
"""How often running Workflows are counted for fair share; a start and an end count at once."""


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What a running or released Workflow counts: for which tenant, on which accounts, and how much."""

    namespace: str
    user: str
    accounts: tuple[Account, ...]
    usage: Usage


class Planner:
    """The queue of one root. After an event, `plan` returns the Workflows to release."""

    __slots__ = ("fair", "headroom", "key_holders", "pending", "queue", "sampled_at")

    def __init__(
        self,
        *,
        now: datetime,
        fair: FairShare,
        max_overtakes: int = MAX_OVERTAKES,
        long_wait: timedelta = LONG_WAIT,
    ) -> None:
        self.headroom = Headroom()
        self.key_holders = KeyHolders()
        self.fair = fair
        self.pending = Pending(Order(fair=fair, now=now))
        self.queue = SchedulingQueue(
            pending=self.pending, headroom=self.headroom, max_overtakes=max_overtakes, long_wait=long_wait
        )
        self.sampled_at = now

    # What waits.

    def add(self, waiter: Waiter) -> None:
        """Add a Workflow to the queue; it replaces one with the same uid.

        The limits of its demands count on accounts for which none were put in force.
        """
        self.remove(waiter.uid)
        group = self.pending.add(waiter)
        if group is not None:
            self.queue.requeue(group)

    def remove(self, uid: str) -> None:
        """Remove a Workflow that left the queue without a release, if it is there."""
        group = self.pending.remove(uid)
        if group is not None:
            if not group:
                self.queue.dequeue(group)
            self.queue.left(group)

    def put_back(self, waiter: Waiter, charge: Charge) -> None:
        """Undo a release that could not be reserved."""
        self.ended(charge, self.pending.order.now)
        self.add(waiter)

    # What is used, and what the limits are.

    def started(self, charge: Charge, now: datetime, *, entry: bool = True) -> None:
        """Count a Workflow that this queue did not release. `entry`: it starts now, as far as is known."""
        self._pass_time(now)
        self._charge(charge, entry=entry)
        self.queue.share_changed(charge.namespace)

    def ended(self, charge: Charge, now: datetime) -> None:
        """Count a Workflow no longer."""
        self._pass_time(now)
        self.headroom.charge(charge.accounts, ZERO - charge.usage)
        for tenant in _tenants(charge):
            self.fair.ended(tenant, charge.usage, now)
        self.queue.share_changed(charge.namespace)
        self.queue.requeue_at(charge.accounts)

    def set_used(self, used: Mapping[Account, Usage]) -> None:
        """Set the usage to that of the ledger; fair share counts `started` and `ended` alone."""
        self.update_used({**dict.fromkeys(self.headroom.used, ZERO), **used})

    def update_used(self, used: Mapping[Account, Usage]) -> None:
        """Set the usage of these accounts alone, as `set_used` does of all."""
        known = self.headroom.used
        changed = sorted(account for account, usage in used.items() if known.get(account, ZERO) != usage)
        for account in changed:
            self.headroom.set_used(account, used[account])
        for namespace in sorted({account.namespace for account in changed if account.namespace}):
            self.queue.share_changed(namespace)
        whole = self.headroom.whole
        self.queue.requeue_at(changed if whole is None or not changed else [*changed, whole])

    def set_limits(self, account: Account, limits: Limits, *, ever: Limits | None = None) -> None:
        """Put limits in force on an account; `ever` are the highest at any time."""
        self.headroom.set_limits(account, limits, limits if ever is None else ever)
        self.queue.limits_changed()
        self.queue.requeue_at([account])

    def set_pool(self, pool: Pool | None) -> None:
        """Put the tree of a pool in force, the first one or one with other limits."""
        self.headroom.set_pool(pool)
        if pool is not None:
            self.fair.limits = pool.usage.tree.members[ROOT].nominal
        for group in self.pending.groups():
            self.queue.requeue(group)
        self.queue.limits_changed()

    def set_rules(self, namespace: str, rules: QueueRules) -> None:
        """Set how the Workflows of a namespace wait."""
        for group in self.pending.set_rules(namespace, rules):
            self.queue.requeue(group)

    # What is released.

    def plan(self, now: datetime, most: int | None = None) -> list[Waiter]:
        """Return the Workflows to release, in order, at most `most`; they count as running from here on."""
        self._pass_time(now)
        for group in self.pending.refresh_priorities():
            self.queue.requeue(group)
        released: list[Waiter] = []
        while (most is None or len(released) < most) and (next_group := self.queue.next()) is not None:
            released.append(self._release(next_group))
        return released

    def charge_of(self, waiter: Waiter) -> Charge:
        """Return what a waiter counts once it is released."""
        accounts = self.headroom.accounts(waiter.needs)
        return Charge(waiter.namespace, waiter.user, accounts, waiter.needs.requested)

    def _release(self, group: EquivalenceGroup) -> Waiter:
        """Release the head of a dequeued group, and count what it overtakes."""
        waiter = group.head()
        if waiter is None:
            raise AssertionError("a group without a head may not start")
        charge = self.charge_of(waiter)
        overtaken = self.queue.overtaken(group, charge.accounts)  # Before the charge.
        self.pending.remove(waiter.uid)
        self._charge(charge, entry=True)
        self.queue.share_changed(charge.namespace)
        self.queue.released(group, overtaken)
        return waiter

    def _charge(self, charge: Charge, *, entry: bool) -> None:
        self.headroom.charge(charge.accounts, charge.usage)
        for tenant in _tenants(charge):
            self.fair.started(tenant, charge.usage, self.pending.order.now, entry=entry)

    def _pass_time(self, now: datetime) -> None:
        """Let time pass: levels rise with age, and what runs is counted for fair share."""
        for group in self.pending.pass_time(now):
            self.queue.requeue(group)
        if now - self.sampled_at >= _SAMPLE:
            self.sampled_at = now
            self.fair.sample(now)
            if self.fair.rebase(now):
                self.pending.reorder(self.pending.groups())
                for group in self.pending.groups():
                    self.queue.requeue(group)


def _tenants(charge: Charge) -> tuple[Tenant, ...]:
    namespace = Tenant(charge.namespace)
    return (namespace, Tenant(charge.namespace, charge.user)) if charge.user else (namespace,)
