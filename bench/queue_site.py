"""A build of Lockkeeper on a real control plane, registered and with its rights as its own chart says.

Webhook and controller are processes of this machine under the names of their ServiceAccounts, so that the
API server asks about exactly those writes that it asks about in a cluster.
"""

import base64
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Final, TypeAlias

import msgspec
import yaml

from bench.processes import children, end_process
from bench.queue_scenario import namespaces, pools
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.kube.server_pool import ClosingSocket
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, NAMESPACES, Resource
from policy.core.objects.json_patch import JsonObject
from tests.e2e.building import control_plane_binary
from tests.e2e.control_plane import LOOPBACK, ControlPlane, running
from tests.e2e.fixtures import define_kinds
from tests.e2e.helm import Helm, helm_program

NAMESPACE: Final = "lockkeeper"
ARGO: Final = "argo:argo"
WEBHOOK: Final = f"{NAMESPACE}:lockkeeper-webhook"
CONTROLLER: Final = f"{NAMESPACE}:lockkeeper-controller"
START_SECONDS: Final = 120.0
_HELM: Final = "4.3"
_SERVING: Final = re.compile(r"serving on https://[^ ]*:(\d+)")
_RBAC: Final = "rbac.authorization.k8s.io"
_HOOKS: Final = "admissionregistration.k8s.io"
_APPLIED: Final = (
    Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Resource(_RBAC, "v1", "roles", "Role"),
    Resource(_RBAC, "v1", "rolebindings", "RoleBinding"),
    Resource(_HOOKS, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False),
    Resource(
        _HOOKS, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False
    ),
    Resource(_HOOKS, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False),
    Resource(
        _HOOKS,
        "v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        namespaced=False,
    ),
)
"""What of the chart is applied, in this order; its Pods are our processes."""
_Process: TypeAlias = subprocess.Popen[bytes]


class Site(msgspec.Struct, frozen=True):
    """What runs: the control plane, and the process ids by what they are called in the report."""

    plane: ControlPlane
    cluster: KubeCluster
    folder: Path
    pids: dict[str, tuple[int, ...]]


@contextmanager
def site(checkout: Path, folder: Path) -> Iterator[Site]:
    """Run a build with the quotas of the scenario in force, while the context lasts.

    Raises:
        GoIsMissingError: there is no control plane yet, and nothing to build it with.
        HelmIsMissingError: there is no helm to render the chart with.
    """
    binary = control_plane_binary()
    kinds = partial(define_kinds, ours=checkout / "charts" / "lockkeeper" / "files" / "crds")
    accounts = (ARGO, WEBHOOK, CONTROLLER)
    with (
        running(binary=binary, folder=folder, prepare=kinds, accounts=accounts) as plane,
        closing(connect(plane.kubeconfig)) as cluster,
        ExitStack() as stack,
    ):
        for name in (NAMESPACE, ARGO.partition(":")[0]):
            cluster.create(NAMESPACES, {"metadata": {"name": name}})
        for namespace in namespaces():
            cluster.create(NAMESPACES, namespace)
        for pool in pools():
            cluster.create(CLUSTER_WORKFLOW_QUOTAS, pool)
        rendered = _rendered(checkout, folder)
        _apply(cluster, [each for each in rendered if not _is_registration(each)])
        _let_argo_write(cluster)
        webhook, port = stack.enter_context(_webhook(checkout, plane, folder))
        controller = stack.enter_context(_controller(checkout, plane, folder))
        authority = (folder / "webhook" / "ca.crt").read_bytes()
        registrations = [each for each in rendered if _is_registration(each)]
        _apply(cluster, [_by_url(each, port, authority) for each in registrations])
        pids: dict[str, tuple[int, ...]] = {role: (part.pid,) for role, part in plane.components.items()}
        pids["webhook"] = (webhook.pid, *children(webhook.pid))
        pids["leader"] = (controller.pid,)
        yield Site(plane, cluster, folder, pids)


