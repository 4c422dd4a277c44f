"""Follows all objects of one kind from a thread, and hands every change to the event loop, in order."""

import asyncio
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, Gone
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import EventType, Resource
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare
from tests.e2e.podrunner.api import Tell
from tests.e2e.podrunner.object_parts import Metadata

WATCH: Final = 20.0
"""Seconds of one watch; short, so that a server that comes back is found soon."""
_PAUSE: Final = 0.3


class Named(msgspec.Struct, frozen=True):
    """An object of which only the metadata is read."""

    metadata: Metadata


prepare(Named)


class Change(msgspec.Struct, frozen=True):
    """An object as it is now, or, where there is none, that the one of this name is gone."""

    resource: Resource
    metadata: Metadata
    object: JsonObject | None


class Follower:
    """Follows one kind; `first` is set as soon as all objects that there were have been handed over."""

    def __init__(
        self,
        *,
        cluster: KubeCluster,
        resource: Resource,
        loop: asyncio.AbstractEventLoop,
        hand: Callable[[Change], None],
        ended: Event,
        tell: Tell,
    ) -> None:
        self.first = asyncio.Event()
        self._cluster = cluster
        self._resource = resource
        self._loop = loop
        self._hand = hand
        self._ended = ended
        self._tell = tell
        self._known: dict[tuple[str, str], Metadata] = {}
        self._version = ""

    def start(self) -> None:
        """Follow from now on, until `ended` is set."""
        Thread(target=self._run, name=f"follow-{self._resource.plural}", daemon=True).start()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._version = self._version or self._list()
                self._watch()
            except Gone:
                self._version = ""
            except ClusterError as error:
                self._say(f"following {self._resource.plural}: {error}")
                self._ended.wait(_PAUSE)

    def _list(self) -> str:
        """Hand over all objects, and what is gone of those that were known."""
        listing = self._cluster.list(self._resource)
        gone = dict(self._known)
        for obj in listing.items:
            metadata = self._is(obj)
            gone.pop((metadata.namespace, metadata.name), None)
        for metadata in gone.values():
            self._is_gone(metadata)
        self._loop.call_soon_threadsafe(self.first.set)
        return listing.resource_version

    def _watch(self) -> None:
        """Hand over what changes for a while."""
        for event in self._cluster.watch(self._resource, since=self._version, timeout=WATCH):
            self._version = event.resource_version
            if event.type is EventType.DELETED:
                self._is_gone(msgspec.convert(event.object, Named).metadata)
            elif event.type is not EventType.BOOKMARK:
                self._is(event.object)

    def _is(self, obj: JsonObject) -> Metadata:
        metadata = msgspec.convert(obj, Named).metadata
        before = self._known.get((metadata.namespace, metadata.name))
        if before is not None and before.uid != metadata.uid:  # Its end fell between two watches.
            self._is_gone(before)
        self._known[metadata.namespace, metadata.name] = metadata
        self._pass_on(Change(self._resource, metadata, obj))
        return metadata

    def _is_gone(self, metadata: Metadata) -> None:
        self._known.pop((metadata.namespace, metadata.name), None)
        self._pass_on(Change(self._resource, metadata, None))

    def _pass_on(self, change: Change) -> None:
        self._loop.call_soon_threadsafe(self._hand, change)

    def _say(self, what: str) -> None:
        self._loop.call_soon_threadsafe(self._tell, what)
