"""TODO."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from policy.core.objects.workflow import LOWEST_PRIORITY
from policy.core.queue.fair_share import FairShare
from policy.core.quota.accounts import Tenant
from policy.core.quota.compiled_quota import USUAL_RULES, QueueRules
from policy.core.quota.demands import Demand
from policy.core.values.amounts import ZERO, Usage

Key: TypeAlias = tuple[int | datetime | str, ...]
"""A place in an order; keys that are compared have the same shape."""


class Order:
    """The order at one moment: the time, the rules and the past that it depends on.

    `ladder` has the different priorities that are waited with, the lowest first; who stands above all that a
    Workflow may have (`HIGHEST_PRIORITY`) is no step of it. It is the one of the latest
    look and no more: were it another after each release, everybody who has aged would have to be put anew.
    """

    def __init__(self, *, fair: FairShare, now: datetime) -> None:
        self.fair = fair
        self.moment = now
        self.rules: dict[str, QueueRules] = {}
        self.ladder: Sequence[int] = ()

    @property
    def top(self) -> int:
        """The highest priority that anybody waits with."""
        return self.ladder[-1] if self.ladder else LOWEST_PRIORITY

    def level(self, waiter: Waiter) -> int:
        """Return the priority that a waiter counts as: its own, or the one that its age has brought it to."""
        own, ladder = waiter.priority, self.ladder
        if not ladder or own >= ladder[-1]:
            return own
        gained = self._gained(waiter)
        if not gained:
            return own
        if gained >= len(ladder).bit_length():
            return ladder[-1]
        passed = (1 << gained) - 1
        return ladder[min(bisect_right(ladder, own) - 1 + passed, len(ladder) - 1)]

    def rises(self, waiter: Waiter) -> datetime | None:
        """Return when a waiter may rise next, None where there is nothing above it."""
        aging = self._aging(waiter)
        if aging is None or self.level(waiter) >= self.top:
            return None
        return waiter.created + aging * (self._gained(waiter) + 1)

    def in_namespace(self, waiter: Waiter) -> Key:
        """Return the place of a waiter among those of its namespace."""
        used = self.fair.rank(Tenant(waiter.namespace, waiter.user)) if waiter.user else 0
        return (-self.level(waiter), used, waiter.created, waiter.arrival, waiter.uid)

    def in_root(self, place: Key, namespace: str, *, borrows: bool) -> Key:
        """Return the place among all of its root, of who has this `place` in a namespace."""
        return (int(borrows), place[0], self.fair.rank(Tenant(namespace)), *place[1:])

    def _aging(self, waiter: Waiter) -> timedelta | None:
        return self.rules.get(waiter.namespace, USUAL_RULES).aging

    def _gained(self, waiter: Waiter) -> int:
        aging = self._aging(waiter)
        return 0 if aging is None else max(0, (self.moment - waiter.created) // aging)


class Want(msgspec.Struct, frozen=True):
    """One account that a waiter needs room on, and what a reserve keeps from it there."""

    demand: Demand
    withheld: Usage = ZERO


class Waiter(msgspec.Struct, frozen=True):
    """A held Workflow: who it is, its place in the order, and what it needs.

    `shares` says that it also needs room in the quota tree of its pool, as the member of its namespace's
    name, and `withheld` what the pool's reserve keeps from it. With a `fault` it is not let go, and waits.
    """

    uid: str
    namespace: str
    name: str
    user: str
    priority: int
    created: datetime
    arrival: int
    weight: Usage
    wants: tuple[Want, ...]
    shares: bool = False
    withheld: Usage = ZERO
    fault: str = ""
