"""What a controller does about certificates: renew them and correct every caBundle where it leads.

The bundle that API servers are to trust is that of our own CA, or is in a Secret that is given. A pass reads,
writes the bundle into the webhook configurations, and only then takes the next step in the life of the
certificates. It is made whenever a configuration changes, and every few seconds because the Secret is read,
not watched: reading one Secret needs the fewest rights, and nothing about it is urgent.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry

from certs.bundle import joined, split
from certs.files import NOTHING, CertificateFiles
from certs.rotation import CertificateStep, advance
from certs.rotation_steps import USUAL, Timing
from certs.stores import Store, StoreError, settle
from lockkeeper.certificates.ca_bundle import BundlePlacement, Configurations
from lockkeeper.certificates.metrics import (
    CertificateExpiry,
    CertificateLog,
    CertificatePart,
    CertificateReporter,
    CertificateTask,
    expiries_of,
)
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, NamespacedName
from lockkeeper.process.liveness import NOT_SEEN, CachedReadiness
from lockkeeper.process.upkeep_loop import PASS_SECONDS, Upkeep, WatchedObject
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import Cluster
from webhook.logs import Log

NO_BUNDLE: Final = "there is no CA bundle yet"
_MARK_DIGITS: Final = 16
_STEPS_AT_ONCE: Final = 8
"""Steps after which a pass ends in any case; two are usual."""
Since: TypeAlias = Callable[[bytes], datetime | None]
"""Returns since when a bundle is in place in every webhook configuration."""


class Certificates(ABC):
    """Knows the bundle, and renews what it is in charge of."""

    def __init__(self, store: Store, reporter: CertificateReporter) -> None:
        self._store = store
        self._reporter = reporter
        self._seen: CertificateFiles = NOTHING

    @abstractmethod
    def bundle(self) -> bytes:
        """Return what API servers are to trust; the last good one while it cannot be read, b"" before."""

    @abstractmethod
    def renew(self, in_place: Since) -> bool:
        """Take the step that is due; return whether one was taken. Raises StoreError, ValueError."""

    def expiries(self) -> dict[CertificatePart, datetime]:
        """Return when the certificates that were last read expire."""
        return expiries_of(self._seen)

    def mark(self) -> str:
        """Return a hash of the serving certificate that was last read; "" before."""
        return sha256(self._seen.cert).hexdigest()[:_MARK_DIGITS] if self._seen.cert else ""


class OwnCertificates(Certificates):
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
        super().__init__(store, reporter)
        self._names = tuple(names)
        self._clock = clock
        self._timing = timing
        self._former = b""

    def bundle(self) -> bytes:
        """Return the bundle as it is stored; b"" where it was lost, which `renew` repairs."""
        try:
            kept = self._store.read().files
        except StoreError as error:
            self._reporter.failed(CertificateTask.READ, str(error))
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


class GivenCertificates(Certificates):
    """Another program renews: the bundle is `ca.crt`, or where there is none the chain in `tls.crt`."""

    def __init__(self, *, store: Store, reporter: CertificateReporter) -> None:
        super().__init__(store, reporter)
        self._last = b""

    def bundle(self) -> bytes:
        """Return the certificates that are given; never a key beside them."""
        try:
            kept = self._store.read().files
        except StoreError as error:
            self._reporter.failed(CertificateTask.READ, str(error))
            return self._last
        bundle = joined(split(kept.bundle) or split(kept.cert))
        if bundle:
            self._seen, self._last = kept, bundle
        else:
            self._reporter.failed(
                CertificateTask.READ, f"{self._store} holds no certificate in ca.crt or tls.crt"
            )
        return self._last

    def renew(self, in_place: Since) -> bool:  # noqa: ARG002 - the protocol's
        """Do nothing: it is not ours."""
        return False


class CertificateUpkeep(Upkeep):
    """Runs until it is stopped; one replica at a time, the leader, does this."""

    def __init__(
        self,
        *,
        certificates: Certificates,
        configurations: Configurations,
        clock: Callable[[], datetime],
        reporter: CertificateReporter,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        super().__init__(
            cluster=configurations.cluster,
            objects=[WatchedObject(each, configurations.name) for each in CONFIGURATIONS],
            trouble=lambda doing, error: reporter.failed(CertificateTask.READ, f"{doing}: {error.message}"),
            threads="watch",
            pass_seconds=pass_seconds,
        )
        self._certificates = certificates
        self._configurations = configurations
        self._clock = clock
        self._reporter = reporter
        self._bundle = b""
        self._state: tuple[tuple[str, int], ...] = ()
        self._since: datetime | None = None

    def make_pass(self) -> bool:
        """Put the bundle in place and take every step that is due; return whether all went well."""
        try:
            for _ in range(_STEPS_AT_ONCE):
                good = self._place()
                if not self._certificates.renew(self._in_place_since):
                    return good
        except (StoreError, ValueError) as error:
            self._reporter.failed(CertificateTask.RENEW, str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not let certificates expire unnoticed
            self._reporter.failed(CertificateTask.RENEW, f"{type(error).__name__}: {error}")
        return False

    def _place(self) -> bool:
        """Write the bundle where it is not, and note since when it is everywhere."""
        bundle = self._certificates.bundle()
        if not bundle:
            self._since = None
            return True
        placed = self._configurations.put(bundle)
        for where in placed.written:
            self._reporter.put(where)
        for problem in (*placed.absent, *placed.problems):
            self._reporter.failed(CertificateTask.INJECT, problem)
        self._note(bundle, placed)
        return not placed.problems

    def _note(self, bundle: bytes, placed: BundlePlacement) -> None:
        """Restart the count where the bundle or a configuration has changed."""
        if placed.problems:
            self._since = None
        elif self._since is None or (bundle, placed.state) != (self._bundle, self._state):
            self._since = self._clock()
        self._bundle, self._state = bundle, placed.state

    def _in_place_since(self, bundle: bytes) -> datetime | None:
        return self._since if bundle and bundle == self._bundle else None


class ControllerCertificates:
    """What a controller does about certificates: `upkeep` where it leads, `missing` in any case.

    They are our own where there are names for them, and given by another client where there are none.
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
        reporter = CertificateLog(log=log, registry=registry)
        store = SecretStore(cluster=cluster, namespace=secret.namespace, name=secret.name)
        # One for all terms, so that a later term still has the last good bundle.
        certificates: Certificates = (
            GivenCertificates(store=store, reporter=reporter)
            if names is None
            else OwnCertificates(store=store, names=names, clock=clock, reporter=reporter)
        )
        placed_in = Configurations(cluster=cluster, name=configurations)
        self.mark: Final = certificates.mark
        self.missing: Final = CachedReadiness(partial(missing_bundles, certificates, placed_in)).missing
        self.upkeep: Final = partial(
            CertificateUpkeep,
            certificates=certificates,
            configurations=placed_in,
            clock=clock,
            reporter=reporter,
        )
        registry.register(CertificateExpiry(certificates.expiries))


def missing_bundles(certificates: Certificates, configurations: Configurations, last: list[str]) -> list[str]:
    """Return which configurations lack the bundle; `last` while they cannot be read.

    One that is not installed lacks nothing.
    """
    bundle = certificates.bundle()
    if not bundle:
        return [NO_BUNDLE]
    try:
        return configurations.behind(bundle)
    except ClusterError as error:
        return [f"{NOT_SEEN}: {error.message}"] if last in ([NOT_SEEN], [NO_BUNDLE]) else last