def _rendered(checkout: Path, folder: Path) -> list[JsonObject]:
    """Return the objects of a build's chart that are applied, in their order."""
    helm = Helm(program=helm_program(_HELM), folder=folder / "helm")
    text = helm.said(
        "template", "lockkeeper", str(checkout / "charts" / "lockkeeper"), f"--namespace={NAMESPACE}"
    )
    found = [each for each in yaml.safe_load_all(text) if each]
    hooks = "helm.sh/hook"
    ours = [each for each in found if hooks not in (each["metadata"].get("annotations") or {})]
    return [each for kind in _APPLIED for each in ours if each["kind"] == kind.kind]


def _is_registration(obj: JsonObject) -> bool:
    return str(obj["kind"]).endswith("WebhookConfiguration")


def _apply(cluster: KubeCluster, objects: list[JsonObject]) -> None:
    kinds = {each.kind: each for each in _APPLIED}
    for each in objects:
        cluster.apply(kinds[str(each["kind"])], each, field_manager="helm")


def _by_url(registration: JsonObject, port: int, authority: bytes) -> JsonObject:
    """Return a registration that leads to our process, and is as in the chart in all else."""
    bundle = base64.b64encode(authority).decode()
    moved = []
    for each in msgspec.convert(registration["webhooks"], list[dict[str, Any]]):
        path = each["clientConfig"]["service"]["path"]
        client = {"url": f"https://{LOOPBACK}:{port}{path}", "caBundle": bundle}
        moved.append({**each, "clientConfig": client})
    return {**registration, "webhooks": msgspec.to_builtins(moved)}


def _let_argo_write(cluster: KubeCluster) -> None:
    """Give Argo's account, as which execution is played, all rights."""
    namespace, _, name = ARGO.partition(":")
    binding: JsonObject = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "argo"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
    }
    _apply(cluster, [binding])


@contextmanager
def _webhook(checkout: Path, plane: ControlPlane, folder: Path) -> Iterator[tuple[_Process, int]]:
    """Run the webhook, and give its port once it answers."""
    options = [
        f"--own-account={CONTROLLER}",
        "--host",
        LOOPBACK,
        "--port=0",
        "--certs",
        str(folder / "webhook"),
    ]
    kubeconfig = plane.accounts[WEBHOOK]
    with _process("webhook", checkout, folder, ["serve", "--cluster", *options], kubeconfig) as process:
        log = folder / "webhook.log"
        authority = folder / "webhook" / "ca.crt"
        _until(lambda: _port(log) > 0 and _ready(_port(log), authority), process, log)
        yield process, _port(log)


@contextmanager
def _controller(checkout: Path, plane: ControlPlane, folder: Path) -> Iterator[_Process]:
    """Run a controller until it leads."""
    options = [f"--lease-namespace={NAMESPACE}", "--host", LOOPBACK, "--port=0"]
    kubeconfig = plane.accounts[CONTROLLER]
    with _process("leader", checkout, folder, ["controller", *options], kubeconfig) as process:
        log = folder / "leader.log"
        _until(lambda: '"leading"' in log.read_text(), process, log)
        yield process


@contextmanager
def _process(
    name: str, checkout: Path, folder: Path, arguments: list[str], kubeconfig: Path
) -> Iterator[_Process]:
    command = [sys.executable, "-m", "lockkeeper", *arguments, f"--kubeconfig={kubeconfig}"]
    settings = {**os.environ, "PYTHONPATH": str(checkout)}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=checkout, env=settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            end_process(process)


def _ready(port: int, authority: Path) -> bool:
    """Ask the webhook as a kubelet does: it gets reviews only when it has the policies."""
    context = ssl.create_default_context(cafile=str(authority))
    context.sslsocket_class = ClosingSocket
    connection = HTTPSConnection(LOOPBACK, port, context=context, timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _port(log: Path) -> int:
    found = _SERVING.search(log.read_text())
    return 0 if found is None else int(found[1])


def _until(holds: Callable[[], bool], process: _Process, log: Path) -> None:
    """Wait until a process has started; its log is all that tells. Raises RuntimeError."""
    deadline, pause = monotonic() + START_SECONDS, Event()
    while not holds():
        if process.poll() is not None or monotonic() > deadline:
            raise RuntimeError(f"it did not start: {log.read_text(errors='replace')[-2000:]}")
        pause.wait(0.05)
