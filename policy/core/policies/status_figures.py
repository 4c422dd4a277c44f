"""The figures in the status of each quota: what runs, waits and is borrowed, and the limits now.

The leader writes them, and the webhooks, which count nothing themselves, read them back for their messages.
They may be some seconds old; only the ledger admits.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from policy.core.policies.conflicts import PolicyName, name_of
from policy.core.policies.group_figures import GroupFigures, KeysInUse
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.pools import CompiledPool
from policy.core.quota.usage_view import EMPTY_QUEUE, NamespaceQueue, UsageView
from policy.core.values.amounts import UNLIMITED_WORD, ZERO, AmountField, Limits, Usage
from policy.core.values.prepared import prepare

_MOST_MEMBERS: Final = 500
"""Members of a pool that its status lists, the busiest first; an object must stay small."""


class Counted(msgspec.Struct, frozen=True, rename="camel"):
    """How many Workflows, and how many tasks of theirs."""

    workflows: int = 0
    tasks: int = 0


class ShownLimits(msgspec.Struct, frozen=True, rename="camel"):
    """Limits: an integer or the word `Unlimited`."""

    workflows: AmountField = UNLIMITED_WORD
    tasks: AmountField = UNLIMITED_WORD


class MemberFigures(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of one member of a pool."""

    name: str
    running: int = 0
    queued: int = 0
    tasks: int = 0
    borrowed: int = 0


class QuotaFigures(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of one quota, as its status has them; only pools list `namespaces`."""

    running: int = 0
    queued: int = 0
    tasks: int = 0
    borrowed: Counted = Counted()
    effective_limits: ShownLimits = ShownLimits()
    open_windows: tuple[str, ...] = ()
    namespaces: tuple[MemberFigures, ...] = ()
    groups: tuple[GroupFigures, ...] = ()


prepare(QuotaFigures)


def figures(
    view: UsageView, snapshot: Snapshot, now: datetime, capacity: Callable[[str], Limits | None]
) -> dict[PolicyName, QuotaFigures]:
    """Return the figures of every quota in force; `capacity` is what nodes allow a pool, by its name."""
    found: dict[PolicyName, QuotaFigures] = {}
    members: dict[str, list[str]] = {}
    keys = KeysInUse(view)
    for namespace in {*snapshot.namespace_labels, *snapshot.quotas, *view.running, *view.queues}:
        policies = snapshot.policies(namespace)
        if policies.pool:
            members.setdefault(policies.pool, []).append(namespace)
        by_name = {quota.account.quota: quota for quota in policies.quotas if quota.account.namespace}
        for policy in snapshot.quotas.get(namespace, ()):
            quota = by_name.get(policy.metadata.name)
            if quota is not None:
                groups = policies.quotas if policies.group_keys else ()
                found[name_of(policy)] = msgspec.structs.replace(
                    _of_quota(quota, namespace, view, snapshot, now),
                    groups=tuple(keys.of(each) for each in groups if each.group_of(quota)),
                )
    for pool in snapshot.pools:
        names = sorted(members.get(pool.metadata.name, ()))
        if names:
            compiled = snapshot.pool(names[0])
            if compiled is not None:
                found[name_of(pool)] = msgspec.structs.replace(
                    _of_pool(compiled, names, view, now, capacity(pool.metadata.name)),
                    groups=tuple(keys.of(each) for each in compiled.groups),
                )
    return found


def view_of(statuses: Mapping[PolicyName, QuotaFigures]) -> UsageView:
    """Return the view of usage that the figures of all quotas give; namespaces without any are not in it."""
    taken: dict[Account, Usage] = {}
    queues: dict[str, NamespaceQueue] = {}
    running: dict[str, Usage] = {}
    for name, each in statuses.items():
        taken[Account(name.namespace, name.name)] = Usage(each.running, each.tasks)
        if name.namespace:
            queues.setdefault(name.namespace, _queue(each.queued))
        for member in each.namespaces:
            queues[member.name] = _queue(member.queued)
            running[member.name] = Usage(member.running, member.tasks)
            taken[Account.share(name.name, member.name)] = Usage(member.running, member.tasks)
    return UsageView(taken, queues, running, partial=True)


def _of_quota(
    quota: CompiledQuota, namespace: str, view: UsageView, snapshot: Snapshot, now: datetime
) -> QuotaFigures:
    used = view.used.get(quota.account, ZERO)
    borrowed, limits = Counted(), quota.limits_at(now)
    pool = snapshot.pool(namespace) if quota.is_share else None
    if pool is not None:
        borrowed = borrowed_by(pool, namespace, view.used, now)
        limits = limits.tightest(pool.share_bound(namespace, now))
    return QuotaFigures(
        running=used.workflows,
        queued=view.queues.get(namespace, EMPTY_QUEUE).depth,
        tasks=used.tasks,
        borrowed=borrowed,
        effective_limits=_shown(limits),
        open_windows=quota.elastic.at(now).opened,
    )


def _of_pool(
    pool: CompiledPool, names: Iterable[str], view: UsageView, now: datetime, capacity: Limits | None
) -> QuotaFigures:
    used = view.used.get(pool.quota.account, ZERO)
    members = []
    total = Counted()
    for name in names:
        running, depth = view.running.get(name, ZERO), view.queues.get(name, EMPTY_QUEUE).depth
        borrowed = borrowed_by(pool, name, view.used, now) if pool.borrows else Counted()
        total = Counted(total.workflows + borrowed.workflows, total.tasks + borrowed.tasks)
        members.append(MemberFigures(name, running.workflows, depth, running.tasks, borrowed.workflows))
    members.sort(key=lambda each: (-each.running - each.queued, each.name))
    return QuotaFigures(
        running=used.workflows,
        queued=sum(each.queued for each in members),
        tasks=used.tasks,
        borrowed=total,
        effective_limits=_shown(pool.limits_at(now, capacity)),
        open_windows=pool.quota.elastic.at(now).opened,
        namespaces=tuple(members[:_MOST_MEMBERS]),
    )


def borrowed_by(
    pool: CompiledPool, namespace: str, used_on: Mapping[Account, Usage], now: datetime
) -> Counted:
    """Return what a member uses beyond its share."""
    used, share = used_on.get(Account.share(pool.name, namespace), ZERO), pool.share_at(namespace, now)
    workflows, tasks = share.workflows.value, share.tasks.value
    return Counted(
        0 if workflows is None else max(0, used.workflows - workflows),
        0 if tasks is None else max(0, used.tasks - tasks),
    )


def _shown(limits: Limits) -> ShownLimits:
    workflows, tasks = limits.workflows.value, limits.tasks.value
    return ShownLimits(
        UNLIMITED_WORD if workflows is None else workflows, UNLIMITED_WORD if tasks is None else tasks
    )


def _queue(depth: int) -> NamespaceQueue:
    """Return a queue of which only the length is known; a new Workflow is assumed to be the last."""
    return NamespaceQueue({0: depth} if depth else {})
