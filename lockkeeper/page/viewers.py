"""Who looks at the page: a name, and a cluster that is read with the rights of whoever it is.

Each namespace that somebody looks at, and all of them together, is a state of its own: what may be read
differs, so nothing of one is shown in another, nor to anybody else.
"""

from collections.abc import Callable
from threading import Lock
from typing import Final

from lockkeeper.page.needed_rights import RightRow, rights_of
from lockkeeper.page.rate_limit import RateLimit
from lockkeeper.page_state.cluster_state import ClusterState
from policy.cluster.protocol import Cluster

_MOST_STATES: Final = 4
"""Namespaces that a viewer looks at, at a time; with one more that is forgotten which was left first."""


class Viewer:
    """Somebody who looks; `name` is "" for whoever started the page.

    `namespace` is what is shown where no other is chosen, "" for all; `make` returns the state of a
    namespace, and `fresh` bounds how often that may be, for each costs a reading.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        make: Callable[[Cluster, str], ClusterState],
        name: str = "",
        namespace: str = "",
        fresh: RateLimit | None = None,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self._cluster = cluster
        self._make = make
        self._fresh = fresh
        self._lock = Lock()
        self._states: dict[str, ClusterState] = {}

    def state(self, namespace: str) -> ClusterState:
        """Return what there is in a namespace, or with "" in all.

        Raises:
            TooOften: of too many namespaces the state was asked for.
        """
        with self._lock:
            state = self._states.pop(namespace, None)
            if state is None:
                if self._fresh is not None:
                    self._fresh.take(self)
                state = self._make(self._cluster, namespace)
            self._states[namespace] = state
            if len(self._states) > _MOST_STATES:
                self._states.pop(next(iter(self._states))).stop()
            return state

    def rights(self, namespace: str) -> tuple[RightRow, ...]:
        """Return what the page needs, and what of it this viewer may."""
        return rights_of(self._cluster, namespace)

    def close(self) -> None:
        """Forget all that was read."""
        with self._lock:
            for each in self._states.values():
                each.stop()
            self._states.clear()
