"""A queue by a key that may change while things wait in it: O(log n) to put, to move and to take.

A key that has risen unnoticed does no harm: it is looked at again when its item comes to the front. An item
whose key has fallen must be put again.
"""

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Final, Generic, TypeVar

from policy.core.ordering import Key

_Item = TypeVar("_Item", bound=Hashable)
_SPARE: Final = 16


class Ranking(Generic[_Item]):
    """Items, the one with the lowest key first; one whose key is None is dropped."""

    def __init__(self, key: Callable[[_Item], Key | None]) -> None:
        self._key = key
        self._heap: list[tuple[Key, int, _Item]] = []
        self._stamps: dict[_Item, int] = {}
        self._next_stamp = count()

    def put(self, item: _Item) -> None:
        """Add an item, or move it to where its key belongs now."""
        key = self._key(item)
        if key is None:
            self.discard(item)
            return
        stamp = self._stamps[item] = next(self._next_stamp)
        heappush(self._heap, (key, stamp, item))
        if len(self._heap) > 2 * len(self._stamps) + _SPARE:
            self._heap = [entry for entry in self._heap if self._stamps.get(entry[2]) == entry[1]]
            heapify(self._heap)

    def discard(self, item: _Item) -> None:
        """Take an item out, if it is there."""
        self._stamps.pop(item, None)

    def first(self) -> tuple[Key, _Item] | None:
        """Return the item with the lowest key, and that key; None where there is none."""
        while self._heap:
            key, stamp, item = self._heap[0]
            if self._stamps.get(item) != stamp:
                heappop(self._heap)
                continue
            now = self._key(item)
            if now is None:
                heappop(self._heap)
                del self._stamps[item]
            elif now > key:
                heapreplace(self._heap, (now, stamp, item))
            else:
                return now, item
        return None

    def __contains__(self, item: object) -> bool:
        return item in self._stamps

    def __len__(self) -> int:
        return len(self._stamps)
