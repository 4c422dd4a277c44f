"""The loop of a leader that corrects objects: a pass at every change of them, and every few seconds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Thread
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.list_and_watch import ListerWatcher, list_and_watch
from policy.cluster.protocol import Cluster, Listing, Resource, WatchEvent
from policy.core.objects.json_patch import JsonObject
from policy.core.values.backoff import backoff

PASS_SECONDS: Final = 5.0
"""Without any change a pass is made this often: waits end without one."""
_FIRST_DELAY: Final = 1.0
_LAST_DELAY: Final = 60.0
"""Seconds between passes that fail: the first, doubled each time up to the last. A change of an object does
not wait for that: what can be corrected is."""
_GAP_SECONDS: Final = 0.2
"""Seconds between two passes at least, should another client write the same fields as fast as we do."""
_WATCH_SECONDS: Final = 60.0


class WatchedObject(msgspec.Struct, frozen=True):
    """An object whose changes are a reason for a pass."""

    resource: Resource
    name: str
    namespace: str = ""


class Upkeep(ABC):
    """Makes passes until it is stopped; one replica at a time, the leader, does this.

    `trouble` is called for watches that fail, and `threads` begins the names of their threads.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        objects: Sequence[WatchedObject],
        trouble: Callable[[str, ClusterError], object],
        threads: str,
        pass_seconds: float,
    ) -> None:
        self._watched_in = cluster
        self._objects = objects
        self._trouble = trouble
        self._threads = threads
        self._pass_seconds = pass_seconds
        self._wake = Event()
        self._stopped = Event()

    @abstractmethod
    def make_pass(self) -> bool:
        """Correct what is wrong, and take every step that is due; return whether all went well."""

    def run(self) -> None:
        """Work until stopped."""
        for each in self._objects:
            name = f"{self._threads}-{each.resource.plural}"
            Thread(target=self._follow, args=(each,), name=name, daemon=True).start()
        failures = 0
        while not self._stopped.is_set():
            self._wake.clear()
            failures = 0 if self.make_pass() else failures + 1
            delay = backoff(failures, first=_FIRST_DELAY, last=_LAST_DELAY)
            self._wake.wait(delay if failures else self._pass_seconds)
            self._stopped.wait(_GAP_SECONDS)

    def stop(self) -> None:
        """End the work; the watches end with their next event or time-out."""
        self._stopped.set()
        self._wake.set()

    def _follow(self, watched: WatchedObject) -> None:
        """Cause passes at every change of an object, and after every gap in watching it.

        After an error a new list is read first, so an API server that is away causes none.
        """
        resource, namespace, name = watched.resource, watched.namespace, watched.name
        source = ListerWatcher(
            list=lambda: self._watched_in.list(resource, namespace=namespace, name=name, metadata_only=True),
            watch=lambda since: self._watched_in.watch(
                resource,
                since=since,
                namespace=namespace,
                name=name,
                metadata_only=True,
                timeout=_WATCH_SECONDS,
            ),
        )
        waking = _Waking(self._wake, partial(self._trouble, f"watching {resource.plural}"))
        list_and_watch(source, waking, stopped=self._stopped)


class _Waking:
    """Wakes the loop at every list and every change of an object."""

    def __init__(self, wake: Event, trouble: Callable[[ClusterError], object]) -> None:
        self._wake = wake
        self._trouble = trouble

    def listed(self, _: Listing[JsonObject]) -> None:
        self._wake.set()

    def changed(self, _: WatchEvent[JsonObject]) -> None:
        self._wake.set()

    def failed(self, error: ClusterError) -> None:
        self._trouble(error)
