"""The certificate that the webhook serves, from a Secret that it follows or from files that are mounted.

gunicorn takes files, and gets a TLS context for each connection. So what the Secret holds is written into
a private folder, and `ReloadingContext` sees there that it changed. The parent process writes it for the
first time, before it serves; the worker, which is a fork of it, follows the Secret from then on.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from ssl import SSLContext, SSLError
from threading import Event, Thread
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from certs.authority import ServingPair, describe
from certs.bundle import facts_of, is_servable
from certs.files import FILE_NAMES, NOTHING, CertificateFiles, Paths, from_files, read_files, write_pair
from certs.reload import NoCertificateError, ReloadingContext
from certs.rotation import CertificateStep, advance
from certs.stores import Store, StoreError, settle
from lockkeeper.certificates.metrics import (
    CertificateExpiry,
    CertificateLog,
    CertificatePart,
    CertificateReporter,
    CertificateTask,
    expiries_of,
)
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.process.console import reason_of, utc_now
from lockkeeper.process.kubernetes_objects import NamespacedName
from policy.cluster.protocol import Cluster
from policy.core.values.backoff import backoff
from webhook.logs import Log

_FOLLOW_SECONDS: Final = 5.0
"""How often the Secret is read. Every step of a change waits longer than that for replicas, reading one
Secret is cheap, and it needs the right to `get` alone, where a watch would need `list` and `watch` too."""
_FIRST_DELAY: Final = 0.5
_LAST_DELAY: Final = 10.0
"""Seconds between attempts to get the first certificate: the first, doubled each time up to the last."""


def _problem(error: Exception) -> str:
    """Return why files cannot be loaded; the system's errors name no file here."""
    return reason_of(error) if isinstance(error, OSError) and not isinstance(error, SSLError) else str(error)


