"""The parts of a review without a server: best of several loops, in microseconds of CPU time."""

import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from bench.reviews import CASES, NAMESPACE, Case, body, uids
from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.assembly.webhook import ReviewRecorder
from lockkeeper.process.console import utc_now, write_to
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.admission.decide import apply_policies
from policy.core.argo_types.compiled_decoders import decode_template
from policy.core.argo_types.decodability import examine
from policy.core.decision.decision import Side
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policies.snapshot import Snapshot
from policy.core.values.memo import MOST_KEPT, Memo
from policy.sources.snapshot_store import SnapshotStore
from webhook import wire
from webhook.encode import encode
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.review import Reviewing, examine_types, review

DECODE: Final = "decode"
DECIDE: Final = "decide"
DECIDE_NEW: Final = "decide, new templates"
TYPES: Final = "types"
TYPES_NEW: Final = "types, new templates"
ENCODE: Final = "encode"
RECORD: Final = "metrics and log line"
WHOLE: Final = "whole review"
PARTS: Final = (DECODE, DECIDE, DECIDE_NEW, TYPES, TYPES_NEW, ENCODE, RECORD, WHOLE)
BUDGET: Final = timedelta(seconds=8.5)


class Part(msgspec.Struct, frozen=True):
    """What one part of a review costs at one size."""

    case: str
    part: str
    us: float


def answer_bytes(case: Case, snapshot: Snapshot) -> int:
    """Return how long our answer is, for the servers that answer a constant."""
    received = wire.decode(body(case, uids(1)[0]), Side.MUTATE)
    return len(encode(received, apply_policies(received.review, snapshot, utc_now())))


def load_policies(folder: Path) -> Snapshot:
    """Return the snapshot of a folder of policies."""
    return load_once(folder, DEFAULT_VERSION)


def measure(snapshot: Snapshot, log: Path, *, loops: int, seconds: float) -> list[Part]:
    """Time every part at every size; the log line goes to a file, as in the server."""
    recorder = recorder_to(log, snapshot)
    return [
        Part(case.name, name, best(part, loops, seconds))
        for case in CASES
        for name, part in parts_of(body(case, uids(1)[0]), snapshot, recorder).items()
    ]


def recorder_to(log: Path, snapshot: Snapshot) -> ReviewRecorder:
    """Return a recorder whose lines go to a file; it stays open to the end of the process."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    lines = Log(write=write_to(descriptor), clock=utc_now)
    snapshots = SnapshotStore(snapshot=snapshot, clock=utc_now)
    return ReviewRecorder(metrics=Metrics(), log=lines, joined=snapshots.joined)


def parts_of(content: bytes, snapshot: Snapshot, recorder: ReviewRecorder) -> dict[str, Callable[[], object]]:
    """Return each part as a function to time; in the path they follow each other in this order."""
    now = utc_now()
    received = wire.decode(content, Side.MUTATE)
    decision = apply_policies(received.review, snapshot, now)
    locks = snapshot.policies(NAMESPACE).locks
    cluster = MemoryCluster(clock=utc_now, rng=random.Random(1))  # noqa: S311 - no secret depends on it
    parts = Reviewing(
        snapshot=lambda: snapshot,
        reservations=Ledgers(cluster=cluster, clock=utc_now, led=False),
        clock=utc_now,
        stopwatch=time.perf_counter,
        recorder=recorder,
    )

    def decide_new() -> object:
        """Decide as if no template of the Workflow had been seen before."""
        if locks is not None:
            locks.caches.rules, locks.caches.version = Memo(most=MOST_KEPT), object()
        return apply_policies(received.review, snapshot, now)

    def examine_new() -> object:
        """Look at the types as if no template of the Workflow had been seen before."""
        decode_template.cache_clear()
        return examine("Workflow", received.review.raw)

    def types() -> object:
        """Look at the types as a review does."""
        return examine_types(received.review)

    return {
        DECODE: lambda: wire.decode(content, Side.MUTATE),
        DECIDE: lambda: apply_policies(received.review, snapshot, now),
        DECIDE_NEW: decide_new,
        TYPES: types,
        TYPES_NEW: examine_new,
        ENCODE: lambda: encode(received, decision),
        RECORD: lambda: recorder.reviewed(received, decision, 1e-4),
        WHOLE: lambda: review(content, Side.MUTATE, BUDGET, parts),
    }


def best(part: Callable[[], object], loops: int, seconds: float) -> float:
    """Return the microseconds of one call: the smallest mean of `loops` loops of `seconds` each."""
    part()
    calls = max(1, int(seconds * 1e6 / _loop(part, 3)))
    return min(_loop(part, calls) for _ in range(loops))


def _loop(part: Callable[[], object], calls: int) -> float:
    since = time.thread_time()  # Not by the clock: others on the machine would be measured as well.
    for _ in range(calls):
        part()
    return (time.thread_time() - since) / calls * 1e6
