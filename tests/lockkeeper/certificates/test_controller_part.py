"""What a controller does about certificates, as its command starts it."""

from collections.abc import Iterator
from datetime import timedelta
from random import SystemRandom

import pytest
from prometheus_client import CollectorRegistry

from certs.authority import create_authority
from certs.bundle import split
from certs.files import CertificateFiles
from lockkeeper.certificates.certificate_upkeep import ControllerCertificates
from lockkeeper.certificates.secret_store import SECRETS
from lockkeeper.process.kubernetes_objects import NamespacedName
from policy.cluster.memory.memory_cluster import MemoryCluster
from tests.lockkeeper.certificates.certificate_cluster import (
    NAMES,
    NAMESPACE,
    RELEASE,
    SECRET,
    Clock,
    ca_bundles,
    install_configurations,
    put_secret,
    store_on,
)
from webhook.logs import Log

EXPIRY = "lockkeeper_certificate_expiry_timestamp_seconds"
ERRORS = "lockkeeper_certificate_errors_total"
OURS = NamespacedName(NAMESPACE, SECRET)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def log(clock: Clock) -> Log:
    """Return a log that nobody reads."""
    return Log(write=lambda _line: None, clock=clock)


@pytest.fixture
def cluster(clock: Clock) -> Iterator[MemoryCluster]:
    """Return a cluster with both configurations."""
    made = MemoryCluster(clock=clock, rng=SystemRandom())
    install_configurations(made)
    yield made
    made.close()


def controller(
    cluster: MemoryCluster,
    clock: Clock,
    log: Log,
    *,
    names: tuple[str, ...] | None,
    registry: CollectorRegistry,
) -> ControllerCertificates:
    """Return what a controller does about our Secret."""
    return ControllerCertificates(
        cluster=cluster,
        secret=OURS,
        names=names,
        configurations=RELEASE,
        clock=clock,
        log=log,
        registry=registry,
    )


def test_our_own_certificates_are_made_trusted_and_shown(
    cluster: MemoryCluster, clock: Clock, log: Log
) -> None:
    """Not ready before they are in place, and their ends are in the metrics."""
    registry = CollectorRegistry()
    certificates = controller(cluster, clock, log, names=NAMES, registry=registry)
    assert certificates.missing() != []
    assert certificates.upkeep().make_pass()
    kept = store_on(cluster).read().files
    assert ca_bundles(cluster)["mutate.lockkeeper.dev"] == kept.bundle
    assert registry.get_sample_value(EXPIRY, {"part": "leaf"}) == (clock.now + timedelta(days=90)).timestamp()
    assert registry.get_sample_value(ERRORS, {"operation": "read"}) == 0
    other = controller(cluster, clock, log, names=NAMES, registry=CollectorRegistry())
    assert other.missing() == []


def test_a_later_term_remembers_the_bundle_of_an_earlier_one(
    cluster: MemoryCluster, clock: Clock, log: Log
) -> None:
    """So a Secret that is deleted while nobody leads is no loss for webhooks that still serve from memory."""
    certificates = controller(cluster, clock, log, names=NAMES, registry=CollectorRegistry())
    certificates.upkeep().make_pass()
    old = store_on(cluster).read().files
    cluster.delete(SECRETS, SECRET, namespace=NAMESPACE)
    certificates.upkeep().make_pass()
    assert split(store_on(cluster).read().files.bundle)[1:] == (old.bundle,)


def test_given_certificates_are_trusted_and_left_alone(
    cluster: MemoryCluster, clock: Clock, log: Log
) -> None:
    """Nothing is written into the Secret; its CA is what the configurations get."""
    authority = create_authority(now=clock.now)
    put_secret(cluster, **{"ca.crt": authority.cert_pem})
    certificates = controller(cluster, clock, log, names=None, registry=CollectorRegistry())
    assert certificates.upkeep().make_pass()
    assert ca_bundles(cluster)["validate.lockkeeper.dev"] == authority.cert_pem
    assert certificates.missing() == []
    assert store_on(cluster).read().files == CertificateFiles(bundle=authority.cert_pem)
