"""Who waits, by which rules of its namespace, and why; `policy.core.queue.fair_share` has their order."""

from datetime import datetime

import msgspec

from policy.core.quota.demands import Demand
from policy.core.values.amounts import ZERO, Usage


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
