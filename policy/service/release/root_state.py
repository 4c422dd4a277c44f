"""The state of one quota root: who waits, what runs and what is on its way, folded change by change.

It is what a leader remembers between passes, so that a pass costs what has changed and not what there is.
Nothing here reads or writes a cluster; `release_pass` does, with what `settle` makes of a ledger.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from policy.core.admission.child_exemption import counted_for
from policy.core.admission.cron_runs import is_heir
from policy.core.admission.priorities import capped
from policy.core.admission.task_reweighing import weighed_again
from policy.core.policies.governing import (
    NO_LIMITS,
    accounts_of,
    borrowed_from,
    governing,
    only_counted,
    wants,
)
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import OnExceed
from policy.core.queue.ordering import Requirements, Waiter
from policy.core.queue.planner import Charge, Planner
from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.ledger import Ledger, Purpose, Reservation, recount, with_reservations, workflow_of
from policy.core.quota.windows import NEVER
from policy.core.values.amounts import ZERO, Limits, Usage, withheld
from policy.service.release.limits_in_force import LimitsInForce
from policy.service.tracking.tracked import Tracked

Find: TypeAlias = Callable[[str], Tracked | None]
Fault: TypeAlias = Callable[[Tracked], str]
_HISTORY_EVERY: Final = timedelta(minutes=1)
"""How often what was used is noted in the ledger, for the next leader's fair share."""
AT_ONCE: Final = 500
"""Releases of one pass at most: the ledger carries them until they are seen, and must stay small."""


_FIRST: Final = 2**31
"""Above every priority: of a run that takes over the slot of the one it replaces, and of who needs none."""


