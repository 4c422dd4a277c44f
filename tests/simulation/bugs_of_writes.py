"""Bugs planted between the product and the cluster: what is written or read is not quite what was meant."""

from collections.abc import Iterator, Sequence

import msgspec

from policy.cluster.protocol import QUOTA_LEDGERS, Cluster, JsonPatch, Listing, Patch, Resource, WatchEvent
from policy.cluster.shaped_reads import Shaping
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from tests.policy.service.world import part
from tests.simulation.faithful import Faithful


class Forwarding(Shaping):
    """A cluster that passes every call on; bugs override what they spoil."""

    def __init__(self, inner: Cluster) -> None:
        self.get = inner.get
        self.create = inner.create
        self.delete = inner.delete
        self.inner = inner

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        return self.inner.list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

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
        return self.inner.watch(
            resource,
            since=since,
            namespace=namespace,
            name=name,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        )

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        return self.inner.replace(resource, obj)

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        return self.inner.patch(resource, name, patch, namespace=namespace, subresource=subresource)


class _Untested(Forwarding):
    """Leaves the test of the resourceVersion out of releases."""

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        if isinstance(patch, JsonPatch):
            kept = [each for each in patch.operations if not each.path.endswith("/resourceVersion")]
            patch = JsonPatch(tuple(_lenient(kept)))
        return super().patch(resource, name, patch, namespace=namespace, subresource=subresource)


def _lenient(operations: Sequence[PatchOp]) -> list[PatchOp]:
    """Return a release that fits whatever it finds held: it does not insist on removing a status."""
    return [each for each in operations if not (each.op is Op.REMOVE and each.path == hold.STATUS)]


class UntestedPatch(Faithful):
    """Rule 6 broken: a late duplicate frees a Workflow that was held again."""

    def controller_cluster(self, client: Cluster) -> Cluster:
        return _Untested(client)


class _Overwrites(Forwarding):
    """Replaces ledgers without their resourceVersion."""

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        metadata = obj["metadata"]
        if resource == QUOTA_LEDGERS and isinstance(metadata, dict):
            kept = {key: value for key, value in metadata.items() if key != "resourceVersion"}
            obj = {**obj, "metadata": kept}
        return super().replace(resource, obj)


class BlindWrite(Faithful):
    """Rule 2 broken: a write of a ledger is no compare-and-swap."""

    def webhook_cluster(self, client: Cluster) -> Cluster:
        return _Overwrites(client)


class _DropsInstance(Forwarding):
    """Removes the instance id at every release."""

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        if isinstance(patch, JsonPatch):
            patch = JsonPatch(
                tuple(
                    PatchOp(Op.REMOVE, each.path)
                    if each.op is Op.REPLACE and each.path == hold.INSTANCE_LABEL
                    else each
                    for each in patch.operations
                )
            )
        return super().patch(resource, name, patch, namespace=namespace, subresource=subresource)


class InstanceLost(Faithful):
    """A released Workflow goes to another controller than its author wanted."""

    def controller_cluster(self, client: Cluster) -> Cluster:
        return _DropsInstance(client)


class _NoPriority(Forwarding):
    """Shows every Workflow with the priority 0."""

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        found = super().list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )
        return Listing(tuple(map(_plain, found.items)), found.resource_version)

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
        for event in super().watch(
            resource,
            since=since,
            namespace=namespace,
            name=name,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        ):
            yield msgspec.structs.replace(event, object=_plain(event.object))


def _plain(obj: JsonObject) -> JsonObject:
    annotations = part(obj, "metadata", "annotations")
    if isinstance(annotations, dict) and well_known.PRIORITY in annotations:
        annotations[well_known.PRIORITY] = "0"
    return obj


class PriorityIgnored(Faithful):
    """The order is by age alone."""

    def controller_cluster(self, client: Cluster) -> Cluster:
        return _NoPriority(client)
