"""Which group to try next: the state of each group (active, inadmissible, behind the head of a strict queue).

Every group is in one state. A group that does not fit is inadmissible at the account that has not enough
left, in a bucket of those that need as much there: if the first of a bucket does not fit, none does. An
account that may have capacity again is itself an active item, with the place of the best group there that
fits. So one slot that becomes free wakes one group and not a thousand.
"""

from collections.abc import Hashable, Iterable
from datetime import timedelta
from typing import TypeAlias

from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.equivalence_groups import EquivalenceGroup, InadmissibleAt, LazyHeap
from policy.core.queue.headroom import Headroom
from policy.core.queue.ordering import Key
from policy.core.queue.pending import Pending
from policy.core.queue.starvation_guard import FirstBlocked, StarvationGuard
from policy.core.quota.accounts import Account
from policy.core.values.amounts import Usage

_Bucket: TypeAlias = tuple[Hashable, bool]
_Placed: TypeAlias = tuple[Key, EquivalenceGroup]
_UNKNOWN: Key = ()
"""A place before all others: an item with it is evaluated before any group starts."""


class SchedulingQueue:
    """The groups of one root: which one may start next, and how a change moves them."""

    __slots__ = (
        "_active",
        "_behind_head",
        "_guarantees",
        "_inadmissible",
        "_never_fit",
        "_strict",
        "guard",
        "headroom",
        "pending",
    )

    def __init__(
        self, *, pending: Pending, headroom: Headroom, max_overtakes: int, long_wait: timedelta
    ) -> None:
        self.pending = pending
        self.headroom = headroom
        self.guard = StarvationGuard(max_overtakes=max_overtakes, long_wait=long_wait)
        self._active: LazyHeap[EquivalenceGroup | Account] = LazyHeap()
        self._inadmissible: dict[Account, dict[_Bucket, LazyHeap[EquivalenceGroup]]] = {}
        self._never_fit: dict[EquivalenceGroup, None] = {}
        self._strict: dict[str, LazyHeap[EquivalenceGroup]] = {}  # By namespace.
        self._behind_head: dict[EquivalenceGroup, None] = {}
        self._guarantees: dict[str, tuple[int, int]] = {}  # Unused ones, by namespace.

    # Which group goes next.

    def next(self) -> EquivalenceGroup | None:
        """Remove and return the first group that may start; those before it are put where they wait."""
        while (group := self._first_active()) is not None:
            self.dequeue(group)
            if self._may_start(group):
                return group
        return None

    def _first_active(self) -> EquivalenceGroup | None:
        """Return the group to try next: the first of those that fit, as far as is known."""
        evaluated: dict[EquivalenceGroup | Account, _Placed | None] = {}
        while (first := self._active.first()) is not None:
            key, item = first
            if item not in evaluated:
                evaluated[item] = self._best_at(item) if isinstance(item, Account) else self._placed(item)
            best = evaluated[item]
            if best is None:
                self._active.discard(item)
            elif best[0] > key:
                self._active.raise_first(best[0])
            else:
                return best[1]
        return None

    def _may_start(self, group: EquivalenceGroup) -> bool:
        """Return whether the head of a dequeued group may start; put the group where it waits if not."""
        namespace = group.needs.namespace
        if not group or self.pending.rules(namespace).stop_policy is not StopPolicy.NONE:
            self._end_protection(group)
            return False
        if namespace in self.pending.strict:
            self._join_strict(group)
            self._try_head_of_line(namespace)
        where = self.headroom.inadmissible_at(group.needs)
        if group.never_fits or self._waits_for_key(group, where):
            return False
        if not self.is_head_of_line(group):
            self._behind_head[group] = None
            self._end_protection(group)
            return False
        if self._set_aside_if_never(group):
            self._try_head_of_line(namespace)
            return False
        if where is None:
            blocked = self.blocked_at(group)
            if blocked is None:
                return True
            where = self.headroom.bucket_at(blocked, group.needs)
        self._set_aside(group, where)
        if self.guard.protects(group):
            self.guard.protect(where.account, group)
        return False

    def _waits_for_key(self, group: EquivalenceGroup, where: InadmissibleAt | None) -> bool:
        """Set a dequeued group aside if it waits for its key: meanwhile it is in nobody's way."""
        namespace = group.needs.namespace
        if where is None or not where.account.group:
            return False
        if namespace in self._strict:
            self._strict[namespace].discard(group)
        self._set_aside(group, where)
        self._end_protection(group)
        self._try_head_of_line(namespace)
        return True

    # What has changed.

    def requeue(self, group: EquivalenceGroup) -> None:
        """Try a group again, whatever its state is; a new group too."""
        self.dequeue(group)
        group.borrows = self.headroom.borrows(group.needs)
        place = group.place()
        if place is not None:
            self._active.put(group, place)
            if group.needs.namespace in self.pending.strict:
                self._join_strict(group)

    def dequeue(self, group: EquivalenceGroup) -> None:
        """Remove a group from its state."""
        self._active.discard(group)
        self._behind_head.pop(group, None)
        where = group.inadmissible_at
        if where is not None:
            group.inadmissible_at = None
            bucket = (where.bucket, group.never_fits)
            buckets = self._inadmissible[where.account]
            buckets[bucket].discard(group)
            if not len(buckets[bucket]):
                del buckets[bucket]
                if not buckets:
                    del self._inadmissible[where.account]
        if group.never_fits:
            group.never_fits = False
            del self._never_fit[group]

    def requeue_at(self, accounts: Iterable[Account]) -> None:
        """Try the groups again that are inadmissible at these accounts, as far as they fit there now."""
        for account in accounts:
            if account in self._inadmissible:
                self._active.put(account, _UNKNOWN)

    def limits_changed(self) -> None:
        """Try again what could never fit, and find what can never fit now."""
        self._guarantees.clear()
        for group in list(self._never_fit):
            self.requeue(group)
        for group in self.guard.groups():
            self._set_aside_if_never(group)
        for namespace in list(self.pending.strict):
            self._try_head_of_line(namespace)

    def share_changed(self, namespace: str) -> None:
        """Update the groups of a member whose usage changed: some may borrow no more, or need less of it."""
        if self.headroom.pool is None:
            return
        guarantee = self.headroom.pool.usage.unused_guarantee(namespace)
        needs_other = self._guarantees.get(namespace) != guarantee
        self._guarantees[namespace] = guarantee
        borrows: dict[tuple[bool, Usage], bool] = {}  # Many groups of a namespace request the same.
        for group in self.pending.groups(namespace):
            request = (group.needs.shares, group.needs.requested)
            if request not in borrows:
                borrows[request] = self.headroom.borrows(group.needs)
            borrowed, group.borrows = group.borrows, borrows[request]
            where = group.inadmissible_at
            if needs_other and where is not None and self._changed_bucket(group, where):
                self.requeue(group)
            elif borrowed and not group.borrows:
                self._move_forward(group, where)

    def _move_forward(self, group: EquivalenceGroup, where: InadmissibleAt | None) -> None:
        """Move a group that borrows no more before those that do, in the state that it is in."""
        if where is None:
            if group in self._active:
                _before_borrowers(self._active, group)
            return
        _before_borrowers(self._inadmissible[where.account][where.bucket, group.never_fits], group)
        if where.account in self._active:
            self._active.put(where.account, _UNKNOWN)

    def _changed_bucket(self, group: EquivalenceGroup, where: InadmissibleAt) -> bool:
        """Return whether a group that does not fit into the pool needs more or less of it than before."""
        whole = where.account == self.headroom.whole
        return whole and self.headroom.bucket_at(where.account, group.needs) != where

    def released(self, group: EquivalenceGroup, overtaken: Iterable[tuple[Account, FirstBlocked]]) -> None:
        """Count what the head of a dequeued group has overtaken by its release, and try its next."""
        self.left(group)
        for account, first in overtaken:
            if not self.guard.count_overtake(first, self.pending.order.now):
                continue
            if self._set_aside_if_never(first.group):
                self._try_head_of_line(first.group.needs.namespace)
            elif self.guard.first_blocked(account) is first:
                self.guard.protect(account, first.group)
        if group:
            self.requeue(group)

    def left(self, group: EquivalenceGroup) -> None:
        """End the protection of a group of which a waiter left, and try the next head of a strict queue."""
        self._end_protection(group)
        self._try_head_of_line(group.needs.namespace)

    # Which groups can never start, and which is the head of a strict queue.

    def _set_aside_if_never(self, group: EquivalenceGroup) -> bool:
        """Set a group aside until limits change if it can never fit: it is no head and not protected then."""
        if group.fits_version == self.headroom.version:
            return False
        where = self.headroom.inadmissible_at(group.needs)
        if where is None or not self.headroom.never_fitting(group.needs):
            group.fits_version = self.headroom.version
            return False
        self.dequeue(group)
        group.never_fits = True
        self._never_fit[group] = None
        self._set_aside(group, where)
        self._end_protection(group)
        return True

    def _try_head_of_line(self, namespace: str) -> None:
        """Try the head of a strict queue if it waited behind another; groups that never fit are set aside."""
        if namespace not in self.pending.strict:
            return
        while (head := self._head_of_line(namespace)) is not None and self._set_aside_if_never(head):
            pass
        if head is not None and head in self._behind_head:
            self.requeue(head)

    def is_head_of_line(self, group: EquivalenceGroup) -> bool:
        """Return whether no other group of a strict queue goes before this one."""
        namespace = group.needs.namespace
        return namespace not in self.pending.strict or self._head_of_line(namespace) is group

    def _head_of_line(self, namespace: str) -> EquivalenceGroup | None:
        """Return the head of a strict queue; groups that can never fit are not counted."""
        queue = self._strict.get(namespace)
        while queue is not None and (first := queue.first()) is not None:
            key, group = first
            place = None if group.never_fits else group.place_in_namespace()
            if place is None:
                queue.discard(group)
            elif place > key:
                queue.raise_first(place)
            else:
                return group
        return None

    def _join_strict(self, group: EquivalenceGroup) -> None:
        place = group.place_in_namespace()
        if place is not None:
            self._strict.setdefault(group.needs.namespace, LazyHeap()).put(group, place)

    # Which group was overtaken often enough.

    def _end_protection(self, group: EquivalenceGroup) -> None:
        """End the protection of a group, and try those that it blocked."""
        self.requeue_at(self.guard.end(group))

    def blocked_at(self, group: EquivalenceGroup) -> Account | None:
        """Return an account of a group on which another one is protected, None where none blocks it."""
        if not self.guard.protected:
            return None
        accounts = self.headroom.accounts(group.needs)
        return next((each for each in accounts if self.guard.blocks(each, group)), None)

    def overtaken(
        self, group: EquivalenceGroup, accounts: Iterable[Account]
    ) -> list[tuple[Account, FirstBlocked]]:
        """Return what is first blocked at these accounts, and overtaken there by a group that starts now."""
        found: list[tuple[Account, FirstBlocked]] = []
        blocked = [(account, best) for account in accounts if (best := self._best_of(account)) is not None]
        place = group.place() if blocked else None
        for account, best in blocked:
            first = self.guard.follow(account, best[1])
            ahead = first.group.place()
            if ahead is not None and place is not None and ahead < place:
                found.append((account, first))
        return found

    # Which groups are inadmissible.

    def _set_aside(self, group: EquivalenceGroup, where: InadmissibleAt) -> None:
        """Make a dequeued group inadmissible at an account."""
        place = group.place()
        if place is None:
            return
        group.inadmissible_at = where
        buckets = self._inadmissible.setdefault(where.account, {})
        buckets.setdefault((where.bucket, group.never_fits), LazyHeap()).put(group, place)

    def _placed(self, group: EquivalenceGroup) -> _Placed | None:
        place = group.place()
        return None if place is None else (place, group)

    def _best_at(self, account: Account) -> _Placed | None:
        """Return the first of the groups that are inadmissible at an account and fit there now."""
        protected = self.guard.protected.get(account)
        best = self._best_of(account, fits=True)
        if protected is None or protected.inadmissible_at is None:
            return best
        if protected.inadmissible_at.account != account or not self._fits_at(account, protected):
            return best
        placed = self._placed(protected)
        return placed if best is None or (placed is not None and placed <= best) else best

    def _best_of(self, account: Account, *, fits: bool = False) -> _Placed | None:
        """Return the first group at an account that may fit at some time; with `fits`, that fits now."""
        found: _Placed | None = None
        for (_, never_fits), heap in self._inadmissible.get(account, {}).items():
            ahead = None if never_fits else heap.first()
            if ahead is None or (found is not None and found[0] < ahead[0]):
                continue
            if fits and not self.headroom.fits_at(account, ahead[1].needs):
                continue  # Then none of the bucket does, and their places do not matter.
            first = self._first_of(heap)
            if first is None or (found is not None and found[0] < first[0]):
                continue
            # Another account may still block it; then it becomes inadmissible there, where it will be found.
            if not fits or not self._is_blocked(account, first[1]):
                found = first
        return found

    def _first_of(self, heap: LazyHeap[EquivalenceGroup]) -> _Placed | None:
        while (first := heap.first()) is not None:
            key, group = first
            place = group.place()
            if place is None:
                heap.discard(group)
            elif place > key:
                heap.raise_first(place)
            else:
                return place, group
        return None

    def _fits_at(self, account: Account, group: EquivalenceGroup) -> bool:
        return not self._is_blocked(account, group) and self.headroom.fits_at(account, group.needs)

    def _is_blocked(self, account: Account, group: EquivalenceGroup) -> bool:
        return account in self.guard.protected and self.guard.blocks(account, group)


def _before_borrowers(
    heap: LazyHeap[EquivalenceGroup | Account] | LazyHeap[EquivalenceGroup], group: EquivalenceGroup
) -> None:
    """Give a group a place that is before its own, which is computed where it matters."""
    key = heap.key(group)
    if key[0]:
        heap.put(group, (0, *key[1:]))
