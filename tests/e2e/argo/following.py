"""Changes of one kind of object, brought to whoever works on them in one queue, through lists and watches."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster, EventType, Listing, Resource
from policy.core.objects.json_patch import JsonObject

_WATCH_SECONDS: Final = 300.0
_BETWEEN_LISTS: Final = 0.5
"""Seconds to wait after a broken watch, so that a cluster that is away is not stormed."""


class Change(msgspec.Struct, frozen=True):
    """An object changed, or is gone for whoever follows with this selector."""

    resource: Resource
    obj: JsonObject
    gone: bool


class Everything(msgspec.Struct, frozen=True):
    """All there is, at the begin and after a watch that broke; what is not in it is gone."""

    resource: Resource
    items: tuple[JsonObject, ...]


class Stop(msgspec.Struct, frozen=True):
    """Somebody wants whoever works on the queue to end."""


Inbox = SimpleQueue[Change | Everything | Stop]


class Feed(msgspec.Struct, frozen=True):
    """What is followed: a kind, in one namespace or all (""), by labels. `say` is told of trouble."""

    cluster: Cluster
    say: Callable[[str], None]
    resource: Resource
    namespace: str
    labels: str
    seconds: float = _WATCH_SECONDS
    """How long a watch lasts, and so how long this may go on after its end."""

    def start(self, inbox: Inbox, ended: Event) -> None:
        """Begin to follow, until the first event or end of the watch after `ended` is set."""
        name = f"follow-{self.resource.plural}"
        Thread(target=self._follow, args=(inbox, ended), name=name, daemon=True).start()

    def _follow(self, inbox: Inbox, ended: Event) -> None:
        while not ended.is_set():
            try:
                listing = self.cluster.list(self.resource, namespace=self.namespace, labels=self.labels)
                inbox.put(Everything(self.resource, listing.items))
                self._watch(listing, inbox, ended)
            except ClusterError as error:
                self.say(f"{self.resource.plural}: {error.message}")
            ended.wait(_BETWEEN_LISTS)

    def _watch(self, listing: Listing[JsonObject], inbox: Inbox, ended: Event) -> None:
        """Pass events on until the watch breaks."""
        version = listing.resource_version
        while not ended.is_set():
            for event in self.cluster.watch(
                self.resource,
                since=version,
                namespace=self.namespace,
                labels=self.labels,
                timeout=self.seconds,
            ):
                version = event.resource_version
                if event.type is not EventType.BOOKMARK:
                    inbox.put(Change(self.resource, event.object, event.type is EventType.DELETED))
