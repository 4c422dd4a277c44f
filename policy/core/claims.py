"""How a big one gets its turn: smaller ones pass it a bounded number of times, then nobody does.

At every account the first of those that are blocked there is its front. When others behind it have taken from
the account `PASSES` times, or once when the front has waited for `PATIENCE` already (a new leader counts
anew), the front claims the account: nobody of the same or a lower level starts there until one of the front's
shape has. What ends then adds up, until the front fits.

A group that has a claim claims every account that it then turns out to be short on, and an older claim goes
before a younger one. So the oldest claim is never in the way of itself, and two cannot wait for each other.
"""

from datetime import timedelta
from itertools import count
from typing import Final

import msgspec

from policy.core.groups import Group
from policy.core.ledger import Account

PASSES: Final = 16
PATIENCE: Final = timedelta(hours=1)


class Front(msgspec.Struct):
    """The first of those blocked at an account, and how often it was passed there."""

    group: Group
    passed: int = 0


class Claims:
    """Who claims which accounts of one root, and who is about to."""

    def __init__(self) -> None:
        self._fronts: dict[Account, Front] = {}
        self._closed: dict[Account, Group] = {}
        self._seniority: dict[Group, int] = {}
        self._held: dict[Group, set[Account]] = {}
        self._order = count()

    def front(self, account: Account) -> Front | None:
        """Return the front of an account, if it still is parked there."""
        front = self._fronts.get(account)
        if front is None or front.group.parked is None or front.group.parked.account != account:
            return None
        return front

    def begin(self, account: Account, group: Group) -> Front:
        """Make a group the front of an account."""
        front = self._fronts[account] = Front(group)
        return front

    def claimant(self, account: Account) -> Group | None:
        """Return who claims an account."""
        return self._closed.get(account)

    def groups(self) -> list[Group]:
        """Return who has a claim."""
        return list(self._seniority)

    def has(self, group: Group) -> bool:
        """Tell whether a group has a claim."""
        return group in self._seniority

    def claim(self, account: Account, group: Group) -> None:
        """Let a group claim an account, unless an older claim is on it."""
        seniority = self._seniority.setdefault(group, next(self._order))
        other = self._closed.get(account)
        if other is not None:
            if self._seniority[other] <= seniority:
                return
            self._held[other].discard(account)
        self._closed[account] = group
        self._held.setdefault(group, set()).add(account)

    def bars(self, account: Account, group: Group, level: int, claimants_level: int) -> bool:
        """Tell whether a claim keeps a group of this level from an account."""
        claimant = self._closed.get(account)
        if claimant is None or claimant is group or level > claimants_level:
            return False
        return self._seniority.get(group, self._seniority[claimant] + 1) > self._seniority[claimant]

    def drop(self, group: Group) -> list[Account]:
        """End a group's claims; returns the accounts that are free of them now."""
        if self._seniority.pop(group, None) is None:
            return []
        freed = sorted(self._held.pop(group, ()))
        for account in freed:
            del self._closed[account]
        return freed

    def __len__(self) -> int:
        return len(self._closed)
