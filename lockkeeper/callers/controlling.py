"""What a controller does about the paths of the webhook, as its command starts it."""

import time
from collections.abc import Callable
from datetime import datetime
from threading import Lock

from prometheus_client import CollectorRegistry, Counter

from lockkeeper.argo_installed import DeploymentName
from lockkeeper.callers.keeping import Deed
from lockkeeper.callers.registered import read
from lockkeeper.callers.replicas import Replicas
from lockkeeper.callers.upkeep import CallersUpkeep
from lockkeeper.certificates.configurations import CONFIGURATIONS
from lockkeeper.certificates.readiness import LOOK_SECONDS, NOT_SEEN
from lockkeeper.wiring import ControllerLog
from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import Cluster
from webhook.logs import Log


class CallersTeller:
    """Logs and counts what is done to the paths; never a secret."""

    def __init__(self, *, log: Log, told: ControllerLog, registry: CollectorRegistry) -> None:
        self._log = log
        self._told = told
        changes = Counter(
            "lockkeeper_caller_path_changes",
            "Steps in the life of the secret paths of the webhook.",
            ["change"],
            registry=registry,
        )
        self._changes = {deed: changes.labels(deed.name.lower()) for deed in Deed}

    def moved(self, where: str, deed: Deed) -> None:
        """Something was done to the paths of a configuration."""
        self._changes[deed].inc()
        self._log.event("callers", f"{where}: {deed}")

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Something failed and will be tried again."""
        self._told.trouble(doing, error)


class ControllerCallers:
    """What a controller does about the paths: `upkeep` where it leads, `missing` in any case."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        configurations: str,
        deployment: DeploymentName,
        clock: Callable[[], datetime],
        told: CallersTeller,
        mark: Callable[[], str],
    ) -> None:
        self._cluster = cluster
        self._name = configurations
        self._deployment = deployment
        self._clock = clock
        self._told = told
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
                trouble=self._told.trouble,
            ),
            clock=self._clock,
            told=self._told,
            mark=self._mark,
        )

    def missing(self) -> list[str]:
        """Return which webhooks have no path, or nothing."""
        return self._readiness.missing()


class PathReadiness:
    """Looks when it is asked, at most once a second; while it cannot look it repeats what it saw last."""

    def __init__(self, *, cluster: Cluster, name: str, stopwatch: Callable[[], float]) -> None:
        self._cluster = cluster
        self._name = name
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._looked_at: float | None = None
        self._answer = [NOT_SEEN]

    def missing(self) -> list[str]:
        """Return which webhooks have no path, or nothing; a configuration that is not there lacks nothing."""
        if self._lock.acquire(blocking=False):  # Who asks while another looks is not kept waiting.
            try:
                now = self._stopwatch()
                if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                    self._look()
                    self._looked_at = now
            finally:
                self._lock.release()
        return list(self._answer)

    def _look(self) -> None:
        lacking: list[str] = []
        for resource in CONFIGURATIONS:
            try:
                found = read(self._cluster.get(resource, self._name))
            except NotFound:
                continue
            except ClusterError as error:
                if self._answer == [NOT_SEEN]:
                    self._answer = [f"{NOT_SEEN}: {error.message}"]
                return
            lacking += [
                f"{resource.kind} {self._name}: {hook.name} has no path yet"
                for hook in found.hooks
                if hook.secret is None
            ]
        self._answer = lacking
