"""What a controller does about the secret paths: rotate them where it leads, and report which are missing.

A pass reads the webhook's Deployment and both configurations, and writes what is due. It is made whenever one
of the three changes, and every few seconds, because waits end without a change.
"""

import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, DEPLOYMENTS, Deployment, NamespacedName
from lockkeeper.process.liveness import NOT_SEEN, CachedReadiness
from lockkeeper.process.upkeep import PASS_SECONDS, Upkeep, WatchedObject
from lockkeeper.secret_paths.configuration_paths import correction, read
from lockkeeper.secret_paths.rotation import USUAL, ReplicaSupport, RotationChange, RotationTiming, advance
from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import Cluster, Resource
from webhook.logs import Log

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

    def audience(self) -> ReplicaSupport | None:
        """Look, and return what is known of the replicas; None where the Deployment cannot be read."""
        found = self._read()
        if found is None:
            return None
        aware = _is_aware(found)
        if not aware or not found.is_rolled_out:
            self._since = None
            return ReplicaSupport.UNKNOWN if aware else ReplicaSupport.UNAWARE
        now = self._clock()
        self._since = self._since or now
        return ReplicaSupport.READY if now - self._since >= _grace(found) else ReplicaSupport.UNKNOWN

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
    """Return whether the Pods that a Deployment makes read the configurations."""
    return any(arg.split("=")[0] == _OPTION for each in found.containers for arg in each.args or ())


def _grace(found: Deployment) -> timedelta:
    """Return how long an old Pod may have been answering after it was last counted."""
    return timedelta(seconds=found.spec.template.spec.termination_grace_period_seconds) + _ENDPOINTS


_SECRET_BYTES: Final = 32
_STEPS_AT_ONCE: Final = 4
"""Steps after which a pass ends in any case; two are usual."""


def new_secret() -> str:
    """Return a secret of hexadecimal digits, which the path of a webhook may have."""
    return secrets.token_hex(_SECRET_BYTES)


class PathUpkeep(Upkeep):
    """Keeps the secrets in the paths; `moved` hears of what was done to which configuration, of no secret."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        name: str,
        replicas: Replicas,
        clock: Callable[[], datetime],
        trouble: Callable[[str, ClusterError], object],
        moved: Callable[[str, RotationChange], object],
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
        """Take every step that is due; return whether all went well."""
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

    def _step(self, resource: Resource, audience: ReplicaSupport) -> bool:
        """Take the step that is due for a configuration; return whether one was. Raises ClusterError."""
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
        self._changes = {deed: changes.labels(deed.name.lower()) for deed in RotationChange}

    def moved(self, where: str, deed: RotationChange) -> None:
        """Something was done to the paths of a configuration."""
        self._changes[deed].inc()
        self._log.event("callers", f"{where}: {deed}")


class ControllerPaths:
    """What a controller does about the paths: `upkeep` where it leads, `missing` in any case."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        configurations: str,
        deployment: NamespacedName,
        clock: Callable[[], datetime],
        log: PathLog,
        trouble: Callable[[str, ClusterError], object],
        mark: Callable[[], str],
    ) -> None:
        self._cluster = cluster
        self._name = configurations
        self._deployment = deployment
        self._clock = clock
        self._log = log
        self._trouble = trouble
        self._mark = mark
        self._readiness = PathReadiness(cluster=cluster, name=configurations, stopwatch=time.monotonic)

    def upkeep(self) -> PathUpkeep:
        """Return the work of a new term."""
        return PathUpkeep(
            cluster=self._cluster,
            name=self._name,
            replicas=Replicas(
                cluster=self._cluster,
                deployment=self._deployment,
                clock=self._clock,
                trouble=self._trouble,
            ),
            clock=self._clock,
            trouble=self._trouble,
            moved=self._log.moved,
            mark=self._mark,
        )

    def missing(self) -> list[str]:
        """Return which webhooks have no path, or nothing."""
        return self._readiness.missing()


class PathReadiness(CachedReadiness):
    """Whether the webhooks of the configurations have a path."""

    def __init__(self, *, cluster: Cluster, name: str, stopwatch: Callable[[], float]) -> None:
        super().__init__(stopwatch=stopwatch)
        self._cluster = cluster
        self._name = name

    def look(self, last: list[str]) -> list[str]:
        """Return which webhooks have no path, or nothing; a configuration that is not there lacks nothing."""
        lacking: list[str] = []
        for resource in CONFIGURATIONS:
            try:
                found = read(self._cluster.get(resource, self._name))
            except NotFound:
                continue
            except ClusterError as error:
                return [f"{NOT_SEEN}: {error.message}"] if last == [NOT_SEEN] else last
            lacking += [
                f"{resource.kind} {self._name}: {hook.name} has no path yet"
                for hook in found.hooks
                if hook.secret is None
            ]
        return lacking
