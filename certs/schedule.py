"""When a certificate has to be renewed: pure rules over dates, with the time as an argument.

A certificate is renewed after two thirds of its life, by wall clock: a third is left for renewals that fail.
The CA and the leaf are judged apart: a CA that ran out under a leaf that looked fine has taken webhooks down
(https://github.com/kyverno/kyverno/issues/13639).
"""

import enum
from dataclasses import dataclass
from datetime import datetime


class Reason(enum.StrEnum):
    """Why certificates are changed: why one has to be made anew, or why a step of a change may be taken."""

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
    ASKED = "somebody asked for it"
    PROPAGATED = "every API server has had the time to trust it"
    OVERLAP_OVER = "every replica has had the time to serve a certificate of the new one"
    SPOILT = "it held what is no valid CA certificate, or held it in another order"


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


def renew_at(validity: Validity) -> datetime:
    """Return the moment from which the certificate is due: two thirds of its life."""
    return validity.not_before + (validity.not_after - validity.not_before) * 2 / 3


def reasons_to_renew_authority(validity: Validity, *, now: datetime) -> tuple[Reason, ...]:
    """Return every reason of the calendar to replace the CA now; none means that it is good."""
    if now < validity.not_before:
        return (Reason.NOT_YET_VALID,)
    if now > validity.not_after:
        return (Reason.EXPIRED,)
    if now >= renew_at(validity):
        return (Reason.TWO_THIRDS_OVER,)
    return ()


def reasons_to_renew_leaf(
    validity: Validity, *, authority: Validity, signed_by_authority: bool, now: datetime
) -> tuple[Reason, ...]:
    """Return every reason to replace the leaf now; none means that it is good.

    Args:
        validity: the life of the leaf.
        authority: the life of the CA that clients are told to trust.
        signed_by_authority: whether that CA's key signed the leaf.
        now: the time to judge at.
    """
    reasons = list(reasons_to_renew_authority(validity, now=now))
    if not signed_by_authority:
        reasons.append(Reason.OTHER_CA)
    elif authority.not_after < validity.not_after:
        reasons.append(Reason.OUTLIVES_CA)
    return tuple(reasons)
