"""What is read of Deployments: images, the options of containers, and whether a roll-out is over."""

from typing import Final

from policy.cluster.protocol import Resource
from policy.core.prepared import prepare
from policy.core.workflow import Read

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")


class DeployedContainer(Read, frozen=True):
    """What a container runs, and what it is started with."""

    name: str = ""
    image: str = ""
    args: tuple[str, ...] | None = None


class PodSpec(Read, frozen=True):
    """The containers of a Pod, and how long it may take to end."""

    containers: tuple[DeployedContainer, ...] = ()
    termination_grace_period_seconds: int = 30


class PodTemplate(Read, frozen=True):
    """The Pods that a Deployment makes."""

    spec: PodSpec = PodSpec()


class DeploymentSpec(Read, frozen=True):
    """What a Deployment is to be."""

    template: PodTemplate = PodTemplate()


class DeploymentStatus(Read, frozen=True):
    """How far it is: of `replicas` Pods so many are of the newest kind."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0


class DeploymentMetadata(Read, frozen=True):
    """Which state of the spec it is."""

    generation: int = 0


class Deployment(Read, frozen=True):
    """A Deployment, as far as images, options and a roll-out show in it."""

    metadata: DeploymentMetadata = DeploymentMetadata()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()

    @property
    def containers(self) -> tuple[DeployedContainer, ...]:
        """The containers of its Pods."""
        return self.spec.template.spec.containers

    @property
    def is_rolled_out(self) -> bool:
        """Whether there is no Pod of an older kind."""
        status = self.status
        return (
            status.observed_generation >= self.metadata.generation
            and status.updated_replicas == status.replicas
        )


prepare(Deployment)
