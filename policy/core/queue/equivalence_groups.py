"""Groups of waiters with the same requirements: where one of them does not fit, none of them does."""

from collections.abc import Hashable, Iterator
from datetime import datetime
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from policy.core.queue.ordering import Key, Order, Requirements, Waiter
from policy.core.quota.accounts import Account, Tenant

_Item = TypeVar("_Item", bound=Hashable)
_SPARE: Final = 16
_UNKNOWN: Final = -1
"""A version that no priorities have."""


class LazyHeap(Generic[_Item]):
    """Items by keys that may change while they wait: O(log n) to put, to move and to take.

    A key that has risen may be stale: the caller of `first` computes it again, and puts the item again if it
    is higher now. An item whose key has fallen must be put again at once.
    """

    __slots__ = ("_entries", "_heap", "_next_stamp")

    def __init__(self) -> None:
        self._heap: list[tuple[Key, int, _Item]] = []
        self._entries: dict[_Item, tuple[Key, int, _Item]] = {}
        self._next_stamp = count()

    def put(self, item: _Item, key: Key) -> None:
        """Add an item, or move it to its new key."""
        entry = self._entries[item] = (key, next(self._next_stamp), item)
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _SPARE:
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def key(self, item: _Item) -> Key:
        """Return the key that an item has here."""
        return self._entries[item][0]

    def raise_first(self, key: Key) -> None:
        """Move the item that `first` returned to its new key, which is higher."""
        item = self._heap[0][2]
        entry = self._entries[item] = (key, next(self._next_stamp), item)
        heapreplace(self._heap, entry)

    def discard(self, item: _Item) -> None:
        """Take an item out, if it is there."""
        self._entries.pop(item, None)

    def first(self) -> tuple[Key, _Item] | None:
        """Return the item with the lowest key, and that key; None if there are no items."""
        while self._heap:
            entry = self._heap[0]
            if self._entries.get(entry[2]) is entry:
                return entry[0], entry[2]
            heappop(self._heap)
        return None

    def __contains__(self, item: object) -> bool:
        return item in self._entries

    def __len__(self) -> int:
        return len(self._entries)


class InadmissibleAt(msgspec.Struct, frozen=True):
    """Where a group waits that does not fit: at an account, in a bucket of those that need as much there."""

    account: Account
    bucket: Hashable


class _UserQueue:
    """The waiters of a group with one user and one priority, oldest first; there is at least one.

    `timer` is when the level of the oldest rises. That level is stored, and `rose` forgets it.
    """

    __slots__ = ("_heap", "_level", "_levelled", "_version", "tenant", "timer", "waiters")

    def __init__(self, tenant: Tenant | None) -> None:
        self.waiters: dict[str, Waiter] = {}
        self.timer: datetime | None = None
        self.tenant = tenant
        self._heap: list[tuple[datetime, int, str]] = []
        self._level = 0
        self._levelled: Waiter | None = None
        self._version = _UNKNOWN

    def put(self, waiter: Waiter) -> None:
        """Add a waiter."""
        self.waiters[waiter.uid] = waiter
        heappush(self._heap, (waiter.created, waiter.arrival, waiter.uid))

    def head(self) -> Waiter:
        """Return the oldest that still waits."""
        while (waiter := self.waiters.get(self._heap[0][2])) is None:
            heappop(self._heap)
        return waiter

    def place(self, order: Order) -> Key:
        """Return the place of the oldest in its namespace, as `Order.in_namespace` does."""
        head = self.head()
        if self._levelled is not head or self._version != order.version:
            self._levelled, self._version, self._level = head, order.version, order.level(head)
        used = 0 if self.tenant is None else order.fair.ranks.get(self.tenant, 0)
        return (-self._level, used, *self._heap[0])

    def rose(self) -> None:
        """Forget the level of the oldest, which is higher now."""
        self._levelled = None

    def first(self, most: int) -> list[Waiter]:
        """Return the oldest, at most so many, without a look at the others."""
        found: dict[str, Waiter] = {}
        ahead = [(*self._heap[0], 0)] if self._heap else []
        while ahead and len(found) < most:
            *_, uid, place = heappop(ahead)
            waiter = self.waiters.get(uid)
            if waiter is not None:
                found.setdefault(uid, waiter)
            for below in (2 * place + 1, 2 * place + 2):
                if below < len(self._heap):
                    heappush(ahead, (*self._heap[below], below))
        return list(found.values())


def _tenant_of(waiter: Waiter) -> Tenant | None:
    return Tenant(waiter.namespace, waiter.user) if waiter.user else None


UserQueueKey: TypeAlias = tuple[str, int]


