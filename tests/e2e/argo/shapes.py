"""The fields of Argo's objects that the double reads and writes.

Shapes follow argo-workflows' own types; as there, a zero value is left out when it is written, and a status
loses what is not known here.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias
from zlib import crc32

import msgspec

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare

Anything: TypeAlias = dict[str, object]
"""An object that is kept as it is."""


class Phase(StrEnum):
    """Of a Workflow or a node."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ERROR = "Error"
    SKIPPED = "Skipped"
    OMITTED = "Omitted"


FULFILLED: Final = frozenset(Phase) - {Phase.PENDING, Phase.RUNNING}


class Given(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of what is read alone."""


class Kept(msgspec.Struct, rename="camel", omit_defaults=True):
    """Base of what the double changes and writes back."""


class Metadata(Given, frozen=True):
    """What identifies an object, and what it carries."""

    name: str
    uid: str
    resource_version: str
    creation_timestamp: datetime
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: datetime | None = None


class ConfigMapKey(Given, frozen=True):
    """Where a limit stands."""

    name: str | None = None
    key: str | None = None


class Semaphore(Given, frozen=True):
    """A semaphore with its limit in a ConfigMap."""

    config_map_key_ref: ConfigMapKey = ConfigMapKey()
    namespace: str | None = None


class Mutex(Given, frozen=True):
    """A mutex."""

    name: str | None = None
    namespace: str | None = None


class Synchronization(Given, frozen=True):
    """The locks of a Workflow or a template, in the one form that Argo 4 reads."""

    semaphores: tuple[Semaphore, ...] | None = None
    mutexes: tuple[Mutex, ...] | None = None


class TemplateRef(Given, frozen=True):
    """A reference to a WorkflowTemplate or to one template of it."""

    name: str = ""
    template: str = ""
    cluster_scope: bool | None = None


class Call(Given, frozen=True):
    """A step or a task of a DAG."""

    name: str = ""
    template: str | None = None
    template_ref: TemplateRef | None = None
    inline: "Template | None" = None
    arguments: Anything | None = None
    when: str | None = None
    depends: str | None = None
    dependencies: tuple[str, ...] | None = None
    with_items: object = None


class Dag(Given, frozen=True):
    """The tasks of a DAG."""

    tasks: tuple[Call, ...] | None = None


class PodMetadata(Given, frozen=True):
    """What a template puts on its Pod."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Template(Given, frozen=True):
    """A template; what makes a Pod is kept as it is."""

    name: str = ""
    inputs: Anything | None = None
    container: Anything | None = None
    script: Anything | None = None
    container_set: Anything | None = None
    resource: Anything | None = None
    data: Anything | None = None
    steps: tuple[tuple[Call, ...], ...] | None = None
    dag: Dag | None = None
    synchronization: Synchronization | None = None
    metadata: PodMetadata | None = None
    service_account_name: str | None = None


class Spec(Given, frozen=True):
    """The spec of a Workflow or a WorkflowTemplate."""

    entrypoint: str | None = None
    arguments: Anything | None = None
    templates: tuple[Template, ...] | None = None
    workflow_template_ref: TemplateRef | None = None
    synchronization: Synchronization | None = None
    suspend: bool | None = None
    shutdown: str | None = None
    priority: int | None = None
    service_account_name: str | None = None


class Waited(Kept):
    """What a node waits for."""

    waiting: str = ""


class Node(Kept):
    """One node of a run."""

    id: str
    name: str
    display_name: str
    type: str
    phase: Phase
    template_name: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    children: list[str] = []
    synchronization_status: Waited | None = None


class SemaphoreHolding(Kept):
    """A semaphore and who holds it, by holder key."""

    semaphore: str
    holders: list[str] = []


class SemaphoreStatus(Kept):
    """The semaphores that a Workflow holds or waits for."""

    holding: list[SemaphoreHolding] = []
    waiting: list[SemaphoreHolding] = []


class MutexHolding(Kept):
    """A mutex and who holds it."""

    mutex: str
    holder: str = ""


class MutexStatus(Kept):
    """The mutexes that a Workflow holds or waits for."""

    holding: list[MutexHolding] = []
    waiting: list[MutexHolding] = []


class LockStatus(Kept):
    """The locks of a Workflow."""

    semaphore: SemaphoreStatus | None = None
    mutex: MutexStatus | None = None


class Status(Kept):
    """The status of a Workflow."""

    phase: Phase | None = None
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    nodes: dict[str, Node] = {}
    synchronization: LockStatus | None = None
    stored_workflow_template_spec: Anything | None = None


class Workflow(Given, frozen=True):
    """A Workflow as it is served. `status` is this reader's own and may be changed."""

    metadata: Metadata
    spec: Spec
    status: Status = msgspec.field(default_factory=Status)

    @property
    def key(self) -> str:
        """`namespace/name`, which is also its holder key."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def is_completed(self) -> bool:
        """Whether the controller has nothing more to do with it."""
        return (self.metadata.labels or {}).get(well_known.COMPLETED) == "true"

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Its place in every queue: priority, then age."""
        return (-(self.spec.priority or 0), self.metadata.creation_timestamp, self.key)

    def node_id(self, node: str) -> str:
        """Return the id of a node by its name."""
        return f"{self.metadata.name}-{crc32(node.encode())}"


def as_json(value: object) -> JsonObject:
    """Return a struct or an object as JSON, a copy of its own."""
    copy: JsonObject = msgspec.json.decode(msgspec.json.encode(value))
    return copy


def read_workflow(obj: JsonObject) -> Workflow:
    """Return an object as a Workflow. Raises msgspec.ValidationError where types do not fit."""
    return msgspec.convert(obj, Workflow)


prepare(Workflow)
