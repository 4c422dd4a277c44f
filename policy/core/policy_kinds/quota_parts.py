"""The spec of a quota as its author writes it: limits, windows, reserve, groups, borrowing and so on."""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.objects.workflow_selectors import EVERY_WORKFLOW, WorkflowSelector
from policy.core.values.amounts import AmountField


class PolicyStruct(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of policy structs: immutable, camelCase on the wire."""


class QuotaLimits(PolicyStruct, frozen=True):
    """How many Workflows and tasks may run at once; an absent bound is unlimited, with 0 nothing runs."""

    workflows: AmountField | None = None
    tasks: AmountField | None = None


class QueueStrategy(StrEnum):
    """Whether later Workflows may start before one that does not fit."""

    STRICT_FIFO = "StrictFIFO"
    BEST_EFFORT_FIFO = "BestEffortFIFO"


class StopPolicy(StrEnum):
    """Whether Workflows are released.

    Hold releases none. HoldAndDrain also queues no new ones, so that the namespace drains. In both, running
    Workflows continue to their end.
    """

    NONE = "None"
    HOLD = "Hold"
    HOLD_AND_DRAIN = "HoldAndDrain"


class WindowSpec(PolicyStruct, frozen=True):
    """Other limits that start at each time of a cron `schedule` in `time_zone` and last a `duration`."""

    name: str
    schedule: str
    duration: str
    limits: QuotaLimits
    time_zone: str = "UTC"


class QueueSpec(PolicyStruct, frozen=True):
    """How the Workflows of a namespace wait; absent bounds on length and wait are unlimited."""

    strategy: QueueStrategy = QueueStrategy.BEST_EFFORT_FIFO
    max_length: int | None = None
    max_wait: str | None = None
    aging: str = "1h"


class ReserveSpec(PolicyStruct, frozen=True):
    """The part of the limits that is reserved for priorities above a level."""

    above_priority: int
    workflows: int = 0
    tasks: int = 0


class ShareSpec(PolicyStruct, frozen=True):
    """The nominal quota that a pool gives a member; absent fields are as in `namespaceDefaults`, if any."""

    workflows: int | None = None
    tasks: int | None = None


class BorrowingSpec(PolicyStruct, frozen=True):
    """Whether members of a pool may borrow what others leave idle, and the most they borrow and lend.

    `shares` are by namespace. The quota of a member may lower its share.
    """

    enabled: bool = True
    borrowing_limit: QuotaLimits = QuotaLimits()
    lending_limit: QuotaLimits = QuotaLimits()
    shares: dict[str, ShareSpec] = {}


class FairShareSpec(PolicyStruct, frozen=True):
    """How past usage counts between the namespaces of a pool: weights (absent: 1) and half-life."""

    weights: dict[str, int] = {}
    half_life: str = "1d"


class ElasticSpec(PolicyStruct, frozen=True):
    """Limits that follow the number of ready nodes that match `selector`, between `min` and `max`."""

    source: Literal["Nodes"] = "Nodes"
    selector: LabelSelector = EVERYTHING
    tasks_per_node: int | None = None
    tasks_per_cpu: int | None = msgspec.field(default=None, name="tasksPerCPU")
    workflows_per_node: int | None = None
    min: QuotaLimits = QuotaLimits()
    max: QuotaLimits = QuotaLimits()
    stabilization: str = "5m"

    def rates(self, resource: str) -> dict[str, int]:
        """Return the given rates of `workflows` or `tasks` per node or CPU, by field."""
        rates = {"workflowsPerNode": self.workflows_per_node}
        if resource == "tasks":
            rates = {"tasksPerNode": self.tasks_per_node, "tasksPerCPU": self.tasks_per_cpu}
        return {name: rate for name, rate in rates.items() if rate is not None}


class OnExceed(StrEnum):
    """What happens to a Workflow that does not fit: is queued, is refused, or runs with a warning."""

    QUEUE = "Queue"
    DENY = "Deny"
    WARN = "Warn"


class PriorityAbove(StrEnum):
    """What happens to a Workflow with a priority above the cap: it is refused, or its priority is lowered."""

    DENY = "Deny"
    LOWER = "Lower"


class PerWorkflow(PolicyStruct, frozen=True):
    """Limits of a single Workflow: its tasks (`spec.parallelism`: default and cap) and its priority (cap)."""

    default_tasks: int | None = None
    max_tasks: int | None = None
    max_priority: int | None = None
    on_priority_above: PriorityAbove = PriorityAbove.DENY


class WhenBusy(StrEnum):
    """What happens to a new Workflow of a group whose key is at its limit.

    Queue: it waits. KeepNewest: it waits, and those that wait under its key end. CancelRunning: in addition,
    those that run are asked to stop. Refuse: it is refused.
    """

    QUEUE = "Queue"
    KEEP_NEWEST = "KeepNewest"
    CANCEL_RUNNING = "CancelRunning"
    REFUSE = "Refuse"


class CancelBy(StrEnum):
    """How a running Workflow is asked to stop (`spec.shutdown`): only Stop lets its exit handlers run."""

    STOP = "Stop"
    TERMINATE = "Terminate"


class MissingPart(StrEnum):
    """What happens to a Workflow that lacks a part of a key: the group leaves it out, or it is refused."""

    IGNORE = "Ignore"
    DENY = "Deny"


class GroupSpec(PolicyStruct, frozen=True):
    """Limits for the Workflows that have the same key together; each key has them for itself."""

    name: str
    key: str
    limits: QuotaLimits = QuotaLimits(workflows=1)
    when_busy: WhenBusy = WhenBusy.QUEUE
    cancel: CancelBy = CancelBy.TERMINATE
    missing: MissingPart = MissingPart.IGNORE


class WorkflowQuotaSpec(PolicyStruct, frozen=True):
    """Limits of the Workflows that match `selector` (absent: all)."""

    selector: WorkflowSelector = EVERY_WORKFLOW
    limits: QuotaLimits = QuotaLimits()
    per_workflow: PerWorkflow = PerWorkflow()
    per_user: QuotaLimits = QuotaLimits()
    on_exceed: OnExceed = OnExceed.QUEUE
    queue: QueueSpec = QueueSpec()
    stop_policy: StopPolicy = StopPolicy.NONE
    windows: tuple[WindowSpec, ...] = ()
    reserve: tuple[ReserveSpec, ...] = ()
    groups: tuple[GroupSpec, ...] = ()


class ClusterWorkflowQuotaSpec(WorkflowQuotaSpec, frozen=True, kw_only=True):
    """A pool: the limits hold for all selected namespaces together.

    With `borrowing`, the limits of a member's own quota are its share: its nominal quota, which others may
    borrow while it is idle. With `elastic`, the limits follow the nodes, within those that are written.
    """

    namespace_selector: LabelSelector
    namespace_defaults: WorkflowQuotaSpec | None = None
    borrowing: BorrowingSpec | None = None
    fair_share: FairShareSpec = FairShareSpec()
    elastic: ElasticSpec | None = None


RESOURCES: Final = ("workflows", "tasks")
