"""Notices whether anything was changed since a reading, so that a cluster at rest is not read again.

Each kind is watched until its first change, and no longer: whatever comes after that is in the next reading.
So a cluster in which much happens costs one event a kind and reading, and one at rest costs nothing.
"""

from collections.abc import Iterator
from threading import Event, Lock, Thread
from typing import Final

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

OF_THE_VIEW: Final = (WORKFLOWS, WORKFLOW_QUOTAS, CLUSTER_WORKFLOW_QUOTAS, NAMESPACES, QUOTA_LEDGERS)
"""What a view is made of."""
OF_LOCKS: Final = (WORKFLOWS,)
"""What changes with locks; who may read all Workflows may seldom watch all ConfigMaps."""
OF_POLICIES: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)
"""The policies themselves, with their conditions."""
_NO_OBJECT: Final = "lockkeeper.no-such-object"
"""A list of this name is empty and has a version all the same: that of now."""
_WATCH_SECONDS: Final = 300.0


class ChangeWatch:
    """Watches some kinds in all namespaces, each in a thread that ends with the first change."""

    def __init__(self, *, cluster: Cluster, kinds: tuple[Resource, ...], stopped: Event) -> None:
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
        for resource in self._kinds:
            with self._lock:
                if self._refused or resource in self._quiet:
                    continue
                self._quiet.add(resource)
            try:
                version = self._cluster.list(resource, name=_NO_OBJECT, metadata_only=True).resource_version
            except ClusterError as error:
                self._ended(resource, refused=isinstance(error, (Forbidden, NotFound)))
                return
            Thread(
                target=self._watch, args=(resource, version), name=f"page-{resource.plural}", daemon=True
            ).start()

    def _watch(self, resource: Resource, version: str) -> None:
        changed = Event()

        def events(since: str) -> Iterator[WatchEvent[JsonObject]]:
            return self._cluster.watch(resource, since=since, metadata_only=True, timeout=_WATCH_SECONDS)

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