class RootState:
    """One root under one set of policies. Where those change, it is made anew from what is tracked.

    `find` returns what is tracked of a uid, and `fault` why one that waits may not go. `namespaces` are those
    of the root that are known or where something lives. `releases` are those that stand in the ledger, by
    their ids, oldest first.
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
        self._fault = fault
        self._going: dict[str, tuple[str, Charge]] = {}
        self._carried: set[str] = set()
        self._released: list[tuple[Waiter, Charge]] = []
        self._loads: dict[Charge, Charge] = {}
        self._noted = ledger.history
        self._noted_at = now
        self._in_force = LimitsInForce(snapshot=snapshot, namespaces=self.namespaces, capacity=capacity)
        self.planner = Planner(now=now, fair=self._in_force.fair_share(ledger.history, now))
        self.releases = ledger.releases()
        for namespace in self.namespaces:
            policies = snapshot.policies(namespace)
            self.planner.set_rules(namespace, policies.rules)
            for quota in policies.quotas:
                self.used[quota.account] = ZERO
            if (lender := self._in_force.lender) is not None:
                self.used[Account.share(lender.name, namespace)] = ZERO
        self._in_force.at(self.planner, now, capacity)

    # What has changed.

    def change(self, before: Tracked | None, after: Tracked | None, now: datetime) -> None:
        """Fold one Workflow in: as it was folded in last, and as it is now."""
        arrived = before is not None and self._leaves(before, after, now)
        if after is None:
            return
        if after.reservation:
            self._carried.add(after.reservation)
        if after.held:
            self._waits(after, now)
        elif before is None or before.held or self._load(before) != self._load(after):
            load = self._load(after)
            self._count(load, 1)
            if not arrived:
                self.planner.started(load, now, entry=before is not None)

    def departed(self, reservations: Iterable[str]) -> None:
        """Take note of the reservations of Workflows that were seen and are finished or deleted."""
        self._carried.update(reservations)

    def at(self, now: datetime, capacity: Limits | None) -> bool:
        """Put the limits of `now` in force; tells whether those or time alone may have changed something."""
        moved = self._in_force.at(self.planner, now, capacity)
        due = None if moved else self.planner.pending.next_event()
        return moved or (due is not None and due <= now)

    def next_event(self) -> datetime | None:
        """Return when time alone may change something here."""
        until = self._in_force.until
        moments = [self.planner.pending.next_event(), until if until < NEVER else None]
        return min((each for each in moments if each is not None), default=None)

    # What follows.

    def settle(
        self, ledger: Ledger, now: datetime, *, moved: Iterable[Reservation] = (), most: int = AT_ONCE
    ) -> Ledger:
        """Return the ledger with what is counted now, and with a reservation for everyone who may go.

        `moved` are reservations of namespaces that stood in other ledgers before. It may be called again with
        a ledger that was read anew: what it gave before was not written then.
        """
        self._take_back(now)
        self._adopt(ledger, now)
        opened = self._opened(ledger, moved)
        counted = recount(opened, self.used, self._settled(opened))
        counted = msgspec.structs.replace(
            counted, capacity=self._in_force.capacity, history=self._history(now)
        )
        self.planner.set_used(counted.total_usage())
        self._released = [(each, self.planner.charge_of(each)) for each in self.planner.plan(now, most)]
        added = [self._reservation(waiter, load, now) for waiter, load in self._released]
        return with_reservations(counted, added)

    def _take_back(self, now: datetime) -> None:
        """Undo what was planned for a ledger that was not written."""
        for waiter, load in reversed(self._released):
            tracked = self._find(waiter.uid)
            if tracked is not None and tracked.held:
                self.planner.put_back(waiter, load)
            else:
                self.planner.ended(load, now)
        self._released = []

    def _adopt(self, ledger: Ledger, now: datetime) -> None:
        """Take over releases that stand in the ledger by a write whose answer was lost."""
        for each in ledger.releases().values():
            if each.id in self.releases:
                continue
            self.releases[each.id] = each
            tracked = self._find(workflow_of(each.id))
            if tracked is not None and tracked.held:
                self._waits(tracked, now)

    def written(self, ledger: Ledger) -> bool:
        """Take note that a ledger of `settle` stands; tells whether more may go than one pass takes."""
        full = len(self._released) >= AT_ONCE
        for waiter, _ in self._released:
            tracked = self._find(waiter.uid)
            if (
                tracked is not None
            ):  # Its load as it will be found when it runs: the planner's order is another.
                self._going[waiter.uid] = (tracked.release, self._load(tracked))
        self._released = []
        self._carried.clear()
        self.releases = ledger.releases()
        return full

    def matches(self, ledger: Ledger) -> bool:
        """Tell whether a ledger says what this state does: others write there too, and late."""
        taken = {account: usage for account, usage in ledger.total_usage().items() if usage != ZERO}
        return ledger.used == self.used and taken == self.planner.headroom.used

    def fits(self, snapshot: Snapshot, namespaces: Collection[str]) -> bool:
        """Tell whether this state is right under another snapshot, and take it over if they are.

        Where limits or rules are others, the next `at` puts them in force.
        """
        return sorted(namespaces) == self.namespaces and self._in_force.take_over(snapshot, self.planner)

    def weigh_again(self) -> bool:
        """Put those anew who weigh what a template says that may have changed; tells whether any moved."""
        moved = False
        for waiter in list(self.planner.pending.waiters()):
            tracked = self._find(waiter.uid)
            if tracked is not None and tracked.weighed_by and (found := self._waiter(tracked)) != waiter:
                self.planner.add(found)
                moved = True
        return moved

    # How it is done.

    def _leaves(self, before: Tracked, after: Tracked | None, now: datetime) -> bool:
        """Take back what a Workflow was folded in for, as far as that is over.

        Tells whether it is live now by a release that was planned here, and so is counted already.
        """
        if not before.held:
            load = self._load(before)
            if after is None or after.held or self._load(after) != load:
                self._count(load, -1)
                self.planner.ended(load, now)
            return False
        waits = after is not None and after.held
        going = self._going.get(before.uid)
        if going is None:
            if not waits:
                self.planner.remove(before.uid)
            return False
        if after is not None and waits and after.release == going[0]:
            return False
        del self._going[before.uid]
        if after is not None and not waits and self._load(after) == going[1]:
            return True
        self.planner.ended(going[1], now)  # What it was released for has begun and ended meanwhile.
        return False

    def _waits(self, tracked: Tracked, now: datetime) -> None:
        """Let a Workflow wait, or take note that its release is on its way."""
        if tracked.uid in self._going:
            return
        release = tracked.release
        if release in self.releases:
            load = self._load(tracked)
            self.planner.remove(tracked.uid)
            self._going[tracked.uid] = (release, load)
            self.planner.started(load, now, entry=False)
            return
        waiter = self._waiter(tracked)
        if self.planner.pending.get(tracked.uid) != waiter:
            self.planner.add(waiter)

    def _count(self, load: Charge, sign: int) -> None:
        weight = load.usage if sign > 0 else ZERO - load.usage
        for account in load.accounts:
            self.used[account] = self.used.get(account, ZERO) + weight
            if account.user and self.used[account] == ZERO:
                del self.used[account]
        left = self.running.get(load.namespace, ZERO) + weight
        self.running[load.namespace] = left
        if left == ZERO:
            del self.running[load.namespace]

    def going(self) -> list[Charge]:
        """Return what counts for releases that are on their way."""
        return [load for _, load in self._going.values()]

    def quotas_of(self, tracked: Tracked) -> tuple[CompiledQuota, ...]:
        """Return the quotas that a Workflow counts for as policies stand now; a child, those of its own."""
        quotas = self._in_force.snapshot.policies(tracked.namespace).quotas
        own = governing(quotas, tracked.labels)
        return own if tracked.under is None else counted_for(own, governing(quotas, tracked.under))

    def _load(self, tracked: Tracked) -> Charge:
        """Return what a Workflow counts for; those that are alike share one."""
        user, quotas = tracked.user, self.quotas_of(tracked)
        accounts = accounts_of(quotas, tracked.namespace, user, self._in_force.snapshot)
        weight = self._weighed(tracked)[0] if tracked.weighed_by else tracked.weight
        load = Charge(tracked.namespace, user, accounts, weight)
        return self._loads.setdefault(load, load)

    def _weighed(self, tracked: Tracked) -> tuple[Usage, str]:
        """Return what one that waits weighs as its template is now, and why it may not go, or nothing."""
        quotas, snapshot = self.quotas_of(tracked), self._in_force.snapshot
        by, admitted = tracked.weighed_by, tracked.mark.tasks
        found = weighed_again(by, admitted, tracked.namespace, quotas, snapshot)
        return Usage.of(found.tasks), found.fault

    def _waiter(self, tracked: Tracked) -> Waiter:
        """Return a held Workflow as the planner sees it: it asks every quota that does not only warn.

        That includes quotas that deny: an edit may have made one of a quota that queued when it was held.
        Likewise a cap of priorities holds for those that came before it.
        Those that are in force are told to the planner apart from those who ask.
        """
        quotas, user = self.quotas_of(tracked), tracked.user
        weight, fault = self._weighed(tracked) if tracked.weighed_by else (tracked.weight, "")
        priority = capped(tracked.mark.priority, quotas)
        pool = borrowed_from(quotas, tracked.namespace, self._in_force.snapshot)
        wanted = []
        for quota in quotas:
            found = wants((quota,), user, priority=priority, limits=_told_apart)
            if quota.on_exceed is OnExceed.WARN:
                found = only_counted(found)
            in_the_tree = pool is not None and quota.account == pool.quota.account
            wanted += [each for each in found if not (in_the_tree and each.demand.account == quota.account)]
        return Waiter(
            uid=tracked.uid,
            namespace=tracked.namespace,
            name=tracked.name,
            user=user,
            priority=_FIRST if is_heir(tracked.metadata) or not quotas else priority,
            created=tracked.created,
            arrival=tracked.arrival,
            needs=Requirements(
                namespace=tracked.namespace,
                requested=weight,
                wants=tuple(wanted),
                shares=pool is not None,
                withheld=ZERO if pool is None else withheld(pool.quota.reserves, priority),
            ),
            fault=self._fault(tracked) or fault,
        )

    def _opened(self, ledger: Ledger, moved: Iterable[Reservation]) -> Ledger:
        """Return the ledger with every reservation on all accounts of its namespace that are new in it.

        Whoever reserved did so before they were there, and would be missed on them otherwise.
        """
        arriving = {each.id: each for each in moved}
        if not arriving and not ledger.reservations:
            return ledger
        new = {account for account in self.used.keys() - ledger.used.keys() if not account.user}
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
        """Return where a reservation counts now; of a create that nobody has seen, on every quota."""
        tracked = self._find(workflow_of(reservation.id))
        if tracked is not None:
            return self._load(tracked).accounts
        quotas = self._in_force.snapshot.policies(reservation.namespace).quotas
        return accounts_of(quotas, reservation.namespace, reservation.user, self._in_force.snapshot)

    def _settled(self, ledger: Ledger) -> set[str]:
        """Return the reservations that may go: their objects are counted now, or are finished or deleted."""
        settled = set()
        for each in ledger.reservations.values():
            if each.purpose is Purpose.CREATE:
                if each.id in self._carried:
                    settled.add(each.id)
                continue
            tracked = self._find(workflow_of(each.id))
            if tracked is None or not tracked.held or tracked.release != each.id:
                settled.add(each.id)
        return settled

    def _reservation(self, waiter: Waiter, load: Charge, now: datetime) -> Reservation:
        tracked = self._find(waiter.uid)
        if tracked is None:
            raise AssertionError("who waits is tracked")
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

    def _history(self, now: datetime) -> Mapping[Tenant, int]:
        """Return the past as it is to be noted: anew once in a while, as it stands otherwise."""
        if now - self._noted_at >= _HISTORY_EVERY:
            self._noted_at, self._noted = now, self.planner.fair.history(now)
        return self._noted


def _told_apart(_: CompiledQuota) -> Limits:
    """Return no limits: those in force are told to the planner apart from those who ask for room."""
    return NO_LIMITS
