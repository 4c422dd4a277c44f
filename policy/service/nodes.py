"""Follows the nodes of the cluster while a pool's limits do, and says what they allow each pool.

The rules are those of `policy.core.capacity`: a limit rises with the nodes at once, and falls when they have
stayed away for a while. A new leader goes on from what the ledger says.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import NODES, Cluster, EventType, Listing
from policy.core.amounts import Limits
from policy.core.capacity import START, Following, Node, follow, limits_of, measure, next_fall, resumed
from policy.core.patches import JsonObject
from policy.core.pools import CompiledPool
from policy.core.snapshot import Snapshot
from policy.service.controller import Trouble
from policy.sources.board import Listener, Listeners, Unsubscribe

RETRY_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 5.0
"""How often, while no pool follows nodes, it is looked whether one does by now."""
WATCH_SECONDS: Final = 300.0
SETTLE: Final = timedelta(milliseconds=50)


class Moved(msgspec.Struct, frozen=True):
    """A node that came, changed or went; None is the end of the watch by an error."""

    generation: int
    name: str
    node: Node | None
    error: ClusterError | None = None


class NodeFollower:
    """The work of one term. `capacity` may be asked from any thread.

    `before` returns what the ledger says that nodes allowed a pool last.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        snapshot: Callable[[], Snapshot],
        before: Callable[[str], Limits | None],
        clock: Callable[[], datetime],
        trouble: Trouble,
    ) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._before = before
        self._clock = clock
        self._trouble = trouble
        self._listeners = Listeners()
        self._inbox: SimpleQueue[Moved | None] = SimpleQueue()
        self._stopped = Event()
        self._nodes: dict[str, Node] = {}
        self._states: dict[str, Following] = {}
        self._generation = 0
        self._listed = False

    def capacity(self, pool: str) -> Limits | None:
        """Return what nodes allow a pool, None where nobody has measured that yet."""
        state = self._states.get(pool)
        return None if state is None else limits_of(state)

    def on_change(self, listener: Listener) -> Unsubscribe:
        """Call `listener` when a pool is allowed more or less than before."""
        return self._listeners.add(listener)

    def wake(self) -> None:
        """Look at the policies again soon."""
        self._inbox.put(None)

    def stop(self) -> None:
        """End the work; its watch ends with the next event or time-out."""
        self._stopped.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Follow until stopped; no error of the cluster ends it."""
        while not self._stopped.is_set():
            pools = self._following()
            if pools and not self._listed:
                try:
                    self._list()
                except ClusterError as error:
                    self._trouble("listing nodes", error)
                    self._stopped.wait(RETRY_SECONDS)
                    continue
            due = self._measure(pools)
            self._take(LOOK_SECONDS if due is None else min(LOOK_SECONDS, max(0.0, due.total_seconds())))

    def _following(self) -> dict[str, CompiledPool]:
        """Return the pools whose limits follow nodes; those of no namespace allow nobody anything yet."""
        snapshot = self._snapshot()
        wanted = {pool.metadata.name for pool in snapshot.pools if pool.spec.elastic is not None}
        found: dict[str, CompiledPool] = {}
        for namespace in snapshot.namespace_labels if wanted else ():
            name = snapshot.policies(namespace).pool
            if name in wanted and name not in found:
                pool = snapshot.pool(namespace)
                if pool is not None:
                    found[name] = pool
        return found

    def _measure(self, pools: dict[str, CompiledPool]) -> timedelta | None:
        """Bring all limits up to date; returns after which time one falls if nothing is heard until then."""
        now = self._clock()
        moved = self._states.keys() != pools.keys()
        states: dict[str, Following] = {}
        falls: list[datetime] = []
        for name, pool in pools.items():
            rule = pool.capacity
            if rule is None:
                continue
            state = self._states.get(name)
            if state is None:
                state = self._resumed(name)
            states[name] = follow(state, measure(rule, self._nodes.values()), rule, now)
            moved = moved or limits_of(states[name]) != self.capacity(name)
            fall = next_fall(states[name], rule)
            if fall is not None:
                falls.append(fall)
        self._states = states
        if moved:
            self._listeners.call()
        return min(falls) - now if falls else None

    def _resumed(self, pool: str) -> Following:
        """Return the state to go on from: what the ledger says, if it can be read."""
        try:
            shown = self._before(pool)
        except ClusterError as error:
            self._trouble(f"reading what nodes allowed {pool}", error)
            return START
        return START if shown is None else resumed(shown)

    def _take(self, seconds: float) -> None:
        """Wait for something to happen, then take in all that did."""
        try:
            moved = self._inbox.get(timeout=seconds)
            self._stopped.wait(SETTLE.total_seconds())  # Nodes come and go many at a time.
            while True:
                self._fold(moved)
                moved = self._inbox.get_nowait()
        except Empty:
            return

    def _fold(self, moved: Moved | None) -> None:
        if moved is None or moved.generation != self._generation:
            return
        if moved.error is not None:
            self._trouble("watching nodes", moved.error)
            self._listed = False
        elif moved.node is None:
            self._nodes.pop(moved.name, None)
        else:
            self._nodes[moved.name] = moved.node

    def _list(self) -> None:
        """List all nodes and watch from there."""
        listing = self._cluster.list(NODES)
        nodes = [_node(item) for item in listing.items]
        self._nodes = {node.metadata.name: node for node in nodes}
        self._generation += 1
        self._listed = True
        name = f"node-watch-{self._generation}"
        Thread(target=self._watch, args=(self._generation, listing), name=name, daemon=True).start()

    def _watch(self, generation: int, listing: Listing) -> None:
        version = listing.resource_version
        try:
            while not self._stopped.is_set() and generation == self._generation:
                for event in self._cluster.watch(NODES, since=version, timeout=WATCH_SECONDS):
                    version = event.resource_version
                    if event.type is not EventType.BOOKMARK:
                        node = _node(event.object)
                        gone = event.type is EventType.DELETED
                        self._inbox.put(Moved(generation, node.metadata.name, None if gone else node))
                    if self._stopped.is_set() or generation != self._generation:
                        return
        except ClusterError as error:
            self._inbox.put(Moved(generation, "", None, error))


def _node(obj: JsonObject) -> Node:
    """Return what is read of a node; one that cannot be read carries nothing."""
    try:
        return msgspec.convert(obj, Node)
    except msgspec.ValidationError:
        metadata = obj.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else ""
        return Node(msgspec.structs.replace(Node().metadata, name=str(name)))
