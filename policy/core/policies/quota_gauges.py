"""The figures of every quota as metrics show them: what is used, and the limits that are in force.

A quota has one name: that of its policy. What a pool gives or reserves for one member (`namespaceDefaults`, a
share) has the name of the pool, and the namespace of the member. The limits are those of `status_figures`, so
the status of a quota and its metrics agree.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from policy.core.policies.group_figures import GroupFigures, KeysInUse, reached
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.pools import CompiledPool
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import ZERO, Limits, Reserve, Usage

_NO_LIMITS: Final = Limits()
QUOTA: Final = "WorkflowQuota"
POOL: Final = "ClusterWorkflowQuota"


class QuotaGauge(msgspec.Struct, frozen=True):
    """One quota now. `namespace` is "" for a pool as a whole.

    `highest` are the limits at their highest, None where they never change. `borrowed` is what a member of a
    pool uses beyond its share, None where nothing is borrowed. `windows` has of each window whether it is
    open, and `at_limit` is how many users have used up `per_user`. `group` has the figures of a group: `name`
    is that of its quota then, and `per_user` the limits of one key.
    """

    kind: str
    namespace: str
    name: str
    used: Usage
    limits: Limits
    highest: Limits | None = None
    borrowed: Usage | None = None
    per_user: Limits = _NO_LIMITS
    at_limit: int = 0
    reserves: tuple[Reserve, ...] = ()
    windows: tuple[tuple[str, bool], ...] = ()
    group: GroupFigures | None = None


def quota_gauges(
    snapshot: Snapshot,
    view: UsageView,
    now: datetime,
    capacity: Callable[[str], Limits | None],
    namespaces: Iterable[str],
) -> Iterator[QuotaGauge]:
    """Yield every pool, and the quotas of these namespaces; `capacity` is what nodes allow a pool."""
    full, keys = _users_at_limit(snapshot, view), KeysInUse(view)
    for pool in snapshot.pools:
        compiled = snapshot.compiled_pool(pool.metadata.name)
        yield _of_pool(compiled, view, now, capacity(compiled.name), full)
        yield from (_of_group(each, keys) for each in compiled.groups)
    for namespace in namespaces:
        policies = snapshot.policies(namespace)
        pool_of_member = snapshot.pool(namespace) if policies.pool else None
        lender = pool_of_member if pool_of_member is not None and pool_of_member.borrows else None
        if lender is not None:
            yield _share(lender, namespace, view, now)
        for quota in policies.quotas:
            if quota.group is not None:
                if quota.account.namespace:
                    yield _of_group(quota, keys)
                continue
            # Where a pool lends, its defaults are the share, or count for nothing but a warning.
            if quota.account.namespace and not (quota.of_pool and lender is not None):
                yield _of_quota(quota, lender, view, now, full)


def _of_pool(
    pool: CompiledPool, view: UsageView, now: datetime, capacity: Limits | None, full: Mapping[Account, int]
) -> QuotaGauge:
    quota = pool.quota
    return QuotaGauge(
        kind=POOL,
        namespace="",
        name=pool.name,
        used=view.used.get(quota.account, ZERO),
        limits=pool.limits_at(now, capacity),
        highest=quota.highest if quota.highest_when else None,
        per_user=quota.per_user,
        at_limit=full.get(quota.account, 0),
        reserves=quota.reserves,
        windows=_windows(quota, now),
    )


def _share(pool: CompiledPool, namespace: str, view: UsageView, now: datetime) -> QuotaGauge:
    used, share = view.used.get(Account.share(pool.name, namespace), ZERO), pool.share_at(namespace, now)
    workflows, tasks = share.workflows.value, share.tasks.value
    borrowed = Usage(
        0 if workflows is None else max(0, used.workflows - workflows),
        0 if tasks is None else max(0, used.tasks - tasks),
    )
    return QuotaGauge(
        kind=POOL, namespace=namespace, name=pool.name, used=used, limits=share, borrowed=borrowed
    )


def _of_quota(
    quota: CompiledQuota,
    lender: CompiledPool | None,
    view: UsageView,
    now: datetime,
    full: Mapping[Account, int],
) -> QuotaGauge:
    namespace, limits = quota.account.namespace, quota.limits_at(now)
    if quota.is_share and lender is not None:
        limits = limits.tightest(lender.share_bound(namespace, now))
    return QuotaGauge(
        kind=POOL if quota.of_pool else QUOTA,
        namespace=namespace,
        name=quota.account.quota.removesuffix(".defaults") if quota.of_pool else quota.account.quota,
        used=view.used.get(quota.account, ZERO),
        limits=limits,
        highest=quota.highest if quota.highest_when else None,
        per_user=quota.per_user,
        at_limit=full.get(quota.account, 0),
        reserves=quota.reserves,
        windows=_windows(quota, now),
    )


def _of_group(quota: CompiledQuota, keys: KeysInUse) -> QuotaGauge:
    return QuotaGauge(
        kind=POOL if quota.of_pool else QUOTA,
        namespace=quota.account.namespace,
        name=quota.account.owner.removesuffix(".defaults") if quota.of_pool else quota.account.owner,
        used=ZERO,
        limits=_NO_LIMITS,
        per_user=quota.per_user,
        group=keys.of(quota),
    )


def _windows(quota: CompiledQuota, now: datetime) -> tuple[tuple[str, bool], ...]:
    names = dict.fromkeys(quota.elastic.window_names)
    if not names:
        return ()
    opened = quota.elastic.at(now).opened
    return tuple((each, each in opened) for each in names)


def _users_at_limit(snapshot: Snapshot, view: UsageView) -> Mapping[Account, int]:
    """Return how many users have nothing left of a limit per user, by the account of the quota."""
    found: Counter[Account] = Counter()
    bounds: dict[Account, Limits] = {}
    for account, usage in view.used.items():
        if not account.key or account.group:
            continue
        whole = account.whole
        if whole not in bounds:
            bounds[whole] = _per_user(snapshot, whole)
        found[whole] += reached(bounds[whole], usage)
    return found


def _per_user(snapshot: Snapshot, account: Account) -> Limits:
    if account.namespace:
        quotas: Iterable[CompiledQuota] = snapshot.policies(account.namespace).quotas
    else:
        known = any(each.metadata.name == account.owner for each in snapshot.pools)
        pool = snapshot.compiled_pool(account.owner) if known else None
        quotas = () if pool is None else (pool.quota,)
    return next((each.per_user for each in quotas if each.account == account), _NO_LIMITS)
