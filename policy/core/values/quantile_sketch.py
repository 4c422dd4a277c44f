"""A sketch of many lengths: how many were about how long, in few integers, with old ones weighing less.

Lengths are counted in buckets, eight for each doubling, so a quantile is wrong by an eighth at most. Two
sketches are merged by adding their counts, in any order. Every count is halved with each period that has
passed, in whole steps, so nothing has to be done as time passes; a single length is forgotten after eleven.
The size is bounded by the number of buckets and does not grow with the number of lengths.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from math import isqrt
from operator import mul
from typing import Final

import msgspec

UNIT: Final = 1 << 10
"""What one length counts in the period in which it is added."""
_BITS: Final = 3
_PARTS: Final = 1 << _BITS
"""Buckets of each doubling; below this number each length has a bucket of its own."""
LONGEST: Final = (1 << 26) - 1
"""Seconds; some two years. What is longer counts as this."""
BUCKETS: Final = _PARTS * (LONGEST.bit_length() - _BITS + 1)
HIGHEST_COUNT: Final = 1 << 50
"""A count grows no further, so that it fits wherever JSON is read."""


class QuantileSketch(msgspec.Struct, frozen=True):
    """Counts by bucket, as they were worth in a period; an empty one knows nothing."""

    period: int = 0
    counts: dict[int, int] = {}

    @property
    def total(self) -> int:
        """What all lengths count together, in units of which a new length has `UNIT`."""
        return sum(self.counts.values())

    def at(self, period: int) -> "QuantileSketch":
        """Return it as it is worth in a later period; in an earlier one as it is."""
        passed = period - self.period
        if passed <= 0:
            return self
        left = {bucket: count >> passed for bucket, count in self.counts.items() if count >> passed}
        return QuantileSketch(period, left)

    def add(self, seconds: int, period: int) -> "QuantileSketch":
        """Return it with one more length, which was seen in a period."""
        return self.merge(QuantileSketch(period, {bucket_of(seconds): UNIT}))

    def merge(self, other: "QuantileSketch") -> "QuantileSketch":
        """Return both together, as they are worth in the later period of both."""
        period = max(self.period, other.period)
        counts = dict(self.at(period).counts)
        for bucket, count in other.at(period).counts.items():
            counts[bucket] = min(HIGHEST_COUNT, counts.get(bucket, 0) + count)
        return QuantileSketch(period, counts)

    def lengths(self) -> "Lengths":
        """Return its lengths in order, for many questions."""
        buckets = sorted(self.counts)
        below = tuple(accumulate(self.counts[each] for each in buckets))
        return Lengths(tuple(map(_lowest, buckets)), tuple(map(_width, buckets)), below)


class Lengths(msgspec.Struct, frozen=True):
    """Lengths in ascending order: the lowest and the width of each bucket, and how much counts up to it."""

    lowest: tuple[int, ...] = ()
    width: tuple[int, ...] = ()
    below: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """What all lengths count together."""
        return self.below[-1] if self.below else 0

    def quantile(self, share: int, of: int = 100, *, longer_than: int = -1) -> int | None:
        """Return the length that a share of all do not exceed; of those alone that are `longer_than` that.

        Inside of a bucket lengths are taken as evenly spread. None where there is no such length.
        """
        before = self._up_to(longer_than)
        counted = self.total - before
        if counted <= 0:
            return None
        rank = before + max(1, -(-counted * share // of))
        at = bisect_left(self.below, rank)
        under = self.below[at - 1] if at else 0
        return self.lowest[at] + ((rank - under) * self.width[at] - 1) // (self.below[at] - under)

    def doubt(self) -> int:
        """Return by how much their mean may be wrong (one standard error), in 1024ths of it."""
        counts = [after - before for before, after in pairwise((0, *self.below))]
        middles = [low + width // 2 for low, width in zip(self.lowest, self.width, strict=True)]
        mean = max(1, sum(map(mul, counts, middles)) // max(1, self.total))
        variance = sum(count * (each - mean) ** 2 for count, each in zip(counts, middles, strict=True))
        runs = max(1, self.total // UNIT)
        return isqrt((variance << 20) // (max(1, self.total) * runs * mean * mean))

    def _up_to(self, length: int) -> int:
        """Return how much counts up to a length."""
        at = bisect_right(self.lowest, length) - 1
        if at < 0:
            return 0
        under = self.below[at - 1] if at else 0
        part = min(self.width[at], length + 1 - self.lowest[at])
        return under + (self.below[at] - under) * part // self.width[at]


def bucket_of(seconds: int) -> int:
    """Return the bucket of a length."""
    length = min(max(0, seconds), LONGEST)
    if length < _PARTS:
        return length
    doubling = length.bit_length() - 1 - _BITS
    return (doubling + 1) * _PARTS + (length >> doubling) - _PARTS


def _lowest(bucket: int) -> int:
    """Return the shortest length of a bucket, in seconds."""
    if bucket < _PARTS:
        return bucket
    doubling, part = divmod(bucket - _PARTS, _PARTS)
    return (_PARTS + part) << doubling


def _width(bucket: int) -> int:
    return 1 if bucket < _PARTS else 1 << (bucket - _PARTS) // _PARTS
