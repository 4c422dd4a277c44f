"""Who waits, by which rules of its namespace, and why; `policy.core.fairshare` has their order."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.amounts import ZERO, Usage
from policy.core.ledger import Demand
from policy.core.quota_kinds import QueueStrategy, StopPolicy

DEFAULT_AGING: Final = timedelta(hours=1)


class WaitReason(StrEnum):
    """Why a Workflow waits, in order of precedence."""

    MISCONFIGURED = "Misconfigured"
    ON_HOLD = "OnHold"
    EXCEEDS_MAX_QUOTA = "ExceedsMaxQuota"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    WAITING_FOR_HIGHER_PRIORITY = "WaitingForHigherPriority"
    RELEASING = "Releasing"


class QueueRules(msgspec.Struct, frozen=True):
    """How the Workflows of one namespace wait. `aging` None: priorities stay as they are."""

    strategy: QueueStrategy = QueueStrategy.BEST_EFFORT_FIFO
    aging: timedelta | None = DEFAULT_AGING
    max_length: int | None = None
    max_wait: timedelta | None = None
    stop_policy: StopPolicy = StopPolicy.NONE


USUAL_RULES: Final = QueueRules()


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
