"""The single moves in the life of a shared CA: announce the next one, switch to it, sign, let the old one go.

`certs.life_cycle` decides which of them is due. Each takes what is kept, sorted out, and returns it changed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certs.authority import (
    AUTHORITY_LIFETIME,
    BACKDATE,
    LEAF_LIFETIME,
    Authority,
    create_authority,
    describe,
    issue_serving_pair,
)
from certs.bundle import belongs, joined, may_vouch_yet, split
from certs.renewal import RenewalReason, reasons_against_authority, reasons_against_pair
from certs.stored_files import Kept

PROPAGATION: Final = timedelta(seconds=30)
"""From a webhook configuration that was written until every API server uses it. They watch configurations, so
it takes less than a second; the rest is for one that just lost its watch and has to list again."""
OVERLAP: Final = timedelta(hours=1)
"""From a new serving certificate until every replica serves it. They look every few seconds; the rest is for
one that cannot read the cluster for a while. The old CA's key is deleted by then: to trust it costs
nothing."""


class Deed(StrEnum):
    """What was done to what is kept."""

    NEW_AUTHORITY = "made a new CA, which signs at once"
    ANNOUNCED = "added the next CA to the bundle"
    SWITCHED = "signs with the next CA from now on"
    NEW_LEAF = "made a new serving certificate"
    RETIRED = "took old CAs out of the bundle"
    REPAIRED = "wrote the bundle anew"


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """One thing that was done, and every reason why."""

    deed: Deed
    reasons: tuple[RenewalReason, ...]

    def __str__(self) -> str:
        return f"{self.deed}: {', '.join(self.reasons)}"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long certificates live, and how long the steps of a change of CA last."""

    authority_lifetime: timedelta = AUTHORITY_LIFETIME
    leaf_lifetime: timedelta = LEAF_LIFETIME
    propagation: timedelta = PROPAGATION
    overlap: timedelta = OVERLAP


USUAL: Final = Timing()


@dataclass(frozen=True, slots=True)
class Desk:
    """What is kept, sorted out, and what was done to it.

    `signing` and `coming` are there only where they can sign; `faults` are the reasons to replace the CA that
    signs, or should. `others` are trusted beside the two.
    """

    kept: Kept
    faults: tuple[RenewalReason, ...]
    signing: Authority | None
    coming: Authority | None
    others: tuple[bytes, ...]
    changes: tuple[CertificateChange, ...] = ()

    def trusted(self) -> tuple[bytes, ...]:
        """Return the certificates of all CAs that clients are to trust, the signing one first."""
        own = (each.cert_pem for each in (self.signing, self.coming) if each is not None)
        return (*own, *self.others)


def sort_out(kept: Kept, *, former: bytes, now: datetime) -> Desk:
    """Return what is kept, sorted out; `former` takes the place of a bundle without any certificate."""
    certs = split(kept.bundle) or split(former)
    own = next((each for each in certs if belongs(each, kept.authority_key)), None)
    signing = _meant_to_sign(kept, certs, own)
    faults = reasons_against_authority(signing, now=now)
    coming = Authority(joined(split(kept.next_cert)[:1]), kept.next_key)
    usable = _may_sign(reasons_against_authority(coming, now=now))
    able = signing if _may_sign(faults) else None
    ready = coming if usable else None
    known = {each.cert_pem for each in (able, ready) if each is not None}
    others = tuple(each for each in certs if each not in known and may_vouch_yet(each, now=now))
    return Desk(kept, faults, able, ready, others)


def put_together(before: Kept, desk: Desk) -> Kept:
    """Return what is to be stored."""
    signing, coming = desk.signing, desk.coming
    return replace(
        desk.kept,
        bundle=joined(desk.trusted()),
        # A key that fits nothing stays until another replaces it: its certificate may still be found.
        authority_key=signing.key_pem if signing else before.authority_key,
        next_cert=coming.cert_pem if coming else b"",
        next_key=coming.key_pem if coming else b"",
    )


