"""Which Workflows of one quota root wait, run or are being released, folded change by change.

A leader remembers it between passes, so that a pass costs what has changed and not what there is. Nothing
here reads or writes a cluster; `release_pass` does, with the ledger that `settle` returns.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from policy.core.policies.governing_quotas import accounts_of, keyed
from policy.core.policies.snapshot import Snapshot
from policy.core.queue.ordering import Waiter
from policy.core.queue.planner import Charge, Planner
from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.ledger import Ledger, Purpose, Reservation, recount, with_reservations, workflow_of
from policy.core.quota.pools import CompiledPool
from policy.core.quota.usage_view import NamespaceQueue, UsageView
from policy.core.quota.windows import NEVER
from policy.core.values.amounts import ZERO, Limits, Usage
from policy.service.release.limits_in_force import LimitsInForce
from policy.service.release.superseded import Superseded, SupersedingGroups
from policy.service.release.workflow_demands import Fault, WorkflowDemands
from policy.service.tracking.tracked import Tracked

Find: TypeAlias = Callable[[str], Tracked | None]
_HISTORY_EVERY: Final = timedelta(minutes=1)
"""How often past usage is written into the ledger, for the next leader's fair share."""
_MOST_HOLDERS: Final = 3
"""Names of those that use a key in a ledger: for a message."""
MOST_RELEASES: Final = 500
"""Releases of one pass at most: the ledger carries them until they are seen, and must stay small."""


