"""Argo on the control plane, the real one or its double, as far as other tests rely on it.

With LOCKKEEPER_ARGO_CONTROLLER the first tests run on the real controller, which shows that the double
behaves alike. Where nobody plays the kubelet tasks are begun and not finished.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.argo.fixtures import TASK_SECONDS
from tests.e2e.argo.installing import Argo, workflow_controller
from tests.e2e.argo.playing import container, semaphore
from tests.e2e.argo.pods import PODS, WORKFLOW_LABEL
from tests.e2e.argo.shapes import Phase, Workflow, read_workflow
from tests.e2e.control_plane import ControlPlane
from tests.e2e.podrunner.launch import podrunner
from tests.e2e.podrunner.run_settings import Image
from tests.e2e.product import until

pytestmark = pytest.mark.e2e

TEAM = "argo-team"
FEW = 20
MANY = 300
LOCK = f"{TEAM}/ConfigMap/limits/db"


@pytest.fixture(autouse=True)
def namespace(kube_cluster: KubeCluster) -> Iterator[None]:
    """Give a namespace with a semaphore, and leave no Workflow in it."""
    labels: JsonObject = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": TEAM}}
    kube_cluster.apply(NAMESPACES, labels, field_manager="tests")
    limits: JsonObject = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "limits", "namespace": TEAM},
        "data": {"db": "1"},
    }
    kube_cluster.apply(CONFIG_MAPS, limits, field_manager="tests")
    yield
    for name in [workflow.metadata.name for workflow in workflows(kube_cluster)]:
        kube_cluster.delete(WORKFLOWS, name, namespace=TEAM)
    until(lambda: not kube_cluster.list(PODS, namespace=TEAM).items, "Pods outlive their Workflows")


def workflows(cluster: KubeCluster) -> list[Workflow]:
    """Return all Workflows of the namespace."""
    return [read_workflow(item) for item in cluster.list(WORKFLOWS, namespace=TEAM).items]


def workflow(cluster: KubeCluster, name: str) -> Workflow:
    """Return one Workflow."""
    return read_workflow(cluster.get(WORKFLOWS, name, namespace=TEAM))


def submit(cluster: KubeCluster, name: str, *, held: bool = False, **spec: JsonValue) -> None:
    """Create a Workflow of one task."""
    labels: JsonObject = {well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {}
    obj: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "labels": labels},
        "spec": {"entrypoint": "main", "templates": [container("main")], **spec},
    }
    cluster.create(WORKFLOWS, obj, namespace=TEAM)


def until_phase(cluster: KubeCluster, name: str, phase: Phase) -> Workflow:
    """Wait until a Workflow has a phase."""
    until(lambda: workflow(cluster, name).status.phase is phase, f"{name} does not become {phase}")
    return workflow(cluster, name)


@pytest.mark.usefixtures("argo")
def test_a_held_workflow_is_not_touched_before_it_is_let_go(kube_cluster: KubeCluster) -> None:
    """All that Lockkeeper does rests on this."""
    submit(kube_cluster, "held", held=True)
    before = kube_cluster.get(WORKFLOWS, "held", namespace=TEAM)
    submit(kube_cluster, "other")
    until_phase(kube_cluster, "other", Phase.RUNNING)
    assert kube_cluster.get(WORKFLOWS, "held", namespace=TEAM) == before
    release = MergePatch({"metadata": {"labels": {well_known.INSTANCE_ID: None}}})
    kube_cluster.patch(WORKFLOWS, "held", release, namespace=TEAM)
    running = until_phase(kube_cluster, "held", Phase.RUNNING)
    assert running.status.started_at is not None
    assert running.metadata.labels == {well_known.PHASE: "Running", well_known.COMPLETED: "false"}


@pytest.mark.usefixtures("argo")
def test_a_task_becomes_a_pod_of_its_workflow(kube_cluster: KubeCluster) -> None:
    """The API server takes the Pod as it is made, with the rights that Argo's account has."""
    submit(kube_cluster, "one")
    until_phase(kube_cluster, "one", Phase.RUNNING)

    def pods() -> tuple[JsonObject, ...]:
        return kube_cluster.list(PODS, namespace=TEAM, labels=f"{WORKFLOW_LABEL}=one").items

    until(lambda: len(pods()) == 1, "there is no Pod")


@pytest.mark.usefixtures("argo")
def test_the_second_waits_for_the_lock_of_the_first(kube_cluster: KubeCluster) -> None:
    """Pending with Argo's text; ending the first lets it go."""
    submit(kube_cluster, "first", synchronization=semaphore("db"))
    until_phase(kube_cluster, "first", Phase.RUNNING)
    submit(kube_cluster, "second", synchronization=semaphore("db"))
    waiting = until_phase(kube_cluster, "second", Phase.PENDING)
    assert waiting.status.message == f"Waiting for {LOCK} lock. Lock status: 0/1"
    assert waiting.status.started_at is None
    kube_cluster.patch(WORKFLOWS, "first", MergePatch({"spec": {"shutdown": "Terminate"}}), namespace=TEAM)
    assert until_phase(kube_cluster, "first", Phase.FAILED).is_completed
    until_phase(kube_cluster, "second", Phase.RUNNING)


@pytest.mark.usefixtures("argo")
def test_workflows_end_when_somebody_plays_the_kubelet(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path: Path
) -> None:
    """Argo makes the Pods, the scheduler places them, and the podrunner lets them seem to run."""
    dag: JsonObject = {"tasks": [{"name": "a", "template": "main"}, {"name": "b", "template": "main"}]}
    templates: list[JsonValue] = [{"name": "both", "dag": dag}, container("main")]
    nobody = Image((sys.executable,))
    with podrunner(control_plane, tmp_path / "podrunner", nobody, others_last=TASK_SECONDS):
        for number in range(FEW):
            submit(kube_cluster, f"wf-{number}", entrypoint="both", templates=templates)
        until(lambda: all(each.is_completed for each in workflows(kube_cluster)), "some never end")
        assert {each.status.phase for each in workflows(kube_cluster)} == {Phase.SUCCEEDED}
        for number in range(FEW):
            kube_cluster.delete(WORKFLOWS, f"wf-{number}", namespace=TEAM)
        until(lambda: not kube_cluster.list(PODS, namespace=TEAM).items, "Pods outlive their Workflows")


def test_hundreds_of_workflows_run_and_end(kube_cluster: KubeCluster, argo_without_pods: Argo) -> None:
    """The double keeps up, and complains about nothing."""
    for number in range(MANY):
        submit(kube_cluster, f"wf-{number}")
    until(lambda: all(each.is_completed for each in workflows(kube_cluster)), "some never end")
    assert {each.status.phase for each in workflows(kube_cluster)} == {Phase.SUCCEEDED}
    assert argo_without_pods.log.read_text().splitlines() == ["argo double: watching"]


def test_it_ends_with_its_context(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path: Path
) -> None:
    """A test that installs Argo leaves no controller behind."""
    with workflow_controller(control_plane, kube_cluster, tmp_path) as argo:
        assert Path(f"/proc/{argo.pid}").exists()
    assert not Path(f"/proc/{argo.pid}").exists()
