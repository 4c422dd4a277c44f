"""Single Pods of a test, beside the sample's Deployment: created, looked at, deleted."""

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.core.objects.json_patch import JsonObject
from tests.e2e.podrunner.api import PODS
from tests.e2e.podrunner.launch import SeenPod, pods
from tests.e2e.podrunner.sample import NAMESPACE
from tests.e2e.product import until


class SamplePods:
    """The Pods of the sample's namespace."""

    def __init__(self, cluster: KubeCluster) -> None:
        self._cluster = cluster

    def create(
        self,
        name: str,
        spec: JsonObject,
        *,
        labels: JsonObject | None = None,
        annotations: JsonObject | None = None,
    ) -> None:
        """Create a Pod; its labels make it ours where they are not given."""
        metadata: JsonObject = {
            "name": name,
            "labels": labels or {"app.kubernetes.io/name": "lockkeeper"},
            "annotations": annotations or {},
        }
        pod: JsonObject = {"apiVersion": "v1", "kind": PODS.kind, "metadata": metadata, "spec": spec}
        self._cluster.create(PODS, pod, namespace=NAMESPACE)

    def see(self, name: str) -> SeenPod:
        """Return a Pod as it is now."""
        return next(pod for pod in pods(self._cluster, NAMESPACE) if pod.name == name)

    def phase(self, name: str) -> str:
        """Return the phase of a Pod."""
        return self.see(name).status.phase

    def delete(self, name: str) -> float:
        """Delete a Pod and return how long it took to go."""
        self._cluster.delete(PODS, name, namespace=NAMESPACE)
        return until(
            lambda: name not in {pod.name for pod in pods(self._cluster, NAMESPACE)}, f"Pod {name} is left"
        )
