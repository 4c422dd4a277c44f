"""Namespaces of the embedded mode: those that files name are there without having been created."""

from collections.abc import Iterable

from lockkeeper.kube_api.object_rules import new_namespace
from policy.cluster.errors import AlreadyExists
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import NAMESPACES
from policy.core.objects.json_patch import JsonObject


def ensure_namespaces(cluster: MemoryCluster, names: Iterable[str]) -> None:
    """Create namespaces that are not there."""
    for name in sorted(set(names)):
        obj: JsonObject = {
            "apiVersion": NAMESPACES.api_version,
            "kind": NAMESPACES.kind,
            "metadata": {"name": name},
        }
        try:
            cluster.create(NAMESPACES, new_namespace(obj))
        except AlreadyExists:
            continue
