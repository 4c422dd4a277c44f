"""What a Workflow counts for while it runs, and what it needs while it waits, under the policies of a root.

Most Workflows of a namespace are alike: the same user, labels, tasks and priority. What follows from these is
computed once for all of them, and they share it: a leader may remember a hundred thousand that wait.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from policy.core.admission.child_exemption import counted_for
from policy.core.admission.cron_runs import takes_over_slot
from policy.core.admission.task_recount import recounted
from policy.core.admission.tasks_and_priority import capped
from policy.core.policies.governing_quotas import (
    NO_LIMITS,
    accounts_of,
    borrowed_from,
    governing,
    only_counted,
    wants,
)
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.queue.ordering import Requirements, Waiter
from policy.core.queue.planner import Charge
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import ZERO, Usage, withheld
from policy.core.values.memo import MOST_KEPT, Memo
from policy.service.release.limits_in_force import LimitsInForce
from policy.service.tracking.tracked import MarkedUsage, Pairs, Tracked

Fault: TypeAlias = Callable[[Tracked], str]
_Counted: TypeAlias = tuple[str, str, Pairs, Pairs | None]
"""Namespace, user, labels, and labels of the root: what accounts depend on."""
_Alike: TypeAlias = tuple[str, str, Pairs, Pairs | None, MarkedUsage]
"""The same and the marks: what needs depend on."""
_Needs: TypeAlias = tuple[Requirements, int]
_FIRST: Final = 2**31
"""Above every priority: of a run that takes over the slot of another, and of one that needs no slot."""


class WorkflowDemands:
    """Loads and needs under the policies of now; `fault` returns why a held Workflow may not be released."""

    __slots__ = ("_accounts", "_different", "_fault", "_in_force", "_needs")

    def __init__(self, *, in_force: LimitsInForce, fault: Fault) -> None:
        self._in_force = in_force
        self._fault = fault
        self._accounts: Memo[_Counted, tuple[Account, ...]] = Memo(most=MOST_KEPT)
        self._needs: Memo[_Alike, _Needs] = Memo(most=MOST_KEPT)
        self._different: Memo[_Needs, _Needs] = Memo(most=MOST_KEPT)

    def forget(self) -> None:
        """Forget what was computed: policies are others now."""
        self._accounts = Memo(most=MOST_KEPT)
        self._needs = Memo(most=MOST_KEPT)
        self._different = Memo(most=MOST_KEPT)

    def quotas_of(self, tracked: Tracked) -> tuple[CompiledQuota, ...]:
        """Return the quotas that a Workflow counts for under the policies of now; a child, its own alone."""
        quotas = self._in_force.snapshot.policies(tracked.namespace).quotas
        own = governing(quotas, tracked.labels)
        return (
            own if tracked.root_labels is None else counted_for(own, governing(quotas, tracked.root_labels))
        )

    def load(self, tracked: Tracked) -> Charge:
        """Return what a Workflow counts for.

        It is not stored: that would be more than what is tracked of those that are like no others.
        """
        namespace, user = tracked.namespace, tracked.user
        weight = self._recounted(tracked)[0] if tracked.weighed_by else tracked.weight
        key = (namespace, user, tracked.label_pairs, _root_pairs(tracked))
        accounts = self._accounts.get(key)
        if accounts is None:
            found = accounts_of(self.quotas_of(tracked), namespace, user, self._in_force.snapshot)
            accounts = self._accounts.keep(key, found)
        return Charge(namespace, user, accounts, weight)

    def waiter(self, tracked: Tracked) -> Waiter:
        """Return a held Workflow as the planner sees it."""
        if tracked.weighed_by:
            weight, fault = self._recounted(tracked)
            needs, priority = self._needed(tracked, weight)
        else:
            fault = ""
            key = (
                tracked.namespace,
                tracked.user,
                tracked.label_pairs,
                _root_pairs(tracked),
                tracked.usage_marks,
            )
            found = self._needs.get(key)
            if found is None:
                needed = self._needed(tracked, tracked.weight)
                shared = self._different.get(needed) or self._different.keep(needed, needed)
                found = self._needs.keep(key, shared)
            needs, priority = found
        return Waiter(
            uid=tracked.uid,
            namespace=needs.namespace,
            name=tracked.name,
            user=tracked.user,
            priority=_FIRST if takes_over_slot(tracked.metadata) else priority,
            created=tracked.created,
            arrival=tracked.arrival,
            needs=needs,
            fault=self._fault(tracked) or fault,
            on_hold=tracked.on_hold,
        )

    def _needed(self, tracked: Tracked, weight: Usage) -> _Needs:
        """Return what one needs, with demands on all quotas that do not only warn, and its priority.

        That includes quotas that deny: an edit may have changed one that queued when it was held. Likewise a
        cap of priorities applies to those that are older than it. The planner has the limits in force from
        `LimitsInForce`, so the demands carry none but those of keys. Groups are first, so that one that waits
        for its key is in nobody's way elsewhere.
        """
        quotas = self.quotas_of(tracked)
        priority = capped(tracked.usage_marks.priority, quotas)
        pool = borrowed_from(quotas, tracked.namespace, self._in_force.snapshot)
        wanted = []
        for quota in _groups_first(quotas):
            found = wants((quota,), tracked.user, priority=priority, limits=lambda _: NO_LIMITS)
            if quota.on_exceed is OnExceed.WARN:
                found = only_counted(found)
            in_the_tree = pool is not None and quota.account == pool.quota.account
            wanted += [each for each in found if not (in_the_tree and each.demand.account == quota.account)]
        needs = Requirements(
            namespace=tracked.namespace,
            requested=weight,
            wants=tuple(wanted),
            shares=pool is not None,
            withheld=ZERO if pool is None else withheld(pool.quota.reserves, priority),
        )
        return needs, priority if quotas else _FIRST

    def _recounted(self, tracked: Tracked) -> tuple[Usage, str]:
        """Return the usage of one that waits as its template is now, and why it may not run, or nothing."""
        quotas, snapshot = self.quotas_of(tracked), self._in_force.snapshot
        by, admitted = tracked.weighed_by, tracked.usage_marks.tasks
        found = recounted(by, admitted, tracked.namespace, quotas, snapshot)
        return Usage.of(found.tasks), found.fault


def _root_pairs(tracked: Tracked) -> Pairs | None:
    return None if tracked.child is None else tracked.child.root_labels


def _groups_first(quotas: Sequence[CompiledQuota]) -> Sequence[CompiledQuota]:
    if not quotas or quotas[-1].group is None:
        return quotas
    return sorted(quotas, key=lambda each: each.group is None)
