"""What a leader remembers of each live Workflow: bytes of Python's heap, in its tracker and beside."""

import gc
import sys
import tracemalloc
from random import Random
from typing import Final

import msgspec

from bench.listing import BORN, NAMESPACES, metadata_of
from policy.cluster.protocol import Listing
from policy.core.objects import well_known
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import QuotaLimits, WorkflowQuotaSpec
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger
from policy.service.release.root_state import RootState
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracker import Tracker

KNOWN: Final = 100_000
MOST: Final = 400
MOST_WAITING: Final = 1_000
"""Bytes of one that runs, and of one that waits, which is in a queue as well."""


def policies() -> Snapshot:
    """Return a quota in every namespace."""
    spec = WorkflowQuotaSpec(limits=QuotaLimits(10))
    names = [f"team-{number}" for number in range(NAMESPACES)]
    quotas = [WorkflowQuota(PolicyMetadata("main", each), spec) for each in names]
    return take_snapshot(quotas, version="1", argo=DEFAULT_VERSION)


def read(number: int, rng: Random, *, held: bool) -> LiveMetadata:
    """Return a Workflow as it comes from the wire."""
    metadata = metadata_of(number, rng)
    labels: JsonObject = {well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {}
    known = metadata["labels"]
    if isinstance(known, dict):
        metadata["labels"] = {**known, **labels}
    return msgspec.json.decode(msgspec.json.encode({"metadata": metadata}), type=LiveMetadata)


def bytes_of_each(*, held: bool, known: int = KNOWN) -> float:
    """Return the bytes of each in the tracker and in the states of all namespaces."""
    rng, snapshot = Random(1), policies()  # noqa: S311 - the same Workflows in every run
    for number in range(NAMESPACES):
        snapshot.policies(f"team-{number}")
    gc.collect()
    tracemalloc.start()
    tracker = Tracker()
    tracker.keep_labels({"team"})
    tracker.reset(Listing(tuple([read(number, rng, held=held) for number in range(known)]), "1"))
    tracker.take_changes()
    states = {}
    for namespace in tracker.namespaces():
        root = Root.of_namespace(namespace)
        states[namespace] = RootState(
            root=root,
            snapshot=snapshot,
            namespaces=[namespace],
            find=tracker.get,
            now=BORN,
            ledger=Ledger(root),
            capacity=None,
        )
    for each in tracker:
        states[each.namespace].change(None, each, BORN)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / known


def report() -> bool:
    """Measure and print; returns whether the goal is met."""
    running, waiting = bytes_of_each(held=False), bytes_of_each(held=True)
    print(f"{KNOWN} live Workflows in {NAMESPACES} namespaces: {running:.0f} bytes each (goal {MOST})")
    print(f"the same while they all wait: {waiting:.0f} bytes each (goal {MOST_WAITING})")
    return running <= MOST and waiting <= MOST_WAITING


if __name__ == "__main__":
    sys.exit(0 if report() else 1)
