"""Lockkeeper itself in Pods: two controllers, with the least that they need, one of which leads."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from policy.cluster.errors import NotFound
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import NAMESPACES, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare
from tests.e2e.control_plane import ControlPlane
from tests.e2e.podrunner.api import PODS
from tests.e2e.podrunner.launch import DEPLOYMENTS, Podrunner, await_rollout, podrunner, pods
from tests.e2e.podrunner.run_settings import Image
from tests.e2e.podrunner.sample import ACCOUNTS, prepare_namespace
from tests.e2e.podrunner.sample import NAMESPACE as SAMPLES
from tests.e2e.podrunner.sample_pods import SamplePods
from tests.e2e.product import LEASES, until

pytestmark = pytest.mark.e2e

NAMESPACE = "controllers"
LEASE = "lockkeeper-controller"
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Who holds a Lease."""

    holder_identity: str | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease."""

    spec: LeaseSpec


prepare(Lease)


@pytest.fixture
def runner(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podrunner]:
    """Run a podrunner with the project's own command as the image."""
    image = Image((str(Path(sys.executable).with_name("lockkeeper")),), user=65532)
    with podrunner(control_plane, tmp_path_factory.mktemp("podrunner"), image) as runner:
        yield runner


def test_the_controller_leads_from_a_pod(kube_cluster: KubeCluster, runner: Podrunner) -> None:
    """It finds its cluster by its account; when the leader goes it gives its lease up to another."""
    _prepare(kube_cluster)
    kube_cluster.create(DEPLOYMENTS, _controllers(), namespace=NAMESPACE)
    try:
        await_rollout(kube_cluster, NAMESPACE, "lockkeeper-controller")
        names = {pod.name for pod in pods(kube_cluster, NAMESPACE)}
        until(lambda: _leader(kube_cluster) in names, f"nobody leads: {runner.log}")
        first = _leader(kube_cluster)
        until(lambda: '"leading"' in runner.log_of(NAMESPACE, first, "controller"), "it does not say so")
        kube_cluster.delete(PODS, first, namespace=NAMESPACE)
        until(lambda: _leader(kube_cluster) not in ("", first), "no other one takes over")
    finally:
        kube_cluster.delete(DEPLOYMENTS, "lockkeeper-controller", namespace=NAMESPACE)
        until(lambda: not pods(kube_cluster, NAMESPACE), "Pods are left")


def test_an_image_may_bring_files_of_its_own(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path: Path
) -> None:
    """What a Containerfile makes runs at its own paths, though this machine does not have them."""
    tool = tmp_path / "layer" / "opt" / "tool"
    tool.mkdir(parents=True)
    (tool / "run").write_text('#!/bin/sh\nread -r word </opt/tool/word; echo "$word at $PWD: $*"\n')
    (tool / "run").chmod(0o755)
    (tool / "word").write_text("brought along\n")
    image = Image(("/opt/tool/run",), user=65532, workdir="/tmp", layer=str(tmp_path / "layer"))  # noqa: S108 - its own
    with podrunner(control_plane, tmp_path / "podrunner", image) as runner:
        prepare_namespace(kube_cluster)
        sample_pods = SamplePods(kube_cluster)
        container: JsonObject = {"name": "main", "image": "any", "args": ["--now"]}
        sample_pods.create("tool", {"restartPolicy": "Never", "containers": [container]})
        until(lambda: sample_pods.phase("tool") == "Succeeded", "it does not succeed")
        assert runner.log_of(SAMPLES, "tool", "main") == "brought along at /tmp: --now\n"
        sample_pods.delete("tool")


def _leader(cluster: KubeCluster) -> str:
    """Return the Pod that holds the Lease: its host name and its process id, 1, are the holder's."""
    try:
        lease = cluster.get(LEASES, LEASE, namespace=NAMESPACE)
    except NotFound:
        return ""
    return (msgspec.convert(lease, Lease).spec.holder_identity or "").removesuffix("-1")


def _prepare(cluster: KubeCluster) -> None:
    """Create the account and what it may."""
    rules: list[JsonValue] = [
        _rule("", "namespaces configmaps", "get list watch"),
        _rule("argoproj.io", "workflows", "get list watch patch"),
        _rule("argoproj.io", "workflowtemplates clusterworkflowtemplates", "get list watch"),
        _rule("lockkeeper.dev", "workflowquotas clusterworkflowquotas", "get list watch"),
        _rule("lockkeeper.dev", "synchronizationpolicies clustersynchronizationpolicies", "get list watch"),
        _rule("lockkeeper.dev", "quotaledgers", "get list watch create update"),
        _rule("coordination.k8s.io", "leases", "get create update"),
    ]
    named: JsonObject = {"name": "podrunner-controller"}
    role: JsonObject = {
        "apiVersion": CLUSTER_ROLES.api_version,
        "kind": CLUSTER_ROLES.kind,
        "metadata": named,
        "rules": rules,
    }
    subject: JsonObject = {"kind": "ServiceAccount", "name": "controller", "namespace": NAMESPACE}
    binding: JsonObject = {
        "apiVersion": CLUSTER_BINDINGS.api_version,
        "kind": CLUSTER_BINDINGS.kind,
        "metadata": named,
        "roleRef": {"apiGroup": CLUSTER_ROLES.group, "kind": CLUSTER_ROLES.kind, **named},
        "subjects": [subject],
    }
    namespace: JsonObject = {
        "apiVersion": "v1",
        "kind": NAMESPACES.kind,
        "metadata": {"name": NAMESPACE},
    }
    account: JsonObject = {
        "apiVersion": "v1",
        "kind": ACCOUNTS.kind,
        "metadata": {"name": "controller", "namespace": NAMESPACE},
    }
    for resource, obj in (
        (NAMESPACES, namespace),
        (ACCOUNTS, account),
        (CLUSTER_ROLES, role),
        (CLUSTER_BINDINGS, binding),
    ):
        cluster.apply(resource, obj, field_manager="tests")


def _rule(group: str, resources: str, verbs: str) -> JsonObject:
    return {"apiGroups": [group], "resources": [*resources.split()], "verbs": [*verbs.split()]}


def _controllers() -> JsonObject:
    """Return the Deployment, as restricted as the chart's."""
    container: JsonObject = {
        "name": "controller",
        "image": "lockkeeper:test",
        "args": [
            "controller",
            "--lease-namespace=$(POD_NAMESPACE)",
            f"--lease-name={LEASE}",
            "--host=$(POD_IP)",
        ],
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    labels: JsonObject = {"app.kubernetes.io/name": "lockkeeper"}
    spec: JsonObject = {
        "serviceAccountName": "controller",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {"name": "lockkeeper-controller", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
