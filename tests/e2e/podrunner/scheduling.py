"""Waiting until the scheduler knows all Nodes: until then every Pod comes to the first of them."""

from functools import partial
from secrets import token_hex
from typing import Final

import msgspec

from policy.cluster.errors import Forbidden
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare
from tests.e2e.podrunner.api import NODES, PODS
from tests.e2e.product import until

_NAMESPACE: Final = "default"


class NodeSpec(msgspec.Struct, frozen=True):
    """What keeps Pods from a Node; a new one has a taint until it is known to be ready."""

    taints: tuple[dict[str, str], ...] = ()


class SeenNode(msgspec.Struct, frozen=True):
    """A Node as the API server shows it now."""

    spec: NodeSpec = NodeSpec()


class Binding(msgspec.Struct, frozen=True, rename="camel"):
    """Where the scheduler has put a Pod."""

    node_name: str = ""


class Bound(msgspec.Struct, frozen=True):
    """A Pod of which only that is read."""

    spec: Binding


prepare(SeenNode, Bound)


def await_scheduled(cluster: KubeCluster, nodes: tuple[str, ...]) -> None:
    """Wait until the scheduler has put a Pod on each of these Nodes, which it does to those it knows."""
    for node in nodes:
        until(partial(_is_free, cluster, node), f"node {node} takes no Pods")
    names = {f"scout-{token_hex(3)}-{node}": node for node in nodes}
    for name, node in names.items():
        until(partial(_created, cluster, name, node), f"{name} cannot be created")
    for name, node in names.items():
        until(partial(_is_bound, cluster, name), f"node {node} is not known")
        cluster.delete(PODS, name, namespace=_NAMESPACE)


def _is_free(cluster: KubeCluster, node: str) -> bool:
    return not msgspec.convert(cluster.get(NODES, node), SeenNode).spec.taints


def _created(cluster: KubeCluster, name: str, node: str) -> bool:
    """Create a Pod for a Node; in a young control plane there is no account for Pods yet."""
    pod: JsonObject = {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "any"}],
        },
    }
    try:
        cluster.create(PODS, pod, namespace=_NAMESPACE)
    except Forbidden:
        return False
    return True


def _is_bound(cluster: KubeCluster, name: str) -> bool:
    found = cluster.get(PODS, name, namespace=_NAMESPACE)
    return bool(msgspec.convert(found, Bound).spec.node_name)
