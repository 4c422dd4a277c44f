"""Which rights the page needs of whoever looks, which are there, and which ClusterRole gives the others.

The API server is asked (SelfSubjectAccessReview), so the answer is its own, whatever grants the right.
"""

from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CONFIG_MAPS,
    NAMESPACES,
    QUOTA_LEDGERS,
    RUN_LENGTHS,
    SELF_ACCESS_REVIEWS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Cluster,
    Resource,
)
from policy.cluster.stored_lengths import NAME as LENGTHS_NAME
from policy.core.objects.json_patch import JsonObject

_VIEW: Final = "view"
_POOLS: Final = "lockkeeper-pools"
_ADMIN: Final = "cluster-admin"


class NeededRight(msgspec.Struct, frozen=True):
    """A right: what it shows, and the ClusterRole that gives it, in one namespace or with "" in all."""

    verb: str
    resource: Resource
    shows: str
    role: str
    namespace: str = ""
    name: str = ""
    needed: bool = False

    def __str__(self) -> str:
        kind = ".".join(filter(None, (self.resource.plural, self.resource.group)))
        where = f"in {self.namespace}" if self.namespace else "in all namespaces"
        words = (self.verb, kind, self.name, where if self.resource.namespaced else "")
        return " ".join(filter(None, words))

    @property
    def binding(self) -> str:
        """How the ClusterRole is given to somebody."""
        return f"a RoleBinding in {self.namespace}" if self.namespace else "a ClusterRoleBinding"


class RightRow(msgspec.Struct, frozen=True):
    """A right, and whether it is there; None where the API server did not say."""

    right: NeededRight
    allowed: bool | None


class _Answer(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    status: _Answer = _Answer()


def needed_rights(namespace: str) -> tuple[NeededRight, ...]:
    """Return what the page of one namespace needs, or with "" that of all: first without which nothing is."""
    of_namespace = (
        NeededRight("get", NAMESPACES, "which pool it is in", _VIEW, namespace, namespace)
        if namespace
        else NeededRight("list", NAMESPACES, "which pool each is in", _VIEW)
    )
    return (
        NeededRight("list", WORKFLOWS, "who waits and who runs", _VIEW, namespace, needed=True),
        NeededRight("list", WORKFLOW_QUOTAS, "quotas of namespaces", _VIEW, namespace, needed=True),
        NeededRight("list", CLUSTER_WORKFLOW_QUOTAS, "pools and their figures", _POOLS, needed=True),
        of_namespace,
        NeededRight("get", RUN_LENGTHS, "when those that wait start", _POOLS, name=LENGTHS_NAME),
        NeededRight("get", CONFIG_MAPS, "limits of semaphores", _VIEW, namespace),
        NeededRight("list", SYNCHRONIZATION_POLICIES, "policies of namespaces", _VIEW, namespace),
        NeededRight("list", CLUSTER_SYNCHRONIZATION_POLICIES, "policies of the cluster", _ADMIN),
        NeededRight("list", QUOTA_LEDGERS, "who used less lately", _ADMIN),
    )


def rights_of(cluster: Cluster, namespace: str) -> tuple[RightRow, ...]:
    """Return these rights, and which of them whoever reads the cluster has."""
    return tuple(RightRow(each, _is_allowed(cluster, each)) for each in needed_rights(namespace))


def _is_allowed(cluster: Cluster, right: NeededRight) -> bool | None:
    asked: JsonObject = {
        "verb": right.verb,
        "group": right.resource.group,
        "resource": right.resource.plural,
        "namespace": right.namespace,
        "name": right.name,
    }
    review: JsonObject = {
        "apiVersion": SELF_ACCESS_REVIEWS.api_version,
        "kind": SELF_ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": asked},
    }
    try:
        answer = cluster.create(SELF_ACCESS_REVIEWS, review)
        return msgspec.convert(answer, _Review).status.allowed
    except (ClusterError, msgspec.ValidationError):
        return None
