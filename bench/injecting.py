"""What injection costs a review, by the way in which locks are put: microseconds above no lock policy at all.

Each row is a decision about the Workflow of `bench.reviews` with one rule more than its policies have.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import yaml

from bench.inprocess import best, load_policies
from bench.reviews import CASES, NAMESPACE, Document, body, policies, uids
from lockkeeper.process.console import utc_now
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Side
from policy.core.policies.snapshot import Snapshot
from webhook import wire

BUDGET: Final = 150
"""Microseconds at 30 templates, for edits in place."""
SEMAPHORE: Final = {"semaphore": {"configMap": "semaphores", "key": "more-tables"}}
WHEN: Final = "{{workflow.parameters.day}} == today"
WAYS: Final[dict[str, Document | None]] = {
    "in place": None,
    "in place, condition in the key": {"templates": {"names": ["load-*"]}, "lock": SEMAPHORE, "when": WHEN},
    "copies for two tasks": {"templates": {"names": ["load-*"], "tasks": ["t1"]}, "lock": SEMAPHORE},
    "DAGs around three templates": {
        "templates": {"names": ["load-*"]},
        "lock": SEMAPHORE,
        "strategy": "Wrapper",
    },
    "choices before three templates": {
        "templates": {"names": ["load-*"]},
        "lock": {"mutex": "table"},
        "when": WHEN,
    },
}


class Cost(msgspec.Struct, frozen=True):
    """One row: the size, the way, the whole decision, and what it is above one without locks."""

    case: str
    way: str
    us: float
    above: float


def measure(*, loops: int, seconds: float) -> list[Cost]:
    """Time the decision for every size and way."""
    now, rows = utc_now(), []
    for case in CASES:
        review = wire.decode(body(case, uids(1)[0]), Side.MUTATE).review
        without = load(without_locks())
        floor = best(lambda: apply_policies(review, without, now), loops, seconds)  # noqa: B023 - called at once
        for way, rule in WAYS.items():
            snapshot = load(with_rule(rule))
            us = best(lambda: apply_policies(review, snapshot, now), loops, seconds)  # noqa: B023 - called at once
            rows.append(Cost(case.name, way, us, us - floor))
    return rows


def without_locks() -> list[Document]:
    """Return the policies without those of locks."""
    return [each for each in policies() if each["kind"] == "WorkflowQuota"]


def with_rule(rule: Document | None) -> list[Document]:
    """Return the policies with one rule more."""
    if rule is None:
        return policies()
    spec = {
        "semaphores": [{"configMap": "semaphores", "key": "more-tables", "limit": 2}],
        "inject": [{"name": "more", **rule}],
    }
    metadata = {"name": "locks-more", "namespace": NAMESPACE}
    kind = {"apiVersion": "lockkeeper.dev/v1alpha1", "kind": "SynchronizationPolicy"}
    return [*policies(), {**kind, "metadata": metadata, "spec": spec}]


def load(documents: list[Document]) -> Snapshot:
    """Return the snapshot of these documents."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "policies.yaml").write_text(yaml.safe_dump_all(documents))
        return load_policies(Path(folder))


def main() -> int:
    """Print the table, and show by the exit code whether edits in place keep their budget."""
    parser = argparse.ArgumentParser(prog="bench.injecting", description=__doc__)
    parser.add_argument("--loops", type=int, default=7, help="loops of which the best counts")
    parser.add_argument("--seconds", type=float, default=0.2, help="CPU time of a loop")
    given = parser.parse_args()
    rows = measure(loops=given.loops, seconds=given.seconds)
    print(f"{'size':<8}{'way':<34}{'us':>9}{'+ no locks':>12}")
    for row in rows:
        print(f"{row.case:<8}{row.way:<34}{row.us:>9.1f}{row.above:>+12.1f}")
    slow = [
        row for row in rows if row.case == "20 kB" and row.way.startswith("in place") and row.above > BUDGET
    ]
    print(f"20 kB: in place <= {BUDGET} us above no locks: {'NOT MET' if slow else 'met'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
