"""Policies from the cluster: our kinds and the objects related to them, watched and gathered on every change.

One thread a resource lists and watches; one more gathers the documents after a change. Of an object that is
wrong the last good form stays in force, and the error is reported; it does not hold up the others. Of
templates and ConfigMaps only those are read that policies need, and new policies are not in force before
these were read.
"""

from collections.abc import Callable, Iterable
from functools import partial
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

import msgspec

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.list_and_watch import list_and_watch, whole_objects
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    Cluster,
    EventType,
    Listing,
    Resource,
    WatchEvent,
)
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.read_extent import Extent
from policy.sources.documents import Document
from policy.sources.governed_namespaces import WantedReads, wanted_by
from policy.sources.last_good_objects import POLICY_RESOURCES, LastGoodObjects, ObjectsChange, Verdict
from policy.sources.namespace_bounds import USUAL_BOUNDS, PortionBounds, Scope
from policy.sources.namespaced_watch import WATCH_SECONDS, ScopedResource
from policy.sources.related_objects import ConfigMapName, config_map_reducer, template_reducer

_DECIDING: Final = (*POLICY_RESOURCES, NAMESPACES)
"""What decides which of the others are read."""
_RESOURCES: Final = (*_DECIDING, CONFIG_MAPS, WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES)
_WHOLE_CLUSTER: Final = frozenset({Scope()})
_NOTHING: Final = WantedReads(frozenset(), frozenset())


class GatheredDocuments(msgspec.Struct, frozen=True):
    """All good documents, and how much of the cluster they are."""

    documents: tuple[Document, ...]
    extent: Extent


_Changed: TypeAlias = Callable[[GatheredDocuments], None]
_Update: TypeAlias = Callable[[Callable[[], ObjectsChange]], None]


class ClusterSource:
    """Follows the cluster's policies until stopped.

    `changed` receives all good documents after every change of them, first when every resource was listed;
    `on_verdict` the verdict on each policy that was read. `verdicts_changed` is called when these changed, if
    only because the status of a policy was written. `argo` are the ConfigMaps of Argo's controllers.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        changed: _Changed,
        on_verdict: Callable[[Verdict], None],
        trouble: Trouble,
        verdicts_changed: Callable[[], None],
        resources: tuple[Resource, ...] = _RESOURCES,
        argo: Iterable[ConfigMapName] = (),
        bounds: PortionBounds = USUAL_BOUNDS,
    ) -> None:
        self._cluster = cluster
        self._changed = changed
        self._on_verdict = on_verdict
        self._trouble = trouble
        self._verdicts_changed = verdicts_changed
        self._argo = frozenset(argo)
        self._bounds = bounds
        self._objects = [LastGoodObjects(resource=each) for each in resources if each in _DECIDING]
        self._lock = Lock()
        self._pages = Lock()
        self._dirty = Event()
        self._stopped = Event()
        self._scoped = [self._scoped_resource(each) for each in resources if each not in _DECIDING]
        self._wanted_at = -1
        self._wanted = _NOTHING
        self.synced = Event()

    def _scoped_resource(self, resource: Resource) -> ScopedResource:
        """Return what follows templates or ConfigMaps; of a cluster without Argo there are no templates."""
        maps = resource == CONFIG_MAPS
        return ScopedResource(
            resource,
            reducer=config_map_reducer(self._argo)
            if maps
            else template_reducer(resource.api_version, resource.kind),
            bound=self._bounds.config_maps if maps else self._bounds.templates,
            again=self._bounds.again,
            optional=not maps,
            last_good=not maps,
            cluster=self._cluster,
            lock=self._lock,
            pages=self._pages,
            stopped=self._stopped,
            changed=self._dirty.set,
            trouble=self._trouble,
        )

    def stop(self) -> None:
        """End all threads soon."""
        self._stopped.set()
        self._dirty.set()
        with self._lock:
            for each in self._scoped:
                each.wake()

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the latest verdict on each policy that there is."""
        with self._lock:
            return tuple(each for objects in self._objects for each in objects.verdicts.values())

    def run(self) -> None:
        """Work until stopped."""
        for objects in self._objects:
            name = f"watch-{objects.resource.plural}"
            Thread(target=self._follow, args=(objects,), name=name, daemon=True).start()
        for scoped in self._scoped:
            for work, name in ((scoped.watch, "watch"), (scoped.read, "list")):
                Thread(target=work, name=f"{name}-{scoped.resource.plural}", daemon=True).start()
        while True:
            self._dirty.wait()
            if self._stopped.is_set():
                return
            self._gather()

    def _gather(self) -> None:
        with self._lock:
            self._dirty.clear()  # Under the lock, as it is set, so that nothing is gathered twice.
            if not all(objects.listed for objects in self._objects):
                return
            if not self._has_read_all_wanted():
                return  # It is set again when something was read.
            documents = [each for objects in self._objects for each in objects.documents.values()]
            for scoped in self._scoped:
                documents.extend(scoped.documents())
            gathered = GatheredDocuments(tuple(documents), self._extent())
        self._changed(gathered)
        self.synced.set()

    def _has_read_all_wanted(self) -> bool:
        """Want what policies and namespaces need now; return whether all of it was read."""
        changes = sum(objects.changes for objects in self._objects)
        if changes != self._wanted_at:
            deciding = (each for objects in self._objects for each in objects.documents.values())
            self._wanted, self._wanted_at = wanted_by(deciding, self._argo), changes
        by_resource = {
            CONFIG_MAPS: self._wanted.config_maps,
            WORKFLOW_TEMPLATES: self._wanted.templates,
            CLUSTER_WORKFLOW_TEMPLATES: _WHOLE_CLUSTER,
        }
        unread = [each for each in self._scoped if not each.want(by_resource[each.resource])]
        return not unread

    def _extent(self) -> Extent:
        left_out = [each for scoped in self._scoped for each in scoped.left_out()]
        return Extent(
            templates=frozenset(each.namespace for each in self._wanted.templates),
            config_maps=frozenset(each.namespace for each in self._wanted.config_maps if not each.name),
            named=frozenset((each.namespace, each.name) for each in self._wanted.config_maps if each.name),
            left_out={(each.kind, each.namespace): each for each in left_out},
        )

    def _follow(self, objects: LastGoodObjects) -> None:
        source = whole_objects(self._cluster, objects.resource, timeout=WATCH_SECONDS)
        consumer = _ObjectsUpdate(objects, update=partial(self._update, objects), trouble=self._trouble)
        list_and_watch(source, consumer, stopped=self._stopped)

    def _update(self, objects: LastGoodObjects, change: Callable[[], ObjectsChange]) -> None:
        """Change the objects of a resource, gather soon where documents changed, and pass verdicts on."""
        with self._lock:
            result = change()
            if result.documents:
                objects.changes += 1
                self._dirty.set()
        for verdict in result.verdicts:
            self._on_verdict(verdict)
        if result.policies:
            self._verdicts_changed()


class _ObjectsUpdate:
    """A Consumer that updates the objects of a resource; `update` makes the change and acts on its result."""

    def __init__(self, objects: LastGoodObjects, *, update: _Update, trouble: Trouble) -> None:
        self._objects = objects
        self._update = update
        self._trouble = trouble

    def listed(self, listing: Listing[JsonObject]) -> None:
        self._update(partial(self._objects.reset, listing.items))

    def changed(self, event: WatchEvent[JsonObject]) -> None:
        change = self._objects.drop if event.type is EventType.DELETED else self._objects.put
        self._update(partial(change, event.object))

    def failed(self, error: ClusterError) -> None:
        self._trouble(f"watching {self._objects.resource.plural}", error)
