"""List and watch: all objects of a kind, then every change of them, until stopped.

It is what client-go calls a reflector. A list has the version at which it was made, and the watch brings
everything after that version, so nothing between the two is lost. After its time-out a watch continues from
the last version that it saw; bookmarks move that version on and are no change. After an error, such as a
version that is too old (410 Gone), everything is listed again.
"""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import (
    Cluster,
    EventType,
    Listing,
    ReadingAs,
    Resource,
    Selection,
    Shape,
    Unread,
    WatchEvent,
)
from policy.core.objects.json_patch import JsonObject

RETRY_SECONDS: Final = 1.0
"""From an error to the next list."""

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)


class Consumer(Protocol[Item_contra]):
    """What is called with the objects that are followed."""

    def listed(self, listing: Listing[Item_contra], /) -> None:
        """Take all objects; what is not among them is deleted."""
        ...

    def changed(self, event: WatchEvent[Item_contra], /) -> None:
        """Take one change after that listing."""
        ...

    def failed(self, error: ClusterError, /) -> None:
        """Take note that the list or the watch failed."""
        ...


class ListerWatcher(msgspec.Struct, Generic[Item], frozen=True):
    """How some objects are listed, and watched since a version until the time-out of the watch."""

    list: Callable[[], Listing[Item]]
    watch: Callable[[str], Iterator[WatchEvent[Item]]]


def whole_objects(cluster: Cluster, resource: Resource, *, timeout: float) -> ListerWatcher[JsonObject]:
    """Follow all objects of a resource as the API serves them."""
    return ListerWatcher(
        list=lambda: cluster.list(resource),
        watch=lambda since: cluster.watch(resource, since=since, timeout=timeout),
    )


def shaped_objects(
    cluster: ReadingAs, selection: Selection, shape: type[Shape], *, timeout: float
) -> ListerWatcher[Shape | Unread]:
    """Follow the selected objects in a shape."""
    return ListerWatcher(
        list=lambda: cluster.list_as(selection, shape),
        watch=lambda since: cluster.watch_as(selection, shape, since=since, timeout=timeout),
    )


def watch_from(
    version: str,
    watch: Callable[[str], Iterator[WatchEvent[Item]]],
    *,
    changed: Callable[[WatchEvent[Item]], None],
    stopped: Callable[[], bool],
) -> None:
    """Hand every change after `version` over until stopped; that is seen with the next event or time-out.

    Raises:
        ClusterError: the watch failed.
    """
    while not stopped():
        for event in watch(version):
            version = event.resource_version
            if event.type is not EventType.BOOKMARK:
                changed(event)
            if stopped():
                return


def list_and_watch(source: ListerWatcher[Item], consumer: Consumer[Item], *, stopped: Event) -> None:
    """Follow objects until stopped, and call the consumer in this thread; no error of the cluster ends it."""
    while not stopped.is_set():
        try:
            listing = source.list()
            if not stopped.is_set():
                consumer.listed(listing)
            version = listing.resource_version
            del listing  # It may be large, and the watch takes long.
            watch_from(version, source.watch, changed=consumer.changed, stopped=stopped.is_set)
        except ClusterError as error:
            consumer.failed(error)
            stopped.wait(RETRY_SECONDS)


class WatchInbox(Generic[Item]):
    """List and watch for a loop that decides itself when to list, and when to process changes.

    The consumer is called by `list` and `deliver` alone, so in the thread of the loop. Every list starts a
    new generation of the watch: what an older one brings is dropped, because folding it into a newer list
    would count too little. `name` is that of the threads that watch; they end when `stopped` is set.
    """

    def __init__(self, consumer: Consumer[Item], *, name: str, stopped: Event) -> None:
        self._consumer = consumer
        self._name = name
        self._stopped = stopped
        self._arrived: SimpleQueue[tuple[int, WatchEvent[Item] | ClusterError | None]] = SimpleQueue()
        self._generation = 0

    def list(self, source: ListerWatcher[Item]) -> None:
        """List now, and begin to watch from there.

        Raises:
            ClusterError: the list failed; the watch from the list before continues.
        """
        listing = source.list()
        self._consumer.listed(listing)
        self._generation += 1
        Thread(
            target=self._watch,
            args=(self._generation, listing.resource_version, source.watch),
            name=f"{self._name}-{self._generation}",
            daemon=True,
        ).start()

    def deliver(self, seconds: float, *, settle: float = 0.0) -> None:
        """Wait so long for something to arrive, then hand over all that is there `settle` seconds later."""
        try:
            arrival = self._arrived.get(timeout=seconds)
            if settle:
                self._stopped.wait(settle)
            while True:
                self._hand_over(*arrival)
                arrival = self._arrived.get(block=False)
        except Empty:
            return

    @property
    def empty(self) -> bool:
        """Whether nothing has arrived that was not delivered."""
        return self._arrived.empty()

    def wake(self) -> None:
        """Let `deliver` return soon."""
        self._arrived.put((self._generation, None))

    def _watch(
        self, generation: int, version: str, watch: Callable[[str], Iterator[WatchEvent[Item]]]
    ) -> None:
        def arrived(what: WatchEvent[Item] | ClusterError) -> None:
            self._arrived.put((generation, what))

        def ended() -> bool:
            return self._stopped.is_set() or generation != self._generation

        try:
            watch_from(version, watch, changed=arrived, stopped=ended)
        except ClusterError as error:
            arrived(error)

    def _hand_over(self, generation: int, what: WatchEvent[Item] | ClusterError | None) -> None:
        """Pass on a change that the current watch brought, or the error that ended it."""
        if generation != self._generation or what is None:
            return
        if isinstance(what, ClusterError):
            self._consumer.failed(what)
        else:
            self._consumer.changed(what)
