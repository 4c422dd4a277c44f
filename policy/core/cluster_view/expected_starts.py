"""When those that wait are expected to start: many futures of one root, each with other lengths of its runs.

Each future takes a length for every run from those of its series that are known, longer than it has run
already, and makes all of a series somewhat longer or shorter: as much as their mean may be wrong, and as runs
change with time. Where newcomers may pass those that wait, the order is played several times, each time with
others who come (`newcomers`). The range that is computed is from the time at which a Workflow has started in
20 % of the futures to that of 80 %; the one that is stated takes in by how much earlier ones were wrong
(`past_misses`). The numbers that choose are derived from the number of the future and of the run, so the same
state gives the same answer.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from policy.core.cluster_view.drawn_numbers import MASK, mixed, normal
from policy.core.cluster_view.forward_play import ANY, Played, PlayedRun, go_on, play_forward, remaining
from policy.core.cluster_view.live_root import LiveRoot
from policy.core.cluster_view.newcomers import Newcomers
from policy.core.cluster_view.past_misses import stated
from policy.core.cluster_view.run_lengths import RunLengths
from policy.core.cluster_view.view import StartRange
from policy.core.quota.accounts import Account

_FUTURES: Final = 60
_FEWEST_FUTURES: Final = 4
"""Of four, one starts before the first of all or after the last in two of five cases."""
_MOST_PLAYED: Final = 70_000
"""Runs of all futures together; of a large root there are fewer futures."""
_PLAYS: Final = 12
_MOST_REPLAYED: Final = 4_000
"""Runs of all plays together; a root with more is played once, without newcomers."""
_LOW, _HIGH, _ALL = 20, 80, 100
_NEVER: Final = 1 << 40
_ONE: Final = 1 << 10
_CHANGE: Final = 40
"""How much runs of all series change together with time, in 1024ths: data grow, nodes are busy."""


class ComputedRange(msgspec.Struct, frozen=True):
    """In how many seconds one starts in 20 % of the futures, and in 80 %."""

    low: int
    high: int


def stated_starts(
    computed: Mapping[str, ComputedRange], lengths: RunLengths, root: str, now: datetime
) -> dict[str, StartRange]:
    """Return the ranges to state of those of a root, by how much earlier ones missed."""
    misses = lengths.misses(root)
    found = {}
    for uid, each in computed.items():
        low, high = (timedelta(seconds=round(at)) for at in stated(misses, each.low, each.high))
        found[uid] = StartRange(now + low, now + high)
    return found


def computed_starts(
    build: Callable[[], LiveRoot],
    lengths: RunLengths,
    now: datetime,
    *,
    rest: Callable[[], None] = go_on,
) -> dict[str, ComputedRange]:
    """Return the ranges by uid; `build` returns the root as it is now, and is called for each play.

    One is missing where too little is known of what has to end before it, or where it never starts. `rest` is
    called after short parts of the work.
    """
    if not len(lengths):
        return {}
    live = build()
    times: dict[str, list[int]] = {each.uid: [] for each in live.planner.pending.waiters()}
    if not times:
        return {}
    runs = sum(each.workflows for each in live.usage.running.values()) + len(times)
    newcomers = Newcomers(live.arrivals() if runs <= _MOST_REPLAYED else (), lengths, now)
    plays = min(_PLAYS, max(1, _MOST_REPLAYED // runs)) if newcomers else 1
    total = 0
    for play in range(plays):
        root = build() if play else live
        played = play_forward(root, lengths, now, number=play, coming=newcomers.drawn(play), rest=rest)
        runs = max(1, len(played.running) + len(played.starts))
        count = max(_FEWEST_FUTURES, min(_FUTURES, _MOST_PLAYED // runs) // plays)
        futures = _Futures(played, play)
        for number in range(count):
            rest()
            for start, at in zip(played.starts, futures.times(number), strict=True):
                if start.uid:
                    times[start.uid].append(at)
        total += count
    return _ranges(times, total)


def _ranges(times: Mapping[str, list[int]], total: int) -> dict[str, ComputedRange]:
    """Return the ranges of those that start in enough of all futures."""
    low, high = _at(total, _LOW), _at(total, _HIGH)
    found = {}
    for uid, each in times.items():
        each.sort()
        if len(each) > high and each[high] != _NEVER:
            found[uid] = ComputedRange(each[low], each[high])
    return found


def _at(count: int, share: int) -> int:
    """Return the index of a share in so many sorted times: of the next one, so many are below in the mean."""
    return ((count + 1) * share + _ALL // 2) // _ALL - 1


class _Futures:
    """The futures of one play, of its number."""

    def __init__(self, played: Played, play: int) -> None:
        self._played = played
        self._first = play * _FUTURES
        self._runs = [*played.running, *(each.run for each in played.starts)]
        numbers: dict[int, int] = {}
        self._series = [numbers.setdefault(id(each.lengths), len(numbers)) for each in self._runs]
        by_id = {id(each.lengths): each.lengths for each in self._runs}
        self._doubts = [by_id[each].doubt() for each in numbers]

    def times(self, future: int) -> list[int]:
        """Return in how many seconds each starts in one future."""
        future += self._first
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
        change = _CHANGE * normal(future) >> 10
        return [
            max(_ONE // 4, _ONE + change + (doubt * normal(number << 10 | future) >> 10))
            for number, doubt in enumerate(self._doubts, start=1)
        ]

    def _drawn(self, number: int, future: int, factors: list[int]) -> int | None:
        """Return how long a run still takes in one future; None where nothing is known of its length."""
        run, drawn = self._runs[number], mixed(number << 10 | future)
        left = remaining(run, 1 + (drawn & MASK), MASK + 1, drawn >> 32 & MASK)
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
