"""When a certificate has to be renewed: pure rules over dates, with the time as an argument.

A certificate is renewed after two thirds of its life, by wall clock: a third is left for renewals that fail.
The CA and the leaf are checked separately: an expired CA under a leaf that looked valid has stopped
webhooks (https://github.com/kyverno/kyverno/issues/13639).
"""

import enum
from datetime import datetime
from typing import TypeAlias

from certs.authority import (
    Authority,
    ServingPair,
    UnusableCertificateError,
    Validity,
    describe,
    is_signed_by,
    key_matches,
)


class RenewalReason(enum.StrEnum):
    """Why certificates are changed: why one has to be replaced, or why a step of a rotation is due."""

    MISSING = "there is none yet"
    UNREADABLE = "it cannot be read"
    KEY_MISMATCH = "the private key belongs to another certificate"
    NOT_A_CA = "it may not sign certificates"
    NOT_YET_VALID = "it is not valid yet"
    EXPIRED = "it has expired"
    TWO_THIRDS_OVER = "two thirds of its life are over"
    OTHER_CA = "another CA signed it"
    OUTLIVES_CA = "its CA expires before it"
    OTHER_NAMES = "it is for other names"
    REQUESTED = "somebody asked for it"
    PROPAGATED = "every API server has had the time to trust it"
    OVERLAP_OVER = "every replica has had the time to serve a certificate of the new one"
    CORRUPT = "it held what is no valid CA certificate, or held it in another order"


Reasons: TypeAlias = tuple[RenewalReason, ...]


def renew_at(validity: Validity) -> datetime:
    """Return the time from which the certificate is due: two thirds of its life."""
    return validity.not_before + (validity.not_after - validity.not_before) * 2 / 3


def reasons_to_renew_authority(validity: Validity, *, now: datetime) -> Reasons:
    """Return every reason by its dates to replace the CA now; none means that it is good."""
    if now < validity.not_before:
        return (RenewalReason.NOT_YET_VALID,)
    if now > validity.not_after:
        return (RenewalReason.EXPIRED,)
    if now >= renew_at(validity):
        return (RenewalReason.TWO_THIRDS_OVER,)
    return ()


def reasons_to_renew_leaf(
    validity: Validity, *, authority: Validity, signed_by_authority: bool, now: datetime
) -> Reasons:
    """Return every reason to replace the leaf now; `authority` is the life of the CA that clients trust."""
    reasons = list(reasons_to_renew_authority(validity, now=now))
    if not signed_by_authority:
        reasons.append(RenewalReason.OTHER_CA)
    elif authority.not_after < validity.not_after:
        reasons.append(RenewalReason.OUTLIVES_CA)
    return tuple(reasons)


def reasons_against_authority(authority: Authority | None, *, now: datetime) -> Reasons:
    """Return every reason to replace the CA; None means that it is missing."""
    if authority is None:
        return (RenewalReason.MISSING,)
    try:
        facts = describe(authority.cert_pem)
        belongs = key_matches(authority.cert_pem, authority.key_pem)
    except UnusableCertificateError:
        return (RenewalReason.UNREADABLE,)
    reasons = list(reasons_to_renew_authority(facts.validity, now=now))
    if not belongs:
        reasons.append(RenewalReason.KEY_MISMATCH)
    if not facts.is_authority:
        reasons.append(RenewalReason.NOT_A_CA)
    return tuple(reasons)


def reasons_against_pair(
    pair: ServingPair | None, *, authority: Authority, names: frozenset[str], now: datetime
) -> Reasons:
    """Return every reason to replace the serving certificate; None means that it is missing.

    It has to be signed by `authority`, which can be read, and to carry exactly `names`, normalised.
    """
    if pair is None:
        return (RenewalReason.MISSING,)
    try:
        facts = describe(pair.cert_pem)
        belongs = key_matches(pair.cert_pem, pair.key_pem)
    except UnusableCertificateError:
        return (RenewalReason.UNREADABLE,)
    reasons = list(
        reasons_to_renew_leaf(
            facts.validity,
            authority=describe(authority.cert_pem).validity,
            signed_by_authority=is_signed_by(pair.cert_pem, authority.cert_pem),
            now=now,
        )
    )
    if not belongs:
        reasons.append(RenewalReason.KEY_MISMATCH)
    if facts.names != names:
        reasons.append(RenewalReason.OTHER_NAMES)
    return tuple(reasons)
