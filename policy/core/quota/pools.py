"""What a pool limits once it is compiled: all members together, and the share of each where they may borrow.

Where a pool borrows, a member's share is the one that the pool assigns (`borrowing.shares`, else
`namespaceDefaults`); the member's own quotas that select every Workflow may lower it. Without an assigned
share those quotas are the share, up to the limit of the pool, and guarantees of assigned shares come first.
A member may go beyond its share while others leave capacity idle; an owner gets back the next slot that is
free. The ledger has the usage of a member at `Account.share`, and that of all at `Account.of_pool`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import reduce
from itertools import chain
from typing import Final

import msgspec

from policy.core.policy_kinds.quota_parts import ClusterWorkflowQuotaSpec
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import NOTHING, CompiledQuota, compile_groups, compile_quota
from policy.core.quota.demands import ShareDemand
from policy.core.quota.namespace_quotas import bounds_all
from policy.core.quota.node_capacity import CapacityRule
from policy.core.quota.pool_borrowing import ROOT, Member, Pool, PoolUsage, Tree, compile_tree
from policy.core.quota.windows import ALWAYS, NEVER, Opening, limits_of
from policy.core.values.amounts import UNLIMITED, Amount, Limits, Usage, withheld
from policy.core.values.durations import duration
from policy.core.values.memo import MOST_KEPT, Memo

_NO_LIMITS: Final = Limits()
_MOST_CHANGES: Final = 20
"""Openings and ends of windows in which one that admits a request is looked for."""
_NODES_COME: Final = "enough nodes are ready"


class CompiledPool(msgspec.Struct, frozen=True):
    """One pool: its quota, and of each member the quotas that are its share.

    `assigned` are the shares by name of member, and `defaults` the quota of all members, if that is a share.
    `capacity` is how its limits follow nodes. `weights` and `half_life` are those of fair share. `rises` has
    in words when the limits of any member are higher than at other times. `trees` is the cache of the tree by
    the written limits, with the time from and until which it is valid, and of the tree by the highest limits;
    `openings` is that of `opening`, with the same times. `groups` are those of its quota, compiled.
    """

    name: str
    quota: CompiledQuota
    shares: Mapping[str, tuple[CompiledQuota, ...]]
    borrows: bool
    borrowing: Limits
    lending: Limits
    capacity: CapacityRule | None
    weights: Mapping[str, int]
    half_life: timedelta
    rises: str
    assigned: Mapping[str, Limits]
    defaults: CompiledQuota | None
    trees: Memo[str, tuple[datetime, datetime, Tree]]
    openings: Memo[tuple[str, Usage, Usage], tuple[datetime, datetime, Opening | None]] = msgspec.field(
        default_factory=lambda: Memo(most=MOST_KEPT)
    )
    groups: tuple[CompiledQuota, ...] = ()

    def written_tree(self, now: datetime) -> Tree:
        """Return the tree of shares by the written limits, without nodes; it is compiled when they change."""
        found = self.trees.get("written")
        if found is None or not found[0] <= now < found[1]:
            tree = self._tree(self.quota.limits_at(now), now, self.lending)
            found = self.trees.keep("written", (now, self.until(now), tree))
        return found[2]

    def limits_at(self, now: datetime, capacity: Limits | None) -> Limits:
        """Return the limits of all members together: those written, and those that nodes allow.

        While the nodes are not measured yet, they allow the lowest limits.
        """
        written = self.quota.limits_at(now)
        if self.capacity is None:
            return written
        return written.tightest(self.capacity.lowest if capacity is None else capacity)

    def share_at(self, namespace: str, now: datetime) -> Limits:
        """Return the share of a member; one that has none is bounded by the pool alone."""
        return self._member(namespace, self.quota.limits_at(now), now).nominal

    def share_bound(self, namespace: str, now: datetime | None) -> Limits:
        """Return the most that the share of a member may be, at `now` or (None) at any time."""
        whole = self.quota.highest if now is None else self.quota.limits_at(now)
        return _or_else(self.assigned_to(namespace, now), whole)

    def tree_at(self, now: datetime, capacity: Limits | None) -> Tree:
        """Return the tree of shares."""
        return self._tree(self.limits_at(now, capacity), now, self.lending)

    def tree_ever(self) -> Tree:
        """Return the tree with the highest limits of each member, whatever windows and nodes allow now.

        Where limits change it has no guarantees: those of others are lower at another time, and a Workflow
        that fits then must not be reported as one that never fits.
        """
        found = self.trees.get("ever")
        if found is None:
            fixed = self.capacity is None and all(quota.elastic.fixed for quota in self._quotas())
            lending = self.lending if fixed else _NO_LIMITS
            tree = self._tree(self.quota.highest, None, lending)
            found = self.trees.keep("ever", (ALWAYS, NEVER, tree))
        return found[2]

    def pool_at(self, now: datetime, capacity: Limits | None) -> Pool:
        """Return the pool with its trees, as a planner counts usage in it."""
        return Pool(
            name=self.name,
            source=self.quota.source,
            usage=PoolUsage(self.tree_at(now, capacity)),
            ever=self.tree_ever(),
            rises=self.rises,
        )

    def until(self, now: datetime) -> datetime:
        """Return when the written limits of any member may change after `now`."""
        return min(quota.elastic.at(now).until for quota in self._quotas())

    def opening(self, namespace: str, now: datetime, requested: Usage, reserved: Usage) -> Opening | None:
        """Return when windows let a member use what it cannot use now, whatever the others use.

        `reserved` is what is withheld from it for higher priorities; nodes are not foreseen.
        """
        key = (namespace, requested, reserved)
        found = self.openings.get(key)
        if found is None or not found[0] <= now < found[1]:
            found = self.openings.keep(key, (now, self.until(now), self._find_opening(*key, now)))
        return found[2]

    def _find_opening(
        self, namespace: str, requested: Usage, reserved: Usage, now: datetime
    ) -> Opening | None:
        at = self.until(now)
        for _ in range(_MOST_CHANGES):
            if at == NEVER:
                return None
            tree = self._tree(self.quota.limits_at(at), at, self.lending)
            if tree.potential(namespace, reserved).admits(requested):
                changes = (quota.elastic.change_at(at) for quota in self._quotas())
                return next((each for each in changes if each is not None), None)
            at = self.until(at)
        return None

    def _quotas(self) -> Iterator[CompiledQuota]:
        """Return the pool's quota and those that are shares."""
        defaults = () if self.defaults is None else (self.defaults,)
        return chain((self.quota,), defaults, *self.shares.values())

    def _tree(self, total: Limits, now: datetime | None, lending: Limits) -> Tree:
        members = [self._member(name, total, now, lending) for name in self.shares]
        return compile_tree([Member(ROOT, nominal=total), *members])

    def _member(self, name: str, total: Limits, now: datetime | None, lending: Limits = _NO_LIMITS) -> Member:
        """Return a member of the tree: with its limits at `now`, or (None) with its highest.

        While its share is stopped it has no share and borrows nothing.
        """
        quotas, assigned = self.shares.get(name, ()), self.assigned_to(name, now)
        if now is not None and any(quota.stops_its_own for quota in quotas):
            return Member(name, ROOT, NOTHING, borrowing=NOTHING, assigned=assigned)
        own = [
            quota.highest if now is None else quota.limits_at(now)
            for quota in quotas
            if self.defaults is None or quota.source != self.defaults.source
        ]
        share = reduce(Limits.tightest, own, assigned)
        if share != _NO_LIMITS:
            share = _only_where_limited(share, share.tightest(_or_else(assigned, total)))
        return Member(name, ROOT, share, borrowing=self.borrowing, lending=lending, assigned=assigned)

    def assigned_to(self, namespace: str, now: datetime | None) -> Limits:
        """Return the share that the pool itself assigns to a member, at `now` or (None) at most."""
        named, defaults = self.assigned.get(namespace, _NO_LIMITS), self.defaults
        if defaults is None:
            return named
        return _or_else(named, defaults.elastic.highest if now is None else defaults.elastic.at(now).limits)


