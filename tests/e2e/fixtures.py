"""Fixtures that need a control plane; a plugin, so that several folders of tests share one."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

import msgspec
import pytest
import yaml

from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import Resource
from tests.e2e.argo.crds import CorpusIsMissingError, argo_crds
from tests.e2e.building import ROOT, GoIsMissingError, control_plane_binary
from tests.e2e.control_plane import ControlPlane, running
from tests.e2e.kubectl import Kubectl, KubectlIsMissingError, kubectl_program
from tests.patience import PATIENCE

CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
OUR_CRDS: Final = ROOT / "charts" / "lockkeeper" / "files" / "crds"
"""Our kinds as the chart brings them; those of Argo are what `argo/crds.py` says."""


class Named(msgspec.Struct, frozen=True):
    """The name of a CRD."""

    name: str


class Condition(msgspec.Struct, frozen=True):
    """One condition of a CRD."""

    type: str
    status: str
    message: str = ""


class Conditions(msgspec.Struct, frozen=True):
    """The status of a CRD; the conditions of a very new one are null."""

    conditions: tuple[Condition, ...] | None = None


class Definition(msgspec.Struct, frozen=True):
    """What is of interest in a CRD."""

    metadata: Named
    status: Conditions = Conditions()

    def holds(self, condition: str) -> bool:
        """Tell whether a condition is true."""
        return any(one.type == condition and one.status == "True" for one in self.status.conditions or ())


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane that knows Argo's kinds and ours; skip where there is no Go to build it with."""
    try:
        binary = control_plane_binary()
        argo_crds()
    except (GoIsMissingError, CorpusIsMissingError) as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("control-plane")
    with running(binary=binary, folder=folder, prepare=define_kinds) as plane:
        yield plane


@pytest.fixture(scope="session")
def kube_cluster(control_plane: ControlPlane) -> Iterator[KubeCluster]:
    """Give the control plane as a Cluster, with all rights."""
    cluster = connect(control_plane.kubeconfig)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Give the real kubectl of an administrator; skip where it cannot be had."""
    try:
        program = kubectl_program()
    except KubectlIsMissingError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("kubectl")
    return Kubectl(program=program, kubeconfig=control_plane.kubeconfig, folder=folder)


def define_kinds(plane: ControlPlane, ours: Path = OUR_CRDS) -> None:
    """Apply Argo's CRDs and `ours`, and wait until the API serves them."""
    cluster = connect(plane.kubeconfig)
    try:
        manifests = [
            yaml.safe_load(path.read_bytes())
            for folder in (argo_crds(), ours)
            for path in sorted(folder.glob("*.yaml"))
        ]
        for manifest in manifests:
            cluster.apply(CRDS, manifest, field_manager="tests")
        for manifest in manifests:
            _await_served(cluster, msgspec.convert(manifest, Definition).metadata.name)
    finally:
        cluster.close()


def _await_served(cluster: KubeCluster, name: str) -> None:
    """Wait until a CRD is established, and has no fault in its schema."""
    deadline = monotonic() + PATIENCE
    pause = Event()
    while True:
        definition = msgspec.convert(cluster.get(CRDS, name), Definition)
        if definition.holds("NonStructuralSchema"):
            pytest.fail(f"{name}: {definition.status.conditions}")
        if definition.holds("Established"):
            return
        assert monotonic() < deadline, f"{name} is not served: {definition.status.conditions}"
        pause.wait(0.05)