def start_over(desk: Desk, reasons: tuple[RenewalReason, ...], *, now: datetime, timing: Timing) -> Desk:
    """Make a CA that signs at once."""
    made = create_authority(now=now, lifetime=timing.authority_lifetime)
    return replace(desk, signing=made, faults=(), changes=_with(desk, Deed.NEW_AUTHORITY, reasons))


def announce(desk: Desk, reasons: tuple[RenewalReason, ...], *, now: datetime, timing: Timing) -> Desk:
    """Make the next CA, for clients to trust before anything is signed with it."""
    made = create_authority(now=now, lifetime=timing.authority_lifetime)
    return replace(desk, coming=made, changes=_with(desk, Deed.ANNOUNCED, reasons))


def switch(desk: Desk, reasons: tuple[RenewalReason, ...], *, now: datetime) -> Desk:
    """Sign with the next CA; the old one stays trusted, and its key is deleted."""
    return replace(
        desk,
        signing=desk.coming,
        coming=None,
        others=(*((desk.signing.cert_pem,) if desk.signing else ()), *desk.others),
        faults=reasons_against_authority(desk.coming, now=now),
        changes=_with(desk, Deed.SWITCHED, reasons),
    )


def sign(
    desk: Desk, reasons: tuple[RenewalReason, ...], *, names: frozenset[str], now: datetime, timing: Timing
) -> Desk:
    """Make a new serving certificate, where there is a CA that can sign it.

    Raises:
        UnusableCertificateError: its key is of a kind that cannot sign here.
    """
    if desk.signing is None:
        return desk
    pair = issue_serving_pair(desk.signing, names=names, now=now, lifetime=timing.leaf_lifetime)
    kept = replace(desk.kept, cert=pair.cert_pem, key=pair.key_pem)
    return replace(desk, kept=kept, changes=_with(desk, Deed.NEW_LEAF, reasons))


def sign_where_due(desk: Desk, *, names: frozenset[str], now: datetime, timing: Timing) -> Desk:
    """Make a new serving certificate where the stored one is due, corrupt, or of another CA."""
    if desk.signing is None:
        return desk
    reasons = reasons_against_pair(desk.kept.pair, authority=desk.signing, names=names, now=now)
    if reasons == (RenewalReason.TWO_THIRDS_OVER,) and _ends_with(desk.signing, desk.kept.cert):
        return desk  # A new one would end at the same time, and be due again at once.
    return sign(desk, reasons, names=names, now=now, timing=timing) if reasons else desk


def retire_where_due(desk: Desk, *, now: datetime, timing: Timing) -> Desk:
    """Let old CAs go once what the present one signed is old enough for every replica to serve it."""
    if desk.signing is None or not desk.others:
        return desk
    issued = describe(desk.kept.cert).validity.not_before + BACKDATE
    if now - issued < timing.overlap:
        return desk
    return replace(desk, others=(), changes=_with(desk, Deed.RETIRED, (RenewalReason.OVERLAP_OVER,)))


def _meant_to_sign(kept: Kept, certs: tuple[bytes, ...], own: bytes | None) -> Authority | None:
    """Return the CA that should sign, for its faults to be named; None where there is no trace of one."""
    if own is not None:
        return Authority(own, kept.authority_key)
    if not (kept.bundle or kept.authority_key):
        return None
    return Authority(certs[0] if certs else kept.bundle, kept.authority_key)


def _may_sign(faults: tuple[RenewalReason, ...]) -> bool:
    return set(faults) <= {RenewalReason.TWO_THIRDS_OVER}


def _ends_with(authority: Authority, cert_pem: bytes) -> bool:
    return describe(cert_pem).validity.not_after >= describe(authority.cert_pem).validity.not_after


def _with(desk: Desk, deed: Deed, reasons: tuple[RenewalReason, ...]) -> tuple[CertificateChange, ...]:
    return (*desk.changes, CertificateChange(deed, reasons))
