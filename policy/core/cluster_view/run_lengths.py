"""How long runs take, by series: the runs of one template, of one CronWorkflow, or of one `generateName`.

A series has a sketch of its lengths. For a Workflow that is the first of its series, all of its namespace
stand in. The number of series and of buckets is bounded; those that count least are forgotten first. A series
is kept under a digest of its name, so that its sketch can be shown to all and tells nobody what others run.
Beside them stand, as series of no namespace, the misses of each root (`past_misses`).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from typing import Final, TypeAlias

import msgspec

from policy.core.values.prepared import prepare
from policy.core.values.quantile_sketch import BUCKETS, HIGHEST_COUNT, UNIT, Lengths, QuantileSketch

PERIOD: Final = timedelta(days=7)
"""A length counts half as much with each week."""
MOST_SERIES: Final = 2_000
MOST_BUCKETS: Final = 40_000
"""Bounds of all together: some 600 KB as JSON, below what one object may have."""
_FEWEST: Final = 3 * UNIT
"""What is known of a series has to count for so many new runs; of a namespace for more."""
_FEWEST_OF_NAMESPACE: Final = 5 * UNIT
_DIGEST: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_SUFFIX: Final = re.compile(r"-(?:[bcdfghjklmnpqrstvwxz2456789]{5}|\d{10})$", re.ASCII)
"""What the API server puts after a `generateName`, or Argo's cron after the name of the CronWorkflow."""


class Series(msgspec.Struct, frozen=True, order=True):
    """The key of a series: its namespace, and the digest of what its runs have in common."""

    namespace: str
    digest: str


AllSeries: TypeAlias = tuple[Series, ...]
"""The series that a Workflow is in, the one that says most of it first."""


def series_of(namespace: str, name: str, shared: str = "") -> AllSeries:
    """Return the series of a Workflow: of what it has in common with others (a template), and of its name.

    A name without its random end is the `generateName`; the name of a run without its time is the
    CronWorkflow's. Argo marks some with their template only while they run, so the name counts always.
    """
    by_name = Series(namespace, _digest(f"name/{without_random_end(name)}"))
    return (Series(namespace, _digest(shared)), by_name) if shared else (by_name,)


def without_random_end(name: str) -> str:
    """Return the name of a run without what makes it the only one of its name."""
    return _RANDOM_SUFFIX.sub("-", name)


def _digest(text: str) -> str:
    return blake2s(text.encode(), digest_size=_DIGEST).hexdigest()


class KnownSeries(msgspec.Struct, frozen=True):
    """A series as it is stored: `bucket:count` for each bucket, as they are worth in a period."""

    namespace: str
    digest: str
    period: int
    lengths: str


prepare(KnownSeries)
NOTHING: Final = Lengths()


