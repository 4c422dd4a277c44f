"""Waiters of equal shape, side by side: where one of them does not fit, none does."""

from collections.abc import Hashable, Iterator
from datetime import datetime
from heapq import heappop, heappush
from typing import TypeAlias

import msgspec

from policy.core.amounts import Usage
from policy.core.ledger import Account
from policy.core.ordering import Key, Order, Waiter, Want
from policy.core.ranking import Ranking


class Shape(msgspec.Struct, frozen=True):
    """What a waiter needs: room on accounts, room in its pool, and how much."""

    namespace: str
    wants: tuple[Want, ...]
    shares: bool
    withheld: Usage
    weight: Usage


def shape_of(waiter: Waiter) -> Shape:
    """Return the shape of a waiter."""
    return Shape(waiter.namespace, waiter.wants, waiter.shares, waiter.withheld, waiter.weight)


class Parked(msgspec.Struct, frozen=True):
    """Where a group waits that does not fit: at an account, beside those that need as much there."""

    account: Account
    bucket: Hashable


class Lane:
    """The waiters of a group with one user and one priority, oldest first. `timer` is when its head rises."""

    def __init__(self) -> None:
        self.live: dict[str, Waiter] = {}
        self.timer: datetime | None = None
        self._heap: list[tuple[datetime, int, str]] = []

    def put(self, waiter: Waiter) -> None:
        """Add a waiter."""
        self.live[waiter.uid] = waiter
        heappush(self._heap, (waiter.created, waiter.arrival, waiter.uid))

    def head(self) -> Waiter | None:
        """Return the oldest that still waits."""
        while self._heap:
            waiter = self.live.get(self._heap[0][2])
            if waiter is not None:
                return waiter
            heappop(self._heap)
        return None

    def first(self, most: int) -> list[Waiter]:
        """Return the oldest, at most so many; the others are not looked at."""
        found: dict[str, Waiter] = {}
        ahead = [(*self._heap[0], 0)] if self._heap else []
        while ahead and len(found) < most:
            *_, uid, place = heappop(ahead)
            waiter = self.live.get(uid)
            if waiter is not None:
                found.setdefault(uid, waiter)
            for below in (2 * place + 1, 2 * place + 2):
                if below < len(self._heap):
                    heappush(ahead, (*self._heap[below], below))
        return list(found.values())


LaneKey: TypeAlias = tuple[str, int]


class Group:
    """The waiters of one shape, in lanes; its head is who goes first of them.

    The planner notes on it where it is parked, that it can never fit, the version of the limits by which it
    can, and whether it borrowed when that was last looked at.
    """

    def __init__(self, shape: Shape, order: Order) -> None:
        self.shape = shape
        self.parked: Parked | None = None
        self.never = False
        self.possible = -1
        self.borrowed = False
        self._order = order
        self._lanes: dict[LaneKey, Lane] = {}
        self._heads: Ranking[LaneKey] = Ranking(self._place)

    def __iter__(self) -> Iterator[Waiter]:
        for lane in self._lanes.values():
            yield from lane.live.values()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def head(self) -> Waiter | None:
        """Return who goes first, None where nobody is left."""
        first = self._heads.first()
        return None if first is None else self._lanes[first[1]].head()

    def place(self) -> Key | None:
        """Return the place of its head in the namespace."""
        first = self._heads.first()
        return None if first is None else first[0]

    def put(self, waiter: Waiter) -> None:
        """Add a waiter."""
        key = (waiter.user, waiter.priority)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane()
        lane.put(waiter)
        if lane.head() is waiter:
            self._heads.put(key)

    def remove(self, waiter: Waiter) -> None:
        """Take a waiter out that is in it."""
        key = (waiter.user, waiter.priority)
        lane = self._lanes[key]
        del lane.live[waiter.uid]
        if not lane.live:
            del self._lanes[key]
            self._heads.discard(key)

    def first(self, most: int) -> Iterator[Waiter]:
        """Yield the oldest of every lane, at most so many of each: the first of the group are among them."""
        for lane in self._lanes.values():
            yield from lane.first(most)

    def lane_heads(self) -> Iterator[tuple[LaneKey, Waiter]]:
        """Yield who goes first of each lane."""
        for key, lane in self._lanes.items():
            head = lane.head()
            if head is not None:
                yield key, head

    def head_lane(self) -> LaneKey | None:
        """Return the lane of who goes first of all."""
        first = self._heads.first()
        return None if first is None else first[1]

    def moved(self, key: LaneKey) -> None:
        """Put a lane to where it belongs now: its head stands higher than before."""
        self._heads.put(key)

    def lanes(self) -> list[LaneKey]:
        """Return the keys of its lanes."""
        return list(self._lanes)

    def next_rise(self, key: LaneKey) -> datetime | None:
        """Return when the head of a lane gains a level, if that is news; it is remembered as told."""
        lane = self._lanes.get(key)
        head = lane.head() if lane is not None else None
        if lane is None or head is None:
            return None
        rises = self._order.rises(head)
        if rises == lane.timer:
            return None
        lane.timer = rises
        return rises

    def risen(self, key: LaneKey, at: datetime) -> bool:
        """Put a lane whose head gains a level at `at` to its new place; False where that is outdated."""
        lane = self._lanes.get(key)
        if lane is None or lane.timer != at:
            return False
        lane.timer = None
        self._heads.put(key)
        return True

    def reorder(self) -> None:
        """Put all lanes to where they belong now."""
        for key in self._lanes:
            self._heads.put(key)

    def _place(self, key: LaneKey) -> Key | None:
        lane = self._lanes.get(key)
        head = lane.head() if lane is not None else None
        return None if head is None else self._order.inside(head)
