"""Pools compiled: the limit of all members together, and the tree of shares where members may borrow.

Where a pool borrows, the limits of a member's own quotas that select every Workflow (or of the pool's
`namespaceDefaults`) are its share. It may go beyond it while others leave room, and has it back with the next
slot that comes free. What a member uses stands in the ledger under its namespace and `POOL/share`, which is
no name of a quota; what all use, under no namespace and the pool's name.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

import msgspec

from policy.core.amounts import Amount, Limits, Usage
from policy.core.capacity import CapacityRule
from policy.core.compiled_quotas import CompiledQuota, compile_quota, limits_of, tightest
from policy.core.durations import duration
from policy.core.kinds import ClusterWorkflowQuotaSpec
from policy.core.ledger import Account, ShareDemand
from policy.core.reserves import withheld
from policy.core.rooms import ROOT, Pool
from policy.core.tree import Member, Tree, compile_tree
from policy.core.windows import ALWAYS, NEVER

NO_LIMITS: Final = Limits()
NODES_COME: Final = "enough nodes are ready"


class CompiledPool(msgspec.Struct, frozen=True):
    """One pool: its quota, and of each member the quotas that are its share.

    `capacity` says how its limits follow nodes. `weights` and `half_life` are those of fair share. `rises`
    says by what anybody's limits get higher than at another time. What was worked out last is `remembered`:
    the tree as written and until when it stays, and the one at its most.
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
    remembered: dict[str, tuple[datetime, datetime, Tree]]

    def written_tree(self, now: datetime) -> Tree:
        """Return the tree of shares as it is written, whatever nodes allow; worked out when limits change."""
        found = self.remembered.get("tree")
        if found is None or not found[0] <= now < found[1]:
            total = self.quota.limits_at(now)
            tree = self._tree_of(total, now)
            found = self.remembered["tree"] = (now, self.until(now), tree)
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
        """Return the share of a member; one without a quota of its own is bounded by the pool alone."""
        return tightest(quota.limits_at(now) for quota in self.shares.get(namespace, ()))

    def tree_at(self, now: datetime, capacity: Limits | None) -> Tree:
        """Return the tree of shares."""
        return self._tree_of(self.limits_at(now, capacity), now)

    def tree_ever(self) -> Tree:
        """Return the tree at its most for each member by itself, whatever windows and nodes say now.

        Where limits move nothing is kept for anybody in it: what others are guaranteed is less at another
        time, and who fits then must not be taken for one who never does.
        """
        found = self.remembered.get("ever")
        if found is None:
            shares = {name: tightest(each.highest for each in quotas) for name, quotas in self.shares.items()}
            lending = self.lending if self._is_fixed() else NO_LIMITS
            tree = self._tree(self.quota.highest, shares, lending=lending)
            found = self.remembered["ever"] = (ALWAYS, NEVER, tree)
        return found[2]

    def pool_at(self, now: datetime, capacity: Limits | None) -> Pool:
        """Return the pool as a planner keeps it."""
        return Pool(
            name=self.name,
            source=self.quota.source,
            tree=self.tree_at(now, capacity),
            ever=self.tree_ever(),
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
        yield from chain.from_iterable(self.shares.values())

    def _tree_of(self, total: Limits, now: datetime) -> Tree:
        shares = {name: self.share_at(name, now) for name in self.shares}
        return self._tree(total, shares, lending=self.lending)

    def _tree(self, total: Limits, shares: Mapping[str, Limits], *, lending: Limits) -> Tree:
        members = [
            Member(name, ROOT, share, borrowing=self.borrowing, lending=lending)
            for name, share in shares.items()
        ]
        return compile_tree([Member(ROOT, nominal=total), *members])


def compile_pool(
    name: str,
    spec: ClusterWorkflowQuotaSpec,
    quota: CompiledQuota,
    shares: Mapping[str, tuple[CompiledQuota, ...]],
) -> CompiledPool:
    """Compile a pool that was found valid; `shares` has every member, the ones without a share too."""
    borrowing = spec.borrowing
    return CompiledPool(
        name=name,
        quota=quota,
        shares=shares,
        borrows=borrowing is not None and borrowing.enabled,
        borrowing=NO_LIMITS if borrowing is None else limits_of(borrowing.borrowing_limit),
        lending=NO_LIMITS if borrowing is None else limits_of(borrowing.lending_limit),
        capacity=_capacity_rule(spec),
        weights=spec.fair_share.weights,
        half_life=duration(spec.fair_share.half_life),
        rises=" or ".join(
            dict.fromkeys(each.rises for each in (quota, *chain.from_iterable(shares.values())) if each.rises)
        ),
        remembered={},
    )


def share_account(pool: str, namespace: str) -> Account:
    """Return the account of what a member uses of a pool that borrows."""
    return Account(namespace, f"{pool}/share")


def share_demand(pool: CompiledPool, namespace: str, priority: int, now: datetime) -> ShareDemand:
    """Return what a Workflow of a member demands of a pool that borrows."""
    return ShareDemand(
        member=namespace,
        account=share_account(pool.name, namespace),
        pool=pool.quota.account,
        written=pool.quota.limits_at(now),
        tree=pool.written_tree(now),
        withheld=withheld(pool.quota.reserves, priority),
        source=pool.quota.source,
        ever=pool.tree_ever(),
        rises=pool.rises,
    )


def compile_whole(name: str, spec: ClusterWorkflowQuotaSpec) -> CompiledQuota:
    """Compile what a pool says of all its members together; nodes may bound the most that it ever allows."""
    quota = compile_quota(spec, Account("", name), f"ClusterWorkflowQuota {name}")
    rule = _capacity_rule(spec)
    if rule is None:
        return quota
    return msgspec.structs.replace(
        quota,
        bounds_tasks=quota.bounds_tasks or rule.counts_tasks,
        highest=quota.highest.tightest(rule.highest),
        moves=" or ".join(filter(None, (quota.moves, NODES_COME))),
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


def _counted(limits: Limits, counted: Usage, otherwise: int | None) -> Limits:
    """Return the bounds of what is counted; where one is not written it is `otherwise`."""
    workflows, tasks = limits.workflows, limits.tasks
    if counted.workflows and workflows.unlimited:
        workflows = Amount(otherwise)
    if counted.tasks and tasks.unlimited:
        tasks = Amount(otherwise)
    unbounded = Amount(None)
    return Limits(workflows if counted.workflows else unbounded, tasks if counted.tasks else unbounded)
