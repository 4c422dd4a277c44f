"""Where the groups of a root wait: those to be looked at, those inadmissible, those behind another's turn.

Every group is in one place. A group that does not fit is inadmissible at the account that has no room, among
those that need as much there: their first speaks for all. An account that may have room again stands among
what is to be looked at for the best of the groups there that fit, so that one freed slot wakes one group and
not a thousand.
"""

from collections.abc import Hashable, Iterable
from datetime import timedelta
from typing import TypeAlias

from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.equivalence_groups import Group, InadmissibleAt, LazyHeap
from policy.core.queue.headroom import Headroom
from policy.core.queue.ordering import Key
from policy.core.queue.pending import Pending
from policy.core.queue.starvation_guard import FirstBlocked, StarvationGuard
from policy.core.quota.accounts import Account
from policy.core.values.amounts import Usage

_Bucket: TypeAlias = tuple[Hashable, bool]
_Placed: TypeAlias = tuple[Key, Group]
_UNKNOWN: Key = ()
"""Stands before every place: what has it is looked at before anybody goes."""


class SchedulingQueue:
    """The groups of one root, how they move when something changes, and which of them may go."""

    def __init__(self, *, pending: Pending, headroom: Headroom, passes: int, patience: timedelta) -> None:
        self.pending = pending
        self.headroom = headroom
        self.guard = StarvationGuard(passes=passes, patience=patience)
        self._active = LazyHeap[Group | Account]()
        self._inadmissible: dict[Account, dict[_Bucket, LazyHeap[Group]]] = {}
        self._never: dict[Group, None] = {}
        self._turns: dict[str, LazyHeap[Group]] = {}  # Of strict namespaces.
        self._behind: dict[Group, None] = {}

    # Who goes next.

    def next(self) -> Group | None:
        """Return the first group that fits and may go, taken out; who may not is put where it belongs."""
        while (group := self._first()) is not None:
            self.take_out(group)
            if self._may_go(group):
                return group
        return None

    def _first(self) -> Group | None:
        """Return who is to be considered next: the first of those that fit, as far as is known."""
        looked_at: dict[Group | Account, _Placed | None] = {}
        while (first := self._active.first()) is not None:
            key, item = first
            if item not in looked_at:
                looked_at[item] = self._best_at(item) if isinstance(item, Account) else self._placed(item)
            best = looked_at[item]
            if best is None:
                self._active.discard(item)
            elif best[0] > key:
                self._active.put(item, best[0])
            else:
                return best[1]
        return None

    def _may_go(self, group: Group) -> bool:
        """Tell whether the head of a group that was taken out may go, or put the group where it waits."""
        namespace = group.shape.namespace
        if not group or self.pending.rules(namespace).stop_policy is not StopPolicy.NONE:
            self.drop_claims(group)
            return False
        if namespace in self.pending.strict:
            self._take_turn(group)
            self.next_turn(namespace)
        if group.never:
            return False
        if not self.is_its_turn(group):
            self._behind[group] = None
            self.drop_claims(group)
            return False
        if self.give_up_if_never(group):
            self.next_turn(namespace)
            return False
        where = self.headroom.short(group.shape)
        if where is None:
            barred = self.barred(group)
            if barred is None:
                return True
            where = self.headroom.inadmissible_at(barred, group.shape)
        self._set_aside(group, where)
        if self.guard.has(group):
            self.guard.claim(where.account, group)
        return False

    # What has changed.

    def look_again(self, group: Group) -> None:
        """Have a group considered again, wherever it is; one that is new too."""
        self.take_out(group)
        group.borrows = self.headroom.borrows(group.shape)
        place = group.place()
        if place is not None:
            self._active.put(group, place)
            if group.shape.namespace in self.pending.strict:
                self._take_turn(group)

    def take_out(self, group: Group) -> None:
        """Take a group out of where it is."""
        self._active.discard(group)
        self._behind.pop(group, None)
        where = group.inadmissible_at
        if where is not None:
            group.inadmissible_at = None
            bucket = (where.bucket, group.never)
            buckets = self._inadmissible[where.account]
            buckets[bucket].discard(group)
            if not len(buckets[bucket]):
                del buckets[bucket]
                if not buckets:
                    del self._inadmissible[where.account]
        if group.never:
            group.never = False
            del self._never[group]

    def open(self, accounts: Iterable[Account]) -> None:
        """Look at those who are inadmissible at these accounts, as far as they fit there now."""
        for account in accounts:
            if account in self._inadmissible:
                self._active.put(account, _UNKNOWN)

    def limits_moved(self) -> None:
        """Some may fit now that never did, and some can never fit now that others wait for."""
        for group in list(self._never):
            self.look_again(group)
        for group in self.guard.groups():
            self.give_up_if_never(group)
        for namespace in list(self.pending.strict):
            self.next_turn(namespace)

    def share_moved(self, namespace: str) -> None:
        """What a member uses has changed: its groups may borrow no more, or need less of the pool."""
        if self.headroom.pool is None:
            return
        borrows: dict[tuple[bool, Usage], bool] = {}  # Many shapes of a namespace weigh the same.
        for group in self.pending.groups(namespace):
            weight = (group.shape.shares, group.shape.weight)
            if weight not in borrows:
                borrows[weight] = self.headroom.borrows(group.shape)
            borrowed, group.borrows = group.borrows, borrows[weight]
            owns = borrowed and not group.borrows
            where, place = group.inadmissible_at, group.place() if owns else None
            if where is None:
                if place is not None and group in self._active:
                    self._active.put(group, place)
            elif self._needs_other(group, where):
                self.look_again(group)
            elif place is not None:
                self._inadmissible[where.account][where.bucket, group.never].put(group, place)
                if where.account in self._active:
                    self._active.put(where.account, _UNKNOWN)

    def _needs_other(self, group: Group, where: InadmissibleAt) -> bool:
        """Tell whether a group that has no room in the pool needs more or less of it than it did."""
        whole = where.account == self.headroom.whole
        return whole and self.headroom.inadmissible_at(where.account, group.shape) != where

    # Who can never go, and whose turn it is.

    def give_up_if_never(self, group: Group) -> bool:
        """Set a group aside that can never fit until limits change; it has no turn and no claims."""
        if group.possible == self.headroom.version:
            return False
        short = self.headroom.short(group.shape)
        if short is None or not self.headroom.never(group.shape):
            group.possible = self.headroom.version
            return False
        self.take_out(group)
        group.never = True
        self._never[group] = None
        self._set_aside(group, short)
        self.drop_claims(group)
        return True

    def next_turn(self, namespace: str) -> None:
        """Let the first of a strict queue try that can ever fit, whatever its place among others is."""
        if namespace not in self.pending.strict:
            return
        while (first := self._turn(namespace)) is not None and self.give_up_if_never(first):
            pass
        if first is not None and first in self._behind:
            self.look_again(first)

    def is_its_turn(self, group: Group) -> bool:
        """Tell whether no other group of a strict queue goes before this one."""
        namespace = group.shape.namespace
        return namespace not in self.pending.strict or self._turn(namespace) is group

    def _turn(self, namespace: str) -> Group | None:
        """Return whose turn it is in a strict namespace; groups that can never fit have none."""
        turns = self._turns.get(namespace)
        while turns is not None and (first := turns.first()) is not None:
            key, group = first
            now = None if group.never else group.place_in_namespace()
            if now is None:
                turns.discard(group)
            elif now > key:
                turns.put(group, now)
            else:
                return group
        return None

    def _take_turn(self, group: Group) -> None:
        place = group.place_in_namespace()
        if place is not None:
            self._turns.setdefault(group.shape.namespace, LazyHeap()).put(group, place)

    # Who was passed often enough.

    def served(self, group: Group, overtaken: Iterable[tuple[Account, FirstBlocked]]) -> None:
        """The head of a group that was taken out goes: count whom it overtook, look at who is next in it."""
        self.gave_way(group)
        self._count_passes(overtaken)
        if group:
            self.look_again(group)

    def gave_way(self, group: Group) -> None:
        """A group was served or left: its claims end, and in a strict queue it is another's turn."""
        self.drop_claims(group)
        self.next_turn(group.shape.namespace)

    def drop_claims(self, group: Group) -> None:
        """End a group's claims, and look at those whom they barred."""
        self.open(self.guard.drop(group))

    def barred(self, group: Group) -> Account | None:
        """Return an account of a group that another one claims, None where none bars it."""
        if not self.guard.claimants:
            return None
        accounts = self.headroom.accounts(group.shape)
        return next((each for each in accounts if self.guard.bars(each, group)), None)

    def overtaken(self, group: Group, accounts: Iterable[Account]) -> list[tuple[Account, FirstBlocked]]:
        """Return who is first blocked at these accounts, and overtaken there by a group that goes now."""
        found: list[tuple[Account, FirstBlocked]] = []
        blocked = [(account, best) for account in accounts if (best := self._best_of(account)) is not None]
        place = group.place() if blocked else None
        for account, best in blocked:
            first = self.guard.first_blocked(account)
            if first is None or best[1].level() > first.group.level():
                first = self.guard.begin(account, best[1])
            ahead = first.group.place()
            if ahead is not None and place is not None and ahead < place:
                found.append((account, first))
        return found

    def _count_passes(self, passed: Iterable[tuple[Account, FirstBlocked]]) -> None:
        """Count that these were passed; those that were passed often claim the account."""
        for account, first in passed:
            if not self.guard.count_pass(first, self.pending.order.moment):
                continue
            if self.give_up_if_never(first.group):
                self.next_turn(first.group.shape.namespace)
            elif self.guard.first_blocked(account) is first:
                self.guard.claim(account, first.group)

    # Who is inadmissible.

    def _set_aside(self, group: Group, where: InadmissibleAt) -> None:
        """Put a group that was taken out among those that are inadmissible at an account."""
        place = group.place()
        if place is None:
            return
        group.inadmissible_at = where
        buckets = self._inadmissible.setdefault(where.account, {})
        buckets.setdefault((where.bucket, group.never), LazyHeap()).put(group, place)

    def _placed(self, group: Group) -> _Placed | None:
        place = group.place()
        return None if place is None else (place, group)

    def _best_at(self, account: Account) -> _Placed | None:
        """Return the first of those that are inadmissible at an account and fit there now."""
        claimant = self.guard.claimants.get(account)
        best = self._best_of(account, fits=True)
        if claimant is None or claimant.inadmissible_at is None:
            return best
        if claimant.inadmissible_at.account != account or not self._fits_at(account, claimant):
            return best
        claims = self._placed(claimant)
        return claims if best is None or (claims is not None and claims <= best) else best

    def _best_of(self, account: Account, *, fits: bool = False) -> _Placed | None:
        """Return the first group at an account that may fit one day, and fits now if that is asked."""
        found: _Placed | None = None
        for (_, never), heap in self._inadmissible.get(account, {}).items():
            first = None if never else self._first_of(heap)
            if first is None or (found is not None and found[0] < first[0]):
                continue
            if not fits or self._fits_at(account, first[1]):
                found = first
        return found

    def _first_of(self, heap: LazyHeap[Group]) -> _Placed | None:
        while (first := heap.first()) is not None:
            key, group = first
            place = group.place()
            if place is None:
                heap.discard(group)
            elif place > key:
                heap.put(group, place)
            else:
                return place, group
        return None

    def _fits_at(self, account: Account, group: Group) -> bool:
        # Another account may still bar it; it is inadmissible there then, where it will be found.
        barred = account in self.guard.claimants and self.guard.bars(account, group)
        return not barred and self.headroom.has_room(account, group.shape)
