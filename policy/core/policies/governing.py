"""Which quotas govern a Workflow, and what it demands of which accounts."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

import msgspec

from policy.core.objects.label_selectors import Labels
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import WorkflowQuotaSpec
from policy.core.queue.ordering import Want
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Demand
from policy.core.quota.pools import CompiledPool
from policy.core.values.amounts import ZERO, Limits, less, withheld

NO_LIMITS: Final = Limits()
_ANONYMOUS: Final = "system:anonymous"
"""Kubernetes' name for whoever gives none; an account without a user is the quota's own."""


def governing(quotas: Sequence[CompiledQuota], labels: Labels) -> tuple[CompiledQuota, ...]:
    """Return the quotas whose selector matches a Workflow with these labels."""
    return tuple([quota for quota in quotas if quota.selects_all or quota.selector.matches(labels)])


def label_keys(snapshot: Snapshot) -> frozenset[str]:
    """Return the labels of Workflows that any quota's selector asks for."""
    quotas = chain.from_iterable(snapshot.quotas.values())
    specs: list[WorkflowQuotaSpec | None] = [each.spec for each in quotas]
    for pool in snapshot.pools:
        specs += [pool.spec, pool.spec.namespace_defaults]
    return frozenset(chain.from_iterable(each.selector.keys() for each in specs if each is not None))


def demands(
    quotas: Iterable[CompiledQuota], user: str, *, now: datetime, priority: int = 0
) -> tuple[Demand, ...]:
    """Return the accounts that a Workflow of `user` touches, each with the limits that must hold now.

    What is reserved for higher priorities is no part of them; a share of a pool is no bound of its own.
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


def wants(
    quotas: Iterable[CompiledQuota],
    user: str,
    *,
    priority: int,
    limits: Callable[[CompiledQuota], Limits],
) -> tuple[Want, ...]:
    """Return the same with what is reserved told apart: the limits are those of everybody."""
    return _wants([(quota, limits(quota)) for quota in quotas], user, priority)


def _wants(bounded: Iterable[tuple[CompiledQuota, Limits]], user: str, priority: int) -> tuple[Want, ...]:
    found = []
    for quota, limits in bounded:
        bound = NO_LIMITS if quota.is_share else limits
        kept = withheld(quota.reserves, priority) if quota.reserves and not quota.is_share else ZERO
        rises = "" if quota.constant is not None else quota.rises
        ever = quota.highest if rises and not quota.is_share else None
        found.append(Want(Demand(quota.account, bound, quota.source, ever, rises), kept))
        if quota.bounds_users:
            name = user or _ANONYMOUS
            account = quota.account.of_user(name)
            found.append(Want(Demand(account, quota.per_user, f"{quota.source} for user {name}")))
    return tuple(found)


def only_counted(bounded: Iterable[Want]) -> tuple[Want, ...]:
    """Return the same accounts without limits: on a quota that only warns all count, and all may run."""
    return tuple(Want(Demand(each.demand.account, NO_LIMITS, each.demand.source)) for each in bounded)


def accounts_of(
    quotas: Iterable[CompiledQuota], namespace: str, user: str, snapshot: Snapshot
) -> tuple[Account, ...]:
    """Return the accounts on which a Workflow counts while it runs.

    That is one of every quota, one of the user where a quota bounds users, and that of a member of a pool
    that borrows. The pool's own is that of its quota.
    """
    chosen = tuple(quotas)
    found = []
    for quota in chosen:
        found.append(quota.account)
        if quota.bounds_users:
            found.append(quota.account.of_user(user or _ANONYMOUS))
    pool = borrowed_from(chosen, namespace, snapshot)
    return tuple(found) if pool is None else (*found, Account.share(pool.name, namespace))


def borrowed_from(quotas: Iterable[CompiledQuota], namespace: str, snapshot: Snapshot) -> CompiledPool | None:
    """Return the pool of whose shares a Workflow takes, None where its pool does not borrow or select it."""
    for quota in quotas:
        if not quota.account.namespace:
            pool = snapshot.pool(namespace)
            return pool if pool is not None and pool.borrows else None
    return None
