"""A bundle: the certificates of all CAs that are trusted, one after the other in one text.

Clients receive it whole, and people edit it by hand. So each certificate is read by itself, and the others
can be read beside one that is corrupt.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.authority import CertificateFacts, UnusableCertificateError, describe, is_signed_by, key_matches

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


def split(pem: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a text as PEM, in order and each once.

    What cannot be read is left out, and so is everything that is no certificate: a private key, above all.
    """
    found = (_canonical(block) for block in _CERTIFICATE.findall(pem))
    return tuple(dict.fromkeys(each for each in found if each is not None))


def joined(certs: Iterable[bytes]) -> bytes:
    """Return the certificates as one text, each once."""
    return b"".join(dict.fromkeys(certs))


def facts_of(cert_pem: bytes) -> CertificateFacts | None:
    """Return the facts of a certificate, None where it cannot be read."""
    try:
        return describe(cert_pem)
    except UnusableCertificateError:
        return None


def is_valid_authority(cert_pem: bytes, *, now: datetime) -> bool:
    """Return whether the certificate is a CA's and valid now, so that clients accept what it signed."""
    facts = facts_of(cert_pem)
    return facts is not None and facts.is_authority and _holds(facts, now)


def is_unexpired_authority(cert_pem: bytes, *, now: datetime) -> bool:
    """Return whether the certificate is a CA's that has not expired: clocks that are ahead may trust it."""
    facts = facts_of(cert_pem)
    return facts is not None and facts.is_authority and now <= facts.validity.not_after


def signers_of(cert_pem: bytes, bundle: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the certificates of the bundle whose key signed the certificate."""
    found = []
    for each in bundle:
        try:
            if is_signed_by(cert_pem, each):
                found.append(each)
        except UnusableCertificateError:
            continue
    return tuple(found)


def is_accepted(cert_pem: bytes, bundle: Iterable[bytes], *, now: datetime) -> bool:
    """Return whether a client that trusts the bundle accepts the certificate now, its names aside."""
    facts = facts_of(cert_pem)
    if facts is None or not _holds(facts, now):
        return False
    return any(is_valid_authority(signer, now=now) for signer in signers_of(cert_pem, bundle))


def is_servable(cert_pem: bytes, key_pem: bytes, *, now: datetime) -> bool:
    """Return whether a server can answer with the pair now: it can be read, belongs together and is valid."""
    facts = facts_of(cert_pem)
    return facts is not None and _holds(facts, now) and belongs(cert_pem, key_pem)


def belongs(cert_pem: bytes, key_pem: bytes) -> bool:
    """Return whether both can be read and the key is the certificate's."""
    try:
        return key_matches(cert_pem, key_pem)
    except UnusableCertificateError:
        return False


def _holds(facts: CertificateFacts, now: datetime) -> bool:
    return facts.validity.not_before <= now <= facts.validity.not_after


def _canonical(block: bytes) -> bytes | None:
    try:
        return x509.load_pem_x509_certificate(block).public_bytes(serialization.Encoding.PEM)
    except ValueError:
        return None
