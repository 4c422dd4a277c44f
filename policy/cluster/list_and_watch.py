"""List and watch: all objects of a kind, then every change of them, for as long as somebody follows them.

It is what client-go calls a reflector. A list says at which version it was made, and the watch brings
everything after that version, so nothing between the two is lost. A watch that comes to its time-out goes on
from the last version that it saw; bookmarks move that version on and are no change. After an error, such as a
version that is too old by now (410 Gone), everything is listed again.
"""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import (
    Cluster,
    EventOf,
    EventType,
    Listing,
    ListingOf,
    ReadingAs,
    Resource,
    Shape,
    WatchEvent,
)

RETRY_SECONDS: Final = 1.0
"""From an error to the next list."""


Listed = TypeVar("Listed", bound=Listing | ListingOf[Any])
Changed = TypeVar("Changed", bound=WatchEvent | EventOf[Any])
Listed_contra = TypeVar("Listed_contra", bound=Listing | ListingOf[Any], contravariant=True)
Changed_contra = TypeVar("Changed_contra", bound=WatchEvent | EventOf[Any], contravariant=True)


class Consumer(Protocol[Listed_contra, Changed_contra]):
    """What somebody who follows objects does with them."""

    def listed(self, listing: Listed_contra, /) -> None:
        """Take all objects; what is not among them is gone."""
        ...

    def changed(self, event: Changed_contra, /) -> None:
        """Take one change after that listing."""
        ...

    def failed(self, error: ClusterError, /) -> None:
        """Take note that the list or the watch failed."""
        ...


class ListerWatcher(msgspec.Struct, Generic[Listed, Changed], frozen=True):
    """How some objects are listed, and watched since a version until the time-out of the watch."""

    list: Callable[[], Listed]
    watch: Callable[[str], Iterator[Changed]]


def whole_objects(
    cluster: Cluster, resource: Resource, *, timeout: float
) -> ListerWatcher[Listing, WatchEvent]:
    """Follow all objects of a resource as the API serves them."""
    return ListerWatcher(
        list=lambda: cluster.list(resource),
        watch=lambda since: cluster.watch(resource, since=since, timeout=timeout),
    )


def shaped_objects(
    cluster: ReadingAs,
    resource: Resource,
    shape: type[Shape],
    *,
    namespace: str = "",
    labels: str = "",
    metadata_only: bool = False,
    timeout: float,
) -> ListerWatcher[ListingOf[Shape], EventOf[Shape]]:
    """Follow objects of a resource in a shape; the arguments are those of `ReadingAs`."""
    return ListerWatcher(
        list=lambda: cluster.list_as(
            resource, shape, namespace=namespace, labels=labels, metadata_only=metadata_only
        ),
        watch=lambda since: cluster.watch_as(
            resource,
            shape,
            since=since,
            namespace=namespace,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        ),
    )


def watch_from(
    version: str,
    watch: Callable[[str], Iterator[Changed]],
    *,
    changed: Callable[[Changed], None],
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


def list_and_watch(
    source: ListerWatcher[Listed, Changed], consumer: Consumer[Listed, Changed], *, stopped: Event
) -> None:
    """Follow objects until stopped, and call the consumer in this thread; no error of the cluster ends it."""
    while not stopped.is_set():
        try:
            version = _listed(source, consumer, stopped)
            watch_from(version, source.watch, changed=consumer.changed, stopped=stopped.is_set)
        except ClusterError as error:
            consumer.failed(error)
            stopped.wait(RETRY_SECONDS)


def _listed(
    source: ListerWatcher[Listed, Changed], consumer: Consumer[Listed, Changed], stopped: Event
) -> str:
    """Hand a list over and return its version alone: a list may be large, and a watch takes long."""
    listing = source.list()
    if not stopped.is_set():
        consumer.listed(listing)
    return listing.resource_version


class _Arrival(msgspec.Struct, Generic[Changed], frozen=True):
    """What the watch of one generation brought, or the error that ended it."""

    generation: int
    what: Changed | ClusterError


class WatchInbox(Generic[Listed, Changed]):
    """List and watch for a loop that lists when it likes, and takes changes in between two of its turns.

    The consumer is called by `list` and `deliver` alone, so in the thread of the loop. Every list starts a
    new generation of the watch: what an older one brings is dropped, because folding it into a newer list
    would count too little. `name` is that of the threads that watch; they end when `stopped` is set.
    """

    def __init__(self, consumer: Consumer[Listed, Changed], *, name: str, stopped: Event) -> None:
        self._consumer = consumer
        self._name = name
        self._stopped = stopped
        self._arrived: SimpleQueue[_Arrival[Changed] | None] = SimpleQueue()
        self._generation = 0

    def list(self, source: ListerWatcher[Listed, Changed]) -> None:
        """List now, and begin to watch from there.

        Raises:
            ClusterError: the list failed; the watch from the list before goes on.
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
                if arrival is not None and self._is_current(arrival):
                    self._hand_over(arrival.what)
                arrival = self._arrived.get(block=False)
        except Empty:
            return

    @property
    def empty(self) -> bool:
        """Whether nothing has arrived that was not delivered."""
        return self._arrived.empty()

    def wake(self) -> None:
        """Let `deliver` return soon."""
        self._arrived.put(None)

    def _watch(self, generation: int, version: str, watch: Callable[[str], Iterator[Changed]]) -> None:
        def arrived(what: Changed | ClusterError) -> None:
            self._arrived.put(_Arrival(generation, what))

        def ended() -> bool:
            return self._stopped.is_set() or generation != self._generation

        try:
            watch_from(version, watch, changed=arrived, stopped=ended)
        except ClusterError as error:
            arrived(error)

    def _is_current(self, arrival: _Arrival[Changed]) -> bool:
        return arrival.generation == self._generation

    def _hand_over(self, what: Changed | ClusterError) -> None:
        if isinstance(what, ClusterError):
            self._consumer.failed(what)
        else:
            self._consumer.changed(what)
