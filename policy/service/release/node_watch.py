"""What the nodes of the cluster allow each pool whose limits follow nodes; watched while there is one.

The rules are those of `quota.node_capacity`: a limit rises with the nodes at once, and falls when they have
been absent for a while. A new leader continues from what is in the ledger.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.list_and_watch import RETRY_SECONDS, WatchInbox, whole_objects
from policy.cluster.protocol import NODES, Cluster, EventType, Listing, WatchEvent
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.node_capacity import (
    START,
    Following,
    Node,
    follow,
    limits_of,
    measure,
    next_fall,
    resumed,
)
from policy.core.quota.pools import CompiledPool
from policy.core.values.amounts import Limits
from policy.sources.snapshot_store import Listener, Listeners, Unsubscribe

_LOOK_SECONDS: Final = 5.0
"""How often the policies are read for a pool that follows nodes."""
_WATCH_SECONDS: Final = 300.0
_SETTLE_SECONDS: Final = 0.05
"""From a change to the measuring after it: nodes are added and removed many at a time."""


class NodeWatch:
    """The work of one term, and a Consumer of nodes. `capacity` may be called from any thread.

    `before` returns what nodes allowed a pool last, by its ledger.
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
        self._snapshot = snapshot
        self._before = before
        self._clock = clock
        self._trouble = trouble
        self._listeners = Listeners()
        self._stopped = Event()
        self._inbox = WatchInbox(self, name="node-watch", stopped=self._stopped)
        self._source = whole_objects(cluster, NODES, timeout=_WATCH_SECONDS)
        self._nodes: dict[str, Node] = {}
        self._states: dict[str, Following] = {}
        self._listed = False

    def capacity(self, pool: str) -> Limits | None:
        """Return what nodes allow a pool, None where it was not measured yet."""
        state = self._states.get(pool)
        return None if state is None else limits_of(state)

    def on_change(self, listener: Listener) -> Unsubscribe:
        """Call `listener` when nodes allow a pool more or less than before."""
        return self._listeners.add(listener)

    def wake(self) -> None:
        """Read the policies again soon."""
        self._inbox.wake()

    def stop(self) -> None:
        """End the work; its watch ends with the next event or time-out."""
        self._stopped.set()
        self._inbox.wake()

    def listed(self, listing: Listing[JsonObject]) -> None:
        """Start again from a listing."""
        nodes = [_node(item) for item in listing.items]
        self._nodes = {node.metadata.name: node for node in nodes}
        self._listed = True

    def changed(self, event: WatchEvent[JsonObject]) -> None:
        """Fold one event in."""
        node = _node(event.object)
        if event.type is EventType.DELETED:
            self._nodes.pop(node.metadata.name, None)
        else:
            self._nodes[node.metadata.name] = node

    def failed(self, error: ClusterError) -> None:
        """List again; the watch has ended."""
        self._trouble("watching nodes", error)
        self._listed = False

    def run(self) -> None:
        """Follow until stopped; no error of the cluster ends it."""
        while not self._stopped.is_set():
            pools = self._following()
            if pools and not self._listed:
                try:
                    self._inbox.list(self._source)
                except ClusterError as error:
                    self._trouble("listing nodes", error)
                    self._stopped.wait(RETRY_SECONDS)
                    continue
            due = self._measure(pools)
            wait = _LOOK_SECONDS if due is None else min(_LOOK_SECONDS, max(0.0, due.total_seconds()))
            self._inbox.deliver(wait, settle=_SETTLE_SECONDS)

    def _following(self) -> dict[str, CompiledPool]:
        """Return the pools whose limits follow nodes and that have a namespace."""
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
        """Bring all limits up to date; return the time until one falls if nothing changes."""
        now = self._clock()
        moved = self._states.keys() != pools.keys()
        states: dict[str, Following] = {}
        falls: list[datetime] = []
        for name, pool in pools.items():
            rule = pool.capacity
            if rule is None:
                continue
            state = self._states.get(name) or self._resumed(name)
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
        """Return the state to continue from: that of the ledger, if it can be read."""
        try:
            shown = self._before(pool)
        except ClusterError as error:
            self._trouble(f"reading what nodes allowed {pool}", error)
            return START
        return START if shown is None else resumed(shown)


def _node(obj: JsonObject) -> Node:
    """Return what is read of a node; one that cannot be decoded has no capacity."""
    try:
        return msgspec.convert(obj, Node)
    except msgspec.ValidationError:
        metadata = obj.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else ""
        return Node(msgspec.structs.replace(Node().metadata, name=str(name)))
