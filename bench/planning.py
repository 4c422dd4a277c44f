"""Planning alone: releases per second, and whether a release costs the same as the queue grows tenfold.

Workflows wait in 1,000 namespaces of 10 pools, with limits of the namespace, of users and of the pool's tree.
The pools are full; each round a Workflow ends, and the planner says who goes instead. Run it on a quiet
machine: `python -m bench.planning`.
"""

import argparse
import gc
import sys
import time
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from typing import Final

import msgspec

from policy.core.amounts import UNLIMITED, Amount, Limits, Usage
from policy.core.fairshare import FairShare
from policy.core.ledger import Account, Demand
from policy.core.ordering import QueueRules, Waiter, Want
from policy.core.planning import Load, Planner
from policy.core.quota_kinds import Strategy
from policy.core.rooms import ROOT, Pool
from policy.core.tree import Member, compile_tree

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POOLS: Final = 10
MEMBERS: Final = 100
SIZES: Final = (5_000, 50_000)
WEIGHTS: Final = (1, 1, 2, 2, 4, 8)
USERS: Final = ("ann", "bob", "eve")
FLAT: Final = 1.5
"""How much more a release may cost in a queue ten times as long."""
GOAL: Final = 1_000


class Figures(msgspec.Struct, frozen=True):
    """What one length of queue measured."""

    queued: int
    built_per_second: float
    releases_per_second: float
    us_per_release: float


def planner_of(pool: int) -> Planner:
    """Return the planner of one pool: 100 members that may borrow, and 1,000 Workflows in all."""
    name = f"pool-{pool}"
    total = Limits(Amount(10 * MEMBERS), Amount(60 * MEMBERS))
    fair = FairShare(now=START, limits=total)
    planner = Planner(now=START, fair=fair)
    share, lent = Limits(Amount(10), Amount(40)), Limits(Amount(5), UNLIMITED)
    names = [f"{name}-team-{number}" for number in range(MEMBERS)]
    members = [Member(each, ROOT, share, lending=lent) for each in names]
    tree = compile_tree([Member(ROOT, None, total), *members])
    planner.set_pool(Pool(name=name, source=f"ClusterWorkflowQuota {name}", tree=tree, ever=tree))
    for number, each in enumerate(names):
        strategy = Strategy.STRICT_FIFO if number % 4 == 0 else Strategy.BEST_EFFORT_FIFO
        planner.set_rules(each, QueueRules(strategy=strategy, aging=timedelta(minutes=10)))
    return planner


def waiter_of(number: int, pool: int, rng: Random) -> Waiter:
    """Return the next Workflow of a pool, of any member, user, size and priority."""
    namespace = f"pool-{pool}-team-{rng.randrange(MEMBERS)}"
    user = rng.choice(USERS)
    source = f"WorkflowQuota {namespace}/main"
    demands = (
        Demand(Account(namespace, "main"), Limits(Amount(15), Amount(80)), source),
        Demand(Account(namespace, "main", user), Limits(Amount(8)), f"{source} for user {user}"),
    )
    return Waiter(
        uid=f"uid-{number}",
        namespace=namespace,
        name=f"run-{number}",
        user=user,
        priority=rng.choice((0, 0, 0, 0, 1, 5)),
        created=START - timedelta(seconds=rng.randrange(7200)),
        arrival=number,
        weight=Usage.of(Amount(rng.choice(WEIGHTS))),
        wants=tuple([Want(demand) for demand in demands]),
        shares=True,
    )


def measure(queued: int, rounds: int) -> Figures:
    """Fill the queues, let the pools fill up, then let one end and one go, `rounds` times."""
    rng = Random(1)  # noqa: S311 - the same queue in every run
    planners = [planner_of(pool) for pool in range(POOLS)]
    waiters = [waiter_of(number, number % POOLS, rng) for number in range(queued + POOLS * 1200)]
    gc.collect()
    gc.disable()
    since = time.thread_time()
    for number, waiter in enumerate(waiters):
        planners[number % POOLS].add(waiter)
    built = time.thread_time() - since
    running: list[list[Load]] = [
        [planner.load_of(waiter) for waiter in planner.plan(START)] for planner in planners
    ]
    left = sum(len(list(planner.line.waiters())) for planner in planners)
    fresh = len(waiters)
    released = 0
    spent = 0.0
    for number in range(rounds):
        pool = number % POOLS
        planner, loads = planners[pool], running[pool]
        now = START + timedelta(milliseconds=10 * number)
        ended = loads.pop(rng.randrange(len(loads)))
        since = time.thread_time()
        planner.ended(ended, now)
        gone = planner.plan(now)
        spent += time.thread_time() - since
        released += len(gone)
        for waiter in gone:
            loads.append(planner.load_of(waiter))
            planner.add(waiter_of(fresh, pool, rng))  # The queue keeps its length.
            fresh += 1
    gc.enable()
    return Figures(left, len(waiters) / built, released / spent, spent / released * 1e6)


def main() -> int:
    """Measure both lengths in turn, print them, and tell by the exit code whether the goals are met."""
    parser = argparse.ArgumentParser(prog="bench.planning", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4000, help="Workflows that end, for each length")
    parser.add_argument("--repeats", type=int, default=3, help="how often each length is measured")
    given = parser.parse_args()
    found = [[measure(size, given.rounds) for size in SIZES] for _ in range(given.repeats)]
    print(f"{'queued':>8}  {'added/s':>9}  {'releases/s':>10}  {'us/release':>10}")
    for pair in found:
        for each in pair:
            print(
                f"{each.queued:>8}  {each.built_per_second:>9.0f}  {each.releases_per_second:>10.0f}  "
                f"{each.us_per_release:>10.1f}"
            )
    ratio = median(long.us_per_release / short.us_per_release for short, long in found)
    slowest = min(each.releases_per_second for pair in found for each in pair)
    print(f"a release with {SIZES[1]} queued costs {ratio:.2f} times that with {SIZES[0]} (goal {FLAT})")
    print(f"the slowest made {slowest:.0f} releases/s (goal {GOAL})")
    return 0 if ratio <= FLAT and slowest >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
