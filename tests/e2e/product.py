"""Lockkeeper on the control plane: the webhook and two controllers as processes, registered by URL."""

import base64
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOWS, Resource
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.building import ROOT
from tests.e2e.control_plane import ControlPlane
from tests.patience import PATIENCE

MUTATING: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
NAMESPACE: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
LEASE_NAMESPACE: Final = "default"
_ADDRESS: Final = re.compile(r"serving on https://127\.0\.0\.1:(\d+)")


def until(holds: Callable[[], bool], what: str, *, seconds: float = PATIENCE) -> float:
    """Wait until something holds and return how long it took; fail with `what` when it does not."""
    begun, pause = monotonic(), Event()
    while not holds():
        assert monotonic() - begun < seconds, f"after {seconds} s: {what}"
        pause.wait(0.02)
    return monotonic() - begun


class Product(msgspec.Struct, frozen=True):
    """What runs: the port of the webhook, and the controllers."""

    port: int
    folder: Path
    controllers: dict[str, subprocess.Popen[bytes]]

    def log_of(self, name: str) -> str:
        """Return what a process has written."""
        return (self.folder / f"{name}.log").read_text()


@contextmanager
def product(plane: ControlPlane, cluster: KubeCluster, folder: Path) -> Iterator[Product]:
    """Run Lockkeeper against a control plane; when the block ends the webhooks go, then every process."""
    with ExitStack() as stack:
        certs = folder / "certs"
        command = ["serve", "--cluster", "--kubeconfig", str(plane.kubeconfig), "--port", "0"]
        stack.enter_context(_process("serve", [*command, "--certs", str(certs)], folder))
        serving = folder / "serve.log"
        until(lambda: _ADDRESS.search(serving.read_text()) is not None, "the webhook does not serve")
        found = _ADDRESS.search(serving.read_text())
        assert found is not None
        running = Product(int(found[1]), folder, {})
        until(lambda: _ready(running.port, certs / "ca.crt"), "the webhook is not ready")
        for name in ("one", "two"):
            running.controllers[name] = stack.enter_context(controller(plane, name, folder))
        _register(cluster, running.port, (certs / "ca.crt").read_bytes())
        stack.callback(_unregister, cluster)
        _await_release(cluster)
        yield running


@contextmanager
def controller(plane: ControlPlane, name: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run one controller."""
    command = [
        "controller",
        "--kubeconfig",
        str(plane.kubeconfig),
        "--lease-namespace",
        LEASE_NAMESPACE,
        "--port",
        "0",
    ]
    with _process(name, command, folder) as process:
        yield process


def leading(cluster: KubeCluster, running: Product) -> str:
    """Return the name of the controller that holds the lease."""
    pid = _leader(cluster).rpartition("-")[2]
    return next(name for name, process in running.controllers.items() if str(process.pid) == pid)


def _ready(port: int, authority: Path) -> bool:
    """Ask the webhook as a kubelet does; it gets reviews only when it is ready."""
    context = ssl.create_default_context(cafile=str(authority))
    connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    finally:
        connection.close()


def _await_release(cluster: KubeCluster) -> None:
    """Hold a Workflow that nobody governs and wait until the leader lets it go: from then on it counts."""
    name = "held-for-a-start"
    held: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE}},
        "spec": {},
    }
    cluster.create(WORKFLOWS, held, namespace=LEASE_NAMESPACE)

    def released() -> bool:
        metadata = cluster.get(WORKFLOWS, name, namespace=LEASE_NAMESPACE)["metadata"]
        return isinstance(metadata, dict) and not metadata.get("labels")

    until(released, "no controller releases")
    cluster.delete(WORKFLOWS, name, namespace=LEASE_NAMESPACE)


def _leader(cluster: KubeCluster) -> str:
    try:
        lease = cluster.get(LEASES, "lockkeeper-controller", namespace=LEASE_NAMESPACE)
    except NotFound:
        return ""
    spec = lease["spec"]
    assert isinstance(spec, dict)
    return str(spec.get("holderIdentity") or "")


@contextmanager
def _process(name: str, arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "lockkeeper", *arguments], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE)


def _register(cluster: KubeCluster, port: int, authority: bytes) -> None:
    for resource, name, policy in ((MUTATING, "mutate", "Ignore"), (VALIDATING, "validate", "Fail")):
        rule: JsonObject = {
            "apiGroups": ["argoproj.io"],
            "apiVersions": ["*"],
            "operations": ["CREATE"],
            "resources": ["workflows"],
            "scope": "Namespaced",
        }
        webhook: JsonObject = {
            "name": f"{name}.lockkeeper.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "NoneOnDryRun",
            "failurePolicy": policy,
            "timeoutSeconds": 5,
            "clientConfig": {
                "url": f"https://127.0.0.1:{port}/{name}",
                "caBundle": base64.b64encode(authority).decode(),
            },
            "rules": [rule],
        }
        configuration: JsonObject = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "lockkeeper"},
            "webhooks": [webhook],
        }
        cluster.apply(resource, configuration, field_manager="tests")


def _unregister(cluster: KubeCluster) -> None:
    for resource in (MUTATING, VALIDATING):
        cluster.delete(resource, "lockkeeper")
