"""Where the groups of a root wait: those to be looked at, those parked, those behind another's turn.

Every group is in one place. An account that may have room stands among those to be looked at for the best of
the groups that are parked there and fit, so that one freed slot wakes one group and not a thousand.
"""

from collections.abc import Iterable

from policy.core.amounts import Usage
from policy.core.claims import Claims
from policy.core.groups import Group, Parked
from policy.core.ledger import Account
from policy.core.lineup import Lineup
from policy.core.ordering import Key
from policy.core.parking import Parking
from policy.core.ranking import Ranking
from policy.core.rooms import Rooms


class WaitingRoom:
    """The groups of one root, and how they move when something changes."""

    def __init__(self, *, line: Lineup, rooms: Rooms) -> None:
        self.line = line
        self.rooms = rooms
        self.claims = Claims()
        self.parking = Parking(self.place)
        self._ready: Ranking[Group | Account] = Ranking(self._next)
        self._never: dict[Group, None] = {}

    def first(self) -> Group | None:
        """Return who is to be considered next: the first of those that fit, as far as is known."""
        first = self._ready.first()
        return None if first is None else self._group_of(first[1])

    def look_again(self, group: Group) -> None:
        """Have a group considered again, wherever it is; one that is new too."""
        self.take_out(group)
        self._rank(group)

    def take_out(self, group: Group) -> None:
        """Take a group out of where it is."""
        self._ready.discard(group)
        self.parking.leave(group)
        self.line.queue(group.shape.namespace).behind.pop(group, None)
        if group.never:
            group.never = False
            del self._never[group]

    def open(self, accounts: Iterable[Account]) -> None:
        """Look at those who are parked at these accounts, as far as they fit there now."""
        for account in accounts:
            self._ready.put(account)

    def park(self, group: Group, where: Parked) -> None:
        """Park a group that was taken out."""
        group.borrowed = self.rooms.borrows(group.shape)
        self.parking.park(group, where)

    def give_up_if_never(self, group: Group) -> bool:
        """Park a group that can never fit until limits change; it has no turn and no claims."""
        if group.possible == self.rooms.version:
            return False
        short = self.rooms.short(group.shape)
        if short is None or not self.rooms.never(group.shape):
            group.possible = self.rooms.version
            return False
        self.take_out(group)
        group.never = True
        self._never[group] = None
        self.park(group, short)
        self.drop_claims(group)
        return True

    def drop_claims(self, group: Group) -> None:
        """End a group's claims, and look at those whom they barred."""
        self.open(self.claims.drop(group))

    def next_turn(self, namespace: str) -> None:
        """Let the first of a strict queue try that can ever fit, whatever its place among others is."""
        if namespace not in self.line.strict:
            return
        first = self.line.first(namespace)
        while first is not None and self.give_up_if_never(first):
            first = self.line.first(namespace)
        if first is not None and first in self.line.queue(namespace).behind:
            self.look_again(first)

    def is_its_turn(self, group: Group) -> bool:
        """Tell whether no other group of a strict queue goes before this one."""
        namespace = group.shape.namespace
        return namespace not in self.line.strict or self.line.first(namespace) is group

    def limits_moved(self) -> None:
        """Some may fit now that never did, and some can never fit now that others wait for."""
        for group in list(self._never):
            self.look_again(group)
        for group in self.claims.groups():
            self.give_up_if_never(group)
        for namespace in list(self.line.strict):
            self.next_turn(namespace)

    def share_moved(self, namespace: str) -> None:
        """What a member uses has changed: its groups may borrow no more, or need less of the pool."""
        pool = self.rooms.pool
        if pool is None:
            return
        borrows: dict[tuple[bool, Usage], bool] = {}  # Many shapes of a namespace weigh the same.
        for group in self.line.groups(namespace):
            weight = (group.shape.shares, group.shape.weight)
            if weight not in borrows:
                borrows[weight] = self.rooms.borrows(group.shape)
            borrowed, group.borrowed = group.borrowed, borrows[weight]
            where = group.parked
            if where is None:
                if borrowed and not group.borrowed and group in self._ready:
                    self._ready.put(group)
            elif where.account == pool.account and self.rooms.parked_at(where.account, group.shape) != where:
                self.look_again(group)
            elif borrowed and not group.borrowed:
                self.parking.moved(group)
                if where.account in self._ready:
                    self._ready.put(where.account)

    def barred(self, group: Group) -> Account | None:
        """Return an account of a group that another one claims, None where none bars it."""
        if not len(self.claims):
            return None
        return next((each for each in self.rooms.accounts(group.shape) if self._bars(each, group)), None)

    def _bars(self, account: Account, group: Group) -> bool:
        claimant = self.claims.claimant(account)
        return claimant is not None and self.claims.bars(
            account, group, self.level(group), self.level(claimant)
        )

    def level(self, group: Group) -> int:
        """Return the level of a group's head."""
        head = group.head()
        return 0 if head is None else self.line.order.level(head)

    def place(self, group: Group) -> Key | None:
        """Return the place of a group's head among all of the root."""
        inside = group.place()
        if inside is None:
            return None
        borrows = self.rooms.borrows(group.shape)
        return self.line.order.between(inside, group.shape.namespace, borrows=borrows)

    def _rank(self, group: Group) -> None:
        group.borrowed = self.rooms.borrows(group.shape)
        self._ready.put(group)
        if group.shape.namespace in self.line.strict:
            self.line.queue(group.shape.namespace).ranked.put(group)

    def _group_of(self, item: Group | Account) -> Group:
        """Return who stands for an entry of `_ready`: a group itself, or the best that is parked there."""
        if isinstance(item, Group):
            return item
        best = self._best_at(item)
        if best is None:
            raise AssertionError("an account without anybody who fits has no place")
        return best[1]

    def _next(self, item: Group | Account) -> Key | None:
        if isinstance(item, Group):
            return self.place(item)
        best = self._best_at(item)
        return None if best is None else best[0]

    def _best_at(self, account: Account) -> tuple[Key, Group] | None:
        best = self.parking.best(account, lambda group: self._fits_at(account, group))
        claimant = self.claims.claimant(account)
        if claimant is None or claimant.parked is None or claimant.parked.account != account:
            return best
        place = self.place(claimant)
        if place is None or not self._fits_at(account, claimant) or (best is not None and best[0] < place):
            return best
        return place, claimant

    def _fits_at(self, account: Account, group: Group) -> bool:
        # Another account may still bar it; it is parked there then, where it will be found.
        return self.rooms.has_room(account, group.shape) and not self._bars(account, group)
