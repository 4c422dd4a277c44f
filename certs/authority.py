"""A certificate authority and the serving certificates that it signs, as values.

Nothing here reads a clock, a file or a network: `now` is an argument, and only keys and serials are random.
Keys are ECDSA P-256: every TLS 1.2 client takes them, and a handshake costs a tenth of what RSA costs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.subject_names import general_name, names_in, normalised_names

AUTHORITY_LIFETIME: Final = timedelta(days=365)
LEAF_LIFETIME: Final = timedelta(days=90)
BACKDATE: Final = timedelta(hours=1)
"""Certificates start this long before they are created, for clients whose clock is behind."""


class UnusableCertificateError(ValueError):
    """A certificate or key cannot be read; `what` names which one, `why` the cause."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what} cannot be used: {self.why}"


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: its certificate, and the key that signs."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServingPair:
    """The certificate of a TLS server and its key."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Validity:
    """The life of a certificate; both ends are inclusive, as RFC 5280 has it, and carry a time zone."""

    not_before: datetime
    not_after: datetime

    def __post_init__(self) -> None:
        """Refuse dates that cannot be compared with the clock, and a life that ends before it starts."""
        if self.not_before.tzinfo is None or self.not_after.tzinfo is None:
            raise ValueError("the dates of a certificate need a time zone")
        if self.not_after < self.not_before:
            raise ValueError(f"the life ends at {self.not_after}, before it starts at {self.not_before}")


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate states, as far as renewals, metrics and reports need it."""

    subject: str
    validity: Validity
    names: frozenset[str]
    is_authority: bool


def create_authority(
    *, now: datetime, name: str = "lockkeeper-ca", lifetime: timedelta = AUTHORITY_LIFETIME
) -> Authority:
    """Create a new self-signed CA that may sign leaves and nothing else.

    Args:
        now: the time, with its zone; the CA is valid from an hour before it.
        name: the common name; successive CAs may share it, clients distinguish them by key identifier.
        lifetime: how long after `now` it stays valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(
            subject=subject, issuer=subject, key=key.public_key(), now=now, not_after=_utc(now) + lifetime
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return Authority(_cert_bytes(builder.sign(key, hashes.SHA256())), _key_bytes(key))


def issue_serving_pair(
    authority: Authority, *, names: Iterable[str], now: datetime, lifetime: timedelta = LEAF_LIFETIME
) -> ServingPair:
    """Sign a certificate with which a server may answer under the given names.

    It never outlives its CA: the end is brought forward where `lifetime` would pass the CA's own.

    Args:
        authority: the CA that signs.
        names: DNS names (a leading `*.` is allowed) and IP addresses; at least one.
        now: the time, with its zone; the certificate is valid from an hour before it.
        lifetime: how long after `now` it stays valid.

    Raises:
        UnusableNameError: a name is neither, or there is none.
        UnusableCertificateError: the CA cannot be read.
    """
    issuer = _load_cert(authority.cert_pem, what="the CA certificate")
    issuer_key = _load_key(authority.key_pem, what="the CA key")
    # A CA that a user provides may be RSA.
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise UnusableCertificateError("the CA key", "it is neither an elliptic curve key nor RSA")
    wanted = sorted(normalised_names(names))
    key = ec.generate_private_key(ec.SECP256R1())
    # The common name is for people only: clients match the alternative names, and its length is limited (64).
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lockkeeper")])
    end = min(_utc(now) + lifetime, issuer.not_valid_after_utc)
    builder = (
        _builder(subject=subject, issuer=issuer.subject, key=key.public_key(), now=now, not_after=end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in wanted]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    return ServingPair(_cert_bytes(builder.sign(issuer_key, hashes.SHA256())), _key_bytes(key))


def describe(cert_pem: bytes) -> CertificateFacts:
    """Return the facts of the (first) certificate in the text.

    Raises:
        UnusableCertificateError: there is no certificate in it.
    """
    cert = _load_cert(cert_pem, what="the certificate")
    try:
        constraints = next(
            (e.value for e in cert.extensions if isinstance(e.value, x509.BasicConstraints)), None
        )
        return CertificateFacts(
            subject=cert.subject.rfc4514_string(),
            validity=Validity(cert.not_valid_before_utc, cert.not_valid_after_utc),
            names=names_in(cert),
            is_authority=constraints is not None and constraints.ca,
        )
    except (ValueError, x509.DuplicateExtension) as error:
        raise UnusableCertificateError("the certificate", str(error)) from error


def is_signed_by(cert_pem: bytes, authority_pem: bytes) -> bool:
    """Return whether the CA's key signed the certificate; a shared name alone proves nothing.

    Raises:
        UnusableCertificateError: one of the two cannot be read.
    """
    cert = _load_cert(cert_pem, what="the certificate")
    authority = _load_cert(authority_pem, what="the CA certificate")
    try:
        cert.verify_directly_issued_by(authority)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def key_matches(cert_pem: bytes, key_pem: bytes) -> bool:
    """Return whether the private key belongs to the certificate.

    Raises:
        UnusableCertificateError: one of the two cannot be read.
    """
    key = _load_key(key_pem, what="the key")
    try:
        certified = _load_cert(cert_pem, what="the certificate").public_key()
    except UnsupportedAlgorithm as error:
        raise UnusableCertificateError("the certificate", "its kind of key is unknown") from error
    return _public_bytes(certified) == _public_bytes(key.public_key())


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_utc(now) - BACKDATE)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _utc(time: datetime) -> datetime:
    # A naive time would silently be read as UTC, which is off by hours on most machines.
    if time.tzinfo is None:
        raise ValueError("now needs a time zone")
    return time.astimezone(UTC)


def _load_cert(pem: bytes, *, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise UnusableCertificateError(what, "it is not a PEM certificate") from error


def _load_key(pem: bytes, *, what: str) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableCertificateError(what, "it is not a PEM private key without a password") from error


def _cert_bytes(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
