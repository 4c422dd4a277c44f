"""What a controller does about certificates, leader or not, as its command starts it."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry

from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.metrics import CertificateExpiry, CertificateLog, CertificateMetrics
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.certificates.sources import Certificates, GivenCertificates, OwnCertificates
from lockkeeper.certificates.upkeep import CertificateUpkeep
from lockkeeper.process.kubernetes_objects import NamespacedName
from lockkeeper.process.liveness import NOT_SEEN, CachedReadiness
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster
from webhook.logs import Log

NO_BUNDLE: Final = "there is no CA bundle yet"


class ControllerCertificates:
    """What a controller does about certificates: `upkeep` where it leads, `missing` in any case.

    They are our own where there are names for them, and given by somebody else where there are none.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        secret: NamespacedName,
        names: tuple[str, ...] | None,
        configurations: str,
        clock: Callable[[], datetime],
        log: Log,
        registry: CollectorRegistry,
    ) -> None:
        self._clock = clock
        metrics = CertificateMetrics(registry)
        self._reporter = CertificateLog(log=log, metrics=metrics, stopwatch=time.monotonic)
        store = SecretStore(cluster=cluster, namespace=secret.namespace, name=secret.name)
        # One for all terms: who leads later remembers the last good bundle from before.
        self._certificates: Certificates = (
            GivenCertificates(store=store, reporter=self._reporter)
            if names is None
            else OwnCertificates(store=store, names=names, clock=clock, reporter=self._reporter)
        )
        self._configurations = Configurations(cluster=cluster, name=configurations)
        self._readiness = BundleReadiness(
            certificates=self._certificates, configurations=self._configurations, stopwatch=time.monotonic
        )
        registry.register(CertificateExpiry(self._certificates.expiries))

    def upkeep(self) -> CertificateUpkeep:
        """Return the work of a new term."""
        return CertificateUpkeep(
            certificates=self._certificates,
            configurations=self._configurations,
            clock=self._clock,
            reporter=self._reporter,
        )

    def mark(self) -> str:
        """Return what tells the serving certificate from others, as far as it is known."""
        return self._certificates.mark()

    def missing(self) -> list[str]:
        """Return what the webhook configurations lack, or nothing."""
        return self._readiness.missing()


class BundleReadiness(CachedReadiness):
    """Whether the CA bundle stands in the webhook configurations."""

    def __init__(
        self,
        *,
        certificates: Certificates,
        configurations: Configurations,
        stopwatch: Callable[[], float],
    ) -> None:
        super().__init__(stopwatch=stopwatch)
        self._certificates = certificates
        self._configurations = configurations

    def look(self, last: list[str]) -> list[str]:
        """Return what the configurations lack, or nothing; one that is not installed lacks nothing."""
        bundle = self._certificates.bundle()
        if not bundle:
            return [NO_BUNDLE]
        try:
            return self._configurations.behind(bundle)
        except ClusterError as error:
            return [f"{NOT_SEEN}: {error.message}"] if last in ([NOT_SEEN], [NO_BUNDLE]) else last
