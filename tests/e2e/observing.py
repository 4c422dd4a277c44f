"""Watching Workflows to their end, and how many of their Pods are under way at once.

Argo writes the status of a Workflow after it has passed its lock on to another one, so the statuses of two
Workflows may show one holder too many. It passes a lock on when it has seen the Pod end, so Pods never do.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Final

import msgspec

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOWS, EventType, Selection
from policy.core.lock_queues.live_workflow import LiveWorkflow
from policy.core.objects import well_known
from policy.core.values.prepared import prepare
from tests.e2e.argo.pods import PODS, Pod
from tests.patience import PATIENCE

_OVER: Final = frozenset({"Succeeded", "Failed"})
_A_WHILE: Final = 2.0
"""Seconds that one watch of Pods lasts: so much later it is noticed that all is over."""


class Observed:
    """How many Pods were under way at once, at any change of any of them, and how Workflows ended."""

    def __init__(self) -> None:
        self.most = 0
        self.done: dict[str, str] = {}
        self._under_way: set[str] = set()

    def see_workflow(self, workflow: LiveWorkflow) -> None:
        """Take note of one state of a Workflow."""
        if (workflow.metadata.labels or {}).get(well_known.COMPLETED) == "true":
            self.done[workflow.metadata.name or ""] = workflow.status.phase or ""

    def see_pod(self, kind: EventType, pod: Pod) -> None:
        """Take note of one change of a Pod."""
        gone = kind is EventType.DELETED or pod.status.phase in _OVER
        (self._under_way.discard if gone else self._under_way.add)(pod.metadata.name)
        self.most = max(self.most, len(self._under_way))


prepare(Pod)


@contextmanager
def observed(cluster: KubeCluster, namespace: str, *names: str) -> Iterator[Observed]:
    """Follow a namespace until all Workflows that are named are over, which has to be soon."""
    seen = Observed()
    workflows = cluster.list(WORKFLOWS, namespace=namespace, metadata_only=True).resource_version
    pods = cluster.list(PODS, namespace=namespace, metadata_only=True).resource_version
    over = Event()

    def follow_workflows() -> None:
        try:
            for event in cluster.watch_as(
                Selection(WORKFLOWS, namespace), LiveWorkflow, since=workflows, timeout=PATIENCE
            ):
                if isinstance(event.object, LiveWorkflow):
                    seen.see_workflow(event.object)
                if seen.done.keys() >= set(names):
                    return
        finally:
            over.set()

    def follow_pods() -> None:
        version, last = pods, False
        while not last:
            last = over.is_set()
            for event in cluster.watch(PODS, since=version, namespace=namespace, timeout=_A_WHILE):
                version = event.resource_version
                if event.type is not EventType.BOOKMARK:
                    seen.see_pod(event.type, msgspec.convert(event.object, Pod))

    with ThreadPoolExecutor(2) as threads:
        following = [threads.submit(follow_workflows), threads.submit(follow_pods)]
        yield seen
        for each in following:
            each.result(2 * PATIENCE)
    assert seen.done.keys() >= set(names), f"only {sorted(seen.done)} of {sorted(names)} came to an end"
