"""Metrics and log lines of certificates; a failure that continues is logged once a minute."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from certs.bundle import facts_of, signers_of, split
from certs.files import CertificateFiles
from certs.rotation_steps import CertificateChange, RotationAction
from webhook.logs import Log

REPEAT_AFTER: Final = 60.0
"""Seconds after which a failure that continues is logged once more."""


class CertificateTask(StrEnum):
    """What may fail; the value is that of the metric's label."""

    READ = "read"
    RENEW = "renew"
    INJECT = "inject"
    LOAD = "load"


class CertificatePart(StrEnum):
    """The certificates that may expire; the value is that of the metric's label."""

    CA = "ca"
    LEAF = "leaf"


class CertificateReporter(Protocol):
    """Receives what happens to certificates."""

    def changed(self, changes: Iterable[CertificateChange]) -> None:
        """Certificates were created or changed."""

    def put(self, where: str) -> None:
        """The bundle was written into a webhook configuration."""

    def serving(self, until: datetime) -> None:
        """Another certificate is served from now on, which is valid until then."""

    def failed(self, doing: CertificateTask, problem: str) -> None:
        """Something failed, the last good state stays, and it will be tried again."""


class CertificateLog:
    """Logs and counts. A failure is logged when it differs from the last of its sort, or is a minute old."""

    def __init__(
        self, *, log: Log, registry: CollectorRegistry, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._last: dict[CertificateTask, tuple[str, float]] = {}
        errors = Counter(
            "lockkeeper_certificate_errors",
            "Failures with certificates, by what failed.",
            ["operation"],
            registry=registry,
        )
        changes = Counter(
            "lockkeeper_certificate_changes",
            "Steps in the life of the certificates that were made here.",
            ["change"],
            registry=registry,
        )
        # All series are there from the start, or a first failure would not show as an increase.
        self._errors = {doing: errors.labels(doing.value) for doing in CertificateTask}
        self._changes = {deed: changes.labels(deed.name.lower()) for deed in RotationAction}

    def changed(self, changes: Iterable[CertificateChange]) -> None:
        """Certificates were created or changed."""
        for change in changes:
            self._changes[change.action].inc()
            self._log.event("certificates", str(change))

    def put(self, where: str) -> None:
        """The bundle was written into a webhook configuration."""
        self._log.event("certificates", f"wrote the CA bundle into {where}")

    def serving(self, until: datetime) -> None:
        """Another certificate is served from now on."""
        self._log.event(
            "certificates", f"serves a certificate that is valid until {until:%Y-%m-%dT%H:%M:%SZ}"
        )

    def failed(self, doing: CertificateTask, problem: str) -> None:
        """Something failed and will be tried again."""
        self._errors[doing].inc()
        now = self._stopwatch()
        with self._lock:
            text, at = self._last.get(doing, ("", 0.0))
            if text == problem and now - at < REPEAT_AFTER:
                return
            self._last[doing] = (problem, now)
        self._log.event("certificates", problem, level="warning")


class CertificateExpiry(Collector):
    """The gauge of when certificates expire, read when it is scraped."""

    def __init__(self, expiries: Callable[[], Mapping[CertificatePart, datetime]]) -> None:
        self._expiries = expiries

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read certificates that are not there yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge; a certificate that is not known has no series."""
        gauge = GaugeMetricFamily(
            "lockkeeper_certificate_expiry_timestamp_seconds",
            "When the certificate expires, by part.",
            labels=["part"],
        )
        for part, end in sorted(self._expiries().items()):
            gauge.add_metric([part.value], end.timestamp())
        yield gauge


def expiries_of(kept: CertificateFiles) -> dict[CertificatePart, datetime]:
    """Return when the serving certificate expires, and when its CA does."""
    ends: dict[CertificatePart, datetime] = {}
    leaf = facts_of(kept.cert)
    if leaf is not None:
        ends[CertificatePart.LEAF] = leaf.validity.not_after
    bundle = split(kept.bundle)
    signers = signers_of(kept.cert, bundle) if leaf is not None else ()
    known = [facts.validity.not_after for each in signers or bundle[:1] if (facts := facts_of(each))]
    if known:
        ends[CertificatePart.CA] = max(known)
    return ends
