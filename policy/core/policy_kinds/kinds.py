"""The policy objects of group `lockkeeper.dev/v1alpha1`, as their authors write them.

Field names are camelCase on the wire. These structs are the schema: `policy.sources` reads them to report
every wrong field of a file, and the CRDs state the same in OpenAPI.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.objects.well_known import API_VERSION
from policy.core.objects.workflow import Read
from policy.core.policy_kinds.quota_parts import ClusterWorkflowQuotaSpec, PolicyStruct, WorkflowQuotaSpec

DEFAULT_NAMESPACE: Final = "default"
"""The namespace of a namespaced object that names none, as in kubectl."""


class TemplateType(StrEnum):
    """The types of Argo template that can hold a lock, by the name of their body field."""

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
"""Types that do work themselves, the default of a rule. A dag or steps holds a lock while all of its tasks
run, and deadlocks with the same lock on a leaf (argo-workflows D.1)."""


class Strategy(StrEnum):
    """How a lock reaches a template.

    Direct edits the template itself. Clone makes a copy with the lock for the callers that need it. Wrapper
    puts the lock on a new DAG whose only task is the template. Auto uses the first of them that is possible.
    """

    AUTO = "Auto"
    DIRECT = "Direct"
    CLONE = "Clone"
    WRAPPER = "Wrapper"


class Referenced(StrEnum):
    """What happens to a Workflow that runs a template without its lock, where none can be injected.

    These are all templates behind a workflowTemplateRef, and those that templates of other objects call.
    Sibling points a workflowTemplateRef to a copy of the template that has the locks, and warns of the rest.
    """

    WARN = "Warn"
    DENY = "Deny"
    SIBLING = "Sibling"


class CrossNamespace(StrEnum):
    """Whether a lock may name another namespace's ConfigMap or mutex."""

    ALLOW = "Allow"
    DENY = "Deny"


class Singular(StrEnum):
    """What happens to the fields `semaphore` and `mutex`: Argo 4.0 and later ignore them and take no lock."""

    CONVERT = "Convert"
    DENY = "Deny"


class Parameterised(StrEnum):
    """Whether the name of a lock may have a part that is unknown until the Workflow runs."""

    ALLOW = "Allow"
    REGEX = "Regex"
    DENY = "Deny"


class Severity(StrEnum):
    """What follows from a finding: a denial where it is certain, a warning, or nothing."""

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
        """The time of the last write that was not to its status; if unknown, the time of its creation."""
        times = (each.time for each in self.managed_fields if each.time and not each.subresource)
        return max(times, default=self.creation_timestamp)


class SemaphoreWindow(PolicyStruct, frozen=True):
    """Another limit that starts at each time of a cron `schedule` in `time_zone` and lasts a `duration`."""

    name: str
    schedule: str
    duration: str
    limit: int
    time_zone: str = "UTC"


class SemaphoreDefinition(PolicyStruct, frozen=True):
    """A semaphore that the policy defines: the ConfigMap and key that Argo reads, and the limit."""

    config_map: str
    key: str
    limit: int
    windows: tuple[SemaphoreWindow, ...] = ()


class SemaphoreTarget(PolicyStruct, frozen=True):
    """The semaphore that a rule injects; `namespace` only for one of another namespace."""

    config_map: str
    key: str
    namespace: str | None = None


class LockTarget(PolicyStruct, frozen=True):
    """Exactly one of a semaphore, the name of a mutex, or the key of a database semaphore."""

    semaphore: SemaphoreTarget | None = None
    mutex: str | None = None
    database: str | None = None


class ResourceSelector(PolicyStruct, frozen=True):
    """Selects resource templates by action and by the kind of their object; an absent field matches all."""

    action: Literal["get", "create", "apply", "delete", "replace", "patch"] | None = None
    kind: str | None = None


class TemplateSelector(PolicyStruct, frozen=True):
    """Selects templates: every given field must match; absent `types` mean the leaf types.

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
    """One lock for the templates that match; with `when`, only if that expression is true at run time."""

    name: str
    templates: TemplateSelector
    lock: LockTarget
    strategy: Strategy = Strategy.AUTO
    when: str | None = None


class MatchedKind(StrEnum):
    """The kinds of Argo object into which locks are injected."""

    WORKFLOW = "Workflow"
    WORKFLOW_TEMPLATE = "WorkflowTemplate"
    CLUSTER_WORKFLOW_TEMPLATE = "ClusterWorkflowTemplate"
    CRON_WORKFLOW = "CronWorkflow"


class PolicyMatch(PolicyStruct, frozen=True):
    """The objects that a synchronization policy governs; `workflows` selects by the object's own labels."""

    kinds: tuple[MatchedKind, ...] = (MatchedKind.WORKFLOW,)
    workflows: LabelSelector = EVERYTHING
    referenced: Referenced = Referenced.WARN


class LockValidation(PolicyStruct, frozen=True):
    """What every lock of a matching Workflow must satisfy.

    `key_pattern` is a regular expression if it starts with `^`; otherwise a shape such as
    `<resource-type>-<purpose>`, in which each `<word>` means lower-case letters and digits. With
    `allow_parameterised: Regex`, the unknown part of a key counts as one such word. `deadlocks: Deny` refuses
    certain deadlocks and warns of possible ones.
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
    """The same for all namespaces that match."""

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
    each.__name__: each
    for each in (WorkflowQuota, ClusterWorkflowQuota, SynchronizationPolicy, ClusterSynchronizationPolicy)
}


class ConfigMap(msgspec.Struct, frozen=True, rename="camel"):
    """A ConfigMap among the policy files: the limits in its keys count as definitions."""

    metadata: PolicyMetadata
    data: dict[str, str] = {}


class NamespaceObject(msgspec.Struct, frozen=True, rename="camel"):
    """A Namespace among the policy files: its labels decide which pools and cluster policies select it."""

    metadata: PolicyMetadata
