"""The fields of Argo's objects that Lockkeeper reads, and the defaults of Argo's controller for Workflows.

Shapes follow Argo 4.1 `pkg/apis/workflow/v1alpha1/workflow_types.go`. Every field may be null, because
Go decodes null as the zero value. A value of another type does not decode: Argo's own controller would crash
on it (argo-verified V.0), so it is refused with its path. Other fields pass through unchanged.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from policy.core.values.prepared import prepare

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""Go's integers; a number beyond them does not decode in Go."""
HIGHEST_PRIORITY: Final = 2**31 - 1
LOWEST_PRIORITY: Final = -(2**31)
"""Bounds of `spec.priority`, which is an int32 to Argo."""
RawTemplate: TypeAlias = Mapping[str, Any]
"""A template as written, with all its fields."""


class Read(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Base of the narrow structs: camelCase on the wire, unknown fields ignored."""


class Present(Read, frozen=True):
    """An object of which only the presence matters."""


class OwnerReference(Read, frozen=True):
    """Who owns an object (`metav1.OwnerReference`)."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(Read, frozen=True):
    """The object metadata that decisions and the tracker need."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class ConfigMapKeyRef(Read, frozen=True):
    """`corev1.ConfigMapKeySelector`: where Argo reads a semaphore's limit."""

    name: str | None = None
    key: str | None = None


class DatabaseRef(Read, frozen=True):
    """A limit that is stored in Argo's SQL database (3.7 and later)."""

    key: str | None = None


class SemaphoreRef(Read, frozen=True):
    """One semaphore: `configMapKeyRef` or `database`, in `namespace` or the Workflow's own."""

    config_map_key_ref: ConfigMapKeyRef | None = None
    database: DatabaseRef | None = None
    namespace: str | None = None


class MutexRef(Read, frozen=True):
    """One mutex: a name, in `namespace` or the Workflow's own."""

    name: str | None = None
    namespace: str | None = None
    database: bool | None = None


class Synchronization(Read, frozen=True):
    """The locks of a Workflow or template: lists since Argo 3.6, single fields until 3.7."""

    semaphores: tuple[SemaphoreRef, ...] | None = None
    mutexes: tuple[MutexRef, ...] | None = None
    semaphore: SemaphoreRef | None = None
    mutex: MutexRef | None = None


class VolumeMount(Read, frozen=True):
    """Which volume a container mounts."""

    name: str | None = None


class Container(Read, frozen=True):
    """A container or script: its image, and what it mounts."""

    image: str | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    name: str | None = None


class ContainerNode(Container, frozen=True):
    """A container of a set, and the others of it that it waits for."""

    dependencies: tuple[str, ...] | None = None


class ContainerSet(Read, frozen=True):
    """A set of containers that share one pod."""

    containers: tuple[ContainerNode, ...] | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None


class PersistentVolumeClaim(Read, frozen=True):
    """The claim of a volume."""

    claim_name: str | None = None


class Volume(Read, frozen=True):
    """A volume of a template or of the whole Workflow; only claims are read."""

    name: str | None = None
    persistent_volume_claim: PersistentVolumeClaim | None = None


class Executor(Read, frozen=True):
    """The account of the executor, which creates the object of a resource template."""

    service_account_name: str | None = None


class ResourceTemplate(Read, frozen=True):
    """The action of a resource template, and the manifest of its object."""

    action: str | None = None
    manifest: str | None = None
    set_owner_reference: bool | None = None
    success_condition: str | None = None
    failure_condition: str | None = None


class TemplateRef(Read, frozen=True):
    """A reference to a template of a WorkflowTemplate or ClusterWorkflowTemplate."""

    name: str | None = None
    template: str | None = None
    cluster_scope: bool | None = None


class Parameter(Read, frozen=True):
    """A parameter of `arguments` or `inputs`; Argo reads a value of any scalar type as its text."""

    name: str | None = None
    value: Any = None
    default: Any = None


class Parameters(Read, frozen=True):
    """`arguments` or `inputs`, of which only the parameters are read."""

    parameters: tuple[Parameter, ...] | None = None


class Hook(Read, frozen=True):
    """A lifecycle hook: what runs at an event; without an `expression` only the event `exit` runs it."""

    template: str | None = None
    template_ref: TemplateRef | None = None
    arguments: Parameters | None = None
    expression: str | None = None


class NumberSequence(Read, frozen=True):
    """The numbers of a loop: integers, or texts that may have tags."""

    count: Any = None
    start: Any = None
    end: Any = None
    format: str | None = None


class Call(Read, frozen=True):
    """A DAG task or a step: what it runs. Argo ignores `synchronization` here."""

    name: str | None = None
    template: str | None = None
    template_ref: TemplateRef | None = None
    inline: "Template | None" = None
    synchronization: Present | None = None
    arguments: Parameters | None = None
    when: str | None = None
    with_items: Any = None
    with_param: str | None = None
    with_sequence: NumberSequence | None = None
    dependencies: tuple[str, ...] | None = None
    depends: str | None = None
    on_exit: str | None = None
    hooks: dict[str, Hook] | None = None


class Dag(Read, frozen=True):
    """The tasks of a DAG template; `target` names those that run, absent means all."""

    tasks: tuple[Call, ...] | None = None
    target: str | None = None


class TemplateMetadata(Read, frozen=True):
    """Labels that a template puts on its pods."""

    labels: dict[str, str] | None = None


class Template(Read, frozen=True):
    """A template body: exactly one of the type fields is set (CEL rule of the full CRD)."""

    name: str | None = None
    container: Container | None = None
    script: Container | None = None
    dag: Dag | None = None
    steps: tuple[tuple[Call, ...], ...] | None = None
    synchronization: Synchronization | None = None
    metadata: TemplateMetadata | None = None
    inputs: Parameters | None = None
    daemon: bool | None = None
    service_account_name: str | None = None
    executor: Executor | None = None
    container_set: ContainerSet | None = None
    volumes: tuple[Volume, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    sidecars: tuple[Container, ...] | None = None
    resource: ResourceTemplate | None = None
    suspend: Present | None = None
    http: Present | None = None
    data: Present | None = None
    plugin: Present | None = None
    pod_spec_patch: str | None = None
    retry_strategy: Present | None = None


class WorkflowMetadata(Read, frozen=True):
    """Labels and annotations that Argo's controller puts on the Workflow itself, when it starts it."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    labels_from: dict[str, Present] | None = None


class WorkflowSpec(Read, frozen=True):
    """The spec of a Workflow, a WorkflowTemplate or a ClusterWorkflowTemplate."""

    entrypoint: str | None = None
    templates: tuple[Template, ...] | None = None
    template_defaults: Template | None = None
    workflow_template_ref: TemplateRef | None = None
    synchronization: Synchronization | None = None
    arguments: Parameters | None = None
    on_exit: str | None = None
    hooks: dict[str, Hook] | None = None
    service_account_name: str | None = None
    executor: Executor | None = None
    volumes: tuple[Volume, ...] | None = None
    parallelism: Int64 | None = None
    priority: Int32 | None = None
    workflow_metadata: WorkflowMetadata | None = None
    pod_spec_patch: str | None = None
    pod_metadata: TemplateMetadata | None = None

    @property
    def default_locks(self) -> Synchronization | None:
        """The locks that templateDefaults gives to every template."""
        return self.template_defaults.synchronization if self.template_defaults is not None else None

    def template(self, name: str | None) -> Template | None:
        """Return the first template of a name."""
        return next((each for each in self.templates or () if each.name == name), None)


class Workflow(Read, frozen=True):
    """A Workflow as it is reviewed. Values of `status` stay raw: few of them are read."""

    api_version: str | None = None
    kind: str | None = None
    metadata: Metadata | None = None
    spec: WorkflowSpec | None = None
    status: dict[str, msgspec.Raw] | None = None


class TemplateObject(Read, frozen=True):
    """A WorkflowTemplate or ClusterWorkflowTemplate.

    `text` is its spec as JSON: a caller of one of its templates may need all of it. The reader of the object
    sets it, and overwrites any value of that name.
    """

    kind: str = ""
    metadata: Metadata = Metadata()
    spec: WorkflowSpec = WorkflowSpec()
    text: str = msgspec.field(default="", name="lockkeeper.dev/text")


class CronWorkflowSpec(Read, frozen=True):
    """What a CronWorkflow creates, when, and what happens when its runs overlap."""

    workflow_spec: WorkflowSpec | None = None
    workflow_metadata: Metadata | None = None
    concurrency_policy: str | None = None
    schedule: str | None = None
    schedules: tuple[str, ...] | None = None
    timezone: str | None = None
    starting_deadline_seconds: Int64 | None = None


class CronWorkflow(Read, frozen=True):
    """A CronWorkflow."""

    kind: str | None = None
    metadata: Metadata | None = None
    spec: CronWorkflowSpec | None = None


EMPTY_SPEC: Final = WorkflowSpec()
EMPTY_METADATA: Final = Metadata()
ARGO_CONFIG_MAP: Final = "workflow-controller-configmap"
DEFAULTS_KEY: Final = "lockkeeper.dev/workflow-defaults"
"""The key under which `sources.argo_configuration` adds them; own keys of a ConfigMap have no slash."""
_ACCOUNT_PARTS: Final = 4


class WorkflowDefaults(msgspec.Struct, frozen=True):
    """`spec.parallelism` and `spec.priority` of a Workflow that gets none from itself or its template.

    `references_only`: Workflows have to refer to a template and cannot set either (`workflowRestrictions`).
    `most` and `most_in_namespace` are how many Workflows Argo itself runs at once, None is no limit.
    """

    parallelism: int | None = None
    priority: int | None = None
    references_only: bool = False
    most: int | None = None
    most_in_namespace: int | None = None


prepare(Workflow, TemplateObject, CronWorkflow, WorkflowDefaults)
NO_DEFAULTS: Final = WorkflowDefaults()


def defaults_in(
    config_maps: Mapping[tuple[str, str], Mapping[str, str]], controllers: Iterable[str]
) -> WorkflowDefaults:
    """Return the defaults in the ConfigMap of Argo's controller, in the namespace of its account."""
    for address in config_maps_of(controllers):
        text = config_maps.get(address, {}).get(DEFAULTS_KEY)
        if text is not None:
            return msgspec.json.decode(text, type=WorkflowDefaults)
    return NO_DEFAULTS


def config_maps_of(controllers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of the ConfigMap that each of Argo's controllers reads."""
    accounts = (user.split(":") for user in sorted(controllers))  # system:serviceaccount:NAMESPACE:NAME
    return tuple((parts[2], ARGO_CONFIG_MAP) for parts in accounts if len(parts) == _ACCOUNT_PARTS)
