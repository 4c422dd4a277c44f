"""Watches of objects as the API server streams them: what there is, changes, bookmarks, and errors."""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.core_events import CoreEvents
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.selectors import Selected
from policy.cluster.errors import Gone
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import EventType
from policy.core.objects.json_patch import JsonObject

_BOOKMARK_SECONDS: Final = 60.0
_COLUMNS: Final = "columnDefinitions"


class ObjectWatch(msgspec.Struct, frozen=True, kw_only=True):
    """One watch: what it is about, whether it wants bookmarks, and how objects are `shown`."""

    cluster: MemoryCluster | CoreEvents
    path: ObjectPath
    wanted: Selected
    bookmarks: bool
    shown: Callable[[JsonObject], JsonObject]

    def events(
        self, listed: Iterable[JsonObject], since: str, seconds: int, *, streams: bool
    ) -> Iterator[JsonObject]:
        """Yield what is listed, in a stream the mark of its end, and all changes after a version."""
        first = True
        for type_, obj in self._changes(listed, since, seconds, streams=streams):
            if type_ not in (EventType.ADDED, EventType.MODIFIED, EventType.DELETED):
                yield {"type": type_, "object": obj}
                continue
            shown = self.shown(obj)
            if not first and _COLUMNS in shown:
                shown[_COLUMNS] = None  # The first table of a watch has them for all.
            first = False
            yield {"type": type_, "object": shown}

    def _changes(
        self, listed: Iterable[JsonObject], since: str, seconds: int, *, streams: bool
    ) -> Iterator[tuple[str, JsonObject]]:
        for obj in listed:
            yield str(EventType.ADDED), obj
        if streams:
            yield str(EventType.BOOKMARK), self._bookmark(since, ends=True)
        try:
            yield from self._followed(since, monotonic() + seconds)
        except Gone:
            text = f"too old resource version: {since} ({self.cluster.version})"
            yield "ERROR", RequestRefused(410, text).status()

    def _followed(self, since: str, deadline: float) -> Iterator[tuple[str, JsonObject]]:
        """Yield changes until the deadline, and bookmarks where they are wanted and nothing happens."""
        while True:
            reached, left = self.cluster.version, max(0.0, deadline - monotonic())
            for event in self.cluster.watch(
                self.path.kind.resource,
                since=since,
                namespace=self.wanted.namespace,
                name=self.wanted.name,
                labels=self.wanted.labels,
                timeout=min(left, _BOOKMARK_SECONDS) if self.bookmarks else left,
            ):
                since = event.resource_version
                if event.type is not EventType.BOOKMARK and self.wanted.matches(event.object):
                    yield str(event.type), event.object
            if not self.bookmarks or monotonic() >= deadline:
                return
            since = str(max(int(since), int(reached)))
            yield str(EventType.BOOKMARK), self._bookmark(since, ends=False)

    def _bookmark(self, version: str, *, ends: bool) -> JsonObject:
        """Return the object of a bookmark; the one that ends what there is at the beginning says so."""
        resource = self.path.kind.resource
        ending: JsonObject = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends else {}
        metadata: JsonObject = {"resourceVersion": version, **ending}
        return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
