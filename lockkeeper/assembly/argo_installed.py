"""The version of the Argo that is installed, by the image of its controller's Deployment.

It decides how locks are written: an Argo that was upgraded to 4.0 drops the single form, and runs unlocked.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from lockkeeper.process.kubernetes_objects import DEPLOYMENTS, Deployment, NamespacedName
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster
from policy.core.objects.argo_version import ArgoVersion

_CONTROLLER: Final = "workflow-controller"


def version_of(image: str) -> ArgoVersion | None:
    """Return the version in an image's tag, None where it has none that is a version."""
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    try:
        return ArgoVersion.parse(tag)
    except ValueError:
        return None


class InstalledArgo:
    """Reads the version; where it cannot be read the last one counts, or the setting before any."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        deployment: NamespacedName,
        setting: ArgoVersion,
        trouble: Callable[[str, ClusterError], None],
        log: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._deployment = deployment
        self._version = setting
        self._trouble = trouble
        self._log = log
        self._last_text = ""

    def read(self) -> ArgoVersion:
        """Return the version that is installed now."""
        where = f"Deployment {self._deployment}"
        try:
            found = self._cluster.get(
                DEPLOYMENTS, self._deployment.name, namespace=self._deployment.namespace
            )
        except ClusterError as error:
            if self._is_news(f"{where}: {error}"):
                self._trouble("reading the version of Argo", error)
            return self._version
        containers = msgspec.convert(found, Deployment).containers
        images = sorted(containers, key=lambda each: each.name != _CONTROLLER)
        image = images[0].image if images else ""
        version = version_of(image)
        text = f"Argo {version} is installed ({where} runs {image})"
        if version is None:
            text = f"{where} runs {image}, whose tag is no version of Argo: {self._version} is taken"
        if self._is_news(text):
            self._log(text)
        self._version = version or self._version
        return self._version

    def _is_news(self, what: str) -> bool:
        """Return whether this differs from what was reported before."""
        before, self._last_text = self._last_text, what
        return what != before
