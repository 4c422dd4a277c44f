"""Queue and use over time: of namespaces, of pools, and of each quota as a part of its limits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from policy.core.policies.snapshot import Snapshot
from policy.core.policies.status_figures import borrowed_by
from policy.core.quota.accounts import Account, Root
from policy.core.values.amounts import ZERO, Limits
from policy.service.release.root_state import RootState
from policy.service.simulation.arrivals import at as time_at
from policy.service.simulation.curve import Curve, common_width
from policy.service.simulation.result import CurveResult, QuotaResult, UseResult


class _Use:
    """The curves of a namespace or pool."""

    __slots__ = ("borrowed", "running", "tasks", "waiting")

    def __init__(self) -> None:
        self.waiting, self.running, self.tasks, self.borrowed = Curve(), Curve(), Curve(), Curve()

    def result(self, name: str, until: float, width: float) -> UseResult:
        return UseResult(
            name,
            *(_curve(each, until, width) for each in (self.waiting, self.running, self.tasks, self.borrowed)),
        )


class _QuotaUse:
    """What is used of an account, and its limits over time."""

    __slots__ = ("_limits", "limit_tasks", "limit_workflows", "tasks", "unlimited", "workflows")

    def __init__(self) -> None:
        self.workflows, self.tasks, self.limit_workflows, self.limit_tasks = (
            Curve(),
            Curve(),
            Curve(),
            Curve(),
        )
        self.unlimited = [True, True]
        self._limits: Limits | None = None

    def put(self, at: float, used: tuple[int, int], limits: Limits) -> None:
        self.workflows.put(at, used[0])
        self.tasks.put(at, used[1])
        if limits == self._limits:
            return
        self._limits = limits
        for number, (curve, limit) in enumerate(
            ((self.limit_workflows, limits.workflows.value), (self.limit_tasks, limits.tasks.value))
        ):
            if limit is not None:
                self.unlimited[number] = False
                curve.put(at, limit)

    def result(self, name: str, until: float) -> QuotaResult:
        for curve in (self.workflows, self.tasks, self.limit_workflows, self.limit_tasks):
            curve.parts(until)
        return QuotaResult(
            name,
            None if self.unlimited[0] else _part(self.workflows, self.limit_workflows),
            None if self.unlimited[1] else _part(self.tasks, self.limit_tasks),
            int(self.workflows.highest),
            int(self.tasks.highest),
        )


class UseCurves:
    """All curves of a play; `roots` are the player's."""

    def __init__(self, *, snapshot: Snapshot, begin: float) -> None:
        self.roots: Mapping[Root, RootState] = {}
        self._snapshot = snapshot
        self._begin = begin
        self._namespaces = defaultdict[str, _Use](_Use)
        self._pools = defaultdict[str, _Use](_Use)
        self._quotas = defaultdict[Account, _QuotaUse](_QuotaUse)

    def waiting(self, namespace: str, change: int, at: float) -> None:
        """Count one more or less that waits."""
        since = at - self._begin
        curve = self._namespaces[namespace].waiting
        curve.put(since, curve.value + change)
        pool = self._snapshot.policies(namespace).pool
        if pool:
            whole = self._pools[pool].waiting
            whole.put(since, whole.value + change)

    def used(self, root: Root, accounts: Iterable[Account], namespace: str, at: float) -> None:
        """Take over what is used on some accounts of a root, and their limits."""
        state, since = self.roots[root], at - self._begin
        used, limits = state.used, state.planner.headroom.limits
        for account in accounts:
            if not account.key:
                usage = used.get(account, ZERO)
                self._quotas[account].put(
                    since, (usage.workflows, usage.tasks), self._limits(state, account, limits)
                )
        if not namespace:
            return
        use, running = self._namespaces[namespace], state.running.get(namespace, ZERO)
        pool = state.lender
        before = use.running.value, use.tasks.value, use.borrowed.value
        use.running.put(since, running.workflows)
        use.tasks.put(since, running.tasks)
        if pool is not None:
            use.borrowed.put(since, borrowed_by(pool, namespace, state.used, time_at(at)).workflows)
        if root.pool:
            whole = self._pools[root.pool]
            for curve, now, old in (
                (whole.running, use.running.value, before[0]),
                (whole.tasks, use.tasks.value, before[1]),
                (whole.borrowed, use.borrowed.value, before[2]),
            ):
                curve.put(since, curve.value + now - old)

    def borrows(self, namespace: str) -> bool:
        """Return whether a namespace uses more than its share of the pool now."""
        use = self._namespaces.get(namespace)
        return use is not None and use.borrowed.value > 0

    def results(self, until: float) -> tuple[tuple[UseResult, ...], tuple[UseResult, ...], float]:
        """Return the curves of namespaces and of pools, and the seconds of each part of them."""
        width = common_width(until)
        return _results(self._namespaces, until, width), _results(self._pools, until, width), width

    def quotas(self, until: float) -> tuple[QuotaResult, ...]:
        """Return how much of its limits each quota used, the busiest first."""
        found = [use.result(_name(account), until) for account, use in self._quotas.items()]
        return tuple(sorted(found, key=lambda each: (-max(each.workflows or 0, each.tasks or 0), each.quota)))

    @staticmethod
    def _limits(state: RootState, account: Account, limits: Mapping[Account, Limits]) -> Limits:
        pool = state.planner.headroom.pool
        if pool is not None and account == state.planner.headroom.whole:
            return pool.usage.tree.members[""].nominal
        if pool is not None and account == Account.share(pool.name, account.namespace):
            return pool.usage.tree.members[account.namespace].nominal
        return limits.get(account, Limits())


def _results(found: Mapping[str, _Use], until: float, width: float) -> tuple[UseResult, ...]:
    return tuple(use.result(name, until, width) for name, use in sorted(found.items()))


def _curve(curve: Curve, until: float, width: float) -> CurveResult:
    parts = curve.parts(until, width)
    mean = curve.area / until if until > 0 else 0.0
    return CurveResult(
        tuple(round(each, 2) for each in parts.means), tuple(parts.peaks), round(mean, 3), curve.highest
    )


def _part(used: Curve, limit: Curve) -> float:
    return round(used.area / limit.area, 4) if limit.area else 0.0


def _name(account: Account) -> str:
    """Return the name of a quota as reports have it, or of a group of it."""
    quota, namespace = account.owner, account.namespace
    if not namespace:
        name = f"pool {quota}"
    elif quota.endswith("/share"):
        name = f"share of {namespace} in pool {quota.removesuffix('/share')}"
    elif quota.endswith(".defaults"):
        name = f"default of pool {quota.removesuffix('.defaults')} for {namespace}"
    else:
        name = f"{namespace}/{quota}"
    return f"{name} group {account.group}" if account.group else name
