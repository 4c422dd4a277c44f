"""Planning alone: releases per second, and whether a release costs the same as the queue grows tenfold.

Workflows wait in 1,000 namespaces of 10 pools, with limits of the namespace, of users and of the pool's tree.
The pools are full; each round a Workflow ends, and what the leader keeps of the root says who goes instead,
as in a pass: what has changed is folded in, the ledger is settled, and the one that goes is seen to run.
Nothing is read or written, but everything else of a pass is here. Run it on a quiet machine:
`python -m bench.planning`.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from statistics import median
from typing import Final

import msgspec

from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.label_selectors import LabelSelector
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import (
    ClusterWorkflowQuota,
    NamespaceObject,
    PolicyMetadata,
    WorkflowQuota,
)
from policy.core.policy_kinds.quota_parts import (
    BorrowingSpec,
    ClusterWorkflowQuotaSpec,
    QueueSpec,
    QueueStrategy,
    QuotaLimits,
    WorkflowQuotaSpec,
)
from policy.core.quota.accounts import Root as QuotaRoot
from policy.core.quota.ledger import Ledger, Reservation
from policy.core.values.amounts import Amount
from policy.service.release.root_state import RootState
from policy.service.tracking.tracked import Hold, MarkedUsage, Tracked, Traits, order_of

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POOLS: Final = 10
MEMBERS: Final = 100
RUNNING: Final = 10 * MEMBERS
SIZES: Final = (5_000, 50_000)
WEIGHTS: Final = (1, 1, 2, 2, 4, 8)
USERS: Final = ("ann", "bob", "eve")
FLAT: Final = 1.5
"""How much more a release may cost in a queue ten times as long."""
GOAL: Final = 3_000


class Figures(msgspec.Struct, frozen=True):
    """What one length of queue measured."""

    queued: int
    built_per_second: float
    releases_per_second: float
    us_per_release: float


def policies() -> Snapshot:
    """Return pools of 100 members that may borrow; every fourth member keeps its order strictly."""
    found: list[Document] = []
    for number in range(POOLS):
        name = f"pool-{number}"
        spec = ClusterWorkflowQuotaSpec(
            namespace_selector=LabelSelector({"pool": name}),
            limits=QuotaLimits(RUNNING, 6 * RUNNING),
            borrowing=BorrowingSpec(enabled=True),
        )
        found.append(ClusterWorkflowQuota(PolicyMetadata(name), spec))
        for member in range(MEMBERS):
            namespace = f"{name}-team-{member}"
            found.append(NamespaceObject(PolicyMetadata(namespace, labels={"pool": name})))
            strategy = QueueStrategy.STRICT_FIFO if member % 4 == 0 else QueueStrategy.BEST_EFFORT_FIFO
            own = WorkflowQuotaSpec(
                limits=QuotaLimits(10, 40),
                per_user=QuotaLimits(8),
                queue=QueueSpec(strategy=strategy, aging="10m"),
            )
            found.append(WorkflowQuota(PolicyMetadata("main", namespace), own))
    return take_snapshot(found, version="1", argo=DEFAULT_VERSION)


class Root:
    """One pool: its state, its ledger as it would be stored, and what is tracked of its Workflows."""

    def __init__(self, number: int, snapshot: Snapshot, rng: Random, arrivals: Iterator[int]) -> None:
        self.live: dict[str, Tracked] = {}
        self.running: list[str] = []
        self.ledger = Ledger(QuotaRoot.of_pool(f"pool-{number}"))
        self._number = number
        self._rng = rng
        self._arrivals = arrivals
        self.state = RootState(
            root=self.ledger.root,
            snapshot=snapshot,
            namespaces=[f"pool-{number}-team-{member}" for member in range(MEMBERS)],
            find=self.live.get,
            now=START,
            ledger=self.ledger,
            capacity=None,
        )

    def held(self) -> Tracked:
        """Return one more that waits: of any member, user, size and priority."""
        rng, arrival = self._rng, next(self._arrivals)
        return Tracked(
            uid=f"uid-{arrival}",
            namespace=f"pool-{self._number}-team-{rng.randrange(MEMBERS)}",
            known_as=f"run-{arrival}",
            order=order_of(START - timedelta(seconds=rng.randrange(7200)), arrival),
            traits=Traits(
                label_pairs=(),
                usage_marks=MarkedUsage(
                    Amount(rng.choice(WEIGHTS)), rng.choice((0, 0, 0, 0, 1, 5)), admitted=True
                ),
                holds="1",
            ),
            user=rng.choice(USERS),
            hold=Hold("1"),
            reserved="",
        )

    def add(self, tracked: Tracked) -> None:
        """Let one wait."""
        self.live[tracked.uid] = tracked
        self.state.change(None, tracked, START)

    def end(self, uid: str, now: datetime) -> None:
        """Let one end."""
        self.state.change(self.live.pop(uid), None, now)

    def settle(self, now: datetime) -> list[Reservation]:
        """Settle the ledger as a pass does, and return the releases that stand in it."""
        self.ledger = self.state.settle(self.ledger, now, most=sys.maxsize)
        self.state.written(self.ledger)
        return list(self.state.releases.values())

    def start(self, release: Reservation, now: datetime) -> None:
        """See one that was released run."""
        uid = release.id.partition(".")[0]
        before = self.live[uid]
        if before.held:
            self.live[uid] = msgspec.structs.replace(before, hold=None)
            self.state.change(before, self.live[uid], now)
            self.running.append(uid)


def measure(
    queued: int, rounds: int, around: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Figures:
    """Fill the queues, let the pools fill up, then let one end and one go, `rounds` times.

    Each of these runs in the context `around`.
    """
    rng, arrivals, snapshot = Random(1), count(), policies()  # noqa: S311 - the same queue in every run
    roots = [Root(number, snapshot, rng, arrivals) for number in range(POOLS)]
    waiting = [(root, root.held()) for _ in range(queued // POOLS + RUNNING) for root in roots]
    gc.collect()
    gc.disable()
    since = time.thread_time()
    for root, tracked in waiting:
        root.add(tracked)
    built = time.thread_time() - since
    for root in roots:
        for release in root.settle(START):
            root.start(release, START)
    left = sum(not tracked.held for root in roots for tracked in root.live.values())
    left = len(waiting) - left
    released, spent = 0, 0.0
    for number in range(rounds):
        root = roots[number % POOLS]
        now = START + timedelta(milliseconds=10 * number)
        ended = root.running.pop(rng.randrange(len(root.running)))
        before = len(root.running)
        with around():
            since = time.thread_time()
            root.end(ended, now)
            for release in root.settle(now):
                root.start(release, now)
            spent += time.thread_time() - since
        for _ in range(len(root.running) - before):
            released += 1
            root.add(root.held())  # The queue keeps its length.
    gc.enable()
    return Figures(left, len(waiting) / built, released / spent, spent / released * 1e6)


def report(rounds: int, repeats: int) -> bool:
    """Measure both lengths in turn, print them, and return whether the goals are met."""
    return told([[measure(size, rounds) for size in SIZES] for _ in range(repeats)], GOAL)


def told(found: Sequence[Sequence[Figures]], goal: int) -> bool:
    """Print pairs of a short and a long queue; return whether releases cost the same, and meet the goal."""
    print(f"{'queued':>8}  {'added/s':>9}  {'releases/s':>10}  {'us/release':>10}")
    for each in (figures for pair in found for figures in pair):
        print(
            f"{each.queued:>8}  {each.built_per_second:>9.0f}  {each.releases_per_second:>10.0f}  "
            f"{each.us_per_release:>10.1f}"
        )
    ratio = median(long.us_per_release / short.us_per_release for short, long in found)
    slowest = min(each.releases_per_second for pair in found for each in pair)
    print(f"a release with {SIZES[1]} queued costs {ratio:.2f} times that with {SIZES[0]} (goal {FLAT})")
    print(f"the slowest made {slowest:.0f} releases/s (goal {goal})")
    return ratio <= FLAT and slowest >= goal


def show(prog: str, description: str | None, measured: Callable[[int, int], bool]) -> int:
    """Measure as the arguments say, and show by the exit code whether the goals are met."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--rounds", type=int, default=4000, help="Workflows that end, for each length")
    parser.add_argument("--repeats", type=int, default=3, help="how often each length is measured")
    given = parser.parse_args()
    return 0 if measured(given.rounds, given.repeats) else 1


def main() -> int:
    """Measure, and show by the exit code whether the goals are met."""
    return show("bench.planning", __doc__, report)


if __name__ == "__main__":
    sys.exit(main())
