"""Notices whether anything was changed since a reading, so that a cluster at rest is not read again.

Each kind is watched until its first change, and no longer: whatever comes after that is in the next reading.
So a cluster in which much happens costs one event a kind and reading, and one at rest costs nothing.
"""

from collections.abc import Iterator
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

from policy.cluster.errors import ClusterError, Forbidden, NotFound
from policy.cluster.list_and_watch import watch_from
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    QUOTA_LEDGERS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Cluster,
    Resource,
    WatchEvent,
)
from policy.core.objects.json_patch import JsonObject

Kinds: TypeAlias = tuple[tuple[Resource, str], ...]
"""Kinds, each with the namespace in which it is watched; "" is all of them."""


def of_the_view(namespace: str) -> Kinds:
    """Return what a view is made of.

    Of one namespace it is what its users may watch. Other members of its pool show in the figures of the
    pool, which the controller writes; its labels and the ledgers are read anew with all else, every half
    minute.
    """
    if namespace:
        return (WORKFLOWS, namespace), (WORKFLOW_QUOTAS, namespace), (CLUSTER_WORKFLOW_QUOTAS, "")
    kinds = (WORKFLOWS, WORKFLOW_QUOTAS, CLUSTER_WORKFLOW_QUOTAS, NAMESPACES, QUOTA_LEDGERS)
    return tuple((each, "") for each in kinds)


def of_locks(namespace: str) -> Kinds:
    """Return what changes with locks; who may read all Workflows may seldom watch all ConfigMaps."""
    return ((WORKFLOWS, namespace),)


def of_policies(namespace: str) -> Kinds:
    """Return the policies themselves, with their conditions."""
    kinds = (
        WORKFLOW_QUOTAS,
        CLUSTER_WORKFLOW_QUOTAS,
        SYNCHRONIZATION_POLICIES,
        CLUSTER_SYNCHRONIZATION_POLICIES,
    )
    return tuple((each, namespace if each.namespaced else "") for each in kinds)


_NO_OBJECT: Final = "lockkeeper.no-such-object"
"""A list of this name is empty and has a version all the same: that of now."""
_WATCH_SECONDS: Final = 300.0


class ChangeWatch:
    """Watches some kinds, each in a thread that ends with the first change.

    What may not be listed is not in what is read either, so nobody misses its changes.
    """

    def __init__(self, *, cluster: Cluster, kinds: Kinds, stopped: Event) -> None:
        self._cluster = cluster
        self._kinds = kinds
        self._stopped = stopped
        self._lock = Lock()
        self._quiet: set[Resource] = set()
        self._refused = False

    @property
    def unchanged(self) -> bool:
        """Whether nothing was changed since `begin`; False where that cannot be known."""
        with self._lock:
            return len(self._quiet) == len(self._kinds)

    def begin(self) -> None:
        """Watch from now on what is not watched any more; call it before what is to be kept is read."""
        for resource, namespace in self._kinds:
            with self._lock:
                if self._refused or resource in self._quiet:
                    continue
                self._quiet.add(resource)
            try:
                version = self._cluster.list(
                    resource, namespace=namespace, name=_NO_OBJECT, metadata_only=True
                ).resource_version
            except (Forbidden, NotFound):
                continue
            except ClusterError:
                self._ended(resource, refused=False)
                return
            Thread(
                target=self._watch,
                args=(resource, namespace, version),
                name=f"page-{resource.plural}",
                daemon=True,
            ).start()

    def _watch(self, resource: Resource, namespace: str, version: str) -> None:
        changed = Event()

        def events(since: str) -> Iterator[WatchEvent[JsonObject]]:
            return self._cluster.watch(
                resource, since=since, namespace=namespace, metadata_only=True, timeout=_WATCH_SECONDS
            )

        refused = False
        try:
            watch_from(
                version,
                events,
                changed=lambda _: changed.set(),
                stopped=lambda: changed.is_set() or self._stopped.is_set(),
            )
        except ClusterError as error:
            refused = isinstance(error, (Forbidden, NotFound))
        finally:
            self._ended(resource, refused=refused)

    def _ended(self, resource: Resource, *, refused: bool) -> None:
        """Take note that a kind is not watched any more; without the right to it never again."""
        with self._lock:
            self._quiet.discard(resource)
            self._refused = self._refused or refused
