"""The product on a real API server: webhook and controllers as processes, kubectl as the user."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import pytest
import yaml

from policy.cluster.errors import TooManyRequests
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOW_QUOTAS, WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata
from tests.e2e.control_plane import ControlPlane
from tests.e2e.kubectl import Kubectl
from tests.e2e.product import NAMESPACE, Product, leading, product, until

pytestmark = pytest.mark.e2e
LIMIT: Final = 2
_NUMBERS = count(1)


class Seen(msgspec.Struct, frozen=True):
    """The part of a Workflow that the tests look at."""

    metadata: Metadata
    spec: dict[str, object] = {}
    status: dict[str, object] = {}

    @property
    def held(self) -> bool:
        return (self.metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """Give Lockkeeper on the control plane."""
    with product(control_plane, kube_cluster, tmp_path_factory.mktemp("product")) as started:
        yield started


@pytest.fixture
def namespace(kube_cluster: KubeCluster, running: Product) -> str:
    """Give a new namespace, governed by nobody yet."""
    name = f"team-{next(_NUMBERS)}-{running.port}"
    kube_cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def workflow(name: str, **spec: object) -> str:
    """Return the manifest of a small Workflow."""
    template = {"name": "load-orders", "container": {"image": "busybox:1.37", "command": ["true"]}}
    return yaml.safe_dump(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": name},
            "spec": {"entrypoint": "load-orders", "templates": [template], **spec},
        }
    )


def quota(cluster: KubeCluster, namespace: str, **spec: object) -> None:
    """Create a quota and wait until the webhook knows it: a dry run then carries our marks."""
    manifest: JsonObject = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": {"name": "limits"},
        "spec": spec,  # type: ignore[dict-item]
    }
    cluster.create(WORKFLOW_QUOTAS, manifest, namespace=namespace)
    probe: JsonObject = yaml.safe_load(workflow("probe"))

    def known() -> bool:
        try:
            tried = cluster.create(WORKFLOWS, probe, namespace=namespace, dry_run=True)
        except TooManyRequests:
            return False  # The quota came between the two webhooks of this create.
        return well_known.USER in (msgspec.convert(tried, Seen).metadata.annotations or {})

    until(known, "the webhook does not know the quota")


def seen(cluster: KubeCluster, namespace: str) -> dict[str, Seen]:
    """Return the Workflows of a namespace by name."""
    listing = cluster.list(WORKFLOWS, namespace=namespace)
    found = [msgspec.convert(item, Seen) for item in listing.items]
    return {each.metadata.name or "": each for each in found}


def running_now(cluster: KubeCluster, namespace: str) -> set[str]:
    """Return the names of the Workflows that Argo would see and that are not finished."""
    return {
        name
        for name, each in seen(cluster, namespace).items()
        if not each.held and (each.metadata.labels or {}).get(well_known.COMPLETED) != "true"
    }


def finish(cluster: KubeCluster, namespace: str, name: str) -> None:
    """Do what Argo does with a Workflow that has ended."""
    patch = MergePatch(
        {"metadata": {"labels": {well_known.COMPLETED: "true", well_known.PHASE: "Succeeded"}}}
    )
    cluster.patch(WORKFLOWS, name, patch, namespace=namespace)


def test_an_ungoverned_workflow_passes_as_it_is(
    kube_cluster: KubeCluster, kubectl: Kubectl, namespace: str
) -> None:
    """Where no policy speaks, kubectl sees no difference and the object none either."""
    kubectl.said("create", "-n", namespace, "-f", "-", text=workflow("plain"))
    plain = seen(kube_cluster, namespace)["plain"]
    assert plain.metadata.labels is None
    assert plain.metadata.annotations is None
    assert plain.status == {}


def test_over_a_limit_that_denies_kubectl_shows_the_reason_and_fails(
    kube_cluster: KubeCluster, kubectl: Kubectl, namespace: str
) -> None:
    """Exactly the limit gets in, a dry run takes no slot, and a finished Workflow gives its own back."""
    quota(kube_cluster, namespace, limits={"workflows": LIMIT}, onExceed="Deny")
    for _ in range(3):
        kubectl.said("create", "--dry-run=server", "-n", namespace, "-f", "-", text=workflow("dry"))
    for index in range(LIMIT):
        kubectl.said("create", "-n", namespace, "-f", "-", text=workflow(f"in-{index}"))
    refused = kubectl.run("create", "-n", namespace, "-f", "-", text=workflow("out"))
    assert refused.returncode == 1
    used = "requested: workflows=1, used: workflows=2, limited: workflows=2"
    assert 'admission webhook "mutate.lockkeeper.dev" denied the request' in refused.stderr
    assert f"exceeded quota: {namespace}/limits, {used}" in refused.stderr
    finish(kube_cluster, namespace, "in-0")
    until(
        lambda: kubectl.run("create", "-n", namespace, "-f", "-", text=workflow("later")).returncode == 0,
        "the slot of a finished Workflow does not come free",
    )


def test_over_a_limit_that_queues_workflows_wait_and_follow_one_another(
    kube_cluster: KubeCluster, kubectl: Kubectl, namespace: str
) -> None:
    """The limit runs, the others show Pending and their position, and each end releases the next in order."""
    quota(kube_cluster, namespace, limits={"workflows": LIMIT})
    names = [f"w{index}" for index in range(5)]
    for name in names:
        kubectl.said("create", "-n", namespace, "-f", "-", text=workflow(name))
    until(lambda: running_now(kube_cluster, namespace) == {"w0", "w1"}, "the first two do not run")
    waiting = seen(kube_cluster, namespace)["w4"]
    assert waiting.held
    assert waiting.status["phase"] == "Pending"
    until(
        lambda: "position 3 of 3" in str(seen(kube_cluster, namespace)["w4"].status["message"]),
        "the position is not shown",
    )
    released = seen(kube_cluster, namespace)["w0"]
    assert released.status == {}
    for ended, begun in (("w1", "w2"), ("w0", "w3"), ("w2", "w4")):
        finish(kube_cluster, namespace, ended)
        until(lambda begun=begun: begun in running_now(kube_cluster, namespace), f"{begun} is not released")  # type: ignore[misc]
        assert len(running_now(kube_cluster, namespace)) <= LIMIT


def test_a_raised_limit_releases_those_who_wait_and_a_wrong_one_is_refused(
    kube_cluster: KubeCluster, kubectl: Kubectl, namespace: str
) -> None:
    """An edit of the policy is in force in webhook and controller without a restart."""
    quota(kube_cluster, namespace, limits={"workflows": 0})
    for index in range(3):
        kubectl.said("create", "-n", namespace, "-f", "-", text=workflow(f"w{index}"))
    assert running_now(kube_cluster, namespace) == set()
    edit = '{"spec": {"limits": {"workflows": %s}}}'
    refused = kubectl.run("patch", "wfq", "limits", "-n", namespace, "--type=merge", "-p", edit % "-1")
    assert refused.returncode == 1
    assert "spec.limits.workflows" in refused.stderr
    kubectl.said("patch", "wfq", "limits", "-n", namespace, "--type=merge", "-p", edit % "3")
    until(lambda: len(running_now(kube_cluster, namespace)) == 3, "the raise releases nobody")


def test_a_lock_is_injected_and_an_undefined_one_refused(
    kube_cluster: KubeCluster, kubectl: Kubectl, namespace: str
) -> None:
    """The stored object holds the lock of the policy, and kubectl shows the fix for a wrong one."""
    policy = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "SynchronizationPolicy",
        "metadata": {"name": "locks"},
        "spec": {
            "semaphores": [{"configMap": "semaphores", "key": "db-load", "limit": 2}],
            "inject": [
                {
                    "name": "db",
                    "templates": {"names": ["load-*"]},
                    "lock": {"semaphore": {"configMap": "semaphores", "key": "db-load"}},
                }
            ],
        },
    }
    kubectl.said("create", "-n", namespace, "-f", "-", text=yaml.safe_dump(policy))
    lock = {"configMapKeyRef": {"name": "semaphores", "key": "db-lod"}}
    wrong = workflow("wrong", synchronization={"semaphores": [lock]})

    def refused() -> bool:
        tried = kubectl.run("create", "--dry-run=server", "-n", namespace, "-f", "-", text=wrong)
        return 'did you mean "db-load"?' in tried.stderr

    until(refused, "the undefined lock is not refused")
    kubectl.said("create", "-n", namespace, "-f", "-", text=workflow("locked"))
    templates = seen(kube_cluster, namespace)["locked"].spec["templates"]
    assert isinstance(templates, list)
    assert templates[0]["synchronization"] == {
        "semaphores": [{"configMapKeyRef": {"name": "semaphores", "key": "db-load"}}]
    }


def test_when_the_leader_is_killed_the_other_controller_goes_on(
    kube_cluster: KubeCluster, kubectl: Kubectl, namespace: str, running: Product
) -> None:
    """It takes over, and there are still never more than the limit."""
    quota(kube_cluster, namespace, limits={"workflows": 1})
    for name in ("first", "second"):
        kubectl.said("create", "-n", namespace, "-f", "-", text=workflow(name))
    until(lambda: running_now(kube_cluster, namespace) == {"first"}, "the first one does not run")
    killed = leading(kube_cluster, running)
    running.controllers[killed].kill()
    finish(kube_cluster, namespace, "first")
    until(lambda: running_now(kube_cluster, namespace) == {"second"}, "nobody took over")
    assert leading(kube_cluster, running) != killed


def test_every_workflow_of_argos_examples_is_created_and_follows_in_turn(
    kube_cluster: KubeCluster, namespace: str, corpus: Path
) -> None:
    """All 199 get in held or released, and never more run than the limit allows."""
    quota(kube_cluster, namespace, limits={"workflows": 20}, perWorkflow={"defaultTasks": 5})
    manifests = [
        document
        for path in sorted((corpus / "examples").rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_bytes())
        if document and document["kind"] == "Workflow"
    ]
    for index, manifest in enumerate(manifests):
        manifest["metadata"] = {"name": f"example-{index}"}  # One of them has labels that no API takes.
        kube_cluster.create(WORKFLOWS, manifest, namespace=namespace)
    assert len(seen(kube_cluster, namespace)) == len(manifests) == 199
    finished = 0
    while finished < len(manifests):
        until(lambda: bool(running_now(kube_cluster, namespace)), "nothing runs although there is room")
        now = running_now(kube_cluster, namespace)
        assert len(now) <= 20
        for name in now:
            finish(kube_cluster, namespace, name)
        finished += len(now)
    assert finished == len(manifests)
