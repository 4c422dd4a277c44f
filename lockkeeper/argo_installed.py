"""The version of the Argo that is installed, as the image of its controller's Deployment tells.

It decides how locks are written: an Argo that was upgraded to 4.0 drops the single form, and runs unlocked.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster, Resource
from policy.core.locks.forms import ArgoVersion
from policy.core.prepared import prepare
from policy.core.workflow import Read

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
CONTROLLER: Final = "workflow-controller"


class DeploymentName(msgspec.Struct, frozen=True):
    """Namespace and name of a Deployment."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "DeploymentName":
        """Return the name in NAMESPACE/NAME.

        Raises:
            ValueError: the text is no such name.
        """
        namespace, _, name = text.partition("/")
        if not namespace or not name or "/" in name:
            raise ValueError(f"{text!r} names no Deployment; give NAMESPACE/NAME")
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ImageOf(Read, frozen=True):
    """A container's image."""

    name: str = ""
    image: str = ""


class PodSpec(Read, frozen=True):
    """A Pod's containers."""

    containers: tuple[ImageOf, ...] = ()


class PodTemplate(Read, frozen=True):
    """A Deployment's Pods."""

    spec: PodSpec = PodSpec()


class DeploymentSpec(Read, frozen=True):
    """What a Deployment runs."""

    template: PodTemplate = PodTemplate()


class Deployment(Read, frozen=True):
    """A Deployment, of which only images are read."""

    spec: DeploymentSpec = DeploymentSpec()


prepare(Deployment)


def version_of(image: str) -> ArgoVersion | None:
    """Return the version in an image's tag, None where it has none that is a version."""
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    try:
        return ArgoVersion.parse(tag)
    except ValueError:
        return None


class InstalledArgo:
    """Asks for the version; where there is no answer, the last one counts, or the setting before any."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        deployment: DeploymentName,
        setting: ArgoVersion,
        trouble: Callable[[str, ClusterError], None],
        say: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._deployment = deployment
        self._version = setting
        self._trouble = trouble
        self._say = say
        self._told = ""

    def ask(self) -> ArgoVersion:
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
        containers = msgspec.convert(found, Deployment).spec.template.spec.containers
        images = sorted(containers, key=lambda each: each.name != CONTROLLER)
        image = images[0].image if images else ""
        version = version_of(image)
        text = f"Argo {version} is installed ({where} runs {image})"
        if version is None:
            text = f"{where} runs {image}, whose tag is no version of Argo: {self._version} is taken"
        if self._is_news(text):
            self._say(text)
        self._version = version or self._version
        return self._version

    def _is_news(self, what: str) -> bool:
        """Tell whether something else was the case when it was asked before."""
        before, self._told = self._told, what
        return what != before
