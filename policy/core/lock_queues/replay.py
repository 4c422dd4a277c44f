"""What another limit of a semaphore would have done: the recorded uses, replayed with that limit.

The time at which a use acquired the lock is not recorded, so it is worked out: the first to arrive gets the
next slot that becomes free, by the recorded ends and the present limit. That gives the length of each use.
Then the same arrivals and lengths queue for the other limit.

Its limits: arrivals are taken as they were, though work after a wait would arrive earlier or later; and which
length met which queue was chance. So lengths are shifted along the arrivals and the replay is repeated; the
range of the results is shown. With too few uses, or a record that the limit does not explain, there is no
result.
"""

import heapq
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.lock_queues.past_uses import Use

FEWEST: Final = 30
"""Finished uses of a lock that a result needs."""
_MOST_UNEXPLAINED: Final = 0.2
"""Share of uses that the limit may leave unexplained: the limit or the order was another then."""
_SHIFTS: Final = 20
_FURTHEST: Final = 100
"""The highest limit that is replayed."""
_AROUND: Final = 2
"""Limits below and above the present one that are always shown."""
_TAIL: Final = 0.95


class TimedUse(msgspec.Struct, frozen=True):
    """A use in seconds from the first arrival: when it arrived, and how long it held the lock."""

    arrived: float
    length: float


class Range(msgspec.Struct, frozen=True):
    """Seconds: of the unshifted replay, and the least and most of all replays."""

    value: float
    least: float
    most: float


class ReplayedLimit(msgspec.Struct, frozen=True):
    """What one limit would have done; `busy` is the share of its slots that were used."""

    limit: int
    mean_wait: Range
    tail_wait: Range
    longest_queue: int
    busy: float


class Record(msgspec.Struct, frozen=True):
    """The recorded uses of a lock in figures."""

    lock: str
    limit: int
    finished: int
    unfinished: int
    since: datetime
    until: datetime
    median_length: float


class Replay(msgspec.Struct, frozen=True):
    """A record, and what limits would have done; `no_result` is the reason why there is no result."""

    record: Record
    outcomes: tuple[ReplayedLimit, ...]
    no_result: str
    suggested: int | None


def replay(lock: str, limit: int, uses: Sequence[Use], *, most_wait: float) -> Replay:
    """Return what limits around the present one would have done; `uses` has at least one.

    Suggested is the lowest limit with which 95 of 100 would wait `most_wait` seconds at most, in all replays.
    """
    finished = [each for each in uses if each.ended is not None and each.ended >= each.arrived]
    stays, unexplained = _stays(finished, limit)
    ends = [each.ended for each in finished if each.ended is not None]
    record = Record(
        lock=lock,
        limit=limit,
        finished=len(finished),
        unfinished=len(uses) - len(finished),
        since=min(each.arrived for each in uses),
        until=max(ends, default=max(each.arrived for each in uses)),
        median_length=_share_of(sorted(each.length for each in stays), 0.5),
    )
    no_result = ""
    if len(finished) < FEWEST:
        no_result = f"too little was seen: {len(finished)} finished uses, and {FEWEST} are needed"
    elif unexplained > _MOST_UNEXPLAINED:
        no_result = (
            f"what was seen does not fit the limit {limit}: {unexplained:.0%} of the uses overlap more than "
            "it lets them; it was another for a part of that time"
        )
    if no_result:
        return Replay(record, (), no_result, None)
    outcomes = [replay_limit(stays, each) for each in range(max(1, limit - _AROUND), limit + _AROUND + 1)]
    while outcomes[-1].tail_wait.most > most_wait and outcomes[-1].limit < min(_FURTHEST, 4 * limit + 8):
        outcomes.append(replay_limit(stays, outcomes[-1].limit + 1))
    enough = [each.limit for each in outcomes if each.tail_wait.most <= most_wait]
    return Replay(record, tuple(outcomes), "", enough[0] if enough else None)


def replay_limit(stays: Sequence[TimedUse], limit: int) -> ReplayedLimit:
    """Return what a limit would have done to these arrivals and lengths."""
    lengths = [each.length for each in stays]
    waits = wait_times(stays, limit)
    tails, means = [_tail(waits)], [_mean(waits)]
    for shift in _shifts(len(stays)):
        moved = [
            TimedUse(each.arrived, length)
            for each, length in zip(stays, lengths[shift:] + lengths[:shift], strict=True)
        ]
        other = wait_times(moved, limit)
        tails.append(_tail(other))
        means.append(_mean(other))
    begun = [(stay.arrived + wait, stay) for stay, wait in zip(stays, waits, strict=True)]
    span = max(start + stay.length for start, stay in begun) - stays[0].arrived
    return ReplayedLimit(
        limit=limit,
        mean_wait=Range(means[0], min(means), max(means)),
        tail_wait=Range(tails[0], min(tails), max(tails)),
        longest_queue=_longest_queue([(stay.arrived, start) for start, stay in begun]),
        busy=sum(lengths) / (limit * span) if span > 0 else 0.0,
    )


def wait_times(stays: Sequence[TimedUse], limit: int) -> list[float]:
    """Return how long each waits, where the first to arrive gets the first slot that is free."""
    slots: list[float] = []
    waits = []
    for stay in stays:
        start = stay.arrived if len(slots) < limit else max(stay.arrived, heapq.heappop(slots))
        heapq.heappush(slots, start + stay.length)
        waits.append(start - stay.arrived)
    return waits


def _stays(finished: Iterable[Use], limit: int) -> tuple[list[TimedUse], float]:
    """Return finished uses in the order of arrival, and the share that the limit does not explain."""
    ordered = sorted(finished, key=lambda each: (each.arrived, -each.priority, each.created))
    if not ordered:
        return [], 0.0
    zero = ordered[0].arrived
    slots: list[float] = []
    stays = []
    unexplained = 0
    for use in ordered:
        arrived = (use.arrived - zero).total_seconds()
        ended = (use.ended - zero).total_seconds() if use.ended is not None else arrived
        begun = arrived
        if use.began is not None:
            begun = max(arrived, (use.began - zero).total_seconds())
        elif len(slots) >= limit:
            begun = max(arrived, heapq.heappop(slots))
        if begun >= ended > arrived:
            unexplained += 1
            begun = ended if begun == ended else arrived
        heapq.heappush(slots, ended)
        while len(slots) > limit:
            heapq.heappop(slots)
        stays.append(TimedUse(arrived, ended - begun))
    return stays, unexplained / len(ordered)


def _shifts(number: int) -> list[int]:
    step = max(1, number // (_SHIFTS + 1))
    return list(range(step, number, step))[:_SHIFTS]


def _longest_queue(spans: Iterable[tuple[float, float]]) -> int:
    """Return the highest number of waiters at one time."""
    changes = sorted(
        change for arrived, start in spans if start > arrived for change in ((arrived, 1), (start, -1))
    )
    waiting = longest = 0
    for _, by in changes:
        waiting += by
        longest = max(longest, waiting)
    return longest


def _mean(waits: Sequence[float]) -> float:
    return sum(waits) / len(waits)


def _tail(waits: Sequence[float]) -> float:
    return _share_of(sorted(waits), _TAIL)


def _share_of(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of the others does not exceed; 0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
