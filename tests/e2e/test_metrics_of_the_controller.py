"""The controller's port on the real control plane: probes, and metrics that follow what it does."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOW_QUOTAS, WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.control_plane import ControlPlane
from tests.e2e.product import NAMESPACE, Product, leading, product, until
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e
TEAM: Final = "metered"
_PORT: Final = re.compile(r"probes and metrics on port (\d+)")


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """Give Lockkeeper on the control plane."""
    with product(control_plane, kube_cluster, tmp_path_factory.mktemp("product")) as started:
        yield started


def asked(running: Product, name: str, path: str) -> tuple[int, str]:
    """Return status and text of what a controller's port answers."""
    until(lambda: _PORT.search(running.log_of(name)) is not None, f"{name} does not say its port")
    found = _PORT.search(running.log_of(name))
    assert found is not None
    connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def value(running: Product, controller: str, name: str, **labels: str) -> float | None:
    """Return the value of a metric of a controller, None where it is not shown."""
    _, text = asked(running, controller, "/metrics")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = [each.value for each in samples if each.name == name and each.labels == labels]
    return found[0] if found else None


def workflow(name: str) -> JsonObject:
    """Return a small Workflow."""
    template: JsonObject = {"name": "main", "container": {"image": "busybox:1.37"}}
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": [template]},
    }


def test_both_controllers_are_alive_and_ready_and_one_of_them_leads(
    running: Product, kube_cluster: KubeCluster
) -> None:
    """A kubelet keeps both, and the sum of leaders is one."""
    for name in running.controllers:
        until(lambda name=name: asked(running, name, "/readyz") == (200, "ok\n"), f"{name} is not ready")  # type: ignore[misc]
        assert asked(running, name, "/livez") == (200, "ok\n")
    leads = leading(kube_cluster, running)
    for name in running.controllers:
        until(
            lambda name=name: value(running, name, "lockkeeper_leader") == float(name == leads),  # type: ignore[misc]
            f"{name} tells wrongly whether it leads",
        )


def test_the_leaders_metrics_follow_the_queue(running: Product, kube_cluster: KubeCluster) -> None:
    """Running, queued, limit and releases of a namespace; the other controller shows none of them."""
    leads = leading(kube_cluster, running)
    kube_cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})
    manifest: JsonObject = yaml.safe_load(
        "{apiVersion: lockkeeper.dev/v1alpha1, kind: WorkflowQuota, metadata: {name: one}, "
        "spec: {limits: {workflows: 1}}}"
    )
    before = value(running, leads, "lockkeeper_policies", kind="WorkflowQuota") or 0.0
    kube_cluster.create(WORKFLOW_QUOTAS, manifest, namespace=TEAM)

    def known() -> bool:
        return value(running, leads, "lockkeeper_policies", kind="WorkflowQuota") == before + 1

    until(known, "the quota is not in force")
    names = ("a", "b", "c")
    for name in names:
        held = workflow(name)
        held["metadata"] = {"name": name, "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE}}
        kube_cluster.create(WORKFLOWS, held, namespace=TEAM)

    def shown(name: str, **labels: str) -> float | None:
        return value(running, leads, name, **labels)

    def figures() -> tuple[float | None, ...]:
        names = ("lockkeeper_queued_workflows", "lockkeeper_running_workflows")
        return tuple(shown(name, workflow_namespace=TEAM) for name in names)

    until(lambda: figures() == (2, 1), "the queue is not shown")
    labels = {
        "kind": "WorkflowQuota",
        "workflow_namespace": TEAM,
        "quota": "one",
        "resource": "workflows",
    }
    assert shown("lockkeeper_quota_limit", **labels) == 1
    patch = MergePatch({"metadata": {"labels": {well_known.COMPLETED: "true"}}})
    kube_cluster.patch(WORKFLOWS, "a", patch, namespace=TEAM)
    until(
        lambda: shown("lockkeeper_releases_total", workflow_namespace=TEAM) == 2, "the release is not counted"
    )
    asked_for = {"verb": "update", "resource": "quotaledgers", "result": "ok"}
    assert (shown("lockkeeper_api_requests_total", **asked_for) or 0) > 0
    (other,) = {*running.controllers} - {leads}
    assert value(running, other, "lockkeeper_queued_workflows", workflow_namespace=TEAM) is None