def compile_pool(
    name: str,
    spec: ClusterWorkflowQuotaSpec,
    quota: CompiledQuota,
    shares: Mapping[str, tuple[CompiledQuota, ...]],
    defaults: CompiledQuota | None = None,
) -> CompiledPool:
    """Compile a pool that was found valid; `shares` has every member, the ones without a share too.

    `defaults` is the quota that it gives its members.
    """
    borrowing = spec.borrowing
    assigned = {} if borrowing is None else borrowing.shares
    if defaults is not None and not bounds_all(defaults):
        defaults = None
    moving = (quota,) if defaults is None else (quota, defaults)
    return CompiledPool(
        name=name,
        quota=quota,
        shares=shares,
        borrows=borrowing is not None and borrowing.enabled,
        borrowing=_NO_LIMITS if borrowing is None else limits_of(borrowing.borrowing_limit),
        lending=_NO_LIMITS if borrowing is None else limits_of(borrowing.lending_limit),
        assigned={
            each: Limits(Amount(share.workflows), Amount(share.tasks)) for each, share in assigned.items()
        },
        defaults=defaults,
        capacity=_capacity_rule(spec),
        weights=spec.fair_share.weights,
        half_life=duration(spec.fair_share.half_life),
        rises=" or ".join(
            dict.fromkeys(each.rises for each in chain(moving, *shares.values()) if each.rises)
        ),
        trees=Memo(),
        groups=compile_groups(spec, quota),
    )


