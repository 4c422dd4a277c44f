"""Policies from the cluster: our kinds and what stands beside them, watched and put together on every change.

One thread a resource lists and watches; one more puts the documents together once something has changed. An
object that is wrong keeps its last good form in force and is reported; the others are not held up by it.
"""

from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

import msgspec

from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    Cluster,
    EventType,
    Listing,
    Resource,
)
from policy.core.kinds import ConfigMap
from policy.core.patches import JsonObject
from policy.core.prepared import prepare
from policy.core.problems import Problem
from policy.sources.documents import Document, read

POLICY_RESOURCES: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)
RESOURCES: Final = (
    *POLICY_RESOURCES,
    NAMESPACES,
    CONFIG_MAPS,
    WORKFLOW_TEMPLATES,
    CLUSTER_WORKFLOW_TEMPLATES,
)
LONGEST_LIMIT: Final = 64
"""Characters of a ConfigMap's value that may be a limit; longer ones are not kept in memory."""
WATCH_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 30.0
OPTIONAL: Final = (WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES)
"""Kinds that a cluster may lack; without ours nothing could be decided, so those are waited for."""

Changed: TypeAlias = Callable[[tuple[Document, ...]], None]
Trouble: TypeAlias = Callable[[str, ClusterError], None]


class Verdict(msgspec.Struct, frozen=True):
    """Whether an object is in force as it stands: no problems, or what is wrong with it."""

    resource: Resource
    namespace: str
    name: str
    generation: int
    problems: tuple[Problem, ...]


class Meta(msgspec.Struct, frozen=True):
    """The metadata that a verdict names."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0


prepare(Meta)


class Shelf:
    """The documents of one resource by uid, the last good form of each."""

    def __init__(self, *, resource: Resource) -> None:
        self.resource = resource
        self.documents: dict[str, Document] = {}
        self.listed = False

    def reset(self, items: Iterable[JsonObject]) -> list[Verdict]:
        """Start anew from a listing; returns the verdict on each object."""
        objects = {_meta(item).uid: item for item in items}
        self.documents = {uid: kept for uid, kept in self.documents.items() if uid in objects}
        self.listed = True
        return [self.put(item) for item in objects.values()]

    def put(self, obj: JsonObject) -> Verdict:
        """Take an object in if it is good."""
        meta = _meta(obj)
        typed: JsonObject = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, **obj}
        contents = read(typed)
        for decoded in contents.documents:
            self.documents[meta.uid] = _slim(decoded.document)
        return Verdict(self.resource, meta.namespace, meta.name, meta.generation, contents.problems)

    def drop(self, obj: JsonObject) -> None:
        """Take an object out."""
        self.documents.pop(_meta(obj).uid, None)


class ClusterSource:
    """Follows the cluster's policies until stopped.

    `changed` receives all good documents after every change, first when every resource was listed; `judged`
    the verdict on each policy that was read.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        changed: Changed,
        judged: Callable[[Verdict], None],
        trouble: Trouble,
        resources: tuple[Resource, ...] = RESOURCES,
    ) -> None:
        self._cluster = cluster
        self._changed = changed
        self._judged = judged
        self._trouble = trouble
        self._shelves = [Shelf(resource=resource) for resource in resources]
        self._lock = Lock()
        self._dirty = Event()
        self._stopped = Event()
        self.synced = Event()

    def stop(self) -> None:
        """End all threads soon."""
        self._stopped.set()
        self._dirty.set()

    def run(self) -> None:
        """Work until stopped."""
        for shelf in self._shelves:
            name = f"watch-{shelf.resource.plural}"
            Thread(target=self._follow, args=(shelf,), name=name, daemon=True).start()
        while True:
            self._dirty.wait()
            self._dirty.clear()
            if self._stopped.is_set():
                return
            self._put_together()

    def _put_together(self) -> None:
        with self._lock:
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
            verdicts = shelf.reset(listing.items)
        self._note(verdicts)
        if not listing.resource_version:
            self._stopped.wait(ABSENT_SECONDS)
            return
        version = listing.resource_version
        while not self._stopped.is_set():
            for event in self._cluster.watch(shelf.resource, since=version, timeout=WATCH_SECONDS):
                version = event.resource_version
                if event.type is not EventType.BOOKMARK:
                    self._note(self._fold(shelf, event.type, event.object))
                if self._stopped.is_set():
                    return

    def _fold(self, shelf: Shelf, type_: EventType, obj: JsonObject) -> list[Verdict]:
        with self._lock:
            if type_ is EventType.DELETED:
                shelf.drop(obj)
                return []
            return [shelf.put(obj)]

    def _note(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.resource in POLICY_RESOURCES:
                self._judged(verdict)
        self._dirty.set()


def _meta(obj: JsonObject) -> Meta:
    return msgspec.convert(obj.get("metadata") or {}, Meta)


def _slim(document: Document) -> Document:
    """Return a ConfigMap with only the values that can be limits; other documents as they are."""
    if not isinstance(document, ConfigMap):
        return document
    short = {key: value for key, value in document.data.items() if len(value) <= LONGEST_LIMIT}
    return msgspec.structs.replace(document, data=short)
