from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.authority import (
    Authority,
    UnusableCertificateError,
    create_authority,
    describe,
    is_signed_by,
    issue_serving_pair,
    key_matches,
)
from tests.certs.serials import serial_in

NAMES = ("lockkeeper-webhook.lockkeeper.svc", "localhost", "127.0.0.1", "::1")


def private(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return the key as a file would hold it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_the_ca_may_sign_leaves_and_nothing_else(authority: Authority, now: datetime) -> None:
    """A stolen serving key must be unable to make further authorities, so the path ends at the leaf."""
    cert = x509.load_pem_x509_certificate(authority.cert_pem)
    constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)
    assert cert.not_valid_before_utc == now - timedelta(hours=1)
    assert cert.not_valid_after_utc == now + timedelta(days=365)
    key = cert.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_a_leaf_serves_under_its_names_only(authority: Authority, now: datetime) -> None:
    """DNS names and addresses stand in different fields, and clients look into the right one only."""
    cert = x509.load_pem_x509_certificate(issue_serving_pair(authority, names=NAMES, now=now).cert_pem)
    alternatives = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(alternatives.get_values_for_type(x509.DNSName)) == {
        "lockkeeper-webhook.lockkeeper.svc",
        "localhost",
    }
    assert {str(address) for address in alternatives.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        "::1",
    }
    purposes = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert cert.not_valid_after_utc == now + timedelta(days=90)


def test_a_leaf_points_at_the_key_of_its_ca(authority: Authority, now: datetime) -> None:
    """Old and new CA share a name in a bundle, and clients pick by key identifier."""
    leaf = x509.load_pem_x509_certificate(issue_serving_pair(authority, names=NAMES, now=now).cert_pem)
    ca = x509.load_pem_x509_certificate(authority.cert_pem)
    points_at = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert points_at == ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_serials_are_random(authority: Authority, now: datetime) -> None:
    """Browsers and Go reject a second certificate of one issuer with the same serial."""
    serials = {serial_in(issue_serving_pair(authority, names=NAMES, now=now).cert_pem) for _ in range(8)}
    assert len(serials) == 8
    assert min(serials) > 2**64


def test_a_leaf_never_outlives_its_ca(now: datetime) -> None:
    """Clients would see an expired chain while the leaf still looked fine."""
    short = create_authority(now=now, lifetime=timedelta(days=10))
    pair = issue_serving_pair(short, names=NAMES, now=now, lifetime=timedelta(days=90))
    assert describe(pair.cert_pem).validity.not_after == now + timedelta(days=10)


def test_the_facts_are_those_that_were_requested(authority: Authority, now: datetime) -> None:
    """Renewal, metrics and people all rely on these facts."""
    facts = describe(issue_serving_pair(authority, names=NAMES, now=now).cert_pem)
    assert (facts.subject, facts.names, facts.is_authority) == ("CN=lockkeeper", frozenset(NAMES), False)
    assert describe(authority.cert_pem).is_authority
    assert describe(authority.cert_pem).names == frozenset()


def test_another_ca_of_the_same_name_signed_nothing(
    authority: Authority, stranger: Authority, now: datetime
) -> None:
    """The signature decides, not the issuer's name."""
    pair = issue_serving_pair(authority, names=NAMES, now=now)
    assert is_signed_by(pair.cert_pem, authority.cert_pem)
    assert not is_signed_by(pair.cert_pem, stranger.cert_pem)


def test_a_key_belongs_to_its_own_certificate_only(authority: Authority, stranger: Authority) -> None:
    """Half of a swapped pair must be distinguished from a whole one."""
    assert key_matches(authority.cert_pem, authority.key_pem)
    assert not key_matches(authority.cert_pem, stranger.key_pem)


def test_private_keys_do_not_show_in_logs(authority: Authority, now: datetime) -> None:
    """A value that gets into a log line or a traceback must not take the key with it."""
    assert "PRIVATE" not in repr(authority)
    assert "PRIVATE" not in repr(issue_serving_pair(authority, names=NAMES, now=now))


def test_the_zone_of_the_clock_does_not_matter(now: datetime) -> None:
    """A time in Berlin means the same moment in the certificate."""
    there = now.astimezone(timezone(timedelta(hours=2)))
    assert describe(create_authority(now=there).cert_pem).validity.not_before == now - timedelta(hours=1)


def test_a_time_without_a_zone_is_refused() -> None:
    """It would be taken for UTC in silence."""
    with pytest.raises(ValueError, match="time zone"):
        create_authority(now=datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None))


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_named(authority: Authority, text: bytes) -> None:
    """The message tells which of the two files is the bad one."""
    with pytest.raises(UnusableCertificateError, match="the certificate cannot be used"):
        describe(text)
    with pytest.raises(UnusableCertificateError, match="the key cannot be used"):
        key_matches(authority.cert_pem, text)


def test_a_ca_with_an_rsa_key_may_sign(now: datetime) -> None:
    """A CA that a user provides need not be of our kind."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "theirs")])
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=99))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    theirs = Authority(cert.public_bytes(serialization.Encoding.PEM), private(key))
    assert is_signed_by(issue_serving_pair(theirs, names=NAMES, now=now).cert_pem, theirs.cert_pem)


def test_a_ca_key_of_an_unknown_kind_is_refused(authority: Authority, now: datetime) -> None:
    """A clear error beats a signature that clients cannot check."""
    other = Authority(authority.cert_pem, private(ed25519.Ed25519PrivateKey.generate()))
    with pytest.raises(UnusableCertificateError, match="the CA key cannot be used: it is neither"):
        issue_serving_pair(other, names=NAMES, now=now)
