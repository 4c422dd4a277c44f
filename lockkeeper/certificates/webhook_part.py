"""The webhook's side of certificates: files in a folder, or a Secret that it reads and follows."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from lockkeeper.certificates.metrics import (
    CertificateExpiry,
    CertificateLog,
    CertificateMetrics,
    CertificatePart,
    CertificateReporter,
)
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.certificates.serving_certificate import MountedCertificate, ServingCertificate
from lockkeeper.process.console import utc_now
from lockkeeper.process.kubernetes_objects import NamespacedName
from policy.cluster.protocol import Cluster
from webhook.logs import Log


class Closable(Cluster, Protocol):
    """A cluster whose connections somebody has to close."""

    def close(self) -> None:
        """Close them."""
        ...


class Offer(ABC):
    """What the webhook's server, its probes and its metrics need of a certificate."""

    def __init__(self, certificate: MountedCertificate | ServingCertificate) -> None:
        self.paths: Final = certificate.paths
        self.context: Final = certificate.context
        self.missing: Final = certificate.missing

    @abstractmethod
    def establish(self) -> None:
        """Wait until there is something to serve; in the parent process, before the fork."""

    @abstractmethod
    def attend(self, log: Log, registry: CollectorRegistry) -> None:
        """Follow what becomes of it, tell of it, and show when it expires; in the worker process."""


class FolderOffer(Offer):
    """Files that lie in a folder, made before or mounted there by somebody who renews them."""

    def __init__(self, *, folder: Path, log: Log) -> None:
        self._certificate = MountedCertificate(
            folder=folder, clock=utc_now, reporter=_certificate_log(log, CollectorRegistry())
        )
        super().__init__(self._certificate)

    def establish(self) -> None:
        """Wait for the files."""
        self._certificate.establish(stopped=Event())

    def attend(self, log: Log, registry: CollectorRegistry) -> None:
        """Tell of failures, and show when the files expire."""
        self._certificate.report_to(_certificate_log(log, registry))
        _show(registry, self._certificate.expiries)


class SecretOffer(Offer):
    """A Secret in the cluster, filled by whoever comes first.

    `reach` connects to the cluster; parent and worker each have a connection of their own, because one that
    was forked would carry both their traffic.
    """

    def __init__(
        self,
        *,
        reach: Callable[[], Closable],
        secret: NamespacedName,
        names: tuple[str, ...],
        folder: Path,
        log: Log,
    ) -> None:
        self._reach = reach
        self._secret = secret
        reporter = _certificate_log(log, CollectorRegistry())
        self._certificate = ServingCertificate(folder=folder, names=names, clock=utc_now, reporter=reporter)
        super().__init__(self._certificate)

    def establish(self) -> None:
        """Wait until the API server answers, and make the certificate where nobody has."""
        with closing(self._reach()) as cluster:
            self._certificate.establish(self._store(cluster), stopped=Event())

    def attend(self, log: Log, registry: CollectorRegistry) -> None:
        """Follow the Secret, and show when what it holds expires."""
        self._certificate.follow(self._store(self._reach()), reporter=_certificate_log(log, registry))
        _show(registry, self._certificate.expiries)

    def _store(self, cluster: Cluster) -> SecretStore:
        return SecretStore(cluster=cluster, namespace=self._secret.namespace, name=self._secret.name)


def _certificate_log(log: Log, registry: CollectorRegistry) -> CertificateReporter:
    """Return who logs what becomes of certificates, and counts it in a registry."""
    return CertificateLog(log=log, metrics=CertificateMetrics(registry), stopwatch=time.monotonic)


def _show(registry: CollectorRegistry, expiries: Callable[[], dict[CertificatePart, datetime]]) -> None:
    registry.register(CertificateExpiry(expiries))
