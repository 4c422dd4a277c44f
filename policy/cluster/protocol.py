"""The Cluster protocol: every read and write of a cluster uses it.

Two implementations have the same contracts, proved by one suite (tests/policy/cluster): `memory`, and `kube`
for the Kubernetes API. Objects are JSON as the API serves it; callers decode what they need into structs.
Semantics follow the Kubernetes API conventions (sig-architecture/api-conventions.md): resourceVersion is
opaque, compared for equality only, and changes with every write that changes an object.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from policy.core.objects.json_patch import JsonObject, PatchOp

Shape = TypeVar("Shape", bound=msgspec.Struct)
"""A struct that an object is decoded into; fields that it does not name are not decoded."""
Item_co = TypeVar("Item_co", covariant=True)
"""An object as it is read: JSON, or decoded into a struct."""


class Resource(msgspec.Struct, frozen=True):
    """A kind of object: where the API serves it and what it is called."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


WORKFLOWS: Final = Resource("argoproj.io", "v1alpha1", "workflows", "Workflow")
WORKFLOW_TEMPLATES: Final = Resource("argoproj.io", "v1alpha1", "workflowtemplates", "WorkflowTemplate")
CLUSTER_WORKFLOW_TEMPLATES: Final = Resource(
    "argoproj.io", "v1alpha1", "clusterworkflowtemplates", "ClusterWorkflowTemplate", namespaced=False
)
CRON_WORKFLOWS: Final = Resource("argoproj.io", "v1alpha1", "cronworkflows", "CronWorkflow")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
WORKFLOW_QUOTAS: Final = Resource("lockkeeper.dev", "v1alpha1", "workflowquotas", "WorkflowQuota")
CLUSTER_WORKFLOW_QUOTAS: Final = Resource(
    "lockkeeper.dev", "v1alpha1", "clusterworkflowquotas", "ClusterWorkflowQuota", namespaced=False
)
SYNCHRONIZATION_POLICIES: Final = Resource(
    "lockkeeper.dev", "v1alpha1", "synchronizationpolicies", "SynchronizationPolicy"
)
CLUSTER_SYNCHRONIZATION_POLICIES: Final = Resource(
    "lockkeeper.dev",
    "v1alpha1",
    "clustersynchronizationpolicies",
    "ClusterSynchronizationPolicy",
    namespaced=False,
)
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
STATUS: Final = "status"
"""The subresource that writes of a status go through, where a kind has it."""
QUOTA_LEDGERS: Final = Resource("lockkeeper.dev", "v1alpha1", "quotaledgers", "QuotaLedger", namespaced=False)
RUN_LENGTHS: Final = Resource("lockkeeper.dev", "v1alpha1", "runlengths", "RunLengths", namespaced=False)

SELF_REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)
"""A create tells who asks; it needs a token that the cluster knows, and nothing else."""
SELF_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
"""A create tells whether who asks has a right."""


class EventType(StrEnum):
    """The type of a watch event."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class WatchEvent(msgspec.Struct, Generic[Item_co], frozen=True):
    """One change. An object that stops matching the selector arrives as DELETED, one that starts as ADDED."""

    type: EventType
    object: Item_co
    resource_version: str


class Listing(msgspec.Struct, Generic[Item_co], frozen=True):
    """The objects at one point in time; watch from `resource_version` to see every later change."""

    items: tuple[Item_co, ...]
    resource_version: str


class Unread(msgspec.Struct, frozen=True):
    """An object that does not fit the requested shape: which it is. For a bookmark both are empty."""

    namespace: str = ""
    name: str = ""


class Selection(msgspec.Struct, frozen=True):
    """Which objects a list or a watch is about.

    Namespace "" is all, and so is name "". `labels` is a selector string (`a=b,c!=d,e in (x,y),!f`). With
    `metadata_only` the server sends apiVersion, kind and metadata alone (PartialObjectMetadata).
    """

    resource: Resource
    namespace: str = ""
    labels: str = ""
    metadata_only: bool = False
    name: str = ""


class MergePatch(msgspec.Struct, frozen=True):
    """A JSON merge patch (RFC 7396)."""

    value: JsonObject


class JsonPatch(msgspec.Struct, frozen=True):
    """A JSON patch (RFC 6902): all operations or none; a failing `test` is `Invalid`."""

    operations: tuple[PatchOp, ...]


Patch: TypeAlias = MergePatch | JsonPatch


class Preconditions(msgspec.Struct, frozen=True):
    """What must still hold for a delete to happen; otherwise Conflict."""

    uid: str | None = None
    resource_version: str | None = None


class ReadingAs(Protocol):
    """Lists and watches of objects that are large or many, and of which little is wanted."""

    def list_as(self, selection: Selection, shape: type[Shape]) -> Listing[Shape | Unread]:
        """Return the selected objects in a shape, consistent at one version.

        With `metadata_only` the shape may name no more than metadata.
        """
        ...

    def pages_as(self, selection: Selection, shape: type[Shape]) -> Iterator[Listing[Shape | Unread]]:
        """Yield the same objects in short pages, one after the other, so that few are in memory at a time.

        All pages are consistent at one version. Raises Gone when that is too old before the last was read.
        """
        ...

    def watch_as(
        self, selection: Selection, shape: type[Shape], *, since: str, timeout: float = 60.0
    ) -> Iterator[WatchEvent[Shape | Unread]]:
        """Yield every change after version `since` until `timeout` seconds have passed. Raises Gone."""
        ...


class Cluster(ReadingAs, Protocol):
    """Reads, writes and watches of objects. Every method may raise the errors of `policy.cluster.errors`."""

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Return one object. Raises NotFound."""
        ...

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Return all objects of a namespace ("" is all), consistent at one version.

        `name` requests the one object of that name alone, which is all that access control by resourceNames
        lets pass. `labels` is a selector string (`a=b,c!=d,e in (x,y),!f`). With `metadata_only` items carry
        apiVersion, kind and metadata alone (PartialObjectMetadata).
        """
        ...

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Yield every change after version `since` until `timeout` seconds have passed.

        Raises Gone when `since` is older than what is stored: list again.
        """
        ...

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Store a new object and return it as stored: name from generateName, uid, creationTimestamp.

        Raises AlreadyExists, Invalid.
        """
        ...

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Store the object over the one with its name. Raises NotFound, Conflict when its version moved."""
        ...

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        """Apply a patch to the object as it is. Raises NotFound, Conflict, Invalid.

        With the subresource `status` it changes the status alone, and the generation stays. Kinds that have
        none are NotFound; of those that have it, a patch without it leaves the status as it is.
        """
        ...

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        preconditions: Preconditions | None = None,
    ) -> None:
        """Delete the object, and in the background what it owns. Raises NotFound, Conflict."""
        ...


class Applying(Protocol):
    """Server-side apply: several managers write one object, and each owns the fields that it set."""

    def apply(
        self, resource: Resource, obj: JsonObject, *, field_manager: str, force: bool = False
    ) -> JsonObject:
        """Create the object, or set the fields that `obj` gives and own them; returns it as stored.

        Fields that this manager owned and does not give any more are removed, unless others own them too. To
        give the value that a field has is to own it together. An apply that changes nothing writes nothing.

        Raises:
            Conflict: another manager owns a field that would become another value, and `force` is not set.
        """
        ...
