"""A source of policies that runs on the in-memory cluster, for tests to wait for its results."""

from collections.abc import Callable
from threading import Condition, Thread

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    Cluster,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.read_extent import WHOLE
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.sources.cluster_objects import ClusterSource, GatheredDocuments
from policy.sources.documents import Document
from policy.sources.last_good_objects import Verdict
from policy.sources.namespace_bounds import USUAL_BOUNDS, PortionBounds
from tests.patience import PATIENCE

RESOURCES = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CONFIG_MAPS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    CLUSTER_WORKFLOW_TEMPLATES,
)


class Following:
    """A source that runs, and what it said so far."""

    def __init__(self, cluster: Cluster, bounds: PortionBounds = USUAL_BOUNDS) -> None:
        self._said = Condition()
        self.documents: tuple[Document, ...] | None = None
        self.extent = WHOLE
        self.compiled = 0
        self.generations: list[tuple[str, int]] = []
        self.moves = 0
        self.verdicts: dict[str, Verdict] = {}
        self.troubles: list[str] = []
        self.source = ClusterSource(
            cluster=cluster,
            changed=self._change,
            on_verdict=self._take_verdict,
            trouble=self._note,
            verdicts_changed=self._move,
            resources=RESOURCES,
            bounds=bounds,
            argo=[("argo", "workflow-controller-configmap")],
        )
        self.thread = Thread(target=self.source.run, daemon=True)
        self.thread.start()

    def until(self, holds: Callable[[tuple[Document, ...]], bool]) -> bool:
        """Wait until the documents in force satisfy a condition."""
        with self._said:
            return self._said.wait_for(lambda: self.documents is not None and holds(self.documents), PATIENCE)

    def until_verdict(self, name: str, *, wrong: bool) -> bool:
        """Wait until a policy has a verdict."""
        with self._said:
            return self._said.wait_for(
                lambda: name in self.verdicts and bool(self.verdicts[name].problems) == wrong, PATIENCE
            )

    def until_known(self, name: str, holds: Callable[[Verdict], bool]) -> bool:
        """Wait until the latest verdict on a policy satisfies a condition."""
        with self._said:
            return self._said.wait_for(
                lambda: any(each.name == name and holds(each) for each in self.source.verdicts()), PATIENCE
            )

    def until_troubled(self, text: str) -> bool:
        """Wait until this went wrong."""
        with self._said:
            return self._said.wait_for(lambda: text in self.troubles, PATIENCE)

    def stop(self) -> None:
        """End it, and see that it ends."""
        self.source.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def until_left_out(self, kind: str, namespace: str, count: int) -> bool:
        """Wait until so many objects are left out."""
        with self._said:
            return self._said.wait_for(
                lambda: getattr(self.extent.left_out.get((kind, namespace)), "count", 0) == count, PATIENCE
            )

    def _change(self, gathered: GatheredDocuments) -> None:
        with self._said:
            self.documents, self.extent = gathered.documents, gathered.extent
            self.compiled += 1
            self._said.notify_all()

    def _take_verdict(self, verdict: Verdict) -> None:
        with self._said:
            self.verdicts[verdict.name] = verdict
            self.generations.append((verdict.name, verdict.generation))
            self._said.notify_all()

    def _move(self) -> None:
        with self._said:
            self.moves += 1
            self._said.notify_all()

    def _note(self, doing: str, error: ClusterError) -> None:
        with self._said:
            self.troubles.append(f"{doing}: {error.message}")
            self._said.notify_all()


def lock_policy(name: str = "locks", *, namespace: str = "team-a", **validate: JsonValue) -> JsonObject:
    """Return a policy of locks as the API serves it; without more it asks for nothing but numbers."""
    return {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "SynchronizationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"validate": {"requireDefined": False, **validate}},
    }


def config_map(namespace: str, name: str, data: JsonObject) -> JsonObject:
    """Return a ConfigMap as the API serves it."""
    metadata: JsonObject = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def limits(documents: tuple[Document, ...]) -> list[object]:
    """Return the limits on Workflows of all quotas."""
    return [each.spec.limits.workflows for each in documents if isinstance(each, WorkflowQuota)]


def quota(name: str, workflows: object) -> JsonObject:
    """Return a quota as the API serves it."""
    spec: JsonObject = {"limits": {"workflows": workflows}}  # type: ignore[dict-item]
    metadata: JsonObject = {"name": name, "namespace": "team-a"}
    return {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": metadata,
        "spec": spec,
    }
