"""Who is released next, in one quota root: kept up to date event by event, O(log n) for each release.

Waiters of equal shape form a group. A group that does not fit is parked as a whole at the account that has no
room, and is looked at again when that account has enough for it; so a queue of any length costs nothing
while it waits. What is decided depends on the events and their times alone.

Whoever fits is released, in the order of `policy.core.ordering` (BestEffortFIFO). The exceptions are claims
of those that were passed often (`policy.core.claims`) and StrictFIFO, where nobody passes the first of their
namespace. Who can never fit, or is on hold, stands in nobody's way.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.amounts import ZERO, Limits, Usage
from policy.core.claims import PASSES, PATIENCE, Front
from policy.core.fairshare import FairShare, Tenant
from policy.core.groups import Group, shape_of
from policy.core.ledger import Account
from policy.core.lineup import Lineup
from policy.core.ordering import Order, QueueRules, Waiter
from policy.core.quota_kinds import StopPolicy
from policy.core.rooms import ROOT, Pool, Rooms
from policy.core.waiting_room import WaitingRoom

SAMPLE: Final = timedelta(minutes=1)
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
        self.rooms = Rooms()
        self.fair = fair
        self.line = Lineup(Order(fair=fair, now=now))
        self._passes = passes
        self._patience = patience
        self.room = WaitingRoom(line=self.line, rooms=self.rooms)
        self.sampled_at = now

    # Who waits.

    def add(self, waiter: Waiter) -> None:
        """Let a Workflow join the queue; one that waits already is replaced.

        Its demands' limits hold on accounts that nobody has set any for.
        """
        self.remove(waiter.uid)
        for want in waiter.wants:
            if want.demand.account not in self.rooms.limits:  # Nobody can be parked at one that is new.
                self.rooms.limits[want.demand.account] = want.demand.limits
        for group in self.line.add(waiter):
            self.room.look_again(group)

    def remove(self, uid: str) -> None:
        """Forget a Workflow that left the queue otherwise; an unknown one was not in it."""
        group = self.line.remove(uid)
        if group is not None:
            if not group:
                self.room.take_out(group)
            self._gave_way(group)

    def put_back(self, waiter: Waiter, load: Load) -> None:
        """Undo a release that could not be reserved."""
        self.ended(load, self.line.order.moment)
        self.add(waiter)

    # What is taken, and how much there is.

    def started(self, load: Load, now: datetime, *, entry: bool = True) -> None:
        """Count something that this queue did not release. `entry`: it starts now, as far as we know."""
        self._pass_time(now)
        self._charge(load, entry=entry)
        self.room.share_moved(load.namespace)

    def ended(self, load: Load, now: datetime) -> None:
        """Count something no longer."""
        self._pass_time(now)
        self.rooms.charge(load.accounts, ZERO - load.weight)
        for tenant in _tenants(load.namespace, load.user):
            self.fair.ended(tenant, load.weight, now)
        self.room.share_moved(load.namespace)
        self.room.open(load.accounts)

    def set_taken(self, taken: Mapping[Account, Usage]) -> None:
        """Set what is taken to what the ledger says; fair share goes by `started` and `ended` alone."""
        known = self.rooms.taken
        different = {account for account, usage in taken.items() if known.get(account, ZERO) != usage}
        changed = sorted(different | (known.keys() - taken.keys()))
        for account in changed:
            self.rooms.set_taken(account, taken.get(account, ZERO))
        for namespace in sorted({account.namespace for account in changed if account.namespace}):
            self.room.share_moved(namespace)
        self.room.open(changed)
        if changed and self.rooms.pool is not None:
            self.room.open([self.rooms.pool.account])

    def set_limits(self, account: Account, limits: Limits, *, ever: Limits | None = None) -> None:
        """Put limits in force on an account; `ever` is the most that they will be in other windows."""
        self.rooms.set_limits(account, limits, limits if ever is None else ever)
        self.room.limits_moved()
        self.room.open([account])

    def set_pool(self, pool: Pool | None) -> None:
        """Put the tree of a pool in force, as it is or with other limits."""
        self.rooms.set_pool(pool)
        if pool is not None:
            self.fair.limits = pool.shares.tree.members[ROOT].nominal
        for group in self.line.groups():
            self.room.look_again(group)
        self.room.limits_moved()

    def set_rules(self, namespace: str, rules: QueueRules) -> None:
        """Say how the Workflows of a namespace wait."""
        for group in self.line.set_rules(namespace, rules):
            self.room.look_again(group)

    # What follows.

    def plan(self, now: datetime, most: int | None = None) -> list[Waiter]:
        """Return who goes now, in order, at most `most`; they count from here on, and wait no more."""
        self._pass_time(now)
        for climbing in self.line.climb():
            self.room.look_again(climbing)
        released: list[Waiter] = []
        while most is None or len(released) < most:
            group = self.room.first()
            if group is None:
                break
            waiter = self._consider(group)
            if waiter is not None:
                released.append(waiter)
        return released

    def overdue(self, now: datetime) -> list[Waiter]:
        """Return those who have waited for their `maxWait`, until they are removed."""
        late = (self.line.get(uid) for uid in self.line.deadlines.passed(now))
        return [waiter for waiter in late if waiter is not None]

    def next_event(self) -> datetime | None:
        """Return when time alone may change something: somebody rises, or has waited too long."""
        moments = [self.line.next_rise(), self.line.deadlines.next()]
        return min((each for each in moments if each is not None), default=None)

    def load_of(self, waiter: Waiter) -> Load:
        """Return what a waiter counts for once it is released."""
        accounts = self.rooms.accounts(shape_of(waiter))
        return Load(waiter.namespace, waiter.user, accounts, waiter.weight)

    def _consider(self, group: Group) -> Waiter | None:
        """Release the head of a group, or put the group to where it belongs."""
        self.room.take_out(group)
        if group.head() is None or self.line.rules(group.shape.namespace).stop_policy is not StopPolicy.NONE:
            self.room.drop_claims(group)
            return None
        namespace = group.shape.namespace
        if namespace in self.line.strict:
            self.line.queue(namespace).ranked.put(group)
            self.room.next_turn(namespace)
        if group.never:
            return None
        if not self.room.is_its_turn(group):
            self.line.queue(namespace).behind[group] = None
            self.room.drop_claims(group)
            return None
        if self.room.give_up_if_never(group):
            self.room.next_turn(namespace)
            return None
        short = self.rooms.short(group.shape)
        barred = self.room.barred(group) if short is None else None
        where = short or (None if barred is None else self.rooms.parked_at(barred, group.shape))
        if where is None:
            return self._release(group)
        self.room.park(group, where)
        if self.room.claims.has(group):
            self.room.claims.claim(where.account, group)
        return None

    def _release(self, group: Group) -> Waiter:
        waiter = group.head()
        if waiter is None:
            raise AssertionError("a group without a head is not considered")
        load = self.load_of(waiter)
        passed = self._passed(group, load.accounts)  # Before it is charged, which moves its namespace back.
        self.line.remove(waiter.uid)
        self._charge(load, entry=True)
        self.room.share_moved(load.namespace)
        self._gave_way(group)
        self._count_passes(passed)
        if group:
            self.room.look_again(group)
        return waiter

    def _charge(self, load: Load, *, entry: bool) -> None:
        self.rooms.charge(load.accounts, load.weight)
        for tenant in _tenants(load.namespace, load.user):
            self.fair.started(tenant, load.weight, self.line.order.moment, entry=entry)

    def _passed(self, group: Group, accounts: Iterable[Account]) -> list[tuple[Account, Front]]:
        """Return the fronts of these accounts that a group goes before out of turn."""
        place, found = self.room.place(group), []
        for account in accounts:
            best = self.room.parking.best(account)
            if best is None:
                continue
            front = self.room.claims.front(account)
            if front is None or self.room.level(best[1]) > self.room.level(front.group):
                front = self.room.claims.begin(account, best[1])
            ahead = self.room.place(front.group)
            if ahead is not None and place is not None and ahead < place:
                found.append((account, front))
        return found

    def _count_passes(self, passed: Iterable[tuple[Account, Front]]) -> None:
        """Count that fronts were passed; those that were passed often claim the account."""
        for account, front in passed:
            front.passed += 1
            head = front.group.head()
            long = head is not None and self.line.order.moment - head.created >= self._patience
            if head is None or not (long or front.passed >= self._passes):
                continue
            if self.room.give_up_if_never(front.group):
                self.room.next_turn(front.group.shape.namespace)
            elif self.room.claims.front(account) is front:
                self.room.claims.claim(account, front.group)

    def _gave_way(self, group: Group) -> None:
        """A group was served or left: its claims end, and in a strict queue it is another's turn."""
        self.room.drop_claims(group)
        self.room.next_turn(group.shape.namespace)

    def _pass_time(self, now: datetime) -> None:
        """Let time pass: who waited long enough rises, and namespaces are charged for what runs."""
        for group in self.line.pass_time(now):
            self.room.look_again(group)
        if now - self.sampled_at >= SAMPLE:
            self.sampled_at = now
            self.fair.sample(now)
            if self.fair.rebase(now):
                self.line.reorder(self.line.groups())
                for group in self.line.groups():
                    self.room.look_again(group)


def _tenants(namespace: str, user: str) -> tuple[Tenant, ...]:
    return (Tenant(namespace), Tenant(namespace, user)) if user else (Tenant(namespace),)
