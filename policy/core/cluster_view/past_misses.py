"""By how much starts missed what was expected of them, and ranges that take that into account.

A miss is how far a start was from the middle of its range as it was computed, in halves of the width of that
range: -1 is its begin and 1 its end. A root where starts come later than the lengths of runs tell has late
misses, one with steady runs has small ones. The range that is stated is that from the miss that one in five
stayed below to that which four in five did. A root begins as if it had missed as often as computed.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Final

from policy.core.values.quantile_sketch import BUCKETS, UNIT, QuantileSketch

STEPS: Final = 16
"""Buckets of a half width."""
_MIDDLE: Final = BUCKETS // 2
_AS_COMPUTED: Final = {
    -64: 1,
    -40: 1,
    -24: 1,
    -16: 1,
    -12: 2,
    -8: 2,
    -3: 2,
    3: 2,
    8: 2,
    12: 2,
    16: 1,
    24: 1,
    40: 1,
    64: 1,
}
"""Misses, in buckets, of which one in five is below the range and one in five above it."""
_WEIGHT: Final = UNIT // 2
"""What one of these counts; all together as much as ten forecasts."""
_BELOW, _UP_TO, _OF = 19, 81, 100
"""One of a hundred wider on both sides: a range that fits what was seen fits what comes somewhat less."""


def bucket_of_miss(start: float, low: float, high: float) -> int:
    """Return the bucket of a miss of the range from `low` to `high`."""
    half = max(1.0, (high - low) / 2)
    steps = round((start - (low + high) / 2) / half * STEPS)
    return min(BUCKETS - 1, max(0, _MIDDLE + steps))


def stated(misses: QuantileSketch, low: float, high: float) -> tuple[float, float]:
    """Return the range to state in the place of one that was computed: none of it is in the past."""
    if low == high:
        return low, high  # All futures agree: a window opens then.
    first, last = _bounds(misses)
    middle, half = (low + high) / 2, max(1.0, (high - low) / 2)
    begin = max(0.0, middle + first * half / STEPS)
    return begin, max(begin, middle + last * half / STEPS)


def _bounds(misses: QuantileSketch) -> tuple[int, int]:
    counts = {_MIDDLE + step: count * _WEIGHT for step, count in _AS_COMPUTED.items()}
    for bucket, count in misses.counts.items():
        counts[bucket] = counts.get(bucket, 0) + count
    buckets = sorted(counts)
    below = list(accumulate(counts[each] for each in buckets))
    low, high = (below[-1] * share // _OF for share in (_BELOW, _UP_TO))
    first, last = bisect_left(below, low), bisect_right(below, high)
    return buckets[first] - _MIDDLE, buckets[last] - _MIDDLE
