"""The policy objects of group `lockkeeper.dev/v1alpha1`, as their authors write them.

Field names are camelCase on the wire. These structs are the schema: `policy.sources` walks them to report
every wrong field of a file, and the CRDs state the same in OpenAPI.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.objects.well_known import API_VERSION
from policy.core.objects.workflow import Read
from policy.core.policy_kinds.quota_parts import (
    BorrowingSpec,
    ElasticSpec,
    FairShareSpec,
    PolicyStruct,
    QueueSpec,
    QuotaLimits,
    ReserveSpec,
    StopPolicy,
    WindowSpec,
)

DEFAULT_NAMESPACE: Final = "default"
"""Namespace of a namespaced object that names none, as kubectl would apply it."""


class OnExceed(StrEnum):
    """What happens to a Workflow that does not fit: is queued, is refused, or runs with a warning."""

    QUEUE = "Queue"
    DENY = "Deny"
    WARN = "Warn"


class PriorityAbove(StrEnum):
    """What becomes of a Workflow whose priority is above the cap: it is refused, or its priority lowered."""

    DENY = "Deny"
    LOWER = "Lower"


class TemplateType(StrEnum):
    """The types of Argo template that can hold a lock by name of their body field."""

    CONTAINER = "container"
    SCRIPT = "script"
    CONTAINER_SET = "containerSet"
    RESOURCE = "resource"
    DATA = "data"
    HTTP = "http"
    PLUGIN = "plugin"
    SUSPEND = "suspend"
    DAG = "dag"
    STEPS = "steps"


LEAF_TYPES: Final = frozenset(TemplateType) - {TemplateType.DAG, TemplateType.STEPS, TemplateType.SUSPEND}
"""Types that do work themselves. A lock on a dag or steps is held for its whole sub-tree, so it is never
implied: it deadlocks with the same lock on a leaf (argo-workflows D.1)."""


class Strategy(StrEnum):
    """How a lock reaches a template.

    Direct edits the template in place. Clone gives the callers that need the lock a locked copy. Wrapper
    puts the lock on a DAG of one task around it. Auto picks the most transparent of them that does it.
    """

    AUTO = "Auto"
    DIRECT = "Direct"
    CLONE = "Clone"
    WRAPPER = "Wrapper"


class Referenced(StrEnum):
    """What becomes of a Workflow that reaches a template which lacks a lock where nothing can be put.

    Such is all that a workflowTemplateRef leads to, and what the templates of other objects call. Sibling
    leads a workflowTemplateRef to a copy of the template that has the locks, and warns of the rest.
    """

    WARN = "Warn"
    DENY = "Deny"
    SIBLING = "Sibling"


class CrossNamespace(StrEnum):
    """Whether a lock may name another namespace's ConfigMap or mutex."""

    ALLOW = "Allow"
    DENY = "Deny"


class Singular(StrEnum):
    """What becomes of the single `semaphore` and `mutex`, which Argo drops from 4.0 on, to run unlocked."""

    CONVERT = "Convert"
    DENY = "Deny"


class Parameterised(StrEnum):
    """Whether the name of a lock may have a part that is unknown before the run."""

    ALLOW = "Allow"
    REGEX = "Regex"
    DENY = "Deny"


class Severity(StrEnum):
    """What a finding leads to: a denial where it is certain, a warning, or nothing."""

    DENY = "Deny"
    WARN = "Warn"
    IGNORE = "Ignore"


class ManagedFieldsEntry(Read, frozen=True):
    """When fields of an object were written, and through which subresource (`metav1.ManagedFieldsEntry`)."""

    time: str = ""
    subresource: str = ""


