"""TODO."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy

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
