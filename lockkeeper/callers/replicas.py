"""Whether every replica of the webhook reads the webhook configurations, as its Deployment tells."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from lockkeeper.argo_installed import DEPLOYMENTS, DeploymentName
from lockkeeper.callers.keeping import Audience
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster
from policy.core.prepared import prepare
from policy.core.workflow import Read

OPTION: Final = "--webhook-configurations"
"""By this option of `lockkeeper serve` a replica is known to read them."""
ENDPOINTS: Final = timedelta(seconds=15)
"""Beyond the grace period of an old Pod: until nothing leads to it any more."""


class Container(Read, frozen=True):
    """What a container is started with."""

    args: tuple[str, ...] | None = None


class PodSpec(Read, frozen=True):
    """The containers of a Pod, and how long it may take to end."""

    containers: tuple[Container, ...] = ()
    termination_grace_period_seconds: int = 30


class PodTemplate(Read, frozen=True):
    """The Pods that a Deployment makes."""

    spec: PodSpec = PodSpec()


class Spec(Read, frozen=True):
    """What a Deployment is to be."""

    template: PodTemplate = PodTemplate()


class Status(Read, frozen=True):
    """How far it is: of `replicas` Pods so many are of the newest kind."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0


class Metadata(Read, frozen=True):
    """Which state of the spec it is."""

    generation: int = 0


class Deployment(Read, frozen=True):
    """A Deployment, as far as a roll-out shows in it."""

    metadata: Metadata = Metadata()
    spec: Spec = Spec()
    status: Status = Status()

    @property
    def is_aware(self) -> bool:
        """Whether the Pods that it makes read the configurations."""
        containers = self.spec.template.spec.containers
        return any(arg.split("=")[0] == OPTION for each in containers for arg in each.args or ())

    @property
    def is_rolled_out(self) -> bool:
        """Whether there is no Pod of an older kind."""
        status = self.status
        return (
            status.observed_generation >= self.metadata.generation
            and status.updated_replicas == status.replicas
        )

    @property
    def grace(self) -> timedelta:
        """How long an old Pod may have been answering after it was last counted."""
        return timedelta(seconds=self.spec.template.spec.termination_grace_period_seconds) + ENDPOINTS


prepare(Deployment)


class Replicas:
    """Remembers since when there are only replicas that read the configurations.

    A Pod that ends is not counted any more while it still answers, so there is a wait after a roll-out was
    seen to be over. Who has just begun to look waits as well; no wait is made where all stays as it is.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        deployment: DeploymentName,
        clock: Callable[[], datetime],
        trouble: Callable[[str, ClusterError], object],
    ) -> None:
        self._cluster = cluster
        self.deployment = deployment
        self._clock = clock
        self._trouble = trouble
        self._since: datetime | None = None

    def audience(self) -> Audience | None:
        """Look, and return what is known of the replicas; None where the Deployment cannot be read."""
        found = self._read()
        if found is None:
            return None
        if not found.is_aware or not found.is_rolled_out:
            self._since = None
            return Audience.UNKNOWN if found.is_aware else Audience.UNAWARE
        now = self._clock()
        self._since = self._since or now
        return Audience.READY if now - self._since >= found.grace else Audience.UNKNOWN

    def _read(self) -> Deployment | None:
        name = self.deployment
        try:
            return msgspec.convert(
                self._cluster.get(DEPLOYMENTS, name.name, namespace=name.namespace), Deployment
            )
        except ClusterError as error:
            self._trouble(f"reading the Deployment {name}", error)
        except msgspec.ValidationError:
            return None
        return None
