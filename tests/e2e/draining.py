"""A crowd of Workflows that drains through a pool: who creates and runs them, and a referee that sees all.

The referee follows the API server's own watch: at every event it has the state of that moment, in which no
limit may be exceeded. Whoever runs is deleted after a moment, as if it had finished and was cleaned up.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Condition, Event, Thread
from time import monotonic
from typing import Final

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOWS, EventType
from policy.core.objects import well_known
from policy.core.objects.workflow import Metadata
from tests.e2e.creating import workflow
from tests.patience import PATIENCE

CREATORS: Final = 4
RUNS: Final = 0.15
"""Seconds that a Workflow runs."""
AGAIN: Final = 0.2


class Seen(msgspec.Struct, frozen=True):
    """A Workflow as the watch shows it."""

    metadata: Metadata


class Referee:
    """Counts who runs, from the first event on; `broken` says what should never have been."""

    def __init__(self, *, namespaces: Mapping[str, int], pool: int) -> None:
        self._most = namespaces
        self._pool = pool
        self._held: dict[str, str] = {}
        self.changed = Condition()
        self.running: dict[str, tuple[str, str]] = {}
        self.starts: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.broken: list[str] = []
        self.events = 0

    def saw(self, type_: EventType, metadata: Metadata) -> None:
        """Judge one event."""
        uid, namespace = metadata.uid or "", metadata.namespace or ""
        held = (metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE
        with self.changed:
            self.events += 1
            if type_ is EventType.DELETED:
                self._held.pop(uid, None)
                self.running.pop(uid, None)
            elif held:
                self._held[uid] = namespace
                if uid in self.running:
                    self.broken.append(f"{metadata.name} ran and is held again")
            elif uid not in self.running:
                self._held.pop(uid, None)
                self.running[uid] = (namespace, metadata.name or "")
                self.starts[uid] += 1
                self._judge(namespace)
            self.changed.notify_all()

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds of what was seen."""
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    @property
    def empty(self) -> bool:
        """Whether nobody runs and nobody waits."""
        return not self._held and not self.running

    @property
    def was_full(self) -> bool:
        """Whether as many have run at once as the pool lets run."""
        return self.peak[""] >= self._pool

    def _judge(self, namespace: str) -> None:
        by_namespace = Counter(each for each, _ in self.running.values())
        self.peak[namespace] = max(self.peak[namespace], by_namespace[namespace])
        self.peak[""] = max(self.peak[""], len(self.running))
        if by_namespace[namespace] > self._most[namespace]:
            self.broken.append(f"{by_namespace[namespace]} run in {namespace}")
        if len(self.running) > self._pool:
            self.broken.append(f"{len(self.running)} run in the pool")
        if max(self.starts.values()) > 1:
            self.broken.append("one was started twice")


class Town:
    """The watch that the referee sees by, and those who end Workflows that have run for a moment."""

    def __init__(self, connect: Callable[[], KubeCluster], referee: Referee) -> None:
        self._referee = referee
        self._ended = Event()
        self._eyes, self._hands = connect(), connect()
        self._since = self._eyes.list(WORKFLOWS).resource_version
        self._threads = [Thread(target=self._look, name="referee"), Thread(target=self._run, name="runner")]

    def begin(self) -> None:
        """Begin to look and to run."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """End both."""
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._eyes.close()
        self._hands.close()

    def _look(self) -> None:
        while not self._ended.is_set():
            for event in self._eyes.watch(WORKFLOWS, since=self._since, metadata_only=True, timeout=5.0):
                self._since = event.resource_version
                if event.type is not EventType.BOOKMARK:
                    self._referee.saw(event.type, msgspec.convert(event.object, Seen).metadata)

    def _run(self) -> None:
        """End who has run for a moment; nobody before the pool was full, however slowly it fills."""
        begun: dict[str, float] = {}
        while not self._ended.wait(RUNS / 5) and not self._referee.was_full:
            continue
        while not self._ended.wait(RUNS / 5):
            with self._referee.changed:
                running = dict(self._referee.running)
            for uid, (namespace, name) in running.items():
                if monotonic() - begun.setdefault(uid, monotonic()) >= RUNS:
                    with suppress(ClusterError):  # It is tried again at the next look.
                        self._hands.delete(WORKFLOWS, name, namespace=namespace)


@contextmanager
def watched(connect: Callable[[], KubeCluster], referee: Referee) -> Iterator[None]:
    """Show the referee every event while the context lasts, and end whoever has run for a moment."""
    town = Town(connect, referee)
    town.begin()
    try:
        yield
    finally:
        town.end()


def create_all(connect: Callable[[], KubeCluster], names: list[tuple[str, str]], seconds: float) -> None:
    """Create Workflows, namespace and name each, from several sides; what fails is tried again."""
    deadline = monotonic() + seconds
    pause = Event()

    def work(part: list[tuple[str, str]]) -> None:
        cluster = connect()
        try:
            for namespace, name in part:
                while not _created(cluster, namespace, name):
                    assert monotonic() < deadline, f"{namespace}/{name} cannot be created"
                    pause.wait(AGAIN)
        finally:
            cluster.close()

    with ThreadPoolExecutor(CREATORS) as threads:
        for done in [threads.submit(work, names[start::CREATORS]) for start in range(CREATORS)]:
            done.result()


def _created(cluster: KubeCluster, namespace: str, name: str) -> bool:
    try:
        cluster.create(WORKFLOWS, workflow(name), namespace=namespace)
    except AlreadyExists:
        return True  # The answer of an earlier try was lost.
    except ClusterError:
        return False
    return True
