"""Reads which limit of Argo's own keeps a Workflow waiting that Lockkeeper has let go."""

from collections.abc import Iterable

from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, Cluster, Resource
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.identities import UPSTREAM
from policy.core.objects.workflow import config_maps_of
from policy.core.policies.argo_limits import ArgoLimit, argo_limit
from policy.core.policies.snapshot import Document, take_snapshot
from policy.sources.last_good_objects import LastGoodObjects


def read_argo_limit(cluster: Cluster, namespace: str) -> ArgoLimit | None:
    """Return the lowest limit of Argo's own in a namespace; None where there is none, or it may not be read.

    Raises:
        ClusterError: the cluster does not answer.
    """
    wanted = [(NAMESPACES, "", namespace)]
    wanted += [(CONFIG_MAPS, where, name) for where, name in config_maps_of(UPSTREAM.argo_controllers)]
    documents = [each for one in wanted for each in _document(cluster, *one)]
    return argo_limit(namespace, take_snapshot(documents, version="read", argo=DEFAULT_VERSION))


def _document(cluster: Cluster, resource: Resource, namespace: str, name: str) -> Iterable[Document]:
    """Return an object as policies know it, nothing where it is not there or may not be read."""
    try:
        obj = cluster.get(resource, name, namespace=namespace)
    except (NotFound, Forbidden):
        return ()
    read = LastGoodObjects(resource=resource)
    read.reset([obj])
    return read.documents.values()
