"""What a controller does about the secret paths: rotate them where it leads, and report which are missing.

A pass reads the webhook's Deployment and both configurations, and writes what is due. It is made whenever one
of the three changes, and every few seconds, because waits end without a change.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, DEPLOYMENTS, Deployment, NamespacedName
from lockkeeper.process.liveness import NOT_SEEN
from lockkeeper.process.upkeep_loop import PASS_SECONDS, Upkeep, WatchedObject
from lockkeeper.secret_paths.configuration_paths import correction, read
from lockkeeper.secret_paths.secret_rotation import ReplicaSupport, RotationChange, advance
from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import Cluster, Resource
from webhook.logs import Log

_SECRET_BYTES: Final = 32
_STEPS_AT_ONCE: Final = 4
"""Steps after which a pass ends in any case; two are usual."""
_OPTION: Final = "--webhook-configurations"
"""By this option of `lockkeeper serve` a replica is known to read them."""
_ENDPOINTS: Final = timedelta(seconds=15)
"""Beyond the grace period of an old Pod: until no endpoint refers to it any more."""


class Replicas:
    """Remembers since when there are only replicas that read the configurations.

    A Pod that ends is not counted any more while it still answers, so there is a wait after a roll-out was
    seen to be over. A controller that has just started waits as well; there is no wait where nothing changes.
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
        self._deployment = deployment
        self._clock = clock
        self._trouble = trouble
        self._since: datetime | None = None

    def support(self) -> ReplicaSupport | None:
        """Read, and return what is known of the replicas; None where the Deployment cannot be read."""
        found = self._read()
        if found is None:
            return None
        aware = _is_aware(found)
        if not aware or not found.is_rolled_out:
            self._since = None
            return ReplicaSupport.UNKNOWN if aware else ReplicaSupport.UNAWARE
        now = self._clock()
        self._since = self._since or now
        # So long an old Pod may answer after it was last counted.
        grace = timedelta(seconds=found.spec.template.spec.termination_grace_period_seconds) + _ENDPOINTS
        return ReplicaSupport.READY if now - self._since >= grace else ReplicaSupport.UNKNOWN

    def _read(self) -> Deployment | None:
        name = self._deployment
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
    """Return whether the Pods that a Deployment makes read the configurations."""
    return any(arg.split("=")[0] == _OPTION for each in found.containers for arg in each.args or ())


def new_secret() -> str:
    """Return a secret of hexadecimal digits, which the path of a webhook may have."""
    return secrets.token_hex(_SECRET_BYTES)


class PathUpkeep(Upkeep):
    """Rotates the secrets in the paths; `moved` gets what was done to which configuration, never a secret."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        name: str,
        deployment: NamespacedName,
        clock: Callable[[], datetime],
        trouble: Callable[[str, ClusterError], object],
        moved: Callable[[str, RotationChange], object],
        mark: Callable[[], str] = str,
    ) -> None:
        super().__init__(
            cluster=cluster,
            objects=[
                *(WatchedObject(each, name) for each in CONFIGURATIONS),
                WatchedObject(DEPLOYMENTS, deployment.name, deployment.namespace),
            ],
            trouble=trouble,
            threads="callers",
            pass_seconds=PASS_SECONDS,
        )
        self._cluster = cluster
        self._name = name
        self._replicas = Replicas(cluster=cluster, deployment=deployment, clock=clock, trouble=trouble)
        self._clock = clock
        self._moved = moved
        self._mark = mark

    def make_pass(self) -> bool:
        """Take every step that is due; return whether all went well."""
        support = self._replicas.support()
        if support is None:
            return False  # Without the right, or the Deployment, the paths are left alone.
        good = True
        for resource in CONFIGURATIONS:
            try:
                for _ in range(_STEPS_AT_ONCE):
                    if not self._step(resource, support):
                        break
            except NotFound:
                continue  # The API server calls nothing by it.
            except (Conflict, Invalid):
                self._wake.set()  # It has changed meanwhile; it is read again at once.
            except ClusterError as error:
                self._trouble(f"keeping the paths of {self._at(resource)}", error)
                good = False
        return good

    def _step(self, resource: Resource, support: ReplicaSupport) -> bool:
        """Take the step that is due for a configuration; return whether one was. Raises ClusterError."""
        found = read(self._cluster.get(resource, self._name))
        if not found.hooks:
            return False
        step = advance(
            found.secrets,
            [hook.secret for hook in found.hooks],
            now=self._clock(),
            support=support,
            make=new_secret,
            mark=self._mark(),
        )
        patch = correction(found, step.secrets)
        if patch is None:
            return False
        self._cluster.patch(resource, self._name, patch)
        for change in step.changes:
            self._moved(self._at(resource), change)
        return True

    def _at(self, resource: Resource) -> str:
        return f"{resource.kind} {self._name}"


class PathLog:
    """Logs and counts what is done to the paths; never a secret."""

    def __init__(self, *, log: Log, registry: CollectorRegistry) -> None:
        self._log = log
        changes = Counter(
            "lockkeeper_caller_path_changes",
            "Steps in the life of the secret paths of the webhook.",
            ["change"],
            registry=registry,
        )
        self._changes = {each: changes.labels(each.name.lower()) for each in RotationChange}

    def moved(self, where: str, change: RotationChange) -> None:
        """Something was done to the paths of a configuration."""
        self._changes[change].inc()
        self._log.event("callers", f"{where}: {change}")


def missing_paths(cluster: Cluster, name: str, last: list[str]) -> list[str]:
    """Return which webhooks have no path; `last` while the configurations cannot be read.

    A configuration that does not exist lacks nothing.
    """
    lacking: list[str] = []
    for resource in CONFIGURATIONS:
        try:
            found = read(cluster.get(resource, name))
        except NotFound:
            continue
        except ClusterError as error:
            return [f"{NOT_SEEN}: {error.message}"] if last == [NOT_SEEN] else last
        lacking += [
            f"{resource.kind} {name}: {hook.name} has no path yet"
            for hook in found.hooks
            if hook.secret is None
        ]
    return lacking
