"""Policies from the cluster: our kinds and what stands beside them, watched and put together on every change.

One thread a resource lists and watches; one more puts the documents together once something has changed. An
object that is wrong keeps its last good form in force and is reported; the others are not held up by it.
"""

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    Cluster,
    EventType,
    Listing,
    Resource,
)
from policy.core.patches import JsonObject
from policy.sources.documents import Document
from policy.sources.shelf import POLICY_RESOURCES, Shelf, Taken, Verdict

RESOURCES: Final = (
    *POLICY_RESOURCES,
    NAMESPACES,
    CONFIG_MAPS,
    WORKFLOW_TEMPLATES,
    CLUSTER_WORKFLOW_TEMPLATES,
)
WATCH_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 30.0
OPTIONAL: Final = (WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES)
"""Kinds that a cluster may lack; without ours nothing could be decided, so those are waited for."""

Changed: TypeAlias = Callable[[tuple[Document, ...]], None]
Trouble: TypeAlias = Callable[[str, ClusterError], None]


class ClusterSource:
    """Follows the cluster's policies until stopped.

    `changed` receives all good documents after every change of them, first when every resource was listed;
    `judged` the verdict on each policy that was read. `moved` hears when `verdicts` are others than before,
    if only because the status of a policy was written.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        changed: Changed,
        judged: Callable[[Verdict], None],
        trouble: Trouble,
        moved: Callable[[], None],
        resources: tuple[Resource, ...] = RESOURCES,
    ) -> None:
        self._cluster = cluster
        self._changed = changed
        self._judged = judged
        self._trouble = trouble
        self._moved = moved
        self._shelves = [Shelf(resource=resource) for resource in resources]
        self._lock = Lock()
        self._dirty = Event()
        self._stopped = Event()
        self.synced = Event()

    def stop(self) -> None:
        """End all threads soon."""
        self._stopped.set()
        self._dirty.set()

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the latest verdict on each policy that there is."""
        with self._lock:
            return tuple(each for shelf in self._shelves for each in shelf.verdicts.values())

    def run(self) -> None:
        """Work until stopped."""
        for shelf in self._shelves:
            name = f"watch-{shelf.resource.plural}"
            Thread(target=self._follow, args=(shelf,), name=name, daemon=True).start()
        while True:
            self._dirty.wait()
            if self._stopped.is_set():
                return
            self._put_together()

    def _put_together(self) -> None:
        with self._lock:
            self._dirty.clear()  # Under the lock, as it is set, so that nothing is put together twice.
            if not all(shelf.listed for shelf in self._shelves):
                return
            documents = tuple(each for shelf in self._shelves for each in shelf.documents.values())
        self._changed(documents)
        self.synced.set()

    def _follow(self, shelf: Shelf) -> None:
        """List and watch one resource; after an error wait a little and list again."""
        while not self._stopped.is_set():
            try:
                self._list_and_watch(shelf)
            except ClusterError as error:
                self._trouble(f"watching {shelf.resource.plural}", error)
                self._stopped.wait(RETRY_SECONDS)

    def _list_and_watch(self, shelf: Shelf) -> None:
        try:
            listing = self._cluster.list(shelf.resource)
        except NotFound:
            if shelf.resource not in OPTIONAL:
                raise
            listing = Listing((), "")  # Argo's templates are not installed here, or not yet.
        with self._lock:
            taken = self._note(shelf.reset(listing.items))
        self._tell(taken)
        if not listing.resource_version:
            self._stopped.wait(ABSENT_SECONDS)
            return
        version = listing.resource_version
        while not self._stopped.is_set():
            for event in self._cluster.watch(shelf.resource, since=version, timeout=WATCH_SECONDS):
                version = event.resource_version
                if event.type is not EventType.BOOKMARK:
                    self._tell(self._fold(shelf, event.type, event.object))
                if self._stopped.is_set():
                    return

    def _fold(self, shelf: Shelf, type_: EventType, obj: JsonObject) -> Taken:
        with self._lock:
            return self._note(shelf.drop(obj) if type_ is EventType.DELETED else shelf.put(obj))

    def _note(self, taken: Taken) -> Taken:
        """Have documents that changed put together soon; called under the lock."""
        if taken.documents:
            self._dirty.set()
        return taken

    def _tell(self, taken: Taken) -> None:
        for verdict in taken.judged:
            self._judged(verdict)
        if taken.moved:
            self._moved()
