"""A cluster in memory with policies as objects, a leader driven by hand, and a reader with any rights."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

import msgspec

from policy.cluster.errors import Forbidden
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    SELF_ACCESS_REVIEWS,
    SELF_REVIEWS,
    STATUS,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    JsonPatch,
    Listing,
    MergePatch,
    Patch,
    Resource,
)
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Operation, Review, Side
from policy.core.objects.json_patch import JsonObject, Op, PatchOp, pointer
from policy.core.policies.snapshot import Document
from policy.core.policies.status_figures import figures
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, NamespaceObject, WorkflowQuota
from policy.core.values.amounts import Limits
from policy.service.reading.cluster_reading import ClusterReader
from policy.service.reading.live_roots import LiveRoots
from policy.service.release.release_pass import unknown_capacity
from tests.policy.core.builders import decoded
from tests.policy.service.world import Clock, Leader, draft, memory, patched, snapshot_of, submit

_KINDS: Final = {
    WorkflowQuota: WORKFLOW_QUOTAS,
    ClusterWorkflowQuota: CLUSTER_WORKFLOW_QUOTAS,
    NamespaceObject: NAMESPACES,
}


class Scene:
    """Policies and Workflows in a cluster, and a leader that works when it is told to."""

    def __init__(
        self, *documents: Document, capacity: Callable[[str], Limits | None] = unknown_capacity
    ) -> None:
        self.clock = Clock()
        self.cluster = memory(self.clock)
        self.capacity = capacity
        for each in documents:
            self._store(each)
        self.leader = Leader(self.cluster, snapshot_of(*documents), self.clock, capacity=capacity)

    def submit(
        self,
        name: str,
        namespace: str = "a",
        *,
        user: str = "ann",
        age: int = 1,
        tasks: int | None = 1,
        priority: int | None = None,
    ) -> None:
        """Create a Workflow through admission, `age` seconds after the one before."""
        self.clock.advance(timedelta(seconds=age))
        submit(
            self.cluster,
            self.leader.snapshot,
            draft(name, tasks=tasks, priority=priority),
            namespace=namespace,
            user=user,
        )

    def roots(self, namespace: str = "", cluster: MemoryCluster | None = None) -> LiveRoots:
        """Return what somebody reads of it."""
        read = self.cluster if cluster is None else cluster
        ledgers = Ledgers(cluster=read, clock=self.clock)
        return LiveRoots(ClusterReader(cluster=read, ledgers=ledgers, clock=self.clock).read(namespace))

    def edit(self, name: str, spec: JsonObject, namespace: str = "a") -> None:
        """Change the spec of a Workflow as its author would, through admission."""
        Admitting(self).patch(WORKFLOWS, name, MergePatch({"spec": spec}), namespace=namespace)

    def set_policies(self, *documents: Document) -> None:
        """Let the leader have other policies."""
        self.leader.snapshot = snapshot_of(*documents)

    def waits(self, name: str, namespace: str = "a") -> bool:
        """Return whether a Workflow waits."""
        return self.leader.held(namespace)[name]

    def uid(self, name: str, namespace: str = "a") -> str:
        """Return the uid of a Workflow."""
        metadata = self.cluster.get(WORKFLOWS, name, namespace=namespace)["metadata"]
        assert isinstance(metadata, dict)
        return str(metadata["uid"])

    def publish(self) -> None:
        """Write the figures of every quota into its status, as the leader does."""
        leader = self.leader
        found = figures(leader.view, leader.snapshot, self.clock(), self.capacity)
        for name, each in found.items():
            resource = WORKFLOW_QUOTAS if name.namespace else CLUSTER_WORKFLOW_QUOTAS
            patch = JsonPatch((PatchOp(Op.ADD, pointer("status"), msgspec.to_builtins(each)),))
            self.cluster.patch(resource, name.name, patch, namespace=name.namespace, subresource=STATUS)

    def _store(self, document: Document) -> None:
        resource = _KINDS[type(document)]
        obj: JsonObject = msgspec.to_builtins(document)
        self.cluster.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **obj})


class _Asked(msgspec.Struct, frozen=True):
    namespace: str
    resource: str


class _AccessSpec(msgspec.Struct, frozen=True, rename="camel"):
    resource_attributes: _Asked


class _AccessReview(msgspec.Struct, frozen=True):
    spec: _AccessSpec


class RightsIn(MemoryCluster):
    """The same cluster for somebody who has rights in some namespaces alone, and may list these kinds."""

    def __init__(
        self,
        inner: MemoryCluster,
        namespaces: Collection[str],
        *also: Resource,
    ) -> None:
        self._inner = inner
        self._namespaces = namespaces
        self._also = also
        self.user = "ann"

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """List where it is allowed."""
        allowed = namespace in self._namespaces or resource in self._also
        if not allowed:
            raise Forbidden(
                f'{resource.plural} is forbidden: User "{self.user}" cannot list resource "{resource.plural}"'
            )
        return self._inner.list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Tell who asks, and which rights there are; create nothing else."""
        del namespace, dry_run
        if resource == SELF_REVIEWS:
            return {"status": {"userInfo": {"username": self.user}}}
        if resource != SELF_ACCESS_REVIEWS:
            raise Forbidden(f"{resource.plural} is forbidden")
        asked = msgspec.convert(obj, _AccessReview).spec.resource_attributes
        known = {each.plural for each in self._also}
        return {"status": {"allowed": asked.namespace in self._namespaces or asked.resource in known}}

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Get what is in a namespace, and the namespace itself."""
        where = name if resource == NAMESPACES else namespace
        if where not in self._namespaces:
            raise Forbidden(f"{resource.plural} is forbidden")
        return self._inner.get(resource, name, namespace=namespace)


class Admitting(MemoryCluster):
    """The cluster of a scene as its users reach it: what they change of Workflows goes through admission."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._inner = scene.cluster

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """List as the cluster does."""
        return self._inner.list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Get as the cluster does."""
        return self._inner.get(resource, name, namespace=namespace)

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        """Change an object; of a Workflow what admission makes of that."""
        self.asked(resource, name)
        if resource != WORKFLOWS:
            return self._inner.patch(resource, name, patch, namespace=namespace, subresource=subresource)
        before = self._inner.get(resource, name, namespace=namespace)
        after = self._inner.patch(resource, name, patch, namespace=namespace, subresource=subresource)
        review = Review(
            "edit",
            Side.MUTATE,
            Operation.UPDATE,
            namespace,
            "ann",
            dry_run=False,
            workflow=decoded(after),
            old=decoded(before),
            raw=msgspec.Raw(msgspec.json.encode(after)),
            old_raw=msgspec.Raw(msgspec.json.encode(before)),
        )
        decision = apply_policies(review, self._scene.leader.snapshot, self._scene.clock())
        assert decision.allowed, decision.reasons
        return self._inner.replace(resource, patched(after, decision))

    def asked(self, resource: Resource, name: str) -> None:
        """Do nothing about a change; a test may raise here."""
