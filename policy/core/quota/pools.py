"""Pools compiled: the limit of all members together, and the tree of shares where members may borrow.

Where a pool borrows, a member's share is what the pool says (`borrowing.shares`, else `namespaceDefaults`);
its own quotas that select every Workflow may lower it. Of a member of which the pool says nothing they are
the share, up to the limit of the pool, and what the pool's word keeps for others goes before what it is kept.
A member may go beyond its share while others leave room, and has it back with the next slot that comes free.
What a member uses stands in the ledger at `Account.share`, and what all use at `Account.of_pool`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

import msgspec

from policy.core.policy_kinds.kinds import ClusterWorkflowQuotaSpec
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import NOTHING, CompiledQuota, compile_quota, limits_of, tightest
from policy.core.quota.demands import ShareDemand
from policy.core.quota.node_capacity import CapacityRule
from policy.core.quota.pool_members import speaks_for_all
from policy.core.quota.pool_tree import ROOT, Member, Pool, Tree, compile_tree
from policy.core.quota.windows import ALWAYS, NEVER
from policy.core.values.amounts import Amount, Limits, Usage, withheld
from policy.core.values.durations import duration
from policy.core.values.memo import Memo

_NO_LIMITS: Final = Limits()
_NODES_COME: Final = "enough nodes are ready"


class CompiledPool(msgspec.Struct, frozen=True):
    """One pool: its quota, and of each member the quotas that are its share.

    `said` are the shares by name of member, and `defaults` the quota of all members, if that is a share.
    `capacity` says how its limits follow nodes. `weights` and `half_life` are those of fair share. `rises`
    says by what anybody's limits get higher than at another time. `trees` keeps the one that is written now,
    with the time from and until which it is, and the one at its most.
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
    said: Mapping[str, Limits]
    defaults: CompiledQuota | None
    trees: Memo[str, tuple[datetime, datetime, Tree]]

    def written_tree(self, now: datetime) -> Tree:
        """Return the tree of shares as it is written, whatever nodes allow; worked out when limits change."""
        found = self.trees.get("written")
        if found is None or not found[0] <= now < found[1]:
            total = self.quota.limits_at(now)
            tree = self._tree_of(total, now)
            found = self.trees.keep("written", (now, self.until(now), tree))
        return found[2]

    def limits_at(self, now: datetime, capacity: Limits | None) -> Limits:
        """Return the limits of all members together: as written, and as nodes allow.

        Before anybody has measured the nodes, they allow the least.
        """
        written = self.quota.limits_at(now)
        if self.capacity is None:
            return written
        return written.tightest(self.capacity.lowest if capacity is None else capacity)

    def share_at(self, namespace: str, now: datetime) -> Limits:
        """Return the share of a member; one without any is bounded by the pool alone."""
        return self._member(namespace, self.quota.limits_at(now), now).nominal

    def most_at(self, namespace: str, now: datetime) -> Limits:
        """Return the most that the share of a member may be: the pool's word, else its limits as written."""
        return _else(self._word(namespace, now), self.quota.limits_at(now))

    def most_ever(self, namespace: str) -> Limits:
        """Return the most that it may be at any time."""
        return _else(self.word_ever(namespace), self.quota.highest)

    def word_ever(self, namespace: str) -> Limits:
        """Return the most that the pool itself ever gives a member as its share."""
        return self._word(namespace, None)

    def tree_at(self, now: datetime, capacity: Limits | None) -> Tree:
        """Return the tree of shares."""
        return self._tree_of(self.limits_at(now, capacity), now)

    def tree_ever(self) -> Tree:
        """Return the tree at its most for each member by itself, whatever windows and nodes say now.

        Where limits move nothing is kept for anybody in it: what others are guaranteed is less at another
        time, and who fits then must not be taken for one who never does.
        """
        found = self.trees.get("ever")
        if found is None:
            lending = self.lending if self._is_fixed() else _NO_LIMITS
            tree = self._tree(self.quota.highest, None, lending=lending)
            found = self.trees.keep("ever", (ALWAYS, NEVER, tree))
        return found[2]

    def pool_at(self, now: datetime, capacity: Limits | None) -> Pool:
        """Return the pool as a planner keeps it."""
        return Pool(
            name=self.name,
            source=self.quota.source,
            tree=self.tree_at(now, capacity),
            ever=self.tree_ever(),
            rises=self.rises,
        )

    def until(self, now: datetime) -> datetime:
        """Return when the written limits of anybody may be others than at `now`."""
        return min(quota.elastic.at(now).until for quota in self._quotas())

    def _is_fixed(self) -> bool:
        """Tell whether neither windows nor nodes ever change the limits of anybody."""
        return self.capacity is None and all(quota.elastic.fixed for quota in self._quotas())

    def _quotas(self) -> Iterator[CompiledQuota]:
        """Yield the pool's quota and those that are shares."""
        yield self.quota
        if self.defaults is not None:
            yield self.defaults
        yield from chain.from_iterable(self.shares.values())

    def _tree_of(self, total: Limits, now: datetime) -> Tree:
        return self._tree(total, now, lending=self.lending)

    def _tree(self, total: Limits, now: datetime | None, *, lending: Limits) -> Tree:
        members = [self._member(name, total, now, lending) for name in self.shares]
        return compile_tree([Member(ROOT, nominal=total), *members])

    def _member(self, name: str, total: Limits, now: datetime | None, lending: Limits = _NO_LIMITS) -> Member:
        """Return a member as the tree counts it: at `now`, or at the most that its limits ever are.

        While its share is stopped it has nothing and borrows nothing.
        """
        quotas, word = self.shares.get(name, ()), self._word(name, now)
        if now is not None and any(quota.stops_its_own for quota in quotas):
            return Member(name, ROOT, NOTHING, borrowing=NOTHING, said=word)
        own = tightest(
            quota.highest if now is None else quota.limits_at(now)
            for quota in quotas
            if self.defaults is None or quota.source != self.defaults.source
        )
        share = word.tightest(own)
        if share != _NO_LIMITS:
            share = _where_any(share, share.tightest(_else(word, total)))
        return Member(name, ROOT, share, borrowing=self.borrowing, lending=lending, said=word)

    def _word(self, namespace: str, now: datetime | None) -> Limits:
        """Return what the pool itself says of the share of a member: of its name, else of all members."""
        named, defaults = self.said.get(namespace, _NO_LIMITS), self.defaults
        if defaults is None:
            return named
        return _else(named, defaults.elastic.highest if now is None else defaults.elastic.at(now).limits)


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
    said = {} if borrowing is None else borrowing.shares
    if defaults is not None and not speaks_for_all(defaults):
        defaults = None
    moving = (quota,) if defaults is None else (quota, defaults)
    return CompiledPool(
        name=name,
        quota=quota,
        shares=shares,
        borrows=borrowing is not None and borrowing.enabled,
        borrowing=_NO_LIMITS if borrowing is None else limits_of(borrowing.borrowing_limit),
        lending=_NO_LIMITS if borrowing is None else limits_of(borrowing.lending_limit),
        said={each: Limits(Amount(share.workflows), Amount(share.tasks)) for each, share in said.items()},
        defaults=defaults,
        capacity=_capacity_rule(spec),
        weights=spec.fair_share.weights,
        half_life=duration(spec.fair_share.half_life),
        rises=" or ".join(
            dict.fromkeys(each.rises for each in chain(moving, *shares.values()) if each.rises)
        ),
        trees=Memo(),
    )


