"""Whether every replica of the webhook reads the webhook configurations, as its Deployment tells."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from lockkeeper.callers.secret_rotation import Audience
from lockkeeper.process.kubernetes_objects import DEPLOYMENTS, Deployment, NamespacedName
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster

_OPTION: Final = "--webhook-configurations"
"""By this option of `lockkeeper serve` a replica is known to read them."""
_ENDPOINTS: Final = timedelta(seconds=15)
"""Beyond the grace period of an old Pod: until nothing leads to it any more."""


class Replicas:
    """Remembers since when there are only replicas that read the configurations.

    A Pod that ends is not counted any more while it still answers, so there is a wait after a roll-out was
    seen to be over. Who has just begun to look waits as well; no wait is made where all stays as it is.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        deployment: NamespacedName,
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
        aware = _is_aware(found)
        if not aware or not found.is_rolled_out:
            self._since = None
            return Audience.UNKNOWN if aware else Audience.UNAWARE
        now = self._clock()
        self._since = self._since or now
        return Audience.READY if now - self._since >= _grace(found) else Audience.UNKNOWN

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


def _is_aware(found: Deployment) -> bool:
    """Tell whether the Pods that a Deployment makes read the configurations."""
    return any(arg.split("=")[0] == _OPTION for each in found.containers for arg in each.args or ())


def _grace(found: Deployment) -> timedelta:
    """Return how long an old Pod may have been answering after it was last counted."""
    return timedelta(seconds=found.spec.template.spec.termination_grace_period_seconds) + _ENDPOINTS
