"""Argo on the control plane: the real workflow-controller where there is one, else the double.

LOCKKEEPER_ARGO_CONTROLLER names a binary of the real one. It needs `command` in every container of a template
(or it asks a registry for the image's), and somebody who plays the kubelet; it listens on port 6060 of the
machine, so there can be one at a time.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import yaml

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, WORKFLOWS, Resource
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.double import WATCHING
from tests.e2e.building import ROOT
from tests.e2e.control_plane import ControlPlane
from tests.e2e.processes import Process
from tests.e2e.product import until

NAMESPACE: Final = "argo"
ACCOUNT: Final = "system:serviceaccount:argo:argo"
"""Who Argo is to the API server, and so to webhooks."""
BINARY: Final = "LOCKKEEPER_ARGO_CONTROLLER"
MANIFESTS: Final = Path(__file__).with_name("install.yaml")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
_RBAC: Final = "rbac.authorization.k8s.io"
_KINDS: Final = {
    each.kind: each
    for each in (
        NAMESPACES,
        CONFIG_MAPS,
        SECRETS,
        Resource("", "v1", "serviceaccounts", "ServiceAccount"),
        Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False),
        Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
        Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    )
}
TRIAL: Final = "is-argo-there"


class Secret(msgspec.Struct, frozen=True):
    """The part of a Secret that the control plane fills in."""

    data: dict[str, str] = {}


class Looked(msgspec.Struct, frozen=True):
    """Whether somebody took a Workflow up."""

    status: dict[str, object] = {}


class Argo(msgspec.Struct, frozen=True):
    """What runs: whether it is the real one, its log, and its process id."""

    real: bool
    log: Path
    pid: int


@contextmanager
def workflow_controller(
    plane: ControlPlane,
    cluster: KubeCluster,
    folder: Path,
    *,
    finish_after: float | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Argo]:
    """Install Argo and run its controller while the context lasts.

    `finish_after` lets the double finish tasks after so many seconds without Pods; the real one always makes
    Pods. `cluster` has an administrator's rights.

    Raises:
        NotReadyError: it did not come up.
    """
    for manifest in yaml.safe_load_all(MANIFESTS.read_bytes()):
        cluster.apply(_KINDS[manifest["kind"]], manifest, field_manager="tests", force=True)
    until(lambda: "token" in _secret(cluster).data, "the account of Argo has no token")
    kubeconfig = folder / "argo.kubeconfig"
    token = base64.b64decode(_secret(cluster).data["token"]).decode()
    kubeconfig.write_text(_kubeconfig(plane, token), encoding="utf-8")
    binary = environment.get(BINARY)
    command = _real(binary, kubeconfig) if binary else _double(kubeconfig, finish_after)
    log = folder / "argo.log"
    with Process(command, name="workflow-controller", log=log) as process:
        if binary:
            cluster.create(WORKFLOWS, _trial(), namespace=NAMESPACE)
            process.await_ready(lambda: _is_taken_up(cluster))
            cluster.delete(WORKFLOWS, TRIAL, namespace=NAMESPACE)
        else:
            process.await_ready(lambda: WATCHING in log.read_text(encoding="utf-8"))
        yield Argo(bool(binary), log, process.pid)


def _real(binary: str, kubeconfig: Path) -> list[str]:
    """Return the command of the real controller, as its own manifests start it, but for leader election."""
    return [
        "env",
        f"PYTHONPATH={ROOT}",
        "LEADER_ELECTION_DISABLE=true",
        sys.executable,
        "-m",
        "tests.e2e.argo.tether",
        binary,
        f"--kubeconfig={kubeconfig}",
        f"--namespace={NAMESPACE}",
        "--configmap=workflow-controller-configmap",
        "--executor-image=argoexec",
        "--loglevel=info",
    ]


def _double(kubeconfig: Path, finish_after: float | None) -> list[str]:
    finish = [] if finish_after is None else [f"--finish-after={finish_after}"]
    module = "tests.e2e.argo.double"
    return ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", module, f"--kubeconfig={kubeconfig}", *finish]


def _kubeconfig(plane: ControlPlane, token: str) -> str:
    """Return the account's kubeconfig; JSON, because that is YAML too."""
    server = {"server": plane.url, "certificate-authority": str(plane.ca)}
    context = {"cluster": "test", "user": "argo", "namespace": NAMESPACE}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "argo", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
    )


def _secret(cluster: KubeCluster) -> Secret:
    return msgspec.convert(cluster.get(SECRETS, "argo-token", namespace=NAMESPACE), Secret)


def _trial() -> JsonObject:
    """Return a Workflow that a controller takes up and that needs no Pod."""
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": TRIAL},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}]},
    }


def _is_taken_up(cluster: KubeCluster) -> bool:
    return bool(msgspec.convert(cluster.get(WORKFLOWS, TRIAL, namespace=NAMESPACE), Looked).status)
