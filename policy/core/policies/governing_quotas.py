"""Which quotas govern a Workflow, what it demands of which accounts, and which quota it bypassed.

A bypass: admission writes the mark with its tasks on every Workflow that a quota governs, also on children,
on those that a quota only warns of, and on those that were released. A Workflow without it was created while
no quota governed it, or while our webhook was not called. The latter is reported only if the quota was as it
is now before the Workflow was created; where that is uncertain nothing is reported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Final

import msgspec

from policy.core.objects.label_selectors import Labels
from policy.core.policies.snapshot import Snapshot, pool_of
from policy.core.policy_kinds.kinds import Policy
from policy.core.policy_kinds.quota_parts import OnExceed, WorkflowQuotaSpec
from policy.core.queue.ordering import Want
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Demand
from policy.core.quota.pools import CompiledPool
from policy.core.values.amounts import ZERO, Limits, Usage, less, withheld

NO_LIMITS: Final = Limits()
_ANONYMOUS: Final = "system:anonymous"
"""Kubernetes' name for a user without one; an account without a user is the quota's own."""
WEBHOOK_DELAY: Final = timedelta(seconds=10)
"""How long a webhook may take to receive a policy: what is created by then was rightly admitted."""


def governing(quotas: Sequence[CompiledQuota], labels: Labels) -> tuple[CompiledQuota, ...]:
    """Return the quotas whose selector matches a Workflow with these labels.

    A group is among them, with the Workflow's key, where its keys are recorded (`hold.original_labels`).
    """
    get = labels.get
    found = tuple(
        [
            quota
            for quota in quotas
            if quota.selects_all
            # Most quotas of a namespace are passed over by their first label.
            or (
                (quota.first is None or get(quota.first[0]) == quota.first[1])
                and quota.selector.matches(labels)
            )
        ]
    )
    # Groups are last.
    return keyed(found, labels) if found and found[-1].group is not None else found


def keyed(quotas: Iterable[CompiledQuota], keys: Mapping[str, str]) -> tuple[CompiledQuota, ...]:
    """Return quotas with the keys that a Workflow has, by text; without the groups where it has none."""
    found = []
    for quota in quotas:
        if quota.group is None:
            found.append(quota)
        elif (key := keys.get(quota.group.key.text)) is not None:
            found.append(msgspec.structs.replace(quota, key=key))
    return tuple(found)


def label_keys(snapshot: Snapshot) -> frozenset[str]:
    """Return the labels of Workflows that selectors of quotas use, and the texts of the keys of groups."""
    quotas = chain.from_iterable(snapshot.quotas.values())
    specs: list[WorkflowQuotaSpec | None] = [each.spec for each in quotas]
    for pool in snapshot.pools:
        specs += [pool.spec, pool.spec.namespace_defaults]
    found = [spec for spec in specs if spec is not None]
    selecting = chain.from_iterable(each.selector.keys() for each in found)
    return frozenset(selecting) | {group.key for each in found for group in each.groups}


def demands(
    quotas: Iterable[CompiledQuota], user: str, *, now: datetime, priority: int = 0
) -> tuple[Demand, ...]:
    """Return the accounts that a Workflow of `user` touches, each with the limits that must hold now.

    What is reserved for higher priorities is no part of the limits; a share of a pool is no bound of its own.
    """
    bounded = [(quota, quota.constant or quota.limits_at(now)) for quota in quotas]
    return tuple(
        msgspec.structs.replace(
            want.demand,
            limits=less(want.demand.limits, want.withheld),
            ever=None if want.demand.ever is None else less(want.demand.ever, want.withheld),
        )
        if want.withheld != ZERO
        else want.demand
        for want in _wants(bounded, user, priority)
    )


def with_opening(
    demand: Demand, quotas: Sequence[CompiledQuota], requested: Usage, *, now: datetime, priority: int
) -> Demand:
    """Return a demand with the next time that a window allows a request, which the limits of now do not."""
    if not demand.rises or demand.opens or demand.limits.admits(requested):
        return demand
    quota = next((each for each in quotas if each.account == demand.account), None)
    opening = None if quota is None else quota.opening(now, requested, priority)
    return demand if opening is None else msgspec.structs.replace(demand, opens=str(opening))


def wants(
    quotas: Iterable[CompiledQuota],
    user: str,
    *,
    priority: int,
    limits: Callable[[CompiledQuota], Limits],
) -> tuple[Want, ...]:
    """Return the same with what is withheld beside it: the limits are those of all priorities."""
    return _wants([(quota, limits(quota)) for quota in quotas], user, priority)


def _wants(bounded: Iterable[tuple[CompiledQuota, Limits]], user: str, priority: int) -> tuple[Want, ...]:
    found = []
    for quota, limits in bounded:
        bound = NO_LIMITS if quota.is_share else limits
        reserved = withheld(quota.reserves, priority) if quota.reserves and not quota.is_share else ZERO
        rises = "" if quota.constant is not None else quota.rises
        ever = quota.highest if rises and not quota.is_share else None
        found.append(Want(Demand(quota.account, bound, quota.source, ever, rises), reserved))
        if quota.bounds_users:
            name = quota.key or user or _ANONYMOUS
            of_whom = f"key {name}" if quota.key else f"for user {name}"
            found.append(
                Want(Demand(quota.account.of_key(name), quota.per_user, f"{quota.source} {of_whom}"))
            )
    return tuple(found)


def only_counted(bounded: Iterable[Want]) -> tuple[Want, ...]:
    """Return the same accounts without limits: on a quota that only warns, all count and all may run."""
    return tuple(Want(Demand(each.demand.account, NO_LIMITS, each.demand.source)) for each in bounded)


def accounts_of(
    quotas: Iterable[CompiledQuota], namespace: str, user: str, snapshot: Snapshot
) -> tuple[Account, ...]:
    """Return the accounts on which a Workflow counts while it runs.

    That is one of every quota, one of the user or the key where a quota bounds these, and that of a member of
    a pool that borrows. The pool's own is that of its quota. A group counts one that has a key.
    """
    chosen = tuple(quota for quota in quotas if quota.group is None or quota.key)
    found = []
    for quota in chosen:
        found.append(quota.account)
        if quota.bounds_users:
            found.append(quota.account.of_key(quota.key or user or _ANONYMOUS))
    pool = borrowed_from(chosen, namespace, snapshot)
    return tuple(found) if pool is None else (*found, Account.share(pool.name, namespace))


def borrowed_from(quotas: Iterable[CompiledQuota], namespace: str, snapshot: Snapshot) -> CompiledPool | None:
    """Return the pool whose shares a Workflow uses, None where its pool does not borrow or select it."""
    for quota in quotas:
        if not quota.account.namespace and quota.group is None:
            pool = snapshot.pool(namespace)
            return pool if pool is not None and pool.borrows else None
    return None


def bypassed_quota(
    quotas: Sequence[CompiledQuota],
    labels: Labels,
    created: datetime,
    since: Callable[[CompiledQuota], datetime | None],
) -> CompiledQuota | None:
    """Return the quota that a Workflow without marks bypassed, None where it may be older than the quota.

    `since` returns the time since when a quota is as it is now in its namespace, None where that is unknown.
    """
    for quota in governing(quotas, labels):
        if quota.on_exceed is not OnExceed.WARN:
            changed = since(quota)
            if changed is not None and created > changed + WEBHOOK_DELAY:
                return quota
    return None


def policy_edited_at(quota: CompiledQuota, namespace: str, snapshot: Snapshot) -> datetime | None:
    """Return when the policy of a quota was edited last, None where that is unknown."""
    own = snapshot.quotas.get(namespace, ()) if quota.account.namespace else ()
    policy: Policy | None = next((each for each in own if each.metadata.name == quota.account.quota), None)
    policy = policy or pool_of(snapshot, namespace)  # It is that of the pool, or its default for members.
    try:
        edited = datetime.fromisoformat("" if policy is None else policy.metadata.edited)
    except ValueError:
        return None
    return edited if edited.tzinfo is not None else edited.replace(tzinfo=UTC)


def bypass_message(quota: CompiledQuota) -> str:
    """Return the message that a Workflow bypassed a quota: what follows, and what to do."""
    unbounded = " and as one whose tasks have no bound" if quota.bounds_tasks else ""
    return (
        f"Lockkeeper did not review it when it was created, though {quota.source} governs it: the webhook "
        f"was unavailable or bypassed. It continues and counts as running{unbounded}, so the limit may be "
        "exceeded and others wait until it ends. To have it wait in the queue, delete it and create it again"
    )
