"""What is wrong with a CA or a serving certificate as it stands: every reason to make it anew."""

from datetime import datetime

from certs.authority import (
    Authority,
    ServingPair,
    UnusableCertificateError,
    describe,
    is_signed_by,
    key_matches,
)
from certs.schedule import Reason, reasons_to_renew_authority, reasons_to_renew_leaf


def reasons_against_authority(authority: Authority | None, *, now: datetime) -> tuple[Reason, ...]:
    """Return every reason to replace the CA; None stands for one that is missing."""
    if authority is None:
        return (Reason.MISSING,)
    try:
        facts = describe(authority.cert_pem)
        belongs = key_matches(authority.cert_pem, authority.key_pem)
    except UnusableCertificateError:
        return (Reason.UNREADABLE,)
    reasons = list(reasons_to_renew_authority(facts.validity, now=now))
    if not belongs:
        reasons.append(Reason.KEY_MISMATCH)
    if not facts.is_authority:
        reasons.append(Reason.NOT_A_CA)
    return tuple(reasons)


def reasons_against_pair(
    pair: ServingPair | None, *, authority: Authority, names: frozenset[str], now: datetime
) -> tuple[Reason, ...]:
    """Return every reason to replace the serving certificate; None stands for one that is missing.

    Args:
        pair: the certificate and its key, unchecked.
        authority: the CA that has to have signed it; it can be read.
        names: the names that it has to carry, normalised.
        now: the time to judge at.
    """
    if pair is None:
        return (Reason.MISSING,)
    try:
        facts = describe(pair.cert_pem)
        belongs = key_matches(pair.cert_pem, pair.key_pem)
    except UnusableCertificateError:
        return (Reason.UNREADABLE,)
    reasons = list(
        reasons_to_renew_leaf(
            facts.validity,
            authority=describe(authority.cert_pem).validity,
            signed_by_authority=is_signed_by(pair.cert_pem, authority.cert_pem),
            now=now,
        )
    )
    if not belongs:
        reasons.append(Reason.KEY_MISMATCH)
    if facts.names != names:
        reasons.append(Reason.OTHER_NAMES)
    return tuple(reasons)
