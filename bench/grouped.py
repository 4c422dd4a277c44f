"""Planning with groups: releases per second while Workflows wait in thousands of keys of limit 1.

Each key has one that runs and some that wait. Each round one that runs ends, and the oldest of its key goes
instead. A release is to cost the same however many wait in each key, and what a Workflow with a key costs in
a leader's memory is counted: `python -m bench.grouped`.
"""

import gc
import sys
import time
from datetime import timedelta
from random import Random
from typing import Final

import msgspec

from bench.planning import SIZES, START, Figures, show, told
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import GroupSpec, QuotaLimits, WorkflowQuotaSpec
from policy.core.quota.accounts import Root as QuotaRoot
from policy.core.quota.ledger import Ledger
from policy.core.values.amounts import Amount
from policy.service.release.root_state import RootState
from policy.service.tracking.tracked import Hold, MarkedUsage, Tracked, Traits, order_of

KEYS: Final = 5_000
GOAL: Final = 1_000
KEY: Final = "{{workflow.labels.branch}}"
NAMESPACE: Final = "ci"


def policies() -> Snapshot:
    """Return one namespace where one of each branch runs."""
    spec = WorkflowQuotaSpec(groups=(GroupSpec(name="branch", key=KEY, limits=QuotaLimits(1)),))
    quota = WorkflowQuota(PolicyMetadata("main", NAMESPACE), spec)
    return take_snapshot([quota], version="1", argo=DEFAULT_VERSION)


class Branches:
    """The namespace: what is tracked, its state and its ledger."""

    def __init__(self) -> None:
        self.live: dict[str, Tracked] = {}
        self.running: list[str] = []
        self.ledger = Ledger(QuotaRoot.of_namespace(NAMESPACE))
        self._arrivals = 0
        self.state = RootState(
            root=self.ledger.root,
            snapshot=policies(),
            namespaces=[NAMESPACE],
            find=self.live.get,
            now=START,
            ledger=self.ledger,
            capacity=None,
        )

    def add(self, key: str, *, runs: bool = False) -> None:
        """Let one more wait for a key, or run by it."""
        self._arrivals += 1
        arrival = self._arrivals
        tracked = Tracked(
            uid=f"uid-{arrival}",
            namespace=NAMESPACE,
            known_as=f"run-{arrival}",
            order=order_of(START, arrival),
            traits=Traits(
                label_pairs=((KEY, key),), usage_marks=MarkedUsage(Amount(1), 0, admitted=True), holds="1"
            ),
            user="ann",
            hold=None if runs else Hold("1"),
            reserved="",
        )
        self.live[tracked.uid] = tracked
        self.state.change(None, tracked, START)
        if runs:
            self.running.append(tracked.uid)

    def end(self, place: int, seconds: float) -> str:
        """Let one end, and return its key."""
        self.running[place], self.running[-1] = self.running[-1], self.running[place]
        ended = self.live.pop(self.running.pop())
        self.state.change(ended, None, START + timedelta(seconds=seconds))
        return ended.label_pairs[0][1]

    def settle(self, seconds: float) -> None:
        """Settle the ledger as a pass does, and see those run that were released."""
        now = START + timedelta(seconds=seconds)
        self.ledger = self.state.settle(self.ledger, now, most=sys.maxsize)
        self.state.written(self.ledger)
        for each in list(self.state.releases.values()):
            uid = each.id.partition(".")[0]
            before = self.live.get(uid)
            if before is not None and before.held:
                self.live[uid] = msgspec.structs.replace(before, hold=None)
                self.state.change(before, self.live[uid], now)
                self.running.append(uid)


def measure(queued: int, rounds: int, at_once: int) -> Figures:
    """Let `queued` wait in all keys together, and `at_once` end between two passes."""
    rng, branches = Random(1), Branches()  # noqa: S311 - the same queue in every run
    gc.collect()
    gc.disable()
    since = time.thread_time()
    for number in range(queued + KEYS):
        branches.add(f"branch-{number % KEYS}", runs=number < KEYS)
    built = time.thread_time() - since
    branches.settle(0)
    released, spent = 0, 0.0
    for number in range(rounds):
        since = time.thread_time()
        before = len(branches.running)
        ended = [branches.end(rng.randrange(len(branches.running)), number) for _ in range(at_once)]
        branches.settle(number)
        spent += time.thread_time() - since
        released += len(branches.running) - before + at_once
        for key in ended:
            branches.add(key)  # The queue keeps its length.
    gc.enable()
    waiting = sum(each.held for each in branches.live.values())
    return Figures(waiting, (queued + KEYS) / built, released / spent, spent / released * 1e6)


def report(rounds: int, repeats: int) -> bool:
    """Measure and print; return whether the goals are met."""
    met = True
    for at_once in (1, 50):
        found = [[measure(size, rounds // at_once, at_once) for size in SIZES] for _ in range(repeats)]
        print(f"{KEYS} keys of limit 1; Workflows that end between two passes: {at_once}")
        met = told(found, GOAL) and met
    return met


def main() -> int:
    """Measure, and show by the exit code whether the goals are met."""
    return show("bench.grouped", __doc__, report)


if __name__ == "__main__":
    sys.exit(main())