class PolicyMetadata(PolicyStruct, frozen=True):
    """Object metadata of a policy; a namespaced policy without a namespace belongs to `default`."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    labels: dict[str, str] = {}  # noqa: RUF012 - msgspec gives every struct a copy of its own
    annotations: dict[str, str] = {}  # noqa: RUF012 - msgspec gives every struct a copy of its own
    creation_timestamp: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    managed_fields: tuple[ManagedFieldsEntry, ...] = ()

    @property
    def edited(self) -> str:
        """When it was written last, its status apart; where that is unknown, when it was created."""
        times = (each.time for each in self.managed_fields if each.time and not each.subresource)
        return max(times, default=self.creation_timestamp)


class PerWorkflow(PolicyStruct, frozen=True):
    """What one Workflow may have: its tasks (`spec.parallelism`: default and cap), and its priority (cap)."""

    default_tasks: int | None = None
    max_tasks: int | None = None
    max_priority: int | None = None
    on_priority_above: PriorityAbove = PriorityAbove.DENY


class WorkflowQuotaSpec(PolicyStruct, frozen=True):
    """Limits of the Workflows that match `selector` (absent: all)."""

    selector: LabelSelector = EVERYTHING
    limits: QuotaLimits = QuotaLimits()
    per_workflow: PerWorkflow = PerWorkflow()
    per_user: QuotaLimits = QuotaLimits()
    on_exceed: OnExceed = OnExceed.QUEUE
    queue: QueueSpec = QueueSpec()
    stop_policy: StopPolicy = StopPolicy.NONE
    windows: tuple[WindowSpec, ...] = ()
    reserve: tuple[ReserveSpec, ...] = ()


class ClusterWorkflowQuotaSpec(WorkflowQuotaSpec, frozen=True, kw_only=True):
    """A pool: the limits hold for all selected namespaces together.

    With `borrowing`, the limits of a member's own quota are its share, which others may use while it is idle.
    With `elastic`, the limits follow nodes; those that are written bound them.
    """

    namespace_selector: LabelSelector
    namespace_defaults: WorkflowQuotaSpec | None = None
    borrowing: BorrowingSpec | None = None
    fair_share: FairShareSpec = FairShareSpec()
    elastic: ElasticSpec | None = None


class SemaphoreWindow(PolicyStruct, frozen=True):
    """Another limit, from each time of a cron `schedule` in `time_zone`, for a `duration`."""

    name: str
    schedule: str
    duration: str
    limit: int
    time_zone: str = "UTC"


class SemaphoreDefinition(PolicyStruct, frozen=True):
    """A semaphore that the policy owns: the ConfigMap and key that Argo reads, and the limit."""

    config_map: str
    key: str
    limit: int
    windows: tuple[SemaphoreWindow, ...] = ()


class SemaphoreTarget(PolicyStruct, frozen=True):
    """The semaphore that a rule injects; `namespace` only where it is another's."""

    config_map: str
    key: str
    namespace: str | None = None


class LockTarget(PolicyStruct, frozen=True):
    """Exactly one of a semaphore, the name of a mutex, or the key of a database semaphore."""

    semaphore: SemaphoreTarget | None = None
    mutex: str | None = None
    database: str | None = None


class ResourceSelector(PolicyStruct, frozen=True):
    """Resource templates by what they do, and to which kind of object; what is absent matches all."""

    action: Literal["get", "create", "apply", "delete", "replace", "patch"] | None = None
    kind: str | None = None


class TemplateSelector(PolicyStruct, frozen=True):
    """Which templates: every given part must match; absent types are leaves.

    Names, images, service accounts, volumes (claims that are mounted) and tasks are globs. `tasks` are names
    of the DAG tasks and steps that call the template: only those get the lock.
    """

    names: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    types: tuple[TemplateType, ...] = ()
    labels: dict[str, str] = {}  # noqa: RUF012 - msgspec gives every struct a copy of its own
    service_accounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    resources: tuple[ResourceSelector, ...] = ()
    tasks: tuple[str, ...] = ()


class InjectRule(PolicyStruct, frozen=True):
    """One lock for the templates that match; with `when`, only where that holds at run time."""

    name: str
    templates: TemplateSelector
    lock: LockTarget
    strategy: Strategy = Strategy.AUTO
    when: str | None = None


class MatchedKind(StrEnum):
    """The kinds of Argo object that locks are put into."""

    WORKFLOW = "Workflow"
    WORKFLOW_TEMPLATE = "WorkflowTemplate"
    CLUSTER_WORKFLOW_TEMPLATE = "ClusterWorkflowTemplate"
    CRON_WORKFLOW = "CronWorkflow"


