"""Reads from a cluster what limits Workflows there, with the user's own rights; nothing is changed."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lockkeeper.importing.drafts import CLUSTER
from lockkeeper.importing.kueue_queues import KUEUE_GROUP
from lockkeeper.manifests.manifest import Manifest, manifest_of
from policy.cluster.errors import Forbidden, Invalid, NotFound, Unauthorized
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    CRON_WORKFLOWS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    Cluster,
    Resource,
)
from policy.core.objects.json_patch import JsonObject
from policy.sources.directory import DocumentOrigin
from policy.sources.yaml_positions import ParsedDocument

_RESOURCE_QUOTAS: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
_VERSIONS: Final = ("v1beta2", "v1beta1", "v1alpha1")
"""Of Kueue, the newest first."""
_QUEUES: Final = (("clusterqueues", "ClusterQueue", False), ("localqueues", "LocalQueue", True))
_COHORTS: Final = ("cohorts", "Cohort", False)


class ClusterObjects(msgspec.Struct, frozen=True):
    """What was read, and a sentence for each kind that may not be read."""

    manifests: tuple[Manifest, ...]
    unread: tuple[str, ...]


def read_cluster(cluster: Cluster) -> ClusterObjects:
    """Return all objects that limit Workflows, our policies among them, and the Workflows.

    Raises:
        ClusterError: the cluster does not answer.
    """
    found: list[Manifest] = []
    unread: list[str] = []
    for resource in (
        CONFIG_MAPS,
        NAMESPACES,
        _RESOURCE_QUOTAS,
        WORKFLOWS,
        WORKFLOW_TEMPLATES,
        CLUSTER_WORKFLOW_TEMPLATES,
        CRON_WORKFLOWS,
        WORKFLOW_QUOTAS,
        CLUSTER_WORKFLOW_QUOTAS,
        SYNCHRONIZATION_POLICIES,
        CLUSTER_SYNCHRONIZATION_POLICIES,
    ):
        found += _listed(cluster, [resource], unread)
    for plural, kind, namespaced in (*_QUEUES, _COHORTS):
        versions = [Resource(KUEUE_GROUP, each, plural, kind, namespaced=namespaced) for each in _VERSIONS]
        found += _listed(cluster, versions, unread)
    return ClusterObjects(tuple(found), tuple(unread))


def _listed(cluster: Cluster, versions: Sequence[Resource], unread: list[str]) -> Iterator[Manifest]:
    """Yield the objects of the first version that is served; of a kind that is not there nothing."""
    for resource in versions:
        try:
            items = cluster.list(resource).items
        except (NotFound, Invalid):
            continue
        except Unauthorized:
            raise
        except Forbidden as error:
            unread.append(
                f"{resource.plural} cannot be read, and what they limit is left out: {error.message}"
            )
            return
        for each in items:
            value: JsonObject = {**each, "apiVersion": resource.api_version, "kind": resource.kind}
            yield manifest_of(value, DocumentOrigin(CLUSTER, "", ParsedDocument(None, {})))
        return