def share_demand(pool: CompiledPool, namespace: str, priority: int, now: datetime) -> ShareDemand:
    """Return what a Workflow of a member demands of a pool that borrows."""
    return ShareDemand(
        member=namespace,
        account=Account.share(pool.name, namespace),
        pool=pool.quota.account,
        written=pool.quota.limits_at(now),
        tree=pool.written_tree(now),
        withheld=withheld(pool.quota.reserves, priority),
        source=pool.quota.source,
        ever=pool.tree_ever(),
        rises=pool.rises,
    )


def whole_of_member(name: str, spec: ClusterWorkflowQuotaSpec, namespace: str) -> CompiledQuota:
    """Compile what a pool says of all its members, as one member goes by it.

    A share that the pool itself gives it bounds its tasks, though no quota of its own says so.
    """
    quota, borrowing = compile_whole(name, spec), spec.borrowing
    share = borrowing.shares.get(namespace) if borrowing is not None and borrowing.enabled else None
    if share is None or share.tasks is None:
        return quota
    return msgspec.structs.replace(quota, bounds_tasks=True)


def compile_whole(name: str, spec: ClusterWorkflowQuotaSpec) -> CompiledQuota:
    """Compile what a pool says of all its members together; nodes may bound the most that it ever allows."""
    quota = compile_quota(spec, Account.of_pool(name), f"ClusterWorkflowQuota {name}")
    rule = _capacity_rule(spec)
    if rule is None:
        return quota
    return msgspec.structs.replace(
        quota,
        bounds_tasks=quota.bounds_tasks or rule.counts_tasks,
        highest=quota.highest.tightest(rule.highest),
        moves=" or ".join(filter(None, (quota.moves, _NODES_COME))),
        constant=None,
    )


def _capacity_rule(spec: ClusterWorkflowQuotaSpec) -> CapacityRule | None:
    """Return how limits follow nodes; what has no rate is not bounded by them."""
    elastic = spec.elastic
    if elastic is None:
        return None
    counts_tasks = bool(elastic.rates("tasks"))
    counted = Usage(int(elastic.workflows_per_node is not None), int(counts_tasks))
    return CapacityRule(
        selector=elastic.selector,
        workflows_per_node=elastic.workflows_per_node,
        tasks_per_node=elastic.tasks_per_node,
        tasks_per_cpu=elastic.tasks_per_cpu,
        lowest=_counted(limits_of(elastic.min), counted, 0),
        highest=_counted(limits_of(elastic.max), counted, None),
        stabilization=duration(elastic.stabilization),
    )


def _else(limits: Limits, otherwise: Limits) -> Limits:
    """Return limits, and of what they leave open what is said `otherwise`."""
    return Limits(
        otherwise.workflows if limits.workflows.unlimited else limits.workflows,
        otherwise.tasks if limits.tasks.unlimited else limits.tasks,
    )


def _where_any(given: Limits, limits: Limits) -> Limits:
    """Return limits of what is limited in those that are given; the rest stays open."""
    return Limits(
        given.workflows if given.workflows.unlimited else limits.workflows,
        given.tasks if given.tasks.unlimited else limits.tasks,
    )


def _counted(limits: Limits, counted: Usage, otherwise: int | None) -> Limits:
    """Return the bounds of what is counted; where one is not written it is `otherwise`."""
    workflows, tasks = limits.workflows, limits.tasks
    if counted.workflows and workflows.unlimited:
        workflows = Amount(otherwise)
    if counted.tasks and tasks.unlimited:
        tasks = Amount(otherwise)
    unbounded = Amount(None)
    return Limits(workflows if counted.workflows else unbounded, tasks if counted.tasks else unbounded)
