"""What is read from a cluster: kinds that are not there are passed over, and what may not be read is told."""

from collections.abc import Mapping
from random import Random
from typing import Final

import pytest

from lockkeeper.importing.cluster_objects import read_cluster
from policy.cluster.errors import ClusterError, Forbidden, NotFound, Unauthorized
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, Listing, Resource
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.importing.limits import NOON

KUEUE: Final = ("clusterqueues", "localqueues", "cohorts")


def named(resource: Resource, name: str) -> JsonObject:
    """Return an object that is a name."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": {}}


class Answering(MemoryCluster):
    """A cluster that answers lists of some kinds, of all versions or of one, with an error."""

    def __init__(self, errors: Mapping[tuple[str, str], ClusterError]) -> None:
        super().__init__(clock=lambda: NOON, rng=Random(1))
        self._errors = errors
        for resource, name in ((CONFIG_MAPS, "limits"), (WORKFLOWS, "w")):
            self.create(resource, named(resource, name), namespace="team")

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Return the objects, or raise what was given for this kind."""
        for key in ((resource.plural, resource.version), (resource.plural, "")):
            if key in self._errors:
                raise self._errors[key]
        return super().list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )


def names(cluster: MemoryCluster) -> list[str]:
    """Return what is read, by kind and name."""
    return [f"{each.kind} {each.namespace}/{each.name}" for each in read_cluster(cluster).manifests]


def test_a_cluster_without_kueue_has_none_of_its_limits() -> None:
    """No version of it is served, and that is no fault."""
    absent: dict[tuple[str, str], ClusterError] = {(each, ""): NotFound("no such kind") for each in KUEUE}
    cluster = Answering(absent)
    assert names(cluster) == ["ConfigMap team/limits", "Workflow team/w"]
    assert read_cluster(cluster).unread == ()


def test_an_older_version_of_kueue_is_read() -> None:
    """The newest that is served."""
    cluster = Answering({("clusterqueues", "v1beta2"): NotFound("no such version")})
    queues = Resource("kueue.x-k8s.io", "v1beta1", "clusterqueues", "ClusterQueue", namespaced=False)
    cluster.create(queues, named(queues, "q"))
    (queue,) = (each for each in read_cluster(cluster).manifests if each.kind == "ClusterQueue")
    assert (queue.api_version, queue.name) == ("kueue.x-k8s.io/v1beta1", "q")


def test_what_may_not_be_read_is_told_and_the_rest_is_read() -> None:
    """With the right that is missing, as the API server says it."""
    cluster = Answering({("configmaps", ""): Forbidden("cannot list resource configmaps")})
    assert names(cluster) == ["Workflow team/w"]
    assert read_cluster(cluster).unread == (
        "configmaps cannot be read, and what they limit is left out: cannot list resource configmaps",
    )


def test_whoever_is_not_known_reads_nothing() -> None:
    """No right helps."""
    with pytest.raises(Unauthorized):
        read_cluster(Answering({("configmaps", ""): Unauthorized("who are you")}))
