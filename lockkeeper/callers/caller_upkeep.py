"""What the leading controller does about the secrets in the paths of both webhook configurations.

A pass reads the webhook's Deployment, and of each configuration what stands in it, and writes what is due. It
is made whenever one of the three changes, and every few seconds, because waits end without a change.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

from lockkeeper.callers.configuration_paths import correction, read
from lockkeeper.callers.replicas import Replicas
from lockkeeper.callers.secret_rotation import USUAL, Audience, RotationDeed, RotationTiming, advance
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, DEPLOYMENTS
from lockkeeper.process.upkeep import PASS_SECONDS, Upkeep, WatchedObject
from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import Cluster, Resource

_SECRET_BYTES: Final = 32
_STEPS_AT_ONCE: Final = 4
"""Steps after which a pass ends in any case; two are usual."""


def new_secret() -> str:
    """Return a secret of hexadecimal digits, which the path of a webhook may have."""
    return secrets.token_hex(_SECRET_BYTES)


class CallersUpkeep(Upkeep):
    """Keeps the secrets in the paths; `moved` hears of what was done to which configuration, of no secret."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        name: str,
        replicas: Replicas,
        clock: Callable[[], datetime],
        trouble: Callable[[str, ClusterError], object],
        moved: Callable[[str, RotationDeed], object],
        mark: Callable[[], str] = str,
        make: Callable[[], str] = new_secret,
        timing: RotationTiming = USUAL,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        where = replicas.deployment
        super().__init__(
            cluster=cluster,
            objects=[
                *(WatchedObject(each, name) for each in CONFIGURATIONS),
                WatchedObject(DEPLOYMENTS, where.name, where.namespace),
            ],
            trouble=trouble,
            threads="callers",
            pass_seconds=pass_seconds,
        )
        self._cluster = cluster
        self._name = name
        self._replicas = replicas
        self._clock = clock
        self._moved = moved
        self._mark = mark
        self._make = make
        self._timing = timing

    def make_pass(self) -> bool:
        """Take every step that is due; tell whether all went well."""
        audience = self._replicas.audience()
        if audience is None:
            return False  # Whoever took the right away, or the Deployment, writes the paths himself.
        good = True
        for resource in CONFIGURATIONS:
            try:
                for _ in range(_STEPS_AT_ONCE):
                    if not self._step(resource, audience):
                        break
            except NotFound:
                continue  # Nobody is called by it.
            except (Conflict, Invalid):
                self._wake.set()  # It has changed meanwhile; what stands there now is looked at at once.
            except ClusterError as error:
                self._trouble(f"keeping the paths of {self._at(resource)}", error)
                good = False
        return good

    def _step(self, resource: Resource, audience: Audience) -> bool:
        """Take the step that is due for a configuration; tell whether one was. Raises ClusterError."""
        found = read(self._cluster.get(resource, self._name))
        if not found.hooks:
            return False
        step = advance(
            found.secrets,
            [hook.secret for hook in found.hooks],
            now=self._clock(),
            audience=audience,
            make=self._make,
            mark=self._mark(),
            timing=self._timing,
        )
        patch = correction(found, step.secrets)
        if patch is None:
            return False
        self._cluster.patch(resource, self._name, patch)
        for deed in step.deeds:
            self._moved(self._at(resource), deed)
        return True

    def _at(self, resource: Resource) -> str:
        return f"{resource.kind} {self._name}"
