"""Lockkeeper as a user installs it: helm on a real API server, and the chart's own Pods as processes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import NAMESPACES
from tests.e2e.charted import NAMESPACE, Release, Site, chart_site
from tests.e2e.podrunner.launch import Podrunner, SeenPod, await_rollout, podrunner, pods
from tests.e2e.podrunner.run_settings import Image

IMAGE: Final = Image(
    entry_point=(str(Path(sys.executable).with_name("lockkeeper")),), user=65532, environment={}
)
"""The project's own environment in the place of an image; tests/image shows that the image holds the same."""
WEBHOOK: Final = "lockkeeper-webhook"
CONTROLLER: Final = "lockkeeper-controller"


class Installed(msgspec.Struct, frozen=True):
    """An installation: the site that it is on, its release, and who runs its Pods."""

    site: Site
    release: Release
    runner: Podrunner

    @property
    def cluster(self) -> KubeCluster:
        """The cluster as its administrator sees it."""
        return self.site.cluster

    def ready(self) -> None:
        """Wait until both Deployments are rolled out: all Pods are of the newest kind, and ready."""
        for deployment in (WEBHOOK, CONTROLLER):
            await_rollout(self.cluster, NAMESPACE, deployment)

    def pods(self, deployment: str, *, ending: bool = False) -> list[SeenPod]:
        """Return the Pods of a Deployment; those that are about to end only where they are asked for."""
        component = deployment.rpartition("-")[2]
        found = pods(self.cluster, NAMESPACE, labels=f"app.kubernetes.io/component={component}")
        return [pod for pod in found if ending or pod.metadata.deletion_timestamp is None]

    def logs(self, deployment: str) -> str:
        """Return what all Pods of a Deployment have written, those that have ended too."""
        component = deployment.rpartition("-")[2]
        files = sorted(self.runner.folder.glob(f"{NAMESPACE}_{deployment}-*_{component}.log"))
        return "".join(file.read_text(errors="replace") for file in files)

    def log(self, pod: str) -> str:
        """Return what a Pod has written."""
        files = sorted(self.runner.folder.glob(f"{NAMESPACE}_{pod}_*.log"))
        return "".join(file.read_text(errors="replace") for file in files)

    def namespace(self, name: str, **labels: str) -> str:
        """Make a namespace and return its name."""
        self.cluster.create(NAMESPACES, {"metadata": {"name": name, "labels": dict(labels)}})
        return name


@contextmanager
def running_site(
    folder: Path,
    *,
    helm: str = "4.3",
    image: Image = IMAGE,
    apiserver_flags: tuple[str, ...] = (),
    back_off: float = 1.0,
) -> Iterator[Installed]:
    """Give a control plane with Argo's kinds and someone who runs Pods; nothing is installed yet.

    `back_off` is that of the podrunner: the first pause, in seconds, before a container is started again.
    """
    for name in ("site", "pods"):
        (folder / name).mkdir()
    with (
        chart_site(folder / "site", apiserver_flags=apiserver_flags) as site,
        podrunner(site.plane, folder / "pods", image, back_off=back_off) as runner,
    ):
        yield Installed(site, Release(site.helm(helm)), runner)


@contextmanager
def installation(
    folder: Path,
    *settings: str,
    helm: str = "4.3",
    image: Image = IMAGE,
    apiserver_flags: tuple[str, ...] = (),
    back_off: float = 1.0,
) -> Iterator[Installed]:
    """Install Lockkeeper with `helm install` and give it once every Pod is ready."""
    with running_site(
        folder, helm=helm, image=image, apiserver_flags=apiserver_flags, back_off=back_off
    ) as installed:
        installed.release.install(*settings)
        installed.ready()
        yield installed