class EquivalenceGroup:
    """The waiters with the same requirements, in user queues; its head is the one that goes first.

    The scheduling queue stores on it where it is inadmissible, whether it can never fit, the version of the
    limits by which it can, and whether it would borrow at the present usage of its member.

    Its place is asked for much more often than it changes, so it is stored until its waiters, the priorities
    or a rank in it change. Ranks of others only rise, so the first stays the first. A level that rises with
    age has its user queue repositioned.
    """

    __slots__ = (
        "_heads",
        "_known",
        "_order",
        "_place",
        "_tenant",
        "_user",
        "_user_queues",
        "_version",
        "borrows",
        "fits_version",
        "inadmissible_at",
        "needs",
        "never_fits",
    )

    def __init__(self, needs: Requirements, order: Order) -> None:
        self.needs = needs
        self.inadmissible_at: InadmissibleAt | None = None
        self.never_fits = False
        self.fits_version = -1
        self.borrows = False
        self._order = order
        self._user_queues: dict[UserQueueKey, _UserQueue] = {}
        self._heads: LazyHeap[UserQueueKey] = LazyHeap()
        self._tenant = Tenant(needs.namespace)
        self._version = _UNKNOWN
        self._known: tuple[Key, UserQueueKey] | None = None
        self._user: Tenant | None = None
        self._place: Key | None = None

    def __iter__(self) -> Iterator[Waiter]:
        for user_queue in self._user_queues.values():
            yield from user_queue.waiters.values()

    def __bool__(self) -> bool:
        return bool(self._user_queues)

    def head(self) -> Waiter | None:
        """Return the waiter that goes first, None if none is left."""
        first = self._first()
        return None if first is None else self._user_queues[first[1]].head()

    def head_queue(self) -> UserQueueKey | None:
        """Return the user queue of the head."""
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
        """Return the place of its head in the root."""
        first = self._first()
        if first is None:
            return None
        place, borrows, ranks = self._place, self.borrows, self._order.fair.ranks
        if place is None or place[0] != borrows or place[2] != ranks.get(self._tenant, 0):
            place = self._place = self._order.in_root(first[0], self._tenant, borrows=borrows)
        return place

    def put(self, waiter: Waiter) -> None:
        """Add a waiter."""
        key = (waiter.user, waiter.priority)
        user_queue = self._user_queues.get(key)
        if user_queue is None:
            user_queue = self._user_queues[key] = _UserQueue(_tenant_of(waiter))
        user_queue.put(waiter)
        if user_queue.head() is waiter:
            self.reposition(key)

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter that is in the group."""
        key = (waiter.user, waiter.priority)
        user_queue = self._user_queues[key]
        self._version = _UNKNOWN
        del user_queue.waiters[waiter.uid]
        if not user_queue.waiters:
            del self._user_queues[key]
            self._heads.discard(key)

    def first(self, most: int) -> list[Waiter]:
        """Return the oldest of every user queue, at most so many each: the group's first are among them."""
        return [waiter for user_queue in self._user_queues.values() for waiter in user_queue.first(most)]

    def heads(self) -> Iterator[tuple[UserQueueKey, Waiter]]:
        """Yield the first waiter of each user queue."""
        for key, user_queue in self._user_queues.items():
            yield key, user_queue.head()

    def reposition(self, key: UserQueueKey) -> None:
        """Move a user queue to its new place: its head is before where it was."""
        self._version = _UNKNOWN
        user_queue = self._user_queues[key]
        user_queue.rose()
        self._heads.put(key, user_queue.place(self._order))

    def next_rise(self, key: UserQueueKey) -> datetime | None:
        """Return when the level of the head of a user queue rises, if that was not returned before."""
        user_queue = self._user_queues.get(key)
        if user_queue is None:
            return None
        known, user_queue.timer = user_queue.timer, self._order.rises(user_queue.head())
        return None if user_queue.timer == known else user_queue.timer

    def risen(self, key: UserQueueKey, at: datetime) -> bool:
        """Move a user queue whose head rises at `at` to its new place; return False if that is outdated."""
        user_queue = self._user_queues.get(key)
        if user_queue is None or user_queue.timer != at:
            return False
        user_queue.timer = None
        self.reposition(key)
        return True

    def reorder(self) -> list[UserQueueKey]:
        """Move all user queues to their new places, and return their keys."""
        for key in self._user_queues:
            self.reposition(key)
        return list(self._user_queues)

    def _first(self) -> tuple[Key, UserQueueKey] | None:
        """Return the user queue that goes first, and the place of its head in the namespace."""
        order, known, user = self._order, self._known, self._user
        if self._version == order.version and (
            user is None or known is None or known[0][1] == order.fair.ranks.get(user, 0)
        ):
            return known
        known = self._known = self._find_first()
        self._version, self._place = order.version, None
        self._user = None if known is None else self._user_queues[known[1]].tenant
        return known

    def _find_first(self) -> tuple[Key, UserQueueKey] | None:
        while (first := self._heads.first()) is not None:
            place, key = first
            now = self._user_queues[key].place(self._order)
            if now <= place:
                return now, key
            self._heads.raise_first(now)
        return None
