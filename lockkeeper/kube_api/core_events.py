"""Events as the core group has them: `kubectl describe` and `kubectl events` read no others.

They are kept as those of `events.k8s.io`, which our controller writes; both are one in the API server, too.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import EVENTS, EventType, Listing, Resource, WatchEvent
from policy.core.objects.json_patch import JsonObject

CORE_EVENTS: Final = Resource("", "v1", "events", "Event")
_NAMES: Final = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
"""What has another name there."""


class CoreEvents(msgspec.Struct, frozen=True):
    """Reads the events of a cluster, whatever the resource that is named."""

    cluster: MemoryCluster

    @property
    def version(self) -> str:
        """The version of the last change."""
        return self.cluster.version

    def get(self, _: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Return one event. Raises NotFound."""
        return core_event(self.cluster.get(EVENTS, name, namespace=namespace))

    def list(
        self, _: Resource, *, namespace: str = "", name: str = "", labels: str = ""
    ) -> Listing[JsonObject]:
        """Return the events, as the cluster lists them."""
        found = self.cluster.list(EVENTS, namespace=namespace, name=name, labels=labels)
        return msgspec.structs.replace(found, items=tuple(map(core_event, found.items)))

    def watch(
        self,
        _: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Yield every change of an event, as the cluster does."""
        for each in self.cluster.watch(
            EVENTS, since=since, namespace=namespace, name=name, labels=labels, timeout=timeout
        ):
            changed = each.object if each.type is EventType.BOOKMARK else core_event(each.object)
            yield msgspec.structs.replace(each, object=changed)


def core_event(obj: JsonObject) -> JsonObject:
    """Return an event of `events.k8s.io` with the names of the core group."""
    named = {_NAMES.get(key, key): value for key, value in obj.items()}
    return {**named, "apiVersion": CORE_EVENTS.api_version}
