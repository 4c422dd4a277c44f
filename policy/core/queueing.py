"""Who is released next: priority, then age, as many as fit in one pass.

The order is strict, the fit is not: a Workflow that does not fit is passed by others that do
(BestEffortFIFO of Kueue), since a blocked one says nothing about accounts that it does not touch.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from policy.core.amounts import ZERO, Usage
from policy.core.ledger import Account, Demand, Shortfall, shortfalls


class WaitReason(StrEnum):
    """Why a Workflow waits, in order of precedence."""

    EXCEEDS_MAX_QUOTA = "ExceedsMaxQuota"
    WAITING_FOR_QUOTA = "WaitingForQuota"


class Waiter(msgspec.Struct, frozen=True):
    """A held Workflow: its identity, its place in the order, and what it asks for."""

    uid: str
    namespace: str
    name: str
    priority: int
    created: datetime
    arrival: int
    weight: Usage
    demands: tuple[Demand, ...]

    @property
    def order(self) -> tuple[int, datetime, int, str]:
        """Sort key: higher priority first, then older, then first seen; creation times have full seconds."""
        return (-self.priority, self.created, self.arrival, self.uid)


class Waiting(msgspec.Struct, frozen=True):
    """A Workflow that stays: its position among those of its namespace (from 1) and what is short."""

    waiter: Waiter
    position: int
    reason: WaitReason
    short: tuple[Shortfall, ...]


class Plan(msgspec.Struct, frozen=True):
    """What one pass decided: who goes, in order, and who waits and why."""

    released: tuple[Waiter, ...]
    waiting: tuple[Waiting, ...]


def plan(waiters: Iterable[Waiter], taken: Mapping[Account, Usage]) -> Plan:
    """Decide one pass over the queue against what is used and reserved (`Ledger.taken`).

    Released Workflows count at once, so that together they stay within every limit.
    """
    tally = dict(taken)
    released: list[Waiter] = []
    waiting: list[Waiting] = []
    places: dict[str, int] = {}
    for waiter in sorted(waiters, key=lambda each: each.order):
        short = shortfalls(tally, waiter.weight, waiter.demands)
        if not short:
            _charge(tally, waiter)
            released.append(waiter)
            continue
        position = places[waiter.namespace] = places.get(waiter.namespace, 0) + 1
        waiting.append(Waiting(waiter, position, _reason(short), tuple(short)))
    return Plan(tuple(released), tuple(waiting))


def _charge(tally: dict[Account, Usage], waiter: Waiter) -> None:
    for demand in waiter.demands:
        tally[demand.account] = tally.get(demand.account, ZERO) + waiter.weight


def _reason(short: Iterable[Shortfall]) -> WaitReason:
    never = any(shortfall.never_fits for shortfall in short)
    return WaitReason.EXCEEDS_MAX_QUOTA if never else WaitReason.WAITING_FOR_QUOTA
