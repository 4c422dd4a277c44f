"""What people and Prometheus hear about certificates."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from certs.files import NOTHING, CertificateFiles
from certs.rotation import advance
from lockkeeper.certificates.metrics import (
    REPEAT_AFTER,
    CertificateExpiry,
    CertificateLog,
    CertificatePart,
    CertificateTask,
    expiries_of,
)
from webhook.logs import Log

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NAMES = ("a.example",)


class Ears:
    """A teller, and all that it said."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lines: list[bytes] = []
        self.seconds = 100.0
        self.teller = CertificateLog(
            log=Log(write=self.lines.append, clock=lambda: NOW),
            registry=self.registry,
            stopwatch=lambda: self.seconds,
        )

    @property
    def said(self) -> list[tuple[str, str]]:
        """Level and message of every line."""
        return [(line["level"], line["message"]) for line in map(json.loads, self.lines)]

    def count(self, name: str, **labels: str) -> float | None:
        """Return the value of a counter."""
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def ears() -> Ears:
    """Return a teller that has said nothing yet."""
    return Ears()


@pytest.fixture(scope="module")
def kept() -> CertificateFiles:
    """Return what is kept after the first start."""
    return advance(NOTHING, now=NOW, names=NAMES, in_place_since=None).files


def test_every_series_is_there_from_the_start(ears: Ears) -> None:
    """Else the first failure would not show as an increase."""
    for doing in CertificateTask:
        assert ears.count("lockkeeper_certificate_errors_total", operation=doing.value) == 0
    assert ears.count("lockkeeper_certificate_changes_total", change="switched") == 0


def test_changes_are_logged_and_counted(ears: Ears) -> None:
    """Each with its reasons."""
    ears.teller.changed(advance(NOTHING, now=NOW, names=NAMES, in_place_since=None).changes)
    ears.teller.put("MutatingWebhookConfiguration lockkeeper")
    ears.teller.serving(NOW + timedelta(days=90))
    assert ears.said == [
        ("info", "made a new CA, which signs at once: there is none yet"),
        ("info", "made a new serving certificate: there is none yet"),
        ("info", "wrote the CA bundle into MutatingWebhookConfiguration lockkeeper"),
        ("info", "serves a certificate that is valid until 2027-02-21T10:00:00Z"),
    ]
    assert ears.count("lockkeeper_certificate_changes_total", change="new_authority") == 1


def test_a_failure_that_continues_is_counted_each_time_and_logged_once_a_minute(ears: Ears) -> None:
    """An API server that is away for an hour must not fill the log; another failure is news."""
    for _ in range(5):
        ears.teller.failed(CertificateTask.READ, "away")
    ears.teller.failed(CertificateTask.INJECT, "away")
    ears.teller.failed(CertificateTask.READ, "forbidden")
    ears.seconds += REPEAT_AFTER
    ears.teller.failed(CertificateTask.READ, "forbidden")
    assert ears.said == [("warning", each) for each in ("away", "away", "forbidden", "forbidden")]
    assert ears.count("lockkeeper_certificate_errors_total", operation="read") == 7
    assert ears.count("lockkeeper_certificate_errors_total", operation="inject") == 1


def test_the_gauge_shows_both_ends(ears: Ears, kept: CertificateFiles) -> None:
    """As Prometheus wants times: seconds since 1970."""
    ears.registry.register(CertificateExpiry(lambda: expiries_of(kept)))
    name = "lockkeeper_certificate_expiry_timestamp_seconds"
    assert ears.count(name, part="ca") == (NOW + timedelta(days=365)).timestamp()
    assert ears.count(name, part="leaf") == (NOW + timedelta(days=90)).timestamp()
    assert b"# TYPE lockkeeper_certificate_expiry_timestamp_seconds gauge" in generate_latest(ears.registry)


def test_what_is_not_there_has_no_series(kept: CertificateFiles) -> None:
    """Zero would read as expired in 1970."""
    assert expiries_of(NOTHING) == {}
    assert expiries_of(replace(kept, cert=b"nonsense")) == {CertificatePart.CA: NOW + timedelta(days=365)}
    assert expiries_of(replace(kept, bundle=b"")) == {CertificatePart.LEAF: NOW + timedelta(days=90)}
