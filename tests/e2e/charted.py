"""A control plane that knows Argo's kinds and not ours, for tests that install the chart as a user does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import NAMESPACES
from tests.e2e.argo.crds import CorpusIsMissingError, argo_crds
from tests.e2e.building import ROOT, GoIsMissingError, control_plane_binary
from tests.e2e.control_plane import ControlPlane, running
from tests.e2e.helm import Helm, HelmIsMissingError, helm_program
from tests.e2e.kubectl import AWHILE, Kubectl, KubectlIsMissingError, kubectl_program

CHART: Final = ROOT / "charts" / "lockkeeper"
RELEASE: Final = "lockkeeper"
NAMESPACE: Final = "traffic"
GOVERNED: Final = "team-a"
ARGO: Final = "argo"
"""The namespace of Argo's controller, and the name of its account there."""
_RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}


class Site(msgspec.Struct, frozen=True):
    """The control plane, and an administrator's ways in; NAMESPACE, GOVERNED and ARGO are there."""

    plane: ControlPlane
    cluster: KubeCluster
    kubectl: Kubectl
    kubectl_program: Path
    folder: Path

    def helm(self, version: str) -> Helm:
        """Return one of the helms; skip where it cannot be had."""
        try:
            program = helm_program(version)
        except HelmIsMissingError as missing:
            pytest.skip(str(missing))
        return Helm(program=program, folder=self.folder / version, kubeconfig=self.plane.kubeconfig)


class Release(msgspec.Struct, frozen=True):
    """The release under test, through one helm."""

    helm: Helm

    def install(self, *settings: str) -> str:
        """Install it and return what helm says."""
        return self.helm.said("install", RELEASE, str(CHART), *self._where(settings))

    def upgrade(self, *settings: str, chart: Path = CHART) -> str:
        """Upgrade it to these settings and no others, and return what helm says."""
        return self.helm.said("upgrade", RELEASE, str(chart), *self._where(settings))

    def rollback(self, revision: int) -> str:
        """Go back to a revision."""
        return self.helm.said("rollback", RELEASE, str(revision), *self._where(()))

    def uninstall(self) -> str:
        """Uninstall it and return what helm says."""
        return self.helm.said("uninstall", RELEASE, *self._where(()))

    def _where(self, settings: tuple[str, ...]) -> list[str]:
        return [f"--namespace={NAMESPACE}", *(f"--set={each}" for each in settings)]


@contextmanager
def chart_site(folder: Path, *, apiserver_flags: tuple[str, ...] = ()) -> Iterator[Site]:
    """Run the control plane while the context lasts; skip where it or kubectl cannot be had."""
    try:
        binary, program, kinds = control_plane_binary(), kubectl_program(), argo_crds()
    except (GoIsMissingError, KubectlIsMissingError, CorpusIsMissingError) as missing:
        pytest.skip(str(missing))
    with running(binary=binary, folder=folder, apiserver_flags=apiserver_flags) as plane:
        kubectl = Kubectl(program=program, kubeconfig=plane.kubeconfig, folder=folder / "kubectl")
        # By the server's side: Argo's full kinds are too long for an annotation.
        kubectl.said("apply", "--server-side", "-f", str(kinds))
        kubectl.said("wait", "--for=condition=Established", AWHILE, "crd", "--all")
        cluster = connect(plane.kubeconfig)
        try:
            for name, labels in ((NAMESPACE, _RESTRICTED), (GOVERNED, {}), (ARGO, {})):
                cluster.create(NAMESPACES, {"metadata": {"name": name, "labels": dict(labels)}})
            kubectl.said("create", "serviceaccount", ARGO, "-n", ARGO)
            yield Site(plane, cluster, kubectl, program, folder)
        finally:
            cluster.close()
