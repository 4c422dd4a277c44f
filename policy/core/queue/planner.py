"""Who is released next, in one quota root: kept up to date event by event, O(log n) for each release.

Waiters of equal shape form a group. A group that does not fit is inadmissible as a whole at the account that
has no room, and is looked at again when that account has enough for it; so a queue of any length costs
nothing while it waits. What is decided depends on the events and their times alone.

Whoever fits is released, in the order of `fair_share` (BestEffortFIFO). The exceptions are claims
of those that were passed often (`starvation_guard`) and StrictFIFO, where nobody passes the first of their
namespace. Who can never fit, or is on hold, stands in nobody's way. `scheduling_queue` has the steps.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.queue.equivalence_groups import Group, Shape, shape_of
from policy.core.queue.fair_share import FairShare
from policy.core.queue.headroom import Headroom
from policy.core.queue.ordering import Order, Waiter
from policy.core.queue.pending import Pending
from policy.core.queue.scheduling_queue import SchedulingQueue
from policy.core.queue.starvation_guard import PASSES, PATIENCE
from policy.core.quota.accounts import Account, Tenant
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.pool_tree import ROOT, Pool
from policy.core.values.amounts import ZERO, Limits, Usage

_SAMPLE: Final = timedelta(minutes=1)
"""How often namespaces that only run are charged for it; a start and an end count at once."""


class Load(msgspec.Struct, frozen=True):
    """Something that counts: whose it is, on which accounts, and how much."""

    namespace: str
    user: str
    accounts: tuple[Account, ...]
    weight: Usage


class Planner:
    """The queue of one root. Every event may let somebody go; `plan` says whom."""

    def __init__(
        self, *, now: datetime, fair: FairShare, passes: int = PASSES, patience: timedelta = PATIENCE
    ) -> None:
        self.headroom = Headroom()
        self.fair = fair
        self.pending = Pending(Order(fair=fair, now=now))
        self.queue = SchedulingQueue(
            pending=self.pending, headroom=self.headroom, passes=passes, patience=patience
        )
        self.sampled_at = now

    # Who waits.

    def add(self, waiter: Waiter) -> None:
        """Let a Workflow join the queue; one that waits already is replaced.

        Its demands' limits hold on accounts that nobody has set any for.
        """
        self.remove(waiter.uid)
        for want in waiter.wants:
            if want.demand.account not in self.headroom.limits:  # Nobody is inadmissible at one that is new.
                self.headroom.limits[want.demand.account] = want.demand.limits
        group = self.pending.add(waiter)
        if group is not None:
            self.queue.look_again(group)

    def remove(self, uid: str) -> None:
        """Forget a Workflow that left the queue otherwise; an unknown one was not in it."""
        group = self.pending.remove(uid)
        if group is not None:
            if not group:
                self.queue.take_out(group)
            self.queue.gave_way(group)

    def put_back(self, waiter: Waiter, load: Load) -> None:
        """Undo a release that could not be reserved."""
        self.ended(load, self.pending.order.moment)
        self.add(waiter)

    # What is taken, and how much there is.

    def started(self, load: Load, now: datetime, *, entry: bool = True) -> None:
        """Count something that this queue did not release. `entry`: it starts now, as far as we know."""
        self._pass_time(now)
        self._charge(load, entry=entry)
        self.queue.share_moved(load.namespace)

    def ended(self, load: Load, now: datetime) -> None:
        """Count something no longer."""
        self._pass_time(now)
        self.headroom.charge(load.accounts, ZERO - load.weight)
        for tenant in _tenants(load.namespace, load.user):
            self.fair.ended(tenant, load.weight, now)
        self.queue.share_moved(load.namespace)
        self.queue.open(load.accounts)

    def set_taken(self, taken: Mapping[Account, Usage]) -> None:
        """Set what is taken to what the ledger says; fair share goes by `started` and `ended` alone."""
        known = self.headroom.taken
        different = {account for account, usage in taken.items() if known.get(account, ZERO) != usage}
        changed = sorted(different | (known.keys() - taken.keys()))
        for account in changed:
            self.headroom.set_taken(account, taken.get(account, ZERO))
        for namespace in sorted({account.namespace for account in changed if account.namespace}):
            self.queue.share_moved(namespace)
        whole = self.headroom.whole
        self.queue.open(changed if whole is None or not changed else [*changed, whole])

    def set_limits(self, account: Account, limits: Limits, *, ever: Limits | None = None) -> None:
        """Put limits in force on an account; `ever` is the most that they will be in other windows."""
        self.headroom.set_limits(account, limits, limits if ever is None else ever)
        self.queue.limits_moved()
        self.queue.open([account])

    def set_pool(self, pool: Pool | None) -> None:
        """Put the tree of a pool in force, as it is or with other limits."""
        self.headroom.set_pool(pool)
        if pool is not None:
            self.fair.limits = pool.usage.tree.members[ROOT].nominal
        for group in self.pending.groups():
            self.queue.look_again(group)
        self.queue.limits_moved()

    def set_rules(self, namespace: str, rules: QueueRules) -> None:
        """Say how the Workflows of a namespace wait."""
        for group in self.pending.set_rules(namespace, rules):
            self.queue.look_again(group)

    # What follows.

    def plan(self, now: datetime, most: int | None = None) -> list[Waiter]:
        """Return who goes now, in order, at most `most`; they count from here on, and wait no more."""
        self._pass_time(now)
        for climbing in self.pending.climb():
            self.queue.look_again(climbing)
        released: list[Waiter] = []
        while most is None or len(released) < most:
            group = self.queue.next()
            if group is None:
                break
            released.append(self._release(group))
        return released

    def load_of(self, waiter: Waiter) -> Load:
        """Return what a waiter counts for once it is released."""
        return self._load(waiter, shape_of(waiter))

    def _load(self, waiter: Waiter, shape: Shape) -> Load:
        return Load(waiter.namespace, waiter.user, self.headroom.accounts(shape), waiter.weight)

    def _release(self, group: Group) -> Waiter:
        """Count the head of a group, which was taken out of the queue, and see who was passed by it."""
        waiter = group.head()
        if waiter is None:
            raise AssertionError("a group without a head may not go")
        load = self._load(waiter, group.shape)
        overtaken = self.queue.overtaken(group, load.accounts)  # Before its charge moves its namespace back.
        self.pending.remove(waiter.uid)
        self._charge(load, entry=True)
        self.queue.share_moved(load.namespace)
        self.queue.served(group, overtaken)
        return waiter

    def _charge(self, load: Load, *, entry: bool) -> None:
        self.headroom.charge(load.accounts, load.weight)
        for tenant in _tenants(load.namespace, load.user):
            self.fair.started(tenant, load.weight, self.pending.order.moment, entry=entry)

    def _pass_time(self, now: datetime) -> None:
        """Let time pass: who waited long enough rises, and namespaces are charged for what runs."""
        for group in self.pending.pass_time(now):
            self.queue.look_again(group)
        if now - self.sampled_at >= _SAMPLE:
            self.sampled_at = now
            self.fair.sample(now)
            if self.fair.rebase(now):
                self.pending.reorder(self.pending.groups())
                for group in self.pending.groups():
                    self.queue.look_again(group)


def _tenants(namespace: str, user: str) -> tuple[Tenant, ...]:
    return (Tenant(namespace), Tenant(namespace, user)) if user else (Tenant(namespace),)
