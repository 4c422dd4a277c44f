"""The folder of policies as objects of the in-memory cluster: put there at first, and after each change."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from lockkeeper.embedded.namespaces import ensure_namespaces
from lockkeeper.kube_api.describing.crd_schemas import defaulted
from lockkeeper.kube_api.object_rules import new_namespace
from lockkeeper.manifests.reading import read_manifests
from policy.cluster.errors import NotFound
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    Resource,
)
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject

_KINDS: Final = {
    (each.api_version, each.kind): each
    for each in (
        NAMESPACES,
        CONFIG_MAPS,
        WORKFLOW_TEMPLATES,
        CLUSTER_WORKFLOW_TEMPLATES,
        WORKFLOW_QUOTAS,
        CLUSTER_WORKFLOW_QUOTAS,
        SYNCHRONIZATION_POLICIES,
        CLUSTER_SYNCHRONIZATION_POLICIES,
    )
}
_Key: TypeAlias = tuple[Resource, str, str]


class FolderObjects:
    """Keeps the objects of a folder in the cluster; others are left alone, and so are edits by their users.

    `namespace` is that of objects that name none.
    """

    def __init__(self, *, folder: Path, cluster: MemoryCluster, namespace: str) -> None:
        self._folder = folder
        self._cluster = cluster
        self._namespace = namespace
        self._put: dict[_Key, JsonObject] = {}

    def put(self) -> None:
        """Put what is new or changed in the files into the cluster, and delete what left them."""
        wanted = dict(self._objects())
        ensure_namespaces(self._cluster, (namespace for _, namespace, _ in wanted if namespace))
        for key, obj in wanted.items():
            if self._put.get(key) != obj:
                self._store(key, obj)
        for resource, namespace, name in self._put.keys() - wanted.keys():
            try:
                self._cluster.delete(resource, name, namespace=namespace)
            except NotFound:
                continue  # A user has deleted it.
        self._put = wanted

    def _objects(self) -> Iterable[tuple[_Key, JsonObject]]:
        """Yield the objects of the files; namespaces are first."""
        manifests = sorted(read_manifests(self._folder), key=lambda each: each.kind != NAMESPACES.kind)
        for each in manifests:
            resource = _KINDS.get((each.api_version, each.kind))
            if resource is not None:
                namespace = (each.namespace or self._namespace) if resource.namespaced else ""
                yield (resource, namespace, each.name), each.value

    def _store(self, key: _Key, obj: JsonObject) -> None:
        resource, namespace, name = key
        obj = new_namespace(obj) if resource == NAMESPACES else defaulted(obj, resource.kind)
        try:
            before = self._cluster.get(resource, name, namespace=namespace)
        except NotFound:
            self._cluster.create(resource, obj, namespace=namespace)
            return
        stored = metadata_of(before)
        metadata: JsonObject = {**metadata_of(obj), "namespace": namespace}
        metadata |= {key: stored[key] for key in ("uid", "resourceVersion") if key in stored}
        self._cluster.replace(resource, {**obj, "metadata": metadata})
