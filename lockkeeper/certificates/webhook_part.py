"""The webhook's side of certificates: files in a folder, or a Secret that it reads and follows."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from lockkeeper.certificates.metrics import (
    CertificateExpiry,
    CertificateLog,
)
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.certificates.serving_certificate import MountedCertificate, ServingCertificate
from lockkeeper.process.console import utc_now
from lockkeeper.process.kubernetes_objects import NamespacedName
from policy.cluster.protocol import Cluster
from webhook.logs import Log


class Closable(Cluster, Protocol):
    """A cluster whose connections are to be closed."""

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
        """Follow it, log and count its changes, and show when it expires; in the worker process."""


class FolderOffer(Offer):
    """Files in a folder, created before or mounted there by a program that renews them."""

    def __init__(self, *, folder: Path, log: Log) -> None:
        self._certificate = MountedCertificate(
            folder=folder, clock=utc_now, reporter=CertificateLog(log=log, registry=CollectorRegistry())
        )
        super().__init__(self._certificate)

    def establish(self) -> None:
        """Wait for the files."""
        self._certificate.establish(stopped=Event())

    def attend(self, log: Log, registry: CollectorRegistry) -> None:
        """Report failures, and show when the files expire."""
        self._certificate.report_to(CertificateLog(log=log, registry=registry))
        registry.register(CertificateExpiry(self._certificate.expiries))


class SecretOffer(Offer):
    """A Secret in the cluster, filled by the first replica.

    `reach` connects to the cluster; parent and worker each have a connection of their own, because a
    forked one would carry the traffic of both.
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
        reporter = CertificateLog(log=log, registry=CollectorRegistry())
        self._certificate = ServingCertificate(folder=folder, names=names, clock=utc_now, reporter=reporter)
        super().__init__(self._certificate)

    def establish(self) -> None:
        """Wait until the API server answers, and create the certificate where there is none."""
        with closing(self._reach()) as cluster:
            self._certificate.establish(self._store(cluster), stopped=Event())

    def attend(self, log: Log, registry: CollectorRegistry) -> None:
        """Follow the Secret, and show when what it holds expires."""
        self._certificate.follow(
            self._store(self._reach()), reporter=CertificateLog(log=log, registry=registry)
        )
        registry.register(CertificateExpiry(self._certificate.expiries))

    def _store(self, cluster: Cluster) -> SecretStore:
        return SecretStore(cluster=cluster, namespace=self._secret.namespace, name=self._secret.name)
