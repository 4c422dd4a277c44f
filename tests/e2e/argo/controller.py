"""The loop of the double: it follows the cluster, and looks at every Workflow that something happened to."""

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count
from queue import Empty
from threading import Event
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, Conflict, NotFound
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, Cluster, Resource
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.following import Change, Everything, Feed, Inbox, Stop
from tests.e2e.argo.locks import Locks
from tests.e2e.argo.operating import Operator
from tests.e2e.argo.planning import Fetch
from tests.e2e.argo.pods import PODS, WORKFLOW_LABEL
from tests.e2e.argo.shapes import Metadata, read_workflow
from tests.e2e.argo.work import PodWork, TimedWork

_ATTEMPTS: Final = 5
_LATER: Final = 1.0
"""Seconds after which a look that failed is repeated."""


class ConfigMap(msgspec.Struct, frozen=True):
    """The limits in a ConfigMap."""

    data: dict[str, str] = {}


class Identified(msgspec.Struct, frozen=True):
    """An object of which only the metadata is looked at."""

    metadata: Metadata


class WorkflowController:
    """Follows the cluster and looks at every Workflow that something happened to."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        say: Callable[[str], None],
        finish_after: float | None = None,
        instance_id: str = "",
        namespace: str = "",
    ) -> None:
        self._cluster = cluster
        self._stopwatch = stopwatch
        self._say = say
        self._inbox = Inbox()
        self._ended = Event()
        self._pods = PodWork(cluster=cluster) if finish_after is None else None
        self._work = self._pods or TimedWork(
            seconds=finish_after or 0.0, stopwatch=stopwatch, again=self._again
        )
        self._locks = Locks(limit_of=self._limit_of)
        self._operator = Operator(
            locks=self._locks, work=self._work, fetch=self._fetch_in, clock=clock, again=self._again
        )
        own = f"{well_known.INSTANCE_ID}={instance_id}" if instance_id else f"!{well_known.INSTANCE_ID}"
        unfinished = f"{well_known.COMPLETED}!=true"
        self._feeds = [
            Feed(cluster, say, CONFIG_MAPS, namespace, ""),
            *([Feed(cluster, say, PODS, namespace, f"{WORKFLOW_LABEL},{unfinished}")] if self._pods else []),
            Feed(cluster, say, WORKFLOWS, namespace, f"{own},{unfinished}"),
        ]
        self._own_id = instance_id
        self._workflows: dict[str, JsonObject] = {}
        self._newest: dict[str, int] = {}
        self._timers: list[tuple[float, int, str]] = []
        self._tickets = count()
        self._dirty: set[str] = set()

    def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Work until stopped; `ready` is called when everything that is there was seen."""
        for feed in self._feeds:
            feed.start(self._inbox, self._ended)
        unseen = {feed.resource.plural for feed in self._feeds}
        while True:
            change = self._next(unseen=bool(unseen))
            if isinstance(change, Stop):
                return
            if isinstance(change, Everything):
                unseen.discard(change.resource.plural)
                self._see_everything(change)
                if not unseen:
                    ready()
            elif change is not None:
                self._see(change)
            if not unseen and self._inbox.empty():
                self._look_around()

    def stop(self) -> None:
        """End the loop, and the feeds with their watches."""
        self._ended.set()
        self._inbox.put(Stop())

    def _next(self, *, unseen: bool) -> Change | Everything | Stop | None:
        """Wait for a change or until the next timer."""
        wait = max(self._timers[0][0] - self._stopwatch(), 0.0) if self._timers and not unseen else None
        try:
            return self._inbox.get(timeout=wait)
        except Empty:
            return None

    def _see_everything(self, everything: Everything) -> None:
        """Take note of all objects of a kind, and of Workflows that went unseen."""
        for item in everything.items:
            self._see(Change(everything.resource, item, gone=False))
        if everything.resource == WORKFLOWS:
            present = {_key(item) for item in everything.items}
            for key in self._workflows.keys() - present:
                self._drop(key)

    def _see(self, change: Change) -> None:
        """Take note of one change, and of the Workflows that it may concern."""
        key = _key(change.obj)
        if change.resource == CONFIG_MAPS:
            namespace, _, name = key.partition("/")
            self._locks.config_map_changed(namespace, name)
        elif change.resource == PODS and self._pods is not None:
            self._dirty.add(self._pods.lose(change.obj) if change.gone else self._pods.see(change.obj))
        elif change.resource == WORKFLOWS:
            self._see_workflow(key, change)

    def _see_workflow(self, key: str, change: Change) -> None:
        """Take note of a Workflow, unless our own last PUT is newer than this news."""
        version = int(_metadata(change.obj).resource_version)
        if version <= self._newest.get(key, 0):
            return
        if change.gone:
            self._drop(key)
            return
        known = self._workflows.get(key)
        if known is not None and _metadata(known).uid != _metadata(change.obj).uid:
            self._drop(key)
        if key not in self._workflows:
            self._restore(change.obj)
        self._workflows[key] = change.obj
        self._newest[key] = version
        self._dirty.add(key)

    def _restore(self, obj: JsonObject) -> None:
        """Take over the locks of a Workflow that runs already."""
        try:
            self._locks.restore(read_workflow(obj))
        except msgspec.ValidationError as error:
            self._say(f"{_key(obj)}: {error}")

    def _drop(self, key: str) -> None:
        """Forget a Workflow that ended, was deleted or taken out of sight; its locks are free, as in Argo."""
        self._workflows.pop(key, None)
        self._newest.pop(key, None)
        self._locks.forget(key)

    def _look_around(self) -> None:
        """Look at every Workflow that something happened to, and at those that this helps on."""
        while self._timers and self._timers[0][0] <= self._stopwatch():
            self._dirty.add(heapq.heappop(self._timers)[2])
        while self._dirty or self._locks.stirred:
            self._dirty |= self._locks.stirred
            self._locks.stirred.clear()
            todo, self._dirty = sorted(self._dirty), set()
            for key in todo:
                self._look(key)

    def _look(self, key: str) -> None:
        """Look at one Workflow and put what it should be; look at it anew when somebody else was faster."""
        for _ in range(_ATTEMPTS):
            obj = self._workflows.get(key)
            if obj is None:
                return
            try:
                wanted = self._operator.look(obj)
                if wanted == obj:
                    return
                self._stored(key, self._cluster.replace(WORKFLOWS, wanted))
            except Conflict:
                self._refresh(key)
            except NotFound:
                self._drop(key)
            except (ClusterError, msgspec.ValidationError) as error:
                self._say(f"{key}: {error}")
                self._again(key, _LATER)
                return
            else:
                return
        self._again(key, _LATER)

    def _stored(self, key: str, obj: JsonObject) -> None:
        """Keep what the API made of our PUT; what is completed is done with."""
        workflow = read_workflow(obj)
        self._workflows[key] = obj
        self._newest[key] = int(workflow.metadata.resource_version)
        if workflow.is_completed:
            self._work.file(workflow)
            self._workflows.pop(key)

    def _refresh(self, key: str) -> None:
        """Read a Workflow anew; one that was taken out of our sight is dropped."""
        namespace, _, name = key.partition("/")
        try:
            obj = self._cluster.get(WORKFLOWS, name, namespace=namespace)
        except NotFound:
            self._drop(key)
            return
        labels = _metadata(obj).labels or {}
        if labels.get(well_known.INSTANCE_ID, "") != self._own_id:
            self._drop(key)
        else:
            self._workflows[key] = obj

    def _again(self, key: str, seconds: float) -> None:
        heapq.heappush(self._timers, (self._stopwatch() + seconds, next(self._tickets), key))

    def _limit_of(self, namespace: str, name: str, key: str) -> int | None:
        """Return a limit by Go's rules of Atoi, read from the API each time as Argo does."""
        try:
            found = msgspec.convert(self._cluster.get(CONFIG_MAPS, name, namespace=namespace), ConfigMap)
        except NotFound:
            return None
        text = found.data.get(key, "")
        digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
        return int(text) if digits.isascii() and digits.isdigit() else None

    def _fetch_in(self, namespace: str) -> Fetch:
        """Return what finds templates for the Workflows of a namespace."""

        def fetch(resource: Resource, name: str) -> JsonObject | None:
            try:
                return self._cluster.get(resource, name, namespace=namespace if resource.namespaced else "")
            except NotFound:
                return None

        return fetch


def _metadata(obj: JsonObject) -> Metadata:
    return msgspec.convert(obj, Identified).metadata


def _key(obj: JsonObject) -> str:
    metadata = _metadata(obj)
    return f"{metadata.namespace}/{metadata.name}"
