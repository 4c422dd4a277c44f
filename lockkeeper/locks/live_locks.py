"""What a cluster says about locks now: the Workflows, and the limits of the semaphores that they use."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, Cluster, ReadingAs, Selection
from policy.core.lock_model.semaphore_definitions import limit_named
from policy.core.lock_queues.live_workflow import LiveWorkflow, Traced
from policy.core.lock_queues.trace import trace
from policy.core.values.prepared import prepare
from policy.service.tracking.tracker import LIVE


class _Data(msgspec.Struct, frozen=True):
    """The data of a ConfigMap."""

    data: dict[str, str] | None = None


prepare(_Data)


class SemaphoreLimits:
    """Limits of locks by Argo's names; each ConfigMap is read once, and one that may not be is not known."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._read: dict[tuple[str, str], dict[str, str]] = {}

    def __call__(self, lock: str) -> int | None:
        """Return the limit of a lock, None where it is not known."""
        return limit_named(lock, lambda namespace, name, key: self._data(namespace, name).get(key))

    def _data(self, namespace: str, name: str) -> dict[str, str]:
        found = self._read.get((namespace, name))
        if found is None:
            try:
                obj = self._cluster.get(CONFIG_MAPS, name, namespace=namespace)
                found = msgspec.convert(obj, _Data).data or {}
            except (NotFound, Forbidden):
                found = {}
            self._read[namespace, name] = found
        return found


def live_traces(cluster: ReadingAs, namespace: str, clock: Callable[[], datetime]) -> list[Traced]:
    """Return the live Workflows of a namespace, or of all with ""; those that do not fit are left out."""
    listing = cluster.list_as(Selection(WORKFLOWS, namespace, LIVE), LiveWorkflow)
    now = clock()
    return [trace(item, unborn=now) for item in listing.items if isinstance(item, LiveWorkflow)]
