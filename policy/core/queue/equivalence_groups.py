"""Waiters of equal shape, side by side: where one of them does not fit, none does."""

from collections.abc import Hashable, Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from policy.core.queue.ordering import Key, Order, Waiter, Want
from policy.core.quota.accounts import Account
from policy.core.values.amounts import Usage

_Item = TypeVar("_Item", bound=Hashable)
_SPARE: Final = 16


class LazyHeap(Generic[_Item]):
    """Items by keys that may change while they wait: O(log n) to put, to move and to take.

    A key that has risen unnoticed does no harm: whoever asks for the first item looks at its key again, and
    puts it anew where that has risen. An item whose key has fallen must be put again at once.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Key, int, _Item]] = []
        self._stamps: dict[_Item, int] = {}
        self._next_stamp = count()

    def put(self, item: _Item, key: Key) -> None:
        """Add an item, or move it to where its key belongs now."""
        stamp = self._stamps[item] = next(self._next_stamp)
        heappush(self._heap, (key, stamp, item))
        if len(self._heap) > 2 * len(self._stamps) + _SPARE:
            self._heap = [entry for entry in self._heap if self._stamps.get(entry[2]) == entry[1]]
            heapify(self._heap)

    def discard(self, item: _Item) -> None:
        """Take an item out, if it is there."""
        self._stamps.pop(item, None)

    def first(self) -> tuple[Key, _Item] | None:
        """Return the item that was put with the lowest key, and that key; None where there is none."""
        while self._heap:
            key, stamp, item = self._heap[0]
            if self._stamps.get(item) == stamp:
                return key, item
            heappop(self._heap)
        return None

    def __contains__(self, item: object) -> bool:
        return item in self._stamps

    def __len__(self) -> int:
        return len(self._stamps)


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


class InadmissibleAt(msgspec.Struct, frozen=True):
    """Where a group waits that does not fit: at an account, beside those that need as much there."""

    account: Account
    bucket: Hashable


class _Subgroup:
    """The waiters of a group with one user and one priority, oldest first; there is one at least.

    `timer` is when the first rises.
    """

    def __init__(self) -> None:
        self.live: dict[str, Waiter] = {}
        self.timer: datetime | None = None
        self._heap: list[tuple[datetime, int, str]] = []

    def put(self, waiter: Waiter) -> None:
        """Add a waiter."""
        self.live[waiter.uid] = waiter
        heappush(self._heap, (waiter.created, waiter.arrival, waiter.uid))

    def head(self) -> Waiter:
        """Return the oldest that still waits."""
        while (waiter := self.live.get(self._heap[0][2])) is None:
            heappop(self._heap)
        return waiter

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


SubgroupKey: TypeAlias = tuple[str, int]


class Group:
    """The waiters of one shape, in subgroups; its head is who goes first of them.

    The scheduling queue notes on it where it is inadmissible, that it can never fit, the version of limits by
    which it can, and whether it borrows by what its member uses now.
    """

    def __init__(self, shape: Shape, order: Order) -> None:
        self.shape = shape
        self.inadmissible_at: InadmissibleAt | None = None
        self.never = False
        self.possible = -1
        self.borrows = False
        self._order = order
        self._subgroups: dict[SubgroupKey, _Subgroup] = {}
        self._heads = LazyHeap[SubgroupKey]()

    def __iter__(self) -> Iterator[Waiter]:
        for subgroup in self._subgroups.values():
            yield from subgroup.live.values()

    def __bool__(self) -> bool:
        return bool(self._subgroups)

    def head(self) -> Waiter | None:
        """Return who goes first, None where nobody is left."""
        first = self._first()
        return None if first is None else self._subgroups[first[1]].head()

    def head_subgroup(self) -> SubgroupKey | None:
        """Return the subgroup of who goes first of all."""
        first = self._first()
        return None if first is None else first[1]

    def level(self) -> int:
        """Return the priority that its head counts as."""
        head = self.head()
        return 0 if head is None else self._order.level(head)

    def place_in_namespace(self) -> Key | None:
        """Return the place of its head in the namespace."""
        first = self._first()
        return None if first is None else first[0]

    def place(self) -> Key | None:
        """Return the place of its head among all of the root."""
        first = self._first()
        if first is None:
            return None
        return self._order.in_root(first[0], self.shape.namespace, borrows=self.borrows)

    def put(self, waiter: Waiter) -> None:
        """Add a waiter."""
        key = (waiter.user, waiter.priority)
        subgroup = self._subgroups.get(key)
        if subgroup is None:
            subgroup = self._subgroups[key] = _Subgroup()
        subgroup.put(waiter)
        if subgroup.head() is waiter:
            self.moved(key)

    def remove(self, waiter: Waiter) -> None:
        """Take a waiter out that is in it."""
        key = (waiter.user, waiter.priority)
        subgroup = self._subgroups[key]
        del subgroup.live[waiter.uid]
        if not subgroup.live:
            del self._subgroups[key]
            self._heads.discard(key)

    def first(self, most: int) -> list[Waiter]:
        """Return the oldest of every subgroup, at most so many of each: the group's first are among them."""
        return [waiter for subgroup in self._subgroups.values() for waiter in subgroup.first(most)]

    def heads(self) -> Iterator[tuple[SubgroupKey, Waiter]]:
        """Yield who goes first of each subgroup."""
        for key, subgroup in self._subgroups.items():
            yield key, subgroup.head()

    def moved(self, key: SubgroupKey) -> None:
        """Put a subgroup to where it belongs now: its head stands higher than before."""
        self._heads.put(key, self._order.in_namespace(self._subgroups[key].head()))

    def next_rise(self, key: SubgroupKey) -> datetime | None:
        """Return when the head of a subgroup gains a level, if that is news; it is remembered as known."""
        subgroup = self._subgroups.get(key)
        if subgroup is None:
            return None
        known, subgroup.timer = subgroup.timer, self._order.rises(subgroup.head())
        return None if subgroup.timer == known else subgroup.timer

    def risen(self, key: SubgroupKey, at: datetime) -> bool:
        """Put a subgroup whose head gains a level at `at` to its new place; False where that is outdated."""
        subgroup = self._subgroups.get(key)
        if subgroup is None or subgroup.timer != at:
            return False
        subgroup.timer = None
        self.moved(key)
        return True

    def reorder(self) -> list[SubgroupKey]:
        """Put all subgroups to where they belong now, and return their keys."""
        for key in self._subgroups:
            self.moved(key)
        return list(self._subgroups)

    def _first(self) -> tuple[Key, SubgroupKey] | None:
        """Return the subgroup that goes first, and the place of its head in the namespace."""
        while (first := self._heads.first()) is not None:
            key, subgroup = first
            now = self._order.in_namespace(self._subgroups[subgroup].head())
            if now <= key:
                return now, subgroup
            self._heads.put(subgroup, now)
        return None
