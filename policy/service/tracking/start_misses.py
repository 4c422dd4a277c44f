"""By how much starts missed what was expected of them, as the leader sees them start.

Of each root a sample is kept: all that waited at one moment, and what was expected of them then. When all of
them have started or are gone, the next sample is taken. So one that waits for long counts as much as one that
starts at once, and a long queue no more than a short one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import msgspec

from policy.core.cluster_view.expected_starts import ComputedRange
from policy.core.cluster_view.past_misses import bucket_of_miss
from policy.core.values.quantile_sketch import UNIT
from policy.service.tracking.tracker import WorkflowChange

_LONGEST: Final = timedelta(days=1)
"""Those of a sample that still wait then count as if they started now: they are late for certain."""


class StartMiss(msgspec.Struct, frozen=True):
    """What counts of the misses of a root, by bucket of `past_misses`."""

    root: str
    counts: Mapping[int, int]


class _Sample(msgspec.Struct):
    """Those of a root of which something was expected `at` a moment, and what has come of it."""

    at: datetime
    weight: int
    waiting: dict[str, ComputedRange]
    counts: dict[int, int] = msgspec.field(default_factory=dict)

    def started(self, uid: str, now: datetime) -> None:
        expected = self.waiting.pop(uid, None)
        if expected is not None:
            bucket = bucket_of_miss((now - self.at).total_seconds(), expected.low, expected.high)
            self.counts[bucket] = self.counts.get(bucket, 0) + self.weight


class StartMisses:
    """The samples of all roots. Each method may be called by a thread of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._samples: dict[str, _Sample] = {}
        self._done: list[StartMiss] = []
        self._roots: dict[str, str] = {}  # The root of each uid that is waited for.

    def expect(self, root: str, ranges: Mapping[str, ComputedRange], at: datetime) -> None:
        """Take what is expected of a root as its next sample, unless the last one is not over."""
        with self._lock:
            sample = self._samples.get(root)
            if sample is not None and sample.waiting and at - sample.at < _LONGEST:
                return
            if sample is not None:
                for uid in tuple(sample.waiting):
                    self._roots.pop(uid, None)
                    sample.started(uid, at)
                self._finish(root, sample)
            if ranges:
                self._samples[root] = _Sample(at, max(1, UNIT // len(ranges)), dict(ranges))
                self._roots.update(dict.fromkeys(ranges, root))

    def observe(self, changes: Iterable[WorkflowChange], now: datetime) -> None:
        """Note who has started, and who is gone without that."""
        with self._lock:
            for each in changes if self._roots else ():
                before, after = each.before, each.after
                if before is None or not before.held or (after is not None and after.held):
                    continue
                root = self._roots.pop(before.uid, None)
                sample = None if root is None else self._samples.get(root)
                if root is None or sample is None:
                    continue
                if after is None:
                    sample.waiting.pop(before.uid, None)
                else:
                    sample.started(before.uid, now)
                if not sample.waiting:
                    self._finish(root, sample)

    def take(self) -> list[StartMiss]:
        """Return what has come of the samples that are over since the last call."""
        with self._lock:
            done, self._done = self._done, []
            return done

    def _finish(self, root: str, sample: _Sample) -> None:
        del self._samples[root]
        if sample.counts:
            self._done.append(StartMiss(root, sample.counts))
