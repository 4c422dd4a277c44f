"""How often a big Workflow may be overtaken by smaller ones: a bounded number of times, then it is protected.

Of the groups that are blocked at an account, the first is followed. When others behind it were started on the
account `MAX_OVERTAKES` times, or once after it has waited for `LONG_WAIT` (a new leader counts from 0 again),
the group is protected there: no other group of the same or a lower level starts on the account until one of
its Workflows has started. Meanwhile what ends is not used again, until it fits.

A protected group is protected on every account on which it is then found short, and an older protection goes
before a younger one. So the oldest is never blocked by another, and two cannot wait for each other.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from policy.core.queue.equivalence_groups import EquivalenceGroup
from policy.core.quota.accounts import Account

MAX_OVERTAKES: Final = 16
LONG_WAIT: Final = timedelta(hours=1)


class FirstBlocked(msgspec.Struct):
    """The first of the groups that are blocked at an account, and how often it was overtaken there."""

    group: EquivalenceGroup
    overtaken: int = 0


class StarvationGuard:
    """Which group is `protected` on which accounts of one root, and which may be soon."""

    __slots__ = ("_first_blocked", "_long_wait", "_max_overtakes", "_order", "_seniority", "protected")

    def __init__(self, *, max_overtakes: int, long_wait: timedelta) -> None:
        self._max_overtakes = max_overtakes
        self._long_wait = long_wait
        self._first_blocked: dict[Account, FirstBlocked] = {}
        self.protected: dict[Account, EquivalenceGroup] = {}
        self._seniority: dict[EquivalenceGroup, int] = {}
        self._order = count()

    def first_blocked(self, account: Account) -> FirstBlocked | None:
        """Return the group that is followed at an account, if it still is inadmissible there."""
        first = self._first_blocked.get(account)
        where = None if first is None else first.group.inadmissible_at
        return None if where is None or where.account != account else first

    def follow(self, account: Account, group: EquivalenceGroup) -> FirstBlocked:
        """Follow the first group at an account, unless one of its level or a higher one is followed there."""
        first = self.first_blocked(account)
        if first is None or group.level() > first.group.level():
            first = self._first_blocked[account] = FirstBlocked(group)
        return first

    def count_overtake(self, first: FirstBlocked, now: datetime) -> bool:
        """Count that a group was overtaken; return whether it is to be protected now."""
        first.overtaken += 1
        head = first.group.head()
        if head is None:
            return False
        return first.overtaken >= self._max_overtakes or now - head.created >= self._long_wait

    def groups(self) -> list[EquivalenceGroup]:
        """Return the groups that are protected."""
        return list(self._seniority)

    def protects(self, group: EquivalenceGroup) -> bool:
        """Return whether a group is protected."""
        return group in self._seniority

    def protect(self, account: Account, group: EquivalenceGroup) -> None:
        """Protect a group on an account, unless an older protection is on it."""
        seniority = self._seniority.setdefault(group, next(self._order))
        other = self.protected.get(account)
        if other is None or self._seniority[other] > seniority:
            self.protected[account] = group

    def blocks(self, account: Account, group: EquivalenceGroup) -> bool:
        """Return whether another group is protected on an account, so that this one may not start there."""
        protected = self.protected.get(account)
        if protected is None or protected is group or group.level() > protected.level():
            return False
        return self._seniority.get(group, self._seniority[protected] + 1) > self._seniority[protected]

    def end(self, group: EquivalenceGroup) -> list[Account]:
        """End the protection of a group; return the accounts on which it was protected."""
        if self._seniority.pop(group, None) is None:
            return []
        freed = sorted(account for account, protected in self.protected.items() if protected is group)
        for account in freed:
            del self.protected[account]
        return freed
