"""Which Workflow goes before which: owners before borrowers, then aged priority, then fair share, then age.

- A member of a pool that stays within its share goes before one that borrows: the owner gets back the next
  slot that is free, whatever priorities others use.
- A Workflow that has waited passes priorities above its own, by their rank among the priorities of all that
  wait, whatever the numbers are: one after the first `aging`, then 3, 7, 15, up to the highest. So none is
  overtaken for ever, neither by a huge number nor by many different ones. Where all have the same priority,
  age does not count here, or a long backlog would win against fair share.
- Fair share is between namespaces, then between users of a namespace (`policy.core.queue.fair_share`).
- Age is the time of creation, then the order in which the controller first saw them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from policy.core.objects.workflow import LOWEST_PRIORITY
from policy.core.queue.fair_share import FairShare
from policy.core.quota.accounts import Tenant
from policy.core.quota.compiled_quota import DEFAULT_RULES, QueueRules
from policy.core.quota.demands import Demand
from policy.core.values.amounts import ZERO, Usage

Key: TypeAlias = tuple[int | datetime | str, ...]
"""A place in an order; keys that are compared have the same form."""


class Want(msgspec.Struct, frozen=True, gc=False):
    """A demand of a waiter on one account, and what is reserved there for higher priorities."""

    demand: Demand
    withheld: Usage = ZERO


class Requirements(msgspec.Struct, frozen=True, gc=False):
    """What a Workflow needs to be released: how much, and on which accounts.

    `shares`: it also needs capacity in the tree of its pool, as the member of its namespace's name, without
    what the pool has `withheld` for higher priorities.
    """

    namespace: str
    requested: Usage
    wants: tuple[Want, ...]
    shares: bool = False
    withheld: Usage = ZERO


class Waiter(msgspec.Struct, frozen=True, gc=False):
    """A held Workflow: which one it is, what its order depends on, and what it needs.

    With a `fault`, or while it is `on_hold`, it waits and is not released.
    """

    uid: str
    namespace: str
    name: str
    user: str
    priority: int
    created: datetime
    arrival: int
    needs: Requirements
    fault: str = ""
    on_hold: bool = False

    @property
    def stands_aside(self) -> bool:
        """Whether it is not released as it is, and so blocks no others."""
        return self.on_hold or self.fault != ""


class Order:
    """The order at one time: that time, and the rules and the past usage on which it depends.

    `priorities` are the different priorities of those that wait, the lowest first, without those above
    `HIGHEST_PRIORITY`. They are updated once before each plan and not after each release: otherwise all that
    have aged would have to be sorted again.

    A place stays the same while the ranks in it and the `version` of the priorities do, but for a level that
    rises with age.
    """

    __slots__ = ("fair", "now", "priorities", "rules", "version")

    def __init__(self, *, fair: FairShare, now: datetime) -> None:
        self.fair = fair
        self.now = now
        self.rules: dict[str, QueueRules] = {}
        self.priorities: Sequence[int] = ()
        self.version = 0

    def set_priorities(self, priorities: Sequence[int]) -> None:
        """Replace the priorities by which levels are computed."""
        self.priorities = priorities
        self.version += 1

    def level(self, waiter: Waiter) -> int:
        """Return the priority that a waiter counts as: its own, or the higher one that it has by its age."""
        own, priorities = waiter.priority, self.priorities
        if not priorities or own >= priorities[-1]:
            return own
        gained = self._gained(waiter)
        if not gained:
            return own
        if gained >= len(priorities).bit_length():
            return priorities[-1]
        passed = (1 << gained) - 1
        return priorities[min(bisect_right(priorities, own) - 1 + passed, len(priorities) - 1)]

    def rises(self, waiter: Waiter) -> datetime | None:
        """Return when the level of a waiter may rise next, None where it is the highest or does not rise."""
        aging = self._aging(waiter)
        highest = self.priorities[-1] if self.priorities else LOWEST_PRIORITY
        if aging is None or self.level(waiter) >= highest:
            return None
        return waiter.created + aging * (self._gained(waiter) + 1)

    def in_namespace(self, waiter: Waiter) -> Key:
        """Return the place of a waiter in its namespace."""
        used = self.rank(Tenant(waiter.namespace, waiter.user)) if waiter.user else 0
        return (-self.level(waiter), used, waiter.created, waiter.arrival, waiter.uid)

    def in_root(self, place: Key, namespace: Tenant, *, borrows: bool) -> Key:
        """Return the place in the root of the waiter with this `place` in a namespace."""
        level, used, created, arrival, uid = place
        return (int(borrows), level, self.rank(namespace), used, created, arrival, uid)

    def rank(self, tenant: Tenant) -> int:
        """Return the rank of a tenant by fair share: the lowest goes first."""
        return self.fair.ranks.get(tenant, 0)

    def _aging(self, waiter: Waiter) -> timedelta | None:
        return self.rules.get(waiter.namespace, DEFAULT_RULES).aging

    def _gained(self, waiter: Waiter) -> int:
        aging = self._aging(waiter)
        return 0 if aging is None else max(0, (self.now - waiter.created) // aging)