class RunLengths:
    """The sketches of all series."""

    def __init__(
        self, known: Mapping[Series, QuantileSketch] | None = None, *, most_buckets: int = MOST_BUCKETS
    ) -> None:
        self._most_buckets = most_buckets
        self._sketches = dict(known or {})
        self._namespaces: dict[str, QuantileSketch] = {}
        self._buckets = sum(len(each.counts) for each in self._sketches.values())
        self._lengths: dict[AllSeries, Lengths] = {}

    @staticmethod
    def read(stored: tuple[KnownSeries, ...]) -> "RunLengths":
        """Return what was stored; what is more than the bounds allow is left out.

        Raises:
            ValueError: it was not stored by us.
        """
        found = {
            Series(each.namespace, each.digest): QuantileSketch(each.period, _counts(each.lengths))
            for each in stored[:MOST_SERIES]
        }
        return RunLengths(found)

    def stored(self, now: datetime) -> tuple[KnownSeries, ...]:
        """Return all of it as it is stored, in a fixed order."""
        rows = sorted(self._sketches.items(), key=lambda each: each[0])
        worth = [(series, sketch.at(_period(now))) for series, sketch in rows]
        return tuple(
            KnownSeries(series.namespace, series.digest, sketch.period, _written(sketch.counts))
            for series, sketch in worth
            if sketch.counts
        )

    def add(self, series: AllSeries, length: timedelta, now: datetime) -> None:
        """Record how long a run took that has just ended."""
        for each in series:
            before = self._sketches.get(each, QuantileSketch())
            self._put(each, before, before.add(int(length.total_seconds()), _period(now)))
        self._bound(now)

    def lengths(self, series: AllSeries) -> Lengths:
        """Return the lengths to expect of a Workflow; those of its namespace where too little is known of it.

        They are `NOTHING` where that is too little, too.
        """
        found = self._lengths.get(series)
        if found is None:
            found = self._lengths[series] = self._expected(series)
        return found

    def knows(self, series: AllSeries) -> bool:
        """Return whether enough is known of a Workflow itself, so that its namespace need not stand in."""
        found = (self._sketches.get(each) for each in series)
        return any(each is not None and each.total >= _FEWEST for each in found)

    def missed(self, root: str, buckets: Mapping[int, int], now: datetime) -> None:
        """Record by how much starts of a root missed what was expected: counts by bucket of `past_misses`."""
        series = Series("", _digest(f"misses/{root}"))
        before = self._sketches.get(series, QuantileSketch())
        self._put(series, before, before.merge(QuantileSketch(_period(now), dict(buckets))))
        self._bound(now)

    def misses(self, root: str) -> QuantileSketch:
        """Return by how much starts of a root missed what was expected."""
        return self._sketches.get(Series("", _digest(f"misses/{root}")), QuantileSketch())

    def runs(self) -> int:
        """Return for how many new runs all that is known counts."""
        return sum(each.total for series, each in self._sketches.items() if series.namespace) // UNIT

    def __len__(self) -> int:
        return len(self._sketches)

    @property
    def buckets(self) -> int:
        """How many counts there are in all."""
        return self._buckets

    def _expected(self, series: AllSeries) -> Lengths:
        for each in series:
            own = self._sketches.get(each)
            if own is not None and own.total >= _FEWEST:
                return self._of_sketch(each, own)
        if not self._namespaces:
            for each, sketch in self._sketches.items():
                here = self._namespaces.get(each.namespace, QuantileSketch())
                self._namespaces[each.namespace] = here.merge(sketch)
        namespace = series[0].namespace
        all_here = self._namespaces.get(namespace, QuantileSketch())
        enough = all_here.total >= _FEWEST_OF_NAMESPACE
        return self._of_sketch(Series(namespace, ""), all_here) if enough else NOTHING

    def _of_sketch(self, series: Series, sketch: QuantileSketch) -> Lengths:
        """Return the lengths of a sketch, one object for all that are expected to be like it."""
        found = self._lengths.get((series,))
        if found is None:
            found = self._lengths[series,] = sketch.lengths()
        return found

    def _put(self, series: Series, before: QuantileSketch, after: QuantileSketch) -> None:
        self._buckets += len(after.counts) - len(before.counts)
        self._sketches[series] = after
        self._namespaces.clear()
        self._lengths.clear()

    def _bound(self, now: datetime) -> None:
        """Forget the tenth that counts least where there are too many."""
        if len(self._sketches) <= MOST_SERIES and self._buckets <= self._most_buckets:
            return
        period = _period(now)
        worth = {series: sketch.at(period).total for series, sketch in self._sketches.items()}
        least = sorted(worth, key=lambda each: (worth[each], each))
        for series in least[: max(1, len(least) // 10)]:
            self._buckets -= len(self._sketches.pop(series).counts)
        if len(self._sketches) > MOST_SERIES or self._buckets > self._most_buckets:
            self._bound(now)


def _counts(text: str) -> dict[int, int]:
    pairs = (each.partition(":") for each in text.split(",") if each)
    counts = {int(bucket): int(count) for bucket, _, count in pairs}
    if any(not 0 <= bucket < BUCKETS or not 0 < count <= HIGHEST_COUNT for bucket, count in counts.items()):
        raise ValueError(f"{text[:40]!r} is no counts of buckets")
    return counts


def _written(counts: Mapping[int, int]) -> str:
    return ",".join(f"{bucket}:{counts[bucket]}" for bucket in sorted(counts))


def _period(now: datetime) -> int:
    return (now - _EPOCH) // PERIOD
