"""The cluster under test. The `test_contract_*` files run against every implementation in the params below.

They use the Cluster protocol alone, and namespaces and names of their own, so they may share a server.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Final

import msgspec
import pytest

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CONFIG_MAPS,
    NAMESPACES,
    WORKFLOWS,
    Cluster,
    EventType,
    Resource,
    WatchEvent,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e import switch
from tests.lockkeeper.kube_api.served_api import client
from tests.patience import PATIENCE


class Place(msgspec.Struct, frozen=True):
    """A namespace of its own in the cluster under test, and short ways to fill and read it."""

    cluster: Cluster
    namespace: str

    def workflow(self, name: str, **metadata: JsonValue) -> JsonObject:
        """Return a Workflow, not yet created, with this metadata besides its name."""
        return {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"name": name, **metadata},
            "spec": {"entrypoint": "main"},
        }

    def add(self, name: str, **metadata: JsonValue) -> JsonObject:
        """Create a Workflow and return it as stored."""
        return self.cluster.create(WORKFLOWS, self.workflow(name, **metadata), namespace=self.namespace)

    def add_config_map(self, name: str, **data: str) -> JsonObject:
        """Create a ConfigMap and return it as stored."""
        obj: JsonObject = {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": {"name": name},
            "data": dict(data),
        }
        return self.cluster.create(CONFIG_MAPS, obj, namespace=self.namespace)

    def get(self, name: str, resource: Resource = WORKFLOWS) -> JsonObject:
        """Return the object as it is."""
        return self.cluster.get(resource, name, namespace=self.namespace)

    def names(self, labels: str = "") -> list[JsonValue]:
        """Return the names of the Workflows that a selector lists, in the order of the list."""
        listing = self.cluster.list(WORKFLOWS, namespace=self.namespace, labels=labels)
        return [field(item, "metadata", "name") for item in listing.items]

    def version(self) -> str:
        """Return the version to watch from to see all that comes now."""
        return self.cluster.list(WORKFLOWS, namespace=self.namespace).resource_version

    def events(
        self,
        since: str,
        *,
        labels: str = "",
        fence: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> list[WatchEvent[JsonObject]]:
        """Return the Workflow events after a version up to now.

        "Now" is a fence: a Workflow created here, whose labels have to match the selector, so that a test
        that expects no event needs no time to see none.
        """
        made = self.cluster.create(
            WORKFLOWS,
            self.workflow("", generateName="fence-", labels=dict(fence or {})),
            namespace=self.namespace,
        )
        found: list[WatchEvent[JsonObject]] = []
        for event in self.cluster.watch(
            WORKFLOWS,
            since=since,
            namespace=self.namespace,
            labels=labels,
            metadata_only=metadata_only,
            timeout=PATIENCE,
        ):
            if event.type is EventType.BOOKMARK:
                continue
            if field(event.object, "metadata", "name") == field(made, "metadata", "name"):
                return found
            found.append(event)
        pytest.fail("the watch ended without the fence")


def field(obj: JsonValue, *path: str) -> JsonValue:
    """Return what is at a path of an object, None where there is nothing."""
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def text(obj: JsonValue, *path: str) -> str:
    """Return the string at a path of an object."""
    found = field(obj, *path)
    assert isinstance(found, str)
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker and, where it is requested, the control plane known."""
    switch.configure(config)


_CLUSTERS: Final = [
    "memory",
    "embedded API",
    *([pytest.param("kube", marks=pytest.mark.e2e)] if switch.ENABLED else []),
]


@pytest.fixture(params=_CLUSTERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give each implementation of the protocol in turn.

    The API of `lockkeeper run` is met by the same client as a real one, and answers by the same contracts.
    """
    if request.param == "kube":
        yield request.getfixturevalue("kube_cluster")
        return
    if request.param == "embedded API":
        with client(tmp_path_factory.mktemp("api")) as reached:
            yield reached
        return
    memory = MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(7))
    yield memory
    memory.close()


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    """Give a new namespace, deleted afterwards."""
    with _new_place(cluster) as made:
        yield made


@pytest.fixture
def elsewhere(cluster: Cluster) -> Iterator[Place]:
    """Give a second new namespace of the same cluster."""
    with _new_place(cluster) as made:
        yield made


@contextmanager
def _new_place(cluster: Cluster) -> Iterator[Place]:
    """Make a namespace under a generated name, and delete it in the end."""
    made = cluster.create(
        NAMESPACES,
        {
            "apiVersion": NAMESPACES.api_version,
            "kind": NAMESPACES.kind,
            "metadata": {"generateName": "contract-"},
        },
    )
    name = text(made, "metadata", "name")
    try:
        yield Place(cluster, name)
    finally:
        cluster.delete(NAMESPACES, name)
