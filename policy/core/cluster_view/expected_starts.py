"""When those that wait are expected to start: many futures of one root, each with other lengths of its runs.

Each future takes a length for every run from those of its series that are known, longer than it has run
already, and makes all of a series somewhat longer or shorter: as much as their mean may be wrong, and as runs
change with time. The range is from the time at which a Workflow has started in 20 % of the futures to that of
80 %. The numbers that choose are derived from the number of the future and of the run, so the same state
gives the same answer.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Final

from policy.core.cluster_view.forward_play import ANY, Played, PlayedRun, play_forward, remaining
from policy.core.cluster_view.live_root import LiveRoot
from policy.core.cluster_view.run_lengths import RunLengths
from policy.core.cluster_view.view import StartRange
from policy.core.quota.accounts import Account

_FUTURES: Final = 60
_FEWEST_FUTURES: Final = 8
_MOST_PLAYED: Final = 70_000
"""Runs of all futures together; of a large root there are fewer futures."""
_LOW, _HIGH, _ALL = 20, 80, 100
_WORD: Final = (1 << 64) - 1
_MASK: Final = (1 << 16) - 1
_NEVER: Final = 1 << 40
_ONE: Final = 1 << 10
_CHANGE: Final = 60
"""How much runs of all series change together with time, in 1024ths: data grow, nodes are busy."""


def expected_starts(live: LiveRoot, lengths: RunLengths, now: datetime) -> dict[str, StartRange]:
    """Return the ranges of those that are expected to start, by uid; the planner is used up by it.

    One is missing where too little is known of what has to end before it, or where it never starts.
    """
    if not len(lengths):
        return {}
    played = play_forward(live, lengths, now)
    if not played.starts:
        return {}
    runs = len(played.running) + len(played.starts)
    count = min(_FUTURES, max(_FEWEST_FUTURES, _MOST_PLAYED // runs))
    futures = _Futures(played)
    all_times = [futures.times(number) for number in range(count)]
    low, high = _at(count, _LOW), _at(count, _HIGH)
    found = {}
    for number, start in enumerate(played.starts):
        times = sorted(each[number] for each in all_times)
        if times[high] != _NEVER:
            earliest, latest = timedelta(seconds=times[low]), timedelta(seconds=times[high])
            found[start.uid] = StartRange(now + earliest, now + latest)
    return found


def _at(count: int, share: int) -> int:
    """Return the index of a share in so many sorted times: of the next one, so many are below in the mean."""
    return ((count + 1) * share + _ALL // 2) // _ALL - 1


class _Futures:
    """The futures of one play."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self._runs = [*played.running, *(each.run for each in played.starts)]
        numbers: dict[int, int] = {}
        self._series = [numbers.setdefault(id(each.lengths), len(numbers)) for each in self._runs]
        by_id = {id(each.lengths): each.lengths for each in self._runs}
        self._doubts = [by_id[each].doubt() for each in numbers]

    def times(self, future: int) -> list[int]:
        """Return in how many seconds each starts in one future."""
        starts, first = self._played.starts, len(self._played.running)
        factors = self._factors(future)
        times = [_NEVER] * len(starts)
        by_end: dict[tuple[Account, int], list[int]] = {}
        begun = [(0, number) for number in range(first)]
        for number, start in enumerate(starts):
            if start.at is None:
                by_end.setdefault((start.account, start.count), []).append(number)
            else:
                times[number] = start.at
                begun.append((start.at, first + number))
        drawn = [(at, self._drawn(number, future, factors), number) for at, number in begun]
        ends = [(at + left, number) for at, left, number in drawn if left is not None]
        heapify(ends)
        counts: dict[Account, int] = {}
        while ends and by_end:
            at, ended = heappop(ends)
            for number in _started(self._runs[ended], counts, by_end):
                times[number] = at
                left = self._drawn(first + number, future, factors)
                if left is not None:
                    heappush(ends, (at + left, first + number))
        return times

    def _factors(self, future: int) -> list[int]:
        """Return by how much the lengths of each series are others in a future, in 1024ths."""
        change = _CHANGE * _normal(future) >> 10
        return [
            max(_ONE // 4, _ONE + change + (doubt * _normal(number << 8 | future) >> 10))
            for number, doubt in enumerate(self._doubts, start=1)
        ]

    def _drawn(self, number: int, future: int, factors: list[int]) -> int | None:
        """Return how long a run still takes in one future; None where nothing is known of its length."""
        run, drawn = self._runs[number], _mixed(number << 8 | future)
        left = remaining(run, 1 + (drawn & _MASK), _MASK + 1, drawn >> 32 & _MASK)
        return None if left is None else max(1, left * factors[self._series[number]] >> 10)


def _started(
    run: PlayedRun, counts: dict[Account, int], by_end: dict[tuple[Account, int], list[int]]
) -> Iterable[int]:
    """Count one end on its accounts, and return those that start by it."""
    started: list[int] = []
    for account in (*run.accounts, ANY):
        count = counts[account] = counts.get(account, 0) + 1
        started += by_end.pop((account, count), ())
    return started


def _normal(number: int) -> int:
    """Return a number of a normal distribution with the deviation 1024: twelve even ones, added."""
    total = 0
    for part in range(3):
        drawn = _mixed(~(number << 2 | part) & _WORD)
        total += sum(drawn >> shift & _MASK for shift in (0, 16, 32, 48))
    return (total - 6 * _MASK) >> 6


def _mixed(number: int) -> int:
    """Return 64 bits that look random (the finalizer of splitmix64)."""
    value = (number + 1) * 0x9E3779B97F4A7C15 & _WORD
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _WORD
    return value ^ value >> 31
