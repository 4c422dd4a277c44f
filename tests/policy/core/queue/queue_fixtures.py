"""Short ways to fill a planner, and random histories that a planner and its oracle both live through."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from policy.core.objects.workflow import HIGHEST_PRIORITY
from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy
from policy.core.queue.fair_share import FairShare
from policy.core.queue.ordering import Requirements, Waiter, Want
from policy.core.queue.planner import Charge, Planner
from policy.core.quota.accounts import Account, Tenant
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.demands import Demand
from policy.core.quota.pool_borrowing import Pool, PoolUsage, Tree, compile_tree
from policy.core.values.amounts import UNLIMITED, ZERO, Amount, Limits, Usage
from tests.policy.core.builders import NOW, limits, weight
from tests.policy.core.queue.planning_oracle import Oracle
from tests.policy.core.quota.tree_oracle import PlainPool

NEVER: Final = 10**9
"""So many overtakes that no group is ever protected."""
NAMES: Final = ("team-a", "team-b", "team-c")


def fair_share(**weights: int) -> FairShare:
    """Return an empty past, with half an eye on tasks."""
    return FairShare(now=NOW, limits=limits(10, 30), half_life=timedelta(hours=1), weights=weights)


def planner(*, passes: int = NEVER, long_wait: timedelta = timedelta(days=9999)) -> Planner:
    """Return a planner with an empty queue."""
    return Planner(now=NOW, fair=fair_share(), max_overtakes=passes, long_wait=long_wait)


def bound(name: str, most: Limits, *, namespace: str = "team-a", user: str = "") -> Demand:
    """Return a demand on a quota."""
    return Demand(Account(namespace, name, user), most, f"WorkflowQuota {namespace}/{name}")


def waiter(
    uid: str,
    *demands: Demand,
    namespace: str = "team-a",
    user: str = "",
    priority: int = 0,
    age: timedelta = timedelta(0),
    arrival: int = 0,
    tasks: int | None = 0,
    withheld: Usage = ZERO,
    shares: bool = False,
    fault: str = "",
) -> Waiter:
    """Return a held Workflow."""
    return Waiter(
        uid=uid,
        namespace=namespace,
        name=f"wf-{uid}",
        user=user,
        priority=priority,
        created=NOW - age,
        arrival=arrival,
        needs=Requirements(
            namespace, weight(tasks), tuple(Want(each, withheld) for each in demands), shares, withheld
        ),
        fault=fault,
    )


def uids(waiters: Iterable[Waiter]) -> list[str]:
    """Return who they are."""
    return [each.uid for each in waiters]


def pool_of(tree: Tree, *, name: str = "pool", ever: Tree | None = None, rises: str = "") -> Pool:
    """Return a pool; without `ever`, one whose limits never change."""
    most = tree if ever is None else ever
    return Pool(
        name=name, source=f"ClusterWorkflowQuota {name}", usage=PoolUsage(tree), ever=most, rises=rises
    )


class RandomQueue:
    """A planner and an oracle, and events drawn from one seed; `step` makes one event for both."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = NOW
        self.planner = Planner(
            now=NOW, fair=fair_share(**{NAMES[0]: 2}), max_overtakes=NEVER, long_wait=timedelta(days=9999)
        )
        self.oracle = Oracle(fair=fair_share(**{NAMES[0]: 2}), now=NOW)
        self.names = NAMES[: self.rng.randint(1, 3)]
        self.users = self.rng.choice((("",), ("ann", "bob")))
        self.running: dict[str, Charge] = {}
        self.limits: dict[Account, Limits] = {}
        self.count = 0
        self.has_pool = self.rng.random() < 0.6
        if self.has_pool:
            self._edit_pool()
        for account in self._accounts():
            self._edit_limits(account)
        for name in self.names:
            self._edit_rules(name)

    def step(self) -> None:
        """Let one thing happen."""
        events = (self._arrive,) * 9 + (self._end,) * 5 + (self._wait,) * 2
        self.rng.choice((*events, self._leave, self._edit_any, self._edit_any, self._edit_rule))()

    def plan(self) -> tuple[list[str], list[str]]:
        """Return whom the planner and whom the oracle release."""
        found = self.planner.plan(self.now)
        self._sampled()
        wanted = self.oracle.plan()
        for each in found:
            self.running[each.uid] = self.planner.charge_of(each)
        return uids(found), wanted

    def forget(self, each: Waiter) -> None:
        """Inform the oracle that one was released."""
        self.oracle.count(self.running[each.uid], 1)
        del self.oracle.waiters[each.uid]

    def _sampled(self) -> None:
        """Sample the oracle's past when the planner's was: accounts are closed in whole units each time."""
        if self.planner.sampled_at == self.now:
            self.oracle.fair.sample(self.now)

    def _accounts(self) -> list[Account]:
        own = [Account(name, "main") for name in self.names]
        users = [Account(name, "main", user) for name in self.names for user in self.users if user]
        return [*own, *users[:2], Account("", "shared")]

    def _limits(self, workflows: int = 5, tasks: int = 14) -> Limits:
        def amount(most: int) -> Amount:
            return UNLIMITED if self.rng.random() < 0.3 else Amount(self.rng.randint(0, most))

        return Limits(amount(workflows), amount(tasks))

    def _arrive(self) -> None:
        name, user = self.rng.choice(self.names), self.rng.choice(self.users)
        priority = self.rng.choice((0, 0, 0, 1, 3, 4, 9, 70, HIGHEST_PRIORITY))
        withheld = Usage(1, 2) if priority < 2 and self.rng.random() < 0.3 else ZERO
        demands = [
            Demand(account, most, "a quota")
            for account, most in self.limits.items()
            if account.namespace in (name, "") and account.key in ("", user) and self.rng.random() < 0.8
        ]
        each = Waiter(
            uid=f"u{self.count}",
            namespace=name,
            name=f"wf-{self.count}",
            user=user,
            priority=priority,
            created=self.now - timedelta(minutes=self.rng.choice((0, 0, 5, 30))),
            arrival=self.count,
            needs=Requirements(
                namespace=name,
                requested=weight(self.rng.choice((0, 1, 1, 2, 5, None))),
                wants=tuple(Want(demand, self.rng.choice((withheld, ZERO))) for demand in demands),
                shares=self.has_pool and self.rng.random() < 0.9,
                withheld=withheld,
            ),
            fault="the policy is broken" if self.rng.random() < 0.05 else "",
        )
        self.count += 1
        self.planner.add(each)
        self.oracle.waiters[each.uid] = each

    def _leave(self) -> None:
        if self.oracle.waiters:
            uid = self.rng.choice(sorted(self.oracle.waiters))
            self.planner.remove(uid)
            del self.oracle.waiters[uid]

    def _end(self) -> None:
        if not self.running:
            return
        charge = self.running.pop(self.rng.choice(sorted(self.running)))
        self.planner.ended(charge, self.now)
        self._sampled()
        self.oracle.count(charge, -1)
        self.oracle.fair.ended(Tenant(charge.namespace), charge.usage, self.now)
        if charge.user:
            self.oracle.fair.ended(Tenant(charge.namespace, charge.user), charge.usage, self.now)

    def _wait(self) -> None:
        self.now += timedelta(seconds=self.rng.choice((1, 30, 59, 300, 2000)))
        self.oracle.now = self.now

    def _edit_any(self) -> None:
        if self.has_pool and self.rng.random() < 0.3:
            self._edit_pool()
        else:
            self._edit_limits(self.rng.choice(sorted(self.limits)))

    def _edit_limits(self, account: Account) -> None:
        self.limits[account] = self.oracle.limits[account] = self._limits()
        self.planner.set_limits(account, self.limits[account])

    def _edit_pool(self) -> None:
        def draw() -> dict[str, Limits]:
            return {name: self._limits() for name in self.names}

        plain = PlainPool("pool", self._limits(8, 20), draw(), draw(), draw(), draw())
        self.oracle.plain, self.oracle.fair.limits = plain, plain.total
        self.planner.set_pool(pool_of(compile_tree(plain.members())))

    def _edit_rule(self) -> None:
        self._edit_rules(self.rng.choice(self.names))

    def _edit_rules(self, name: str) -> None:
        # With several users the head of a strict queue stays the head while their shares change.
        strategies: Sequence[QueueStrategy] = (
            (QueueStrategy.BEST_EFFORT_FIFO,) if len(self.users) > 1 else tuple(QueueStrategy)
        )
        rules = QueueRules(
            strategy=self.rng.choice(strategies),
            aging=self.rng.choice((None, timedelta(minutes=10))),
            stop_policy=self.rng.choice(
                (*(StopPolicy.NONE,) * 5, StopPolicy.HOLD, StopPolicy.HOLD_AND_DRAIN)
            ),
        )
        self.oracle.rules[name] = rules
        self.planner.set_rules(name, rules)


def minutes(count: int) -> datetime:
    """Return the time some minutes from the start."""
    return NOW + timedelta(minutes=count)