class _ReloadedFiles:
    """A certificate in files of a folder, and the TLS context that follows them."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], reporter: CertificateReporter) -> None:
        self._folder = folder
        self._clock = clock
        self._reporter = reporter
        self._served: CertificateFiles = NOTHING
        self.paths = Paths.within(folder)
        self._reloading = ReloadingContext(
            cert_path=self.paths.cert,
            key_path=self.paths.key,
            on_error=lambda error: self._reporter.failed(
                CertificateTask.LOAD, f"{folder}: {_problem(error)}"
            ),
        )

    def context(self) -> SSLContext:
        """Return the TLS context for a new connection."""
        return self._reloading.current()


class ServingCertificate(_ReloadedFiles):
    """The built-in mode: what a Secret holds, or is filled with where it holds nothing that can be served.

    A replica creates certificates only when it has none to serve itself: renewals are the controller's.
    """

    def __init__(
        self,
        *,
        folder: Path,
        names: Iterable[str],
        clock: Callable[[], datetime],
        reporter: CertificateReporter,
        follow_seconds: float = _FOLLOW_SECONDS,
    ) -> None:
        super().__init__(folder, clock, reporter)
        self._names = tuple(names)
        self._follow_seconds = follow_seconds
        self._stopped = Event()

    def establish(self, store: Store, *, stopped: Event) -> bool:
        """Get the first certificate, however long the API server stays away; False where it was stopped.

        Call it before the fork, with a store whose connections are not used afterwards.
        """
        return _until(lambda: self._look(store), stopped)

    def follow(self, store: Store, *, reporter: CertificateReporter) -> None:
        """Begin to follow the Secret; call it in the worker process, with the reporter of the worker."""
        self._reporter = reporter
        Thread(target=self._follow, args=(store,), name="certificate", daemon=True).start()

    def stop(self) -> None:
        """End to follow the Secret, soon."""
        self._stopped.set()

    def missing(self) -> list[str]:
        """Return why no client would accept us, or nothing."""
        return _unservable(self._served, self._clock())

    def expiries(self) -> dict[CertificatePart, datetime]:
        """Return when the certificate that is served expires, and its CA."""
        return expiries_of(self._served)

    def _follow(self, store: Store) -> None:
        while not self._stopped.is_set():
            try:
                self._look(store)
            except Exception as error:  # noqa: BLE001 - a bug here must not let the certificate expire unnoticed
                self._reporter.failed(CertificateTask.READ, f"{type(error).__name__}: {error}")
            self._stopped.wait(self._follow_seconds)

    def _look(self, store: Store) -> bool:
        """Read the Secret and serve what it holds, if that is good; return whether one is served."""
        try:
            self._take(store.read().files)
            if self.missing():
                self._make(store)
        except StoreError as error:
            self._reporter.failed(CertificateTask.READ, str(error))
        except ValueError as error:
            self._reporter.failed(CertificateTask.RENEW, str(error))
        except OSError as error:
            where = f"the certificate cannot be written to {self._folder}"
            self._reporter.failed(CertificateTask.LOAD, f"{where}: {reason_of(error)}")
        return not self.missing()

    def _make(self, store: Store) -> None:
        """Create what is needed to serve, unless another replica is doing so."""

        def decide(kept: CertificateFiles) -> CertificateStep:
            if is_servable(kept.cert, kept.key, now=self._clock()):
                return CertificateStep(kept)
            return advance(kept, now=self._clock(), names=self._names, in_place_since=None)

        settled = settle(store, decide)
        self._reporter.changed(settled.changes)
        self._take(settled.files)

    def _take(self, kept: CertificateFiles) -> None:
        """Serve what was read if it is good; otherwise the one that is served stays."""
        if not is_servable(kept.cert, kept.key, now=self._clock()):
            if self._served != NOTHING:
                self._reporter.failed(
                    CertificateTask.LOAD, "the Secret holds no certificate that can be served"
                )
            return
        other = (kept.cert, kept.key) != (self._served.cert, self._served.key)
        if other or not self.paths.cert.exists():
            write_pair(self._folder, ServingPair(kept.cert, kept.key))
        self._served = kept
        if other:
            self._reporter.serving(describe(kept.cert).validity.not_after)


class MountedCertificate(_ReloadedFiles):
    """Files that another program renews: a Secret that kubelet mounts.

    Files that can no longer be served are not loaded by `ReloadingContext`; so they do not count here.
    """

    def __init__(self, *, folder: Path, clock: Callable[[], datetime], reporter: CertificateReporter) -> None:
        super().__init__(folder, clock, reporter)

    def establish(self, *, stopped: Event | None = None) -> bool:
        """Wait until the files can be loaded, however long that takes; False where it was stopped."""
        return _until(self._loads, stopped or Event())

    def attend(self, log: Log, registry: CollectorRegistry) -> None:
        """Log and count failures in the worker process from now on, and show when the files expire."""
        self._reporter = CertificateLog(log=log, registry=registry)
        registry.register(CertificateExpiry(self.expiries))

    def missing(self) -> list[str]:
        """Return why no client would accept us, or nothing."""
        return _unservable(self._read(), self._clock())

    def expiries(self) -> dict[CertificatePart, datetime]:
        """Return when the certificate that is served expires, and its CA where it is mounted beside it."""
        return expiries_of(self._read())

    def _loads(self) -> bool:
        try:
            self.context()
        except NoCertificateError:
            return False
        return True

    def _read(self) -> CertificateFiles:
        """Return what the files hold if it can be served, else what they held when it last could."""
        try:
            kept = from_files(read_files(self._folder, FILE_NAMES.values()))
        except OSError as error:
            self._reporter.failed(CertificateTask.READ, f"{self._folder}: {reason_of(error)}")
            return self._served
        if self._served == NOTHING or is_servable(kept.cert, kept.key, now=self._clock()):
            self._served = kept
        return self._served


def _until(attempt: Callable[[], bool], stopped: Event) -> bool:
    """Try until it works, with growing pauses; False where it was stopped before."""
    failures = 0
    while not stopped.is_set():
        if attempt():
            return True
        failures += 1
        stopped.wait(backoff(failures, first=_FIRST_DELAY, last=_LAST_DELAY))
    return False


def _unservable(kept: CertificateFiles, now: datetime) -> list[str]:
    """Return why a certificate cannot be served now, or nothing."""
    facts = facts_of(kept.cert)
    if facts is None:
        return ["there is no serving certificate yet"]
    if now > facts.validity.not_after:
        return [f"the serving certificate expired at {facts.validity.not_after:%Y-%m-%dT%H:%M:%SZ}"]
    if not is_servable(kept.cert, kept.key, now=now):
        return ["the serving certificate is not valid yet, or its key is another's"]
    return []


class Closable(Cluster, Protocol):
    """A cluster whose connections are to be closed."""

    def close(self) -> None:
        """Close them."""


class SecretCertificate:
    """The certificate in a Secret of the cluster, filled by the first replica.

    `establish` is called in the parent process, before the fork, and `attend` in the worker.

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
        self.paths: Final = self._certificate.paths
        self.context: Final = self._certificate.context
        self.missing: Final = self._certificate.missing

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
