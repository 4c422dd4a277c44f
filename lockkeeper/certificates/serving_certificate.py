"""The certificate that the webhook serves, from a Secret that it follows or from files that are mounted.

gunicorn takes files, and asks for a TLS context at each connection. So what the Secret holds is written into
a private folder, and `ReloadingContext` sees there that it changed. The parent process writes it for the
first time, before it serves; the worker, which is a fork of it, follows the Secret from then on.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from ssl import SSLContext
from threading import Event, Thread
from typing import Final

from certs.authority import ServingPair, describe
from certs.bundle import facts_of, is_servable
from certs.files import FILE_NAMES, NOTHING, CertificateFiles, Paths, from_files, read_files, write_pair
from certs.life_cycle import CertificateStep, advance
from certs.reload import NoCertificateError, ReloadingContext
from certs.stores import Store, StoreError, settle
from lockkeeper.certificates.metrics import CertificatePart, CertificateReporter, Doing, expiries_of
from policy.core.values.backoff import backoff

_FOLLOW_SECONDS: Final = 5.0
"""How often the Secret is read. Every step of a change waits longer than that for replicas, reading one
Secret is cheap, and it needs the right to `get` alone, where a watch would need `list` and `watch` too."""
_FIRST_DELAY: Final = 0.5
_LAST_DELAY: Final = 10.0
"""Seconds between attempts to get the first certificate: the first, doubled each time up to the last."""


class ServingCertificate:
    """The built-in mode: what a Secret holds, or is made to hold where it holds nothing that can be served.

    A replica makes certificates only when it has none to serve itself: renewals are the controller's.
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
        self._folder = folder
        self._names = tuple(names)
        self._clock = clock
        self._reporter = reporter
        self._follow_seconds = follow_seconds
        self._served: CertificateFiles = NOTHING
        self._stopped = Event()
        self.paths = Paths.within(folder)
        self._reloading = _reloading(self.paths, lambda error: self._reporter.failed(Doing.LOAD, str(error)))

    def context(self) -> SSLContext:
        """Return the TLS context for a new connection."""
        return self._reloading.current()

    def establish(self, store: Store, *, stopped: Event) -> bool:
        """Get the first certificate, however long the API server stays away; False where it was stopped.

        Call it before the fork, with a store whose connections nobody uses afterwards.
        """
        return _until(lambda: self._look(store), stopped)

    def follow(self, store: Store, *, reporter: CertificateReporter) -> None:
        """Begin to follow the Secret; call it in the worker process, with what the worker tells to."""
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
            except Exception as error:  # noqa: BLE001 - a bug here must not let the certificate expire in silence
                self._reporter.failed(Doing.READ, f"{type(error).__name__}: {error}")
            self._stopped.wait(self._follow_seconds)

    def _look(self, store: Store) -> bool:
        """Read the Secret and serve what it holds, if that is good; tell whether anything good is served."""
        try:
            self._take(store.read().files)
            if self.missing():
                self._make(store)
        except StoreError as error:
            self._reporter.failed(Doing.READ, str(error))
        except ValueError as error:
            self._reporter.failed(Doing.RENEW, str(error))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._reporter.failed(
                Doing.LOAD, f"the certificate cannot be written to {self._folder}: {reason}"
            )
        return not self.missing()

    def _make(self, store: Store) -> None:
        """Make what is needed to serve, unless another replica is doing so."""

        def decide(kept: CertificateFiles) -> CertificateStep:
            if is_servable(kept.cert, kept.key, now=self._clock()):
                return CertificateStep(kept)
            return advance(kept, now=self._clock(), names=self._names, in_place_since=None)

        settled = settle(store, decide)
        self._reporter.changed(settled.changes)
        self._take(settled.files)

    def _take(self, kept: CertificateFiles) -> None:
        """Serve what was read if it is good; what is served already stays otherwise."""
        if not is_servable(kept.cert, kept.key, now=self._clock()):
            if self._served != NOTHING:
                self._reporter.failed(Doing.LOAD, "the Secret holds no certificate that can be served")
            return
        other = (kept.cert, kept.key) != (self._served.cert, self._served.key)
        if other or not self.paths.cert.exists():
            write_pair(self._folder, ServingPair(kept.cert, kept.key))
        self._served = kept
        if other:
            self._reporter.serving(describe(kept.cert).validity.not_after)


class MountedCertificate:
    """Files that somebody else renews: a Secret that kubelet mounts.

    Files that went bad are not what is served, `ReloadingContext` sees to that; so they do not count here.
    """

    def __init__(self, *, folder: Path, clock: Callable[[], datetime], reporter: CertificateReporter) -> None:
        self._folder = folder
        self._clock = clock
        self._reporter = reporter
        self._served: CertificateFiles = NOTHING
        self.paths = Paths.within(folder)
        self._reloading = _reloading(self.paths, lambda error: self._reporter.failed(Doing.LOAD, str(error)))

    def context(self) -> SSLContext:
        """Return the TLS context for a new connection."""
        return self._reloading.current()

    def establish(self, *, stopped: Event) -> bool:
        """Wait until the files can be loaded, however long that takes; False where it was stopped."""
        return _until(self._loads, stopped)

    def report_to(self, reporter: CertificateReporter) -> None:
        """Tell to somebody else from now on: in the worker, to what the worker has."""
        self._reporter = reporter

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
            self._reporter.failed(Doing.READ, f"{self._folder}: {(error.strerror or str(error)).lower()}")
            return self._served
        if self._served == NOTHING or is_servable(kept.cert, kept.key, now=self._clock()):
            self._served = kept
        return self._served


def _reloading(paths: Paths, on_error: Callable[[Exception], None]) -> ReloadingContext:
    return ReloadingContext(cert_path=paths.cert, key_path=paths.key, on_error=on_error)


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
