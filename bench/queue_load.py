"""Who creates the Workflows of the scenario, and who plays their execution; both see by the API server alone.

A watch shows when a Workflow is released. It is ended after its time, with one write as Argo's controller
makes it. At every event the usage of each pool and namespace is added up, and may not be above its limits.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from heapq import heappop, heappush
from http import HTTPMethod
from random import SystemRandom
from threading import Condition, Thread
from time import monotonic
from typing import Final

import msgspec

from bench.queue_scenario import BORROWING, CLASS_OF, QUEUES, SHARE, Arrival
from bench.queue_site import ARGO, Site
from policy.cluster.kube.connection import KubeTransport, connection
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.kube.requests import KubeRequest
from policy.cluster.protocol import WORKFLOWS, EventType, MergePatch, Selection, Unread
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare

CREATORS: Final = 12
ENDERS: Final = 12
_WATCH_SECONDS: Final = 3.0
"""So much after the last Workflow the watch has ended."""
_JOIN_SECONDS: Final = 30.0


class Labels(msgspec.Struct, frozen=True, rename={"instance": well_known.INSTANCE_ID}):
    """What shows whether a Workflow waits, runs or is over."""

    instance: str = ""
    completed: str = msgspec.field(default="", name=well_known.COMPLETED)


class SeenMetadata(msgspec.Struct, frozen=True):
    """Which Workflow it is."""

    name: str = ""
    namespace: str = ""
    labels: Labels = Labels()


class SeenWorkflow(msgspec.Struct, frozen=True):
    """A Workflow as the watch shows it."""

    metadata: SeenMetadata = SeenMetadata()


prepare(SeenWorkflow)


class _NamedWrites:
    """Sends writes under another name than ours: the leader knows by it who has changed a Workflow."""

    def __init__(self, inner: KubeTransport, field_manager: str) -> None:
        self._inner = inner
        self._query = (("fieldManager", field_manager),)

    def send(self, request: KubeRequest) -> bytes:
        """Return the body of the answer."""
        if request.method is not HTTPMethod.GET:
            request = msgspec.structs.replace(request, query=request.query + self._query)
        return self._inner.send(request)

    def stream(self, request: KubeRequest, *, silence: float) -> AbstractContextManager[Iterator[bytes]]:
        """Yield the body in pieces as they arrive."""
        return self._inner.stream(request, silence=silence)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


class Outcome(msgspec.Struct, frozen=True):
    """What came of a run: seconds from first create to last end, and to each admission, by class.

    `exceeded` are moments at which more ran than a limit allows.
    """

    wall: float
    waits: dict[str, list[float]]
    exceeded: list[str]


class Execution:
    """Creates Workflows when they are due and ends them when they have run for their time."""

    def __init__(self, *, site: Site, arrivals: list[Arrival]) -> None:
        self._site = site
        self._due = sorted(arrivals, reverse=True)
        self._all = len(arrivals)
        self._changed = Condition()
        self._sent: dict[tuple[str, str], float] = {}
        self._started: dict[tuple[str, str], float] = {}
        self._ends: list[tuple[float, tuple[str, str]]] = []
        self._over: set[tuple[str, str]] = set()
        self._running: Counter[str] = Counter()
        self._broken: list[str] = []
        self._exceeded: list[str] = []
        self._stopped = False
        self._begun = 0.0

    def play(self, seconds: float) -> Outcome:
        """Play all of it, and return what came of it. Raises TimeoutError, or RuntimeError."""
        with ExitStack() as stack:

            def client(*, argo: bool) -> KubeCluster:
                plane = self._site.plane
                connected = connection(plane.accounts[ARGO] if argo else plane.kubeconfig)
                made = KubeCluster(transport=_NamedWrites(connected, "argo"), rng=SystemRandom())
                stack.callback(made.close)
                return made

            since = client(argo=True).list(WORKFLOWS, metadata_only=True).resource_version
            works = [partial(self._watch, client(argo=True), since)]
            works += [partial(self._end, client(argo=True)) for _ in range(ENDERS)]
            works += [partial(self._create, client(argo=False)) for _ in range(CREATORS)]
            self._begun = monotonic()
            threads = [Thread(target=self._guarded, args=(work,), daemon=True) for work in works]
            for thread in threads:
                thread.start()
            try:
                with self._changed:
                    done = self._changed.wait_for(self._done, seconds)
                    wall = monotonic() - self._begun
            finally:
                self._stop()
                for thread in threads:
                    thread.join(_JOIN_SECONDS)
        if self._broken:
            raise RuntimeError(self._broken[0])
        if not done:
            raise TimeoutError(f"{len(self._over)} of {self._all} were over after {seconds:.0f} s")
        waits = defaultdict(list)
        for key, started in self._started.items():
            waits[key[1].partition("-")[0]].append(started - self._sent[key])
        return Outcome(wall, dict(waits), self._exceeded)

    def _done(self) -> bool:
        return bool(self._broken) or len(self._over) == self._all

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do some work; its failure ends the run."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told by the thread that waits.
            with self._changed:
                self._broken.append(f"{type(error).__name__}: {error}")
                self._changed.notify_all()

    def _create(self, cluster: KubeCluster) -> None:
        """Create what is due, until nothing is left."""
        while (arrival := self._next_arrival()) is not None:
            cluster.create(WORKFLOWS, arrival.draft(), namespace=arrival.namespace)

    def _next_arrival(self) -> Arrival | None:
        with self._changed:
            while self._due and not self._stopped:
                left = self._begun + self._due[-1].due - monotonic()
                if left <= 0:
                    arrival = self._due.pop()
                    self._sent[arrival.namespace, arrival.name] = monotonic()
                    return arrival
                self._changed.wait(left)
        return None

    def _end(self, cluster: KubeCluster) -> None:
        """End what has run for its time, until all is over."""
        labels: JsonObject = {well_known.COMPLETED: "true", well_known.PHASE: "Succeeded"}
        change: JsonObject = {"metadata": {"labels": labels}, "status": {"phase": "Succeeded"}}
        while (key := self._next_end()) is not None:
            cluster.patch(WORKFLOWS, key[1], MergePatch(change), namespace=key[0])

    def _next_end(self) -> tuple[str, str] | None:
        with self._changed:
            while not self._stopped:
                left = self._ends[0][0] - monotonic() if self._ends else None
                if left is not None and left <= 0:
                    return heappop(self._ends)[1]
                self._changed.wait(left)
        return None

    def _watch(self, cluster: KubeCluster, since: str) -> None:
        """Follow every Workflow until all are over."""
        selection = Selection(WORKFLOWS, metadata_only=True)
        while not self._stopped:
            for event in cluster.watch_as(selection, SeenWorkflow, since=since, timeout=_WATCH_SECONDS):
                since = event.resource_version
                if event.type is not EventType.BOOKMARK and not isinstance(event.object, Unread):
                    self._saw(event.object.metadata)

    def _saw(self, seen: SeenMetadata) -> None:
        """Take note of one state of a Workflow."""
        key = (seen.namespace, seen.name)
        with self._changed:
            if seen.labels.instance == well_known.HOLD_VALUE or key not in self._sent or key in self._over:
                return
            tasks = CLASS_OF[seen.name.partition("-")[0]].tasks
            if key not in self._started:
                now = monotonic()
                self._started[key] = now
                heappush(self._ends, (now + CLASS_OF[seen.name.partition("-")[0]].seconds, key))
                self._count(seen.namespace, tasks)
                self._changed.notify_all()
            if seen.labels.completed == "true":
                self._over.add(key)
                self._count(seen.namespace, -tasks)
                if len(self._over) == self._all:
                    self._changed.notify_all()

    def _count(self, namespace: str, tasks: int) -> None:
        """Add to what runs, and judge it."""
        pool = namespace.rpartition("-")[0]
        for name, most in ((namespace, SHARE + BORROWING), (pool, SHARE * QUEUES)):
            self._running[name] += tasks
            if self._running[name] > most:
                self._exceeded.append(f"{self._running[name]} tasks ran in {name}, of {most}")
