"""How long the Workflows of one group waited: a count for each length, from which shares of them follow.

Lengths up to an hour are exact to the second, above that to ten seconds, and above a day to a minute; so the
size is bounded, however many Workflows there are.
"""

import math
from collections import Counter
from itertools import accumulate
from typing import Final

import msgspec

_HOUR: Final = 3600
_DAY: Final = 86_400
_MEDIAN: Final = 0.5
_TAIL: Final = 0.95


class WaitFigures(msgspec.Struct, frozen=True, rename="camel"):
    """Waits in seconds; those of Workflows that never started are not in them."""

    median: float = 0
    p95: float = 0
    longest: float = 0
    mean: float = 0


class WaitCounts:
    """The waits of one group."""

    __slots__ = ("_counts", "longest", "total")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.total = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one wait."""
        whole = int(seconds)
        step = 1 if whole < _HOUR else 10 if whole < _DAY else 60
        self._counts[whole - whole % step] += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def __len__(self) -> int:
        return self._counts.total()

    def figures(self, endless: int = 0) -> WaitFigures:
        """Return what is told of them, and of so many besides that never start."""
        count = len(self)
        if not count + endless:
            return WaitFigures()
        lengths = sorted(self._counts)
        below = list(accumulate(self._counts[each] for each in lengths))
        return WaitFigures(
            median=_share(lengths, below, _MEDIAN, endless),
            p95=_share(lengths, below, _TAIL, endless),
            longest=math.inf if endless else round(self.longest),
            mean=math.inf if endless else round(self.total / count, 1),
        )


def _share(lengths: list[int], below: list[int], share: float, endless: int) -> float:
    """Return the length that this share of all do not exceed."""
    rank = share * ((below[-1] if below else 0) + endless)
    pairs = zip(lengths, below, strict=True)
    return next((length for length, count in pairs if count >= rank), math.inf)
