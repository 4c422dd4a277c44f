"""Compares the analysis of deadlocks with every interleaving of random graphs (`make deadlocks`)."""

import argparse
import json
import sys
from collections import Counter
from random import Random
from typing import Any

import msgspec

from policy.core.lock_graph.deadlocks import analyse
from tests.policy.core.builders import NAMESPACE
from tests.policy.core.lock_graph.graphs import graph_of
from tests.policy.core.lock_graph.interleavings import Run, TooManyError
from tests.policy.core.lock_graph.random_graphs import LIMITS, random_workflow

MOST_STATES = 1_500


class Verdict(msgspec.Struct, frozen=True):
    """The answer of the analysis for one graph, and the result of all interleavings."""

    said: str
    truth: str
    spec: dict[str, Any]

    @property
    def right(self) -> bool:
        """Whether certain means certain, and nothing that may hang is passed over."""
        if (self.said == "certain") != (self.truth == "never ends"):
            return False
        return self.truth != "may hang" or self.said == "possible"


def verdict(seed: int) -> Verdict | None:
    """Return the verdict on the graph of a seed, or None where it has too many states to try."""
    spec = random_workflow(Random(seed), hooks=bool(seed % 2))
    try:
        outcome = Run(spec, LIMITS, NAMESPACE, MOST_STATES).outcome()
    except TooManyError:
        return None
    found = analyse(graph_of(spec), LIMITS.get).deadlocks
    said = "certain" if any(each.certain for each in found) else "possible" if found else "none"
    truth = "never ends" if not outcome.can_end else "may hang" if outcome.can_hang else "ends"
    return Verdict(said, truth, spec)


def main() -> int:
    """Try many graphs, print how many came out how, and every wrong one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=20_000, help="graphs to compare (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default %(default)s)")
    given = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    wrong, seed = 0, given.first
    while sum(counts.values()) < given.graphs:
        found = verdict(seed)
        if found is not None:
            counts[found.said, found.truth] += 1
            if not found.right:
                wrong += 1
                _print(f"seed {seed}: said {found.said}, is {found.truth}: {json.dumps(found.spec)}")
        seed += 1
    _print(f"{sum(counts.values())} graphs compared with every interleaving, {wrong} wrong")
    for (said, truth), count in sorted(counts.items()):
        _print(f"  said {said:<8}  {truth:<10}  {count}")
    return 1 if wrong else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
