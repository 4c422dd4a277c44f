"""The parts of quotas as authors write them: limits and when they change, how to wait, who may borrow."""

from enum import StrEnum
from typing import Literal

import msgspec

from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.values.amounts import AmountField


class PolicyStruct(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of policy structs: immutable, camelCase on the wire."""


class QuotaLimits(PolicyStruct, frozen=True):
    """How much may run at once; an absent bound is unlimited, 0 lets nothing run."""

    workflows: AmountField | None = None
    tasks: AmountField | None = None


class QueueStrategy(StrEnum):
    """Whether a Workflow that does not fit lets those behind it pass."""

    STRICT_FIFO = "StrictFIFO"
    BEST_EFFORT_FIFO = "BestEffortFIFO"


class StopPolicy(StrEnum):
    """Whether anything is released.

    Hold releases nothing. HoldAndDrain also queues nothing any more, so that the namespace empties. What runs
    ends by itself in both.
    """

    NONE = "None"
    HOLD = "Hold"
    HOLD_AND_DRAIN = "HoldAndDrain"


class WindowSpec(PolicyStruct, frozen=True):
    """Other limits, from each time of a cron `schedule` in `time_zone`, for a `duration`."""

    name: str
    schedule: str
    duration: str
    limits: QuotaLimits
    time_zone: str = "UTC"


class QueueSpec(PolicyStruct, frozen=True):
    """How the Workflows of a namespace wait. Absent: no bound on length or wait."""

    strategy: QueueStrategy = QueueStrategy.BEST_EFFORT_FIFO
    max_length: int | None = None
    max_wait: str | None = None
    aging: str = "1h"


class ReserveSpec(PolicyStruct, frozen=True):
    """The last Workflows and tasks of the limits, kept for priorities above a level."""

    above_priority: int
    workflows: int = 0
    tasks: int = 0


class ShareSpec(PolicyStruct, frozen=True):
    """The share that a pool gives one member; of what is absent `namespaceDefaults` speak, if they do."""

    workflows: int | None = None
    tasks: int | None = None


class BorrowingSpec(PolicyStruct, frozen=True):
    """Whether members of a pool may use what others leave idle, how much, and how much they lend at most.

    `shares` are those of members by their namespaces. A quota of a member may lower what the pool gives.
    """

    enabled: bool = True
    borrowing_limit: QuotaLimits = QuotaLimits()
    lending_limit: QuotaLimits = QuotaLimits()
    shares: dict[str, ShareSpec] = {}


class FairShareSpec(PolicyStruct, frozen=True):
    """How the past counts between the namespaces of a pool: weights (absent: 1) and half-life."""

    weights: dict[str, int] = {}
    half_life: str = "1d"


class ElasticSpec(PolicyStruct, frozen=True):
    """Limits that follow the ready nodes that `selector` selects, between `min` and `max`."""

    source: Literal["Nodes"] = "Nodes"
    selector: LabelSelector = EVERYTHING
    tasks_per_node: int | None = None
    tasks_per_cpu: int | None = msgspec.field(default=None, name="tasksPerCPU")
    workflows_per_node: int | None = None
    min: QuotaLimits = QuotaLimits()
    max: QuotaLimits = QuotaLimits()
    stabilization: str = "5m"

    def rates(self, resource: str) -> dict[str, int]:
        """Return the given rates by which `workflows` or `tasks` follow nodes, by field."""
        rates = {"workflowsPerNode": self.workflows_per_node}
        if resource == "tasks":
            rates = {"tasksPerNode": self.tasks_per_node, "tasksPerCPU": self.tasks_per_cpu}
        return {name: rate for name, rate in rates.items() if rate is not None}
