"""How a big one gets its turn: smaller ones pass it a bounded number of times, then nobody does.

Of those that are blocked at an account we follow the first. When others behind it have taken from the account
`PASSES` times, or once when it has waited for `PATIENCE` already (a new leader counts anew), it claims the
account: nobody of the same or a lower level starts there until one of its shape has. What ends then adds up,
until it fits.

A group that has a claim claims every account that it then turns out to be short on, and an older claim goes
before a younger one. So the oldest claim is never in the way of itself, and two cannot wait for each other.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from policy.core.queue.equivalence_groups import Group
from policy.core.quota.accounts import Account

PASSES: Final = 16
PATIENCE: Final = timedelta(hours=1)


class FirstBlocked(msgspec.Struct):
    """The first of those blocked at an account, and how often it was passed there."""

    group: Group
    passed: int = 0


class StarvationGuard:
    """Who claims which accounts of one root (`claimants`), and who is about to."""

    def __init__(self, *, passes: int, patience: timedelta) -> None:
        self._passes = passes
        self._patience = patience
        self._first_blocked: dict[Account, FirstBlocked] = {}
        self.claimants: dict[Account, Group] = {}
        self._seniority: dict[Group, int] = {}
        self._held: dict[Group, set[Account]] = {}
        self._order = count()

    def first_blocked(self, account: Account) -> FirstBlocked | None:
        """Return whom we follow at an account, if it still is inadmissible there."""
        first = self._first_blocked.get(account)
        where = None if first is None else first.group.inadmissible_at
        return None if where is None or where.account != account else first

    def begin(self, account: Account, group: Group) -> FirstBlocked:
        """Follow a group that is the first at an account."""
        first = self._first_blocked[account] = FirstBlocked(group)
        return first

    def count_pass(self, first: FirstBlocked, now: datetime) -> bool:
        """Count that one was passed; tells whether it may claim the account now."""
        first.passed += 1
        head = first.group.head()
        if head is None:
            return False
        return first.passed >= self._passes or now - head.created >= self._patience

    def groups(self) -> list[Group]:
        """Return who has a claim."""
        return list(self._seniority)

    def has(self, group: Group) -> bool:
        """Tell whether a group has a claim."""
        return group in self._seniority

    def claim(self, account: Account, group: Group) -> None:
        """Let a group claim an account, unless an older claim is on it."""
        seniority = self._seniority.setdefault(group, next(self._order))
        other = self.claimants.get(account)
        if other is not None:
            if self._seniority[other] <= seniority:
                return
            self._held[other].discard(account)
        self.claimants[account] = group
        self._held.setdefault(group, set()).add(account)

    def bars(self, account: Account, group: Group) -> bool:
        """Tell whether a claim keeps a group from an account."""
        claimant = self.claimants.get(account)
        if claimant is None or claimant is group or group.level() > claimant.level():
            return False
        return self._seniority.get(group, self._seniority[claimant] + 1) > self._seniority[claimant]

    def drop(self, group: Group) -> list[Account]:
        """End a group's claims; returns the accounts that are free of them now."""
        if self._seniority.pop(group, None) is None:
            return []
        freed = sorted(self._held.pop(group, ()))
        for account in freed:
            del self.claimants[account]
        return freed
