"""What a controller does about the paths of the webhook, as its command starts it."""

import time
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter

from lockkeeper.callers.caller_upkeep import CallersUpkeep
from lockkeeper.callers.configuration_paths import read
from lockkeeper.callers.replicas import Replicas
from lockkeeper.callers.secret_rotation import RotationDeed
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, NamespacedName
from lockkeeper.process.liveness import NOT_SEEN, CachedReadiness
from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import Cluster
from webhook.logs import Log


class CallerPathLog:
    """Logs and counts what is done to the paths; never a secret."""

    def __init__(self, *, log: Log, registry: CollectorRegistry) -> None:
        self._log = log
        changes = Counter(
            "lockkeeper_caller_path_changes",
            "Steps in the life of the secret paths of the webhook.",
            ["change"],
            registry=registry,
        )
        self._changes = {deed: changes.labels(deed.name.lower()) for deed in RotationDeed}

    def moved(self, where: str, deed: RotationDeed) -> None:
        """Something was done to the paths of a configuration."""
        self._changes[deed].inc()
        self._log.event("callers", f"{where}: {deed}")


class ControllerCallers:
    """What a controller does about the paths: `upkeep` where it leads, `missing` in any case."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        configurations: str,
        deployment: NamespacedName,
        clock: Callable[[], datetime],
        log: CallerPathLog,
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

    def upkeep(self) -> CallersUpkeep:
        """Return the work of a new term."""
        return CallersUpkeep(
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