class RootState:
    """One root under one set of policies. Where those change, it is created again from what is tracked.

    `find` returns what is tracked of a uid, and `fault` why a held Workflow may not be released. `namespaces`
    are those of the root that policies name or where a Workflow is live. `releases` are those in the ledger,
    by their ids, oldest first.
    """

    def __init__(
        self,
        *,
        root: Root,
        snapshot: Snapshot,
        namespaces: Collection[str],
        find: Find,
        now: datetime,
        ledger: Ledger,
        capacity: Limits | None,
        fault: Fault = lambda _: "",
    ) -> None:
        self.root = root
        self.namespaces = sorted(namespaces)
        self.known = frozenset(namespaces)
        self.used: dict[Account, Usage] = {}
        self.running: dict[str, Usage] = {}
        self._find = find
        self._releasing: dict[str, tuple[str, Charge]] = {}
        self._seen_reservations: dict[str, None] = {}
        self._planned: list[tuple[Waiter, Charge]] = []
        self._moved: dict[Account, None] = {}
        self._opened: dict[Account, None] | None = None
        self._written_accounts = 0
        self._reserved: Collection[Account] = ()
        self._history = ledger.history
        self._history_at = now
        self._in_force = LimitsInForce(snapshot=snapshot, namespaces=self.namespaces, capacity=capacity)
        self._demands = WorkflowDemands(in_force=self._in_force, fault=fault)
        self.planner = Planner(now=now, fair=self._in_force.fair_share(ledger.history, now))
        self.releases = ledger.releases()
        for namespace in self.namespaces:
            policies = snapshot.policies(namespace)
            self.planner.set_rules(namespace, policies.rules)
            for quota in policies.quotas:
                self.used[quota.account] = ZERO
            if (lender := self._in_force.lender) is not None:
                self.used[Account.share(lender.name, namespace)] = ZERO
        self._in_force.put(self.planner, now, capacity)
        quotas = (quota for each in self.namespaces for quota in snapshot.policies(each).quotas)
        self._superseding = SupersedingGroups(quotas)

    # What has changed.

    def change(self, before: Tracked | None, after: Tracked | None, now: datetime) -> None:
        """Fold one Workflow in: as it was at the last call, and as it is now."""
        arrived = before is not None and self._leaves(before, after, now)
        if self._superseding:
            self._note_keys(before, after)
        if after is None:
            return
        if after.reservation:
            self._seen_reservations[after.reservation] = None
        if after.held:
            self._put_waiting(after, now)
        elif before is None or before.held or self.load(before) != self.load(after):
            load = self.load(after)
            self._count(load, 1)
            if self._in_force.has_groups:
                self.planner.key_holders.began(after.uid, after.name, load.accounts)
            if not arrived:
                self.planner.started(load, now, entry=before is not None)

    def superseded(self) -> list[Superseded]:
        """Return the Workflows that newer ones of the same key supersede."""
        return self._superseding.superseded(self.planner, self.quotas_of) if self._superseding else []

    def _note_keys(self, before: Tracked | None, after: Tracked | None) -> None:
        if before is not None:
            self._superseding.left(before, self.load(before).accounts)
        if after is not None:
            self._superseding.came(after, self.load(after).accounts)

    def departed(self, reservations: Iterable[str]) -> None:
        """Record the reservations of Workflows that are completed or deleted."""
        self._seen_reservations.update(dict.fromkeys(reservations))

    def put_limits(self, now: datetime, capacity: Limits | None) -> bool:
        """Put the limits of `now` in force; return whether these or time alone may have changed something."""
        moved = self._in_force.put(self.planner, now, capacity)
        if moved:
            self._superseding.look_again()
        due = None if moved else self.planner.pending.next_event()
        return moved or (due is not None and due <= now)

    def next_event(self) -> datetime | None:
        """Return when time alone may change something here."""
        until = self._in_force.until
        times = [self.planner.pending.next_event(), until if until < NEVER else None]
        return min((each for each in times if each is not None), default=None)

    # What follows.

    def settle(
        self, ledger: Ledger, now: datetime, *, moved: Iterable[Reservation] = (), most: int = MOST_RELEASES
    ) -> Ledger:
        """Return the ledger with what is counted now, and with a reservation for each that may be released.

        `moved` are reservations of namespaces that were in other ledgers before. It may be called again with
        a ledger that was read again: what it returned before was not written then.
        """
        self._undo_plan(now)
        self._adopt(ledger, now)
        counted = self.count(self._widened(ledger, moved))
        counted = msgspec.structs.replace(
            counted, capacity=self._in_force.capacity, history=self._noted_history(now)
        )
        self._planned = [(each, self.planner.charge_of(each)) for each in self.planner.plan(now, most)]
        added = [self._reservation(waiter, load, now) for waiter, load in self._planned]
        return with_reservations(counted, added)

    def count(self, ledger: Ledger) -> Ledger:
        """Return the ledger with what is counted now; the planner counts by it from here on."""
        counted = recount(ledger, self.used, self._settled(ledger))
        if self._in_force.refusing or ledger.holders:
            counted = msgspec.structs.replace(counted, holders=self._holders())
        reserved = counted.reserved_usage()
        touched, self.planner.headroom.touched = self.planner.headroom.touched, {}
        moved = {**self._moved, **touched, **dict.fromkeys(self._reserved), **reserved}
        self.planner.update_used(
            {each: self.used.get(each, ZERO) + reserved.get(each, ZERO) for each in moved}
        )
        self._moved, self._reserved = {}, reserved.keys()
        return counted

    def _holders(self) -> Mapping[Account, tuple[str, ...]]:
        """Return the names of some of those that use each key of groups that refuse others."""
        names, refusing = self.planner.key_holders, self._in_force.refusing
        return {
            each: names.names(each)[:_MOST_HOLDERS]
            for each in self.used
            if each.key and each.whole in refusing
        }

    def _undo_plan(self, now: datetime) -> None:
        """Undo what was planned for a ledger that was not written."""
        for waiter, load in reversed(self._planned):
            tracked = self._find(waiter.uid)
            if tracked is not None and tracked.held:
                self.planner.put_back(waiter, load)
                self._put_waiting(tracked, now)  # As it is by now: it may have been edited meanwhile.
            else:
                self.planner.ended(load, now)
        self._planned = []

    def _adopt(self, ledger: Ledger, now: datetime) -> None:
        """Take over releases that are in the ledger by a write whose answer was lost."""
        for each in ledger.releases().values():
            if each.id in self.releases:
                continue
            self.releases[each.id] = each
            tracked = self._find(workflow_of(each.id))
            if tracked is not None and tracked.held:
                self._put_waiting(tracked, now)

    def written(self, ledger: Ledger) -> bool:
        """Record that a ledger of `settle` was written; return whether one pass could not release all."""
        full = len(self._planned) >= MOST_RELEASES
        for waiter, _ in self._planned:
            tracked = self._find(waiter.uid)
            if tracked is not None:  # Its load as it is when it runs: the planner's order is another.
                self._releasing[waiter.uid] = (tracked.release, self.load(tracked))
        self._planned = []
        self._opened = {}  # What was counted before is in the ledger now.
        self._written_accounts = len(ledger.used)
        self._seen_reservations.clear()
        self.releases = ledger.releases()
        return full

    def matches(self, ledger: Ledger) -> bool:
        """Return whether a ledger has what this state counts: others write there too, and late."""
        taken = {account: usage for account, usage in ledger.total_usage().items() if usage != ZERO}
        return ledger.used == self.used and taken == self.planner.headroom.used

    def take_over(self, snapshot: Snapshot, namespaces: Collection[str]) -> bool:
        """Take over another snapshot, if this state is right under it; return whether it is.

        Where limits or rules are others, the next `put_limits` puts them in force.
        """
        if sorted(namespaces) != self.namespaces or not self._in_force.take_over(snapshot, self.planner):
            return False
        self._demands.forget()
        return True

    def recount_waiting(self) -> bool:
        """Add again those whose tasks a template gives, which may have changed; return whether any moved."""
        moved = False
        for waiter in list(self.planner.pending.waiters()):
            tracked = self._find(waiter.uid)
            if tracked is not None and tracked.weighed_by and (found := self.waiter(tracked)) != waiter:
                self.planner.add(found)
                moved = True
        return moved

    # How it is done.

    def _leaves(self, before: Tracked, after: Tracked | None, now: datetime) -> bool:
        """Undo what a Workflow was counted for, as far as that is over.

        Returns whether it runs now by a release that was planned here, and so is counted already.
        """
        if not before.held:
            load = self.load(before)
            if after is None or after.held or self.load(after) != load:
                self._count(load, -1)
                if self._in_force.has_groups:
                    self.planner.key_holders.ended(before.uid, load.accounts)
                self.planner.ended(load, now)
            return False
        waits = after is not None and after.held
        releasing = self._releasing.get(before.uid)
        if releasing is None:
            if not waits:
                self.planner.remove(before.uid)
            return False
        release, load = releasing
        if after is not None and waits and after.release == release:
            return False
        del self._releasing[before.uid]
        if after is not None and not waits and self.load(after) == load:
            return True
        self.planner.ended(load, now)  # What it was released for has begun and ended meanwhile.
        return False

    def _put_waiting(self, tracked: Tracked, now: datetime) -> None:
        """Put a held Workflow into the queue, or record that it is being released."""
        if tracked.uid in self._releasing:
            return
        release = tracked.release
        if release in self.releases:
            load = self.load(tracked)
            self.planner.remove(tracked.uid)
            self._releasing[tracked.uid] = (release, load)
            self.planner.started(load, now, entry=False)
            return
        waiter = self.waiter(tracked)
        if self.planner.pending.get(tracked.uid) != waiter:
            self.planner.add(waiter)

    def _count(self, load: Charge, sign: int) -> None:
        weight = load.usage if sign > 0 else ZERO - load.usage
        self._moved.update(dict.fromkeys(load.accounts))
        for account in load.accounts:
            before = self.used.get(account)
            if before is None and self._opened is not None and not account.key:
                self._opened[account] = None  # Only the account of a key goes away again.
            now = self.used[account] = weight if before is None else before + weight
            if account.key and now == ZERO:
                del self.used[account]
        left = self.running[load.namespace] = self.running.get(load.namespace, ZERO) + weight
        if left == ZERO:
            del self.running[load.namespace]

    def view(self) -> UsageView:
        """Return the usage to publish; a Workflow that is being released counts as running."""
        running = dict(self.running)
        for _, load in self._releasing.values():
            running[load.namespace] = running.get(load.namespace, ZERO) + load.usage
        queues = {name: NamespaceQueue(counts) for name, counts in self.planner.pending.priorities().items()}
        return UsageView(dict(self.planner.headroom.used), queues, running)

    @property
    def limits_until(self) -> datetime:
        """Until when the limits in force stay as they are."""
        return self._in_force.until

    @property
    def lender(self) -> CompiledPool | None:
        """The pool, where its members borrow."""
        return self._in_force.lender

    def quotas_of(self, tracked: Tracked) -> tuple[CompiledQuota, ...]:
        """Return the quotas that a Workflow counts for under the policies of now; a child, its own alone."""
        return self._demands.quotas_of(tracked)

    def load(self, tracked: Tracked) -> Charge:
        """Return what a Workflow counts for."""
        return self._demands.load(tracked)

    def waiter(self, tracked: Tracked) -> Waiter:
        """Return one as the planner sees it while it is held."""
        return self._demands.waiter(tracked)

    def _widened(self, ledger: Ledger, moved: Iterable[Reservation]) -> Ledger:
        """Return the ledger with every reservation on all accounts of its namespace that are new in it.

        It was reserved before they were there, and would be missing on them otherwise.
        """
        arriving = {each.id: each for each in moved}
        if not arriving and not ledger.reservations:
            return ledger
        opened: Iterable[Account] = self.used
        if self._opened is not None and len(ledger.used) == self._written_accounts:
            opened = self._opened  # Else it is a new ledger: somebody has deleted the one that was written.
        new = {each for each in opened if not each.key and each not in ledger.used}
        if not arriving and not new:
            return ledger
        wider = {}
        for each in (*ledger.reservations.values(), *arriving.values()):
            accounts = [
                account for account in self._accounts_of(each) if each.id in arriving or account.whole in new
            ]
            wider[each.id] = msgspec.structs.replace(
                each, accounts=tuple(dict.fromkeys((*each.accounts, *accounts)))
            )
        return msgspec.structs.replace(ledger, reservations=wider)

    def _accounts_of(self, reservation: Reservation) -> tuple[Account, ...]:
        """Return the accounts of a reservation now; of a create that was not seen, those of every quota."""
        tracked = self._find(workflow_of(reservation.id))
        if tracked is not None:
            return self.load(tracked).accounts
        quotas = keyed(self._in_force.snapshot.policies(reservation.namespace).quotas, reservation.groups)
        return accounts_of(quotas, reservation.namespace, reservation.user, self._in_force.snapshot)

    def _settled(self, ledger: Ledger) -> set[str]:
        """Return the reservations to drop: their objects are counted now, or are completed or deleted."""
        settled = set()
        for each in ledger.reservations.values():
            if each.purpose is Purpose.CREATE:
                if each.id in self._seen_reservations:
                    settled.add(each.id)
                continue
            tracked = self._find(workflow_of(each.id))
            if tracked is None or not tracked.held or tracked.release != each.id:
                settled.add(each.id)
        return settled

    def _reservation(self, waiter: Waiter, load: Charge, now: datetime) -> Reservation:
        tracked = self._find(waiter.uid)
        if tracked is None:
            raise AssertionError("a Workflow that waits is tracked")
        return Reservation(
            id=tracked.release,
            namespace=waiter.namespace,
            workflow=waiter.name,
            accounts=load.accounts,
            requested=waiter.needs.requested,
            at=now,
            purpose=Purpose.RELEASE,
            user=waiter.user,
        )

    def _noted_history(self, now: datetime) -> Mapping[Tenant, int]:
        """Return past usage to write: computed once in a while, as it was otherwise."""
        if now - self._history_at >= _HISTORY_EVERY:
            self._history_at, self._history = now, self.planner.fair.history(now)
        return self._history