class PolicyMatch(PolicyStruct, frozen=True):
    """Which objects a synchronization policy speaks about; `workflows` selects by the object's own labels."""

    kinds: tuple[MatchedKind, ...] = (MatchedKind.WORKFLOW,)
    workflows: LabelSelector = EVERYTHING
    referenced: Referenced = Referenced.WARN


class LockValidation(PolicyStruct, frozen=True):
    """What every lock of a matching Workflow must satisfy.

    `key_pattern` is a regular expression where it starts with `^`; otherwise a shape such as
    `<resource-type>-<purpose>`, in which each `<word>` means lower-case letters and digits. With
    `allow_parameterised: Regex`, what is not known of a key counts as one such word. `deadlocks: Deny`
    refuses certain deadlocks and warns of possible ones.
    """

    require_defined: bool = True
    key_pattern: str | None = None
    cross_namespace: CrossNamespace = CrossNamespace.DENY
    singular: Singular = Singular.CONVERT
    allow_parameterised: Parameterised = Parameterised.REGEX
    deadlocks: Severity = Severity.DENY
    unknown_references: Severity = Severity.WARN


class SynchronizationPolicySpec(PolicyStruct, frozen=True):
    """Semaphores as policy: definitions, where they are injected, and what is valid."""

    match: PolicyMatch = PolicyMatch()
    semaphores: tuple[SemaphoreDefinition, ...] = ()
    inject: tuple[InjectRule, ...] = ()
    validate: LockValidation = LockValidation()


class ClusterSynchronizationPolicySpec(SynchronizationPolicySpec, frozen=True, kw_only=True):
    """The same for every namespace that matches."""

    namespace_selector: LabelSelector


class WorkflowQuota(PolicyStruct, frozen=True):
    """Limits of one namespace."""

    metadata: PolicyMetadata
    spec: WorkflowQuotaSpec
    api_version: Literal["lockkeeper.dev/v1alpha1"] = API_VERSION
    kind: Literal["WorkflowQuota"] = "WorkflowQuota"


class ClusterWorkflowQuota(PolicyStruct, frozen=True):
    """Limits of a pool of namespaces."""

    metadata: PolicyMetadata
    spec: ClusterWorkflowQuotaSpec
    api_version: Literal["lockkeeper.dev/v1alpha1"] = API_VERSION
    kind: Literal["ClusterWorkflowQuota"] = "ClusterWorkflowQuota"


class SynchronizationPolicy(PolicyStruct, frozen=True):
    """Locks of one namespace."""

    metadata: PolicyMetadata
    spec: SynchronizationPolicySpec
    api_version: Literal["lockkeeper.dev/v1alpha1"] = API_VERSION
    kind: Literal["SynchronizationPolicy"] = "SynchronizationPolicy"


class ClusterSynchronizationPolicy(PolicyStruct, frozen=True):
    """Locks of every namespace that matches."""

    metadata: PolicyMetadata
    spec: ClusterSynchronizationPolicySpec
    api_version: Literal["lockkeeper.dev/v1alpha1"] = API_VERSION
    kind: Literal["ClusterSynchronizationPolicy"] = "ClusterSynchronizationPolicy"


Policy = WorkflowQuota | ClusterWorkflowQuota | SynchronizationPolicy | ClusterSynchronizationPolicy
POLICY_KINDS: Final[dict[str, type[Policy]]] = {
    "WorkflowQuota": WorkflowQuota,
    "ClusterWorkflowQuota": ClusterWorkflowQuota,
    "SynchronizationPolicy": SynchronizationPolicy,
    "ClusterSynchronizationPolicy": ClusterSynchronizationPolicy,
}


class ConfigMap(msgspec.Struct, frozen=True, rename="camel"):
    """A ConfigMap beside the policies: the limits of its keys count as definitions."""

    metadata: PolicyMetadata
    data: dict[str, str] = {}


class NamespaceObject(msgspec.Struct, frozen=True, rename="camel"):
    """A Namespace beside the policies: its labels decide which pools and cluster policies cover it."""

    metadata: PolicyMetadata


RESOURCES: Final = ("workflows", "tasks")
