"""What of a running Workflow concerns locks: the fields that are read, and the record that is stored."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from policy.core.objects.workflow import Metadata, Read, Synchronization, TemplateRef
from policy.core.values.prepared import prepare

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone, as Argo writes it; one without could not be compared with ours."""
_ACTIVE: Final = frozenset({"", "Pending", "Running"})


class Waited(Read, frozen=True):
    """The lock that a node is waiting for."""

    waiting: str | None = None


class WorkflowNode(Read, frozen=True):
    """One node of a run."""

    name: str | None = None
    type: str | None = None
    phase: str | None = None
    message: str | None = None
    daemoned: bool | None = None
    template_name: str | None = None
    template_ref: TemplateRef | None = None
    template_scope: str | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    children: tuple[str, ...] | None = None
    boundary_id: str | None = msgspec.field(default=None, name="boundaryID")
    synchronization_status: Waited | None = None

    @property
    def active(self) -> bool:
        """Whether it is not completed."""
        return (self.phase or "") in _ACTIVE

    @property
    def serves(self) -> bool:
        """Whether it is a daemon that is ready: it waits for nothing, and nothing waits for it.

        From 3.7 on, Argo asks for its lock again at every look, and notes a wait where another has it.
        """
        return bool(self.daemoned) and (self.phase or "") == "Running"

    @property
    def waits_for(self) -> str:
        """The lock that it is waiting for now, "" where it does not wait."""
        status = self.synchronization_status
        waits = status is not None and self.active and not self.serves
        return (status.waiting or "") if status is not None and waits else ""


class Holding(Read, frozen=True):
    """A lock and the nodes of this Workflow that hold it: several of a semaphore, one of a mutex."""

    semaphore: str | None = None
    mutex: str | None = None
    holders: tuple[str, ...] | None = None
    holder: str | None = None


class LockList(Read, frozen=True):
    """The holders of one kind of lock."""

    holding: tuple[Holding, ...] | None = None


class LockStatus(Read, frozen=True):
    """`status.synchronization`."""

    semaphore: LockList | None = None
    mutex: LockList | None = None


class LiveCall(Read, frozen=True):
    """A DAG task or a step: whether it calls templates of other objects."""

    template_ref: TemplateRef | None = None
    inline: "LiveTemplate | None" = None


class LiveDag(Read, frozen=True):
    """The tasks of a DAG."""

    tasks: tuple[LiveCall, ...] | None = None


class LiveTemplate(Read, frozen=True):
    """The locks of a template, and what it calls."""

    name: str | None = None
    daemon: bool | None = None
    synchronization: Synchronization | None = None
    dag: LiveDag | None = None
    steps: tuple[tuple[LiveCall, ...], ...] | None = None


class LiveSpec(Read, frozen=True):
    """The fields of a spec that concern locks."""

    priority: int | None = None
    suspend: bool | None = None
    shutdown: str | None = None
    active_deadline_seconds: int | str | None = None
    templates: tuple[LiveTemplate, ...] | None = None
    synchronization: Synchronization | None = None
    workflow_template_ref: TemplateRef | None = None


class LiveStatus(Read, frozen=True):
    """The fields of a status that concern locks."""

    phase: str | None = None
    message: str | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    nodes: dict[str, WorkflowNode] | None = None
    compressed_nodes: str | None = None
    offload_node_status_version: str | None = None
    synchronization: LockStatus | None = None
    stored_workflow_template_spec: LiveSpec | None = None
    stored_templates: dict[str, LiveTemplate] | None = None


class LiveWorkflow(Read, frozen=True):
    """A Workflow as a watch gives it."""

    metadata: Metadata = Metadata()
    spec: LiveSpec = LiveSpec()
    status: LiveStatus = LiveStatus()


WorkflowNodes = dict[str, WorkflowNode]
prepare(LiveWorkflow, WorkflowNodes)


class LockHold(msgspec.Struct, frozen=True, gc=False):
    """A lock that a node holds; the node "" is the Workflow itself.

    `stuck_on` are the nodes below the holder that wait for locks, where nothing else is active there: the
    holder releases the lock only after one of them continues. Empty: something is active, or it is unknown.
    With `left`, Argo never comes back to the holder, which keeps the lock until the Workflow ends.
    """

    lock: str
    node: str
    stuck_on: tuple[str, ...]
    left: bool = False


class LockWait(msgspec.Struct, frozen=True, gc=False):
    """A lock that a node waits for; the node "" is the Workflow itself.

    `poisoned` is why Argo gives the lock to nobody until its controller is restarted, "" where it does. With
    `left`, Argo never comes back to the waiter.
    """

    lock: str
    node: str
    since: datetime
    poisoned: str = ""
    left: bool = False


class Traced(msgspec.Struct, frozen=True):
    """The record of a running Workflow.

    `named` are the locks that its own spec names; `indexed` those by which Argo finds it when a ConfigMap
    changes (argo-workflows C.5). With `open_ended`, it may wait for locks that are not named there.
    """

    namespace: str
    name: str
    uid: str
    created: datetime
    priority: int
    deadline: datetime | None
    holds: tuple[LockHold, ...]
    waits: tuple[LockWait, ...]
    named: frozenset[str]
    indexed: frozenset[str]
    open_ended: bool

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Its place in every queue of Argo: priority, then age."""
        return (-self.priority, self.created, self.name)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"
