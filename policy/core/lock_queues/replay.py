"""What another limit of a semaphore would have done: what was seen, played again with that limit.

When somebody got the lock is not written down, so it is worked out: whoever came first got the next slot that
came free, by the ends that were seen and the limit that stands now. That gives how long each use lasted. Then
the same arrivals and lengths queue for the other limit.

How far it can be trusted: arrivals are taken as they were, though work that follows on a wait would come
earlier or later; and which length met which queue was chance. So lengths are moved along the arrivals and the
replay repeated; the range of what comes out is shown. Of too few uses, or of a record that the limit does not
explain, nothing is said at all.
"""

import heapq
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.lock_queues.past_uses import Use

FEWEST: Final = 30
"""Finished uses of a lock from which on anything is said."""
_MOST_ODD: Final = 0.2
"""Share of uses that the limit may leave unexplained: it was another then, or the order was."""
_SHIFTS: Final = 20
_FURTHEST: Final = 100
"""The highest limit that is tried."""
_AROUND: Final = 2
"""Limits below and above the present one that are always shown."""
_TAIL: Final = 0.95


class Stay(msgspec.Struct, frozen=True):
    """A use in seconds from the first arrival: when it came, and how long it held the lock."""

    arrived: float
    length: float


class Range(msgspec.Struct, frozen=True):
    """Seconds: of the replay as it was, and the least and most of the others."""

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
    """What was seen of a lock."""

    lock: str
    limit: int
    finished: int
    unfinished: int
    since: datetime
    until: datetime
    median_length: float


class Replay(msgspec.Struct, frozen=True):
    """A record, and what limits would have done; `silent` says why nothing can be said of them."""

    record: Record
    outcomes: tuple[ReplayedLimit, ...]
    silent: str
    suggested: int | None


def replay(lock: str, limit: int, uses: Sequence[Use], *, most_wait: float) -> Replay:
    """Return what limits around the present one would have done; `uses` has at least one.

    Suggested is the lowest limit with which 95 of 100 would wait `most_wait` seconds at most, in all replays.
    """
    over = [each for each in uses if each.ended is not None and each.ended >= each.arrived]
    stays, odd = _stays(over, limit)
    ends = [each.ended for each in over if each.ended is not None]
    record = Record(
        lock=lock,
        limit=limit,
        finished=len(over),
        unfinished=len(uses) - len(over),
        since=min(each.arrived for each in uses),
        until=max(ends, default=max(each.arrived for each in uses)),
        median_length=_share_of(sorted(each.length for each in stays), 0.5),
    )
    if len(over) < FEWEST:
        silent = f"too little was seen: {len(over)} finished uses, and {FEWEST} are needed"
        return Replay(record, (), silent, None)
    if odd > _MOST_ODD:
        silent = (
            f"what was seen does not fit the limit {limit}: {odd:.0%} of the uses overlap more than it lets "
            "them; it was another for a part of that time"
        )
        return Replay(record, (), silent, None)
    outcomes = [outcome(stays, each) for each in range(max(1, limit - _AROUND), limit + _AROUND + 1)]
    while outcomes[-1].tail_wait.most > most_wait and outcomes[-1].limit < min(_FURTHEST, 4 * limit + 8):
        outcomes.append(outcome(stays, outcomes[-1].limit + 1))
    enough = [each.limit for each in outcomes if each.tail_wait.most <= most_wait]
    return Replay(record, tuple(outcomes), "", enough[0] if enough else None)


def outcome(stays: Sequence[Stay], limit: int) -> ReplayedLimit:
    """Return what a limit would have done to these arrivals and lengths."""
    lengths = [each.length for each in stays]
    waits = queue(stays, limit)
    tails, means = [_tail(waits)], [_mean(waits)]
    for shift in _shifts(len(stays)):
        moved = [
            Stay(each.arrived, length)
            for each, length in zip(stays, lengths[shift:] + lengths[:shift], strict=True)
        ]
        other = queue(moved, limit)
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


def queue(stays: Sequence[Stay], limit: int) -> list[float]:
    """Return how long each waits, where the first to come gets the first slot that is free."""
    slots: list[float] = []
    waits = []
    for stay in stays:
        start = stay.arrived if len(slots) < limit else max(stay.arrived, heapq.heappop(slots))
        heapq.heappush(slots, start + stay.length)
        waits.append(start - stay.arrived)
    return waits


def _stays(over: Iterable[Use], limit: int) -> tuple[list[Stay], float]:
    """Return finished uses in the order of their arrival, and the share that the limit does not explain."""
    ordered = sorted(over, key=lambda each: (each.arrived, -each.priority, each.created))
    if not ordered:
        return [], 0.0
    zero = ordered[0].arrived
    slots: list[float] = []
    stays = []
    odd = 0
    for use in ordered:
        arrived = (use.arrived - zero).total_seconds()
        ended = (use.ended - zero).total_seconds() if use.ended is not None else arrived
        begun = arrived
        if use.began is not None:
            begun = max(arrived, (use.began - zero).total_seconds())
        elif len(slots) >= limit:
            begun = max(arrived, heapq.heappop(slots))
        if begun >= ended > arrived:
            odd += 1
            begun = ended if begun == ended else arrived
        heapq.heappush(slots, ended)
        while len(slots) > limit:
            heapq.heappop(slots)
        stays.append(Stay(arrived, ended - begun))
    return stays, odd / len(ordered)


def _shifts(number: int) -> list[int]:
    step = max(1, number // (_SHIFTS + 1))
    return list(range(step, number, step))[:_SHIFTS]


def _longest_queue(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many waited at once at most."""
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