def share_demand(
    pool: CompiledPool, namespace: str, priority: int, now: datetime, requested: Usage | None = None
) -> ShareDemand:
    """Return the demand of a Workflow of a member on a pool that borrows; `requested` is what it uses."""
    tree, reserved = pool.written_tree(now), withheld(pool.quota.reserves, priority)
    opening = None
    if pool.rises and requested is not None and not tree.potential(namespace, reserved).admits(requested):
        opening = pool.opening(namespace, now, requested, reserved)
    return ShareDemand(
        account=Account.share(pool.name, namespace),
        pool=pool.quota.account,
        written=pool.quota.limits_at(now),
        tree=tree,
        withheld=reserved,
        source=pool.quota.source,
        ever=pool.tree_ever(),
        rises=pool.rises,
        opens="" if opening is None else str(opening),
    )


def pool_quota_of_member(name: str, spec: ClusterWorkflowQuotaSpec, namespace: str) -> CompiledQuota:
    """Compile the quota of a pool as it holds for one member: an assigned share may bound its tasks."""
    quota, borrowing = compile_pool_quota(name, spec), spec.borrowing
    share = borrowing.shares.get(namespace) if borrowing is not None and borrowing.enabled else None
    if share is None or share.tasks is None:
        return quota
    return msgspec.structs.replace(quota, bounds_tasks=True)


def compile_pool_quota(name: str, spec: ClusterWorkflowQuotaSpec) -> CompiledQuota:
    """Compile the quota of a pool for all members together; nodes may lower its highest limits."""
    quota = compile_quota(spec, Account.of_pool(name), f"ClusterWorkflowQuota {name}")
    rule = _capacity_rule(spec)
    if rule is None:
        return quota
    return msgspec.structs.replace(
        quota,
        bounds_tasks=quota.bounds_tasks or rule.counts_tasks,
        highest=quota.highest.tightest(rule.highest),
        highest_when=" or ".join(filter(None, (quota.highest_when, _NODES_COME))),
        constant=None,
    )


def _capacity_rule(spec: ClusterWorkflowQuotaSpec) -> CapacityRule | None:
    """Return how limits follow nodes; a resource without a rate is not bounded by them."""
    elastic = spec.elastic
    if elastic is None:
        return None
    counted = Limits(
        UNLIMITED if elastic.workflows_per_node is None else NOTHING.workflows,
        NOTHING.tasks if elastic.rates("tasks") else UNLIMITED,
    )
    return CapacityRule(
        selector=elastic.selector,
        workflows_per_node=elastic.workflows_per_node,
        tasks_per_node=elastic.tasks_per_node,
        tasks_per_cpu=elastic.tasks_per_cpu,
        lowest=_only_where_limited(counted, _or_else(limits_of(elastic.min), NOTHING)),
        highest=_only_where_limited(counted, limits_of(elastic.max)),
        stabilization=duration(elastic.stabilization),
    )


def _or_else(limits: Limits, otherwise: Limits) -> Limits:
    """Return limits, and `otherwise` for each resource that they do not limit."""
    return Limits(
        otherwise.workflows if limits.workflows.unlimited else limits.workflows,
        otherwise.tasks if limits.tasks.unlimited else limits.tasks,
    )


def _only_where_limited(given: Limits, limits: Limits) -> Limits:
    """Return limits for the resources that are limited in `given`; the others are unlimited."""
    return Limits(
        given.workflows if given.workflows.unlimited else limits.workflows,
        given.tasks if given.tasks.unlimited else limits.tasks,
    )
