"""Where the bundle comes from that API servers are told to trust: our own CA's life, or a given Secret."""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Final, Protocol, TypeAlias

from certs.bundle import joined, split
from certs.files import NOTHING, CertificateFiles
from certs.life_cycle import CertificateStep, advance
from certs.rotation_steps import USUAL, Timing
from certs.stores import Store, StoreError, settle
from lockkeeper.certificates.metrics import CertificatePart, CertificateReporter, Doing, expiries_of

_MARK_DIGITS: Final = 16
Since: TypeAlias = Callable[[bytes], datetime | None]
"""Tells since when a bundle is in place in every webhook configuration."""


class Certificates(Protocol):
    """Knows the bundle, and renews what it is in charge of."""

    def bundle(self) -> bytes:
        """Return what API servers are to trust; the last good one while it cannot be read, b"" before."""
        ...

    def renew(self, in_place: Since) -> bool:
        """Take the step that is due; tell whether one was taken. Raises StoreError, ValueError."""
        ...

    def expiries(self) -> dict[CertificatePart, datetime]:
        """Return when the certificates that were last read expire."""
        ...

    def mark(self) -> str:
        """Return what tells the serving certificate that was last read from others; "" before."""
        ...


class OwnCertificates:
    """The built-in mode: the CA and the serving certificate are ours."""

    def __init__(
        self,
        *,
        store: Store,
        names: Iterable[str],
        clock: Callable[[], datetime],
        reporter: CertificateReporter,
        timing: Timing = USUAL,
    ) -> None:
        self._store = store
        self._names = tuple(names)
        self._clock = clock
        self._reporter = reporter
        self._timing = timing
        self._seen: CertificateFiles = NOTHING
        self._former = b""

    def bundle(self) -> bytes:
        """Return the bundle as it is kept; b"" where it was lost, which `renew` sees to."""
        try:
            kept = self._store.read().files
        except StoreError as error:
            self._reporter.failed(Doing.READ, str(error))
            return self._former
        self._seen = kept
        bundle = joined(split(kept.bundle))
        self._former = bundle or self._former
        return bundle

    def renew(self, in_place: Since) -> bool:
        """Take the step that is due. Raises StoreError, ValueError."""

        def decide(kept: CertificateFiles) -> CertificateStep:
            return advance(
                kept,
                now=self._clock(),
                names=self._names,
                in_place_since=in_place(joined(split(kept.bundle))),
                former=self._former,
                timing=self._timing,
            )

        settled = settle(self._store, decide)
        self._seen = settled.files
        self._reporter.changed(settled.changes)
        return bool(settled.changes)

    def expiries(self) -> dict[CertificatePart, datetime]:
        """Return when the certificates that were last read expire."""
        return expiries_of(self._seen)

    def mark(self) -> str:
        """Return what tells the serving certificate that was last read from others."""
        return _mark_of(self._seen)


class GivenCertificates:
    """Somebody else renews: the bundle is `ca.crt`, or where there is none the chain in `tls.crt`."""

    def __init__(self, *, store: Store, reporter: CertificateReporter) -> None:
        self._store = store
        self._reporter = reporter
        self._seen: CertificateFiles = NOTHING
        self._last = b""

    def bundle(self) -> bytes:
        """Return the certificates that are given; never a key that stands beside them."""
        try:
            kept = self._store.read().files
        except StoreError as error:
            self._reporter.failed(Doing.READ, str(error))
            return self._last
        bundle = joined(split(kept.bundle) or split(kept.cert))
        if bundle:
            self._seen, self._last = kept, bundle
        else:
            self._reporter.failed(Doing.READ, f"{self._store} holds no certificate in ca.crt or tls.crt")
        return self._last

    def renew(self, in_place: Since) -> bool:  # noqa: ARG002 - the protocol's
        """Do nothing: it is not ours."""
        return False

    def expiries(self) -> dict[CertificatePart, datetime]:
        """Return when the certificates that were last read expire."""
        return expiries_of(self._seen)

    def mark(self) -> str:
        """Return what tells the serving certificate that was last read from others."""
        return _mark_of(self._seen)


def _mark_of(kept: CertificateFiles) -> str:
    return sha256(kept.cert).hexdigest()[:_MARK_DIGITS] if kept.cert else ""
