"""A witness of a quota: sees every change of the Workflows of a namespace, and how many run at each.

Of a group it sees how many of each key run, by the label that is the key.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOWS, EventType
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata

_WATCH_SECONDS: Final = 300.0


class Seen(msgspec.Struct, frozen=True):
    """A Workflow of which only the marks count."""

    metadata: Metadata

    @property
    def held(self) -> bool:
        """Whether it waits."""
        return (self.metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE

    @property
    def completed(self) -> bool:
        """Whether it has ended."""
        return (self.metadata.labels or {}).get(well_known.COMPLETED) == "true"


class Witness:
    """Follows a namespace, over an API server that goes away too; what happens then is seen as one change."""

    def __init__(self, *, cluster: KubeCluster, namespace: str, by_label: str = "") -> None:
        self._cluster = cluster
        self._by_label = by_label
        self._keys: dict[str, str] = {}
        self._namespace = namespace
        self._lock = Lock()
        self._ended = False
        self._held: set[str] = set()
        self._running: set[str] = set()
        self._completed: set[str] = set()
        self._released: Counter[str] = Counter()
        self._most = 0
        self._thread = Thread(target=self._follow, name="witness")

    @property
    def most(self) -> int:
        """The most Workflows that ran at once after any change, of one value of the label if it is given."""
        with self._lock:
            return self._most

    @property
    def completed(self) -> frozenset[str]:
        """The names of those that have ended."""
        with self._lock:
            return frozenset(self._completed)

    @property
    def releases(self) -> dict[str, int]:
        """How often each was let go."""
        with self._lock:
            return dict(self._released)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def end(self) -> None:
        """End to follow, with connections and all."""
        self._ended = True
        self._cluster.close()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended:
            try:
                self._watch()
            except ClusterError:  # The API server is away, or forgot the version; the next list tells.
                continue

    def _watch(self) -> None:
        listing = self._cluster.list(WORKFLOWS, namespace=self._namespace, metadata_only=True)
        self._take(listing.items)
        version = listing.resource_version
        while not self._ended:
            for event in self._cluster.watch(
                WORKFLOWS,
                since=version,
                namespace=self._namespace,
                metadata_only=True,
                timeout=_WATCH_SECONDS,
            ):
                version = event.resource_version
                if event.type in (EventType.ADDED, EventType.MODIFIED):
                    self._take((event.object,))

    def _take(self, items: tuple[JsonObject, ...]) -> None:
        """Take note of how Workflows are now, all at once."""
        with self._lock:
            for item in items:
                self._note(msgspec.convert(item, Seen))
            of_key = Counter(self._keys[each] for each in self._running)
            self._most = max(self._most, *of_key.values(), 0)

    def _note(self, seen: Seen) -> None:
        name = seen.metadata.name or ""
        self._keys[name] = (seen.metadata.labels or {}).get(self._by_label, "")
        if name in self._held and not seen.held:
            self._released[name] += 1
        for there, group in (
            (seen.held, self._held),
            (not seen.held and not seen.completed, self._running),
            (seen.completed, self._completed),
        ):
            (group.add if there else group.discard)(name)


@contextmanager
def witness(*, connect: Callable[[], KubeCluster], namespace: str, by_label: str = "") -> Iterator[Witness]:
    """Let somebody watch a namespace while the context lasts."""
    witness = Witness(cluster=connect(), namespace=namespace, by_label=by_label)
    witness.start()
    try:
        yield witness
    finally:
        witness.end()
