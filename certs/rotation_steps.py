"""The single steps of a rotation: announce the next CA, switch to it, sign, retire the old one.

`certs.rotation` decides which of them is due. Each takes the state of a rotation, and returns it changed.
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
from certs.bundle import belongs, is_unexpired_authority, joined, split
from certs.files import CertificateFiles
from certs.renewal import Reasons, RenewalReason, reasons_against_authority, reasons_against_pair

PROPAGATION: Final = timedelta(seconds=30)
"""From a webhook configuration that was written until every API server uses it. They watch configurations, so
it takes less than a second; the rest is for one that just lost its watch and has to list again."""
OVERLAP: Final = timedelta(hours=1)
"""From a new serving certificate until every replica serves it. They read it every few seconds; the rest is
for one that cannot read the cluster for a while. The old CA's key is deleted by then: to trust it costs
nothing."""


class RotationAction(StrEnum):
    """What was done to the stored certificates."""

    NEW_AUTHORITY = "made a new CA, which signs at once"
    ANNOUNCED = "added the next CA to the bundle"
    SWITCHED = "signs with the next CA from now on"
    NEW_LEAF = "made a new serving certificate"
    RETIRED = "took old CAs out of the bundle"
    REPAIRED = "wrote the bundle anew"


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """One thing that was done, and every reason why."""

    action: RotationAction
    reasons: Reasons

    def __str__(self) -> str:
        return f"{self.action}: {', '.join(self.reasons)}"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long certificates are valid, and how long the steps of a rotation last."""

    authority_lifetime: timedelta = AUTHORITY_LIFETIME
    leaf_lifetime: timedelta = LEAF_LIFETIME
    propagation: timedelta = PROPAGATION
    overlap: timedelta = OVERLAP


USUAL: Final = Timing()


@dataclass(frozen=True, slots=True)
class Rotation:
    """The state of a rotation: what is stored, checked, and what was done to it.

    `signing` and `coming` are there only where they can sign; `faults` are the reasons to replace the CA that
    signs, or should. `others` are trusted besides these two.
    """

    files: CertificateFiles
    faults: Reasons
    signing: Authority | None
    coming: Authority | None
    others: tuple[bytes, ...]
    changes: tuple[CertificateChange, ...] = ()

    def trusted(self) -> tuple[bytes, ...]:
        """Return the certificates of all CAs that clients are to trust, the signing one first."""
        own = (each.cert_pem for each in (self.signing, self.coming) if each is not None)
        return (*own, *self.others)


def rotation_of(files: CertificateFiles, *, former: bytes, now: datetime) -> Rotation:
    """Return the state of what is stored; `former` takes the place of a bundle without any certificate."""
    certs = split(files.bundle) or split(former)
    own = next((each for each in certs if belongs(each, files.authority_key)), None)
    signing = _meant_to_sign(files, certs, own)
    faults = reasons_against_authority(signing, now=now)
    coming = Authority(joined(split(files.next_cert)[:1]), files.next_key)
    able = signing if _may_sign(faults) else None
    ready = coming if _may_sign(reasons_against_authority(coming, now=now)) else None
    known = {each.cert_pem for each in (able, ready) if each is not None}
    others = tuple(each for each in certs if each not in known and is_unexpired_authority(each, now=now))
    return Rotation(files, faults, able, ready, others)


def files_of(before: CertificateFiles, rotation: Rotation) -> CertificateFiles:
    """Return what is to be stored."""
    signing, coming = rotation.signing, rotation.coming
    return replace(
        rotation.files,
        bundle=joined(rotation.trusted()),
        # A key that fits nothing stays until another replaces it: its certificate may still be found.
        authority_key=signing.key_pem if signing else before.authority_key,
        next_cert=coming.cert_pem if coming else b"",
        next_key=coming.key_pem if coming else b"",
    )


def start_over(rotation: Rotation, reasons: Reasons, *, now: datetime, timing: Timing) -> Rotation:
    """Create a CA that signs at once."""
    new = create_authority(now=now, lifetime=timing.authority_lifetime)
    return replace(
        rotation, signing=new, faults=(), changes=_with(rotation, RotationAction.NEW_AUTHORITY, reasons)
    )


def announce(rotation: Rotation, reasons: Reasons, *, now: datetime, timing: Timing) -> Rotation:
    """Create the next CA, for clients to trust before anything is signed with it."""
    new = create_authority(now=now, lifetime=timing.authority_lifetime)
    return replace(rotation, coming=new, changes=_with(rotation, RotationAction.ANNOUNCED, reasons))


def switch(rotation: Rotation, reasons: Reasons, *, now: datetime) -> Rotation:
    """Sign with the next CA; the old one stays trusted, and its key is deleted."""
    return replace(
        rotation,
        signing=rotation.coming,
        coming=None,
        others=(*((rotation.signing.cert_pem,) if rotation.signing else ()), *rotation.others),
        faults=reasons_against_authority(rotation.coming, now=now),
        changes=_with(rotation, RotationAction.SWITCHED, reasons),
    )


def sign(
    rotation: Rotation, reasons: Reasons, *, names: frozenset[str], now: datetime, timing: Timing
) -> Rotation:
    """Create a new serving certificate, where there is a CA that can sign it.

    Raises:
        UnusableCertificateError: its key is of a kind that cannot sign here.
    """
    if rotation.signing is None:
        return rotation
    pair = issue_serving_pair(rotation.signing, names=names, now=now, lifetime=timing.leaf_lifetime)
    files = replace(rotation.files, cert=pair.cert_pem, key=pair.key_pem)
    return replace(rotation, files=files, changes=_with(rotation, RotationAction.NEW_LEAF, reasons))


def sign_where_due(rotation: Rotation, *, names: frozenset[str], now: datetime, timing: Timing) -> Rotation:
    """Create a new serving certificate where the stored one is due, corrupt, or of another CA."""
    if rotation.signing is None:
        return rotation
    reasons = reasons_against_pair(rotation.files.pair, authority=rotation.signing, names=names, now=now)
    if reasons == (RenewalReason.TWO_THIRDS_OVER,) and _ends_with(rotation.signing, rotation.files.cert):
        return rotation  # A new one would end at the same time, and be due again at once.
    return sign(rotation, reasons, names=names, now=now, timing=timing) if reasons else rotation


def retire_where_due(rotation: Rotation, *, now: datetime, timing: Timing) -> Rotation:
    """Stop trusting old CAs once every replica has had the time to serve what the present one signed."""
    if rotation.signing is None or not rotation.others:
        return rotation
    issued = describe(rotation.files.cert).validity.not_before + BACKDATE
    if now - issued < timing.overlap:
        return rotation
    return replace(
        rotation, others=(), changes=_with(rotation, RotationAction.RETIRED, (RenewalReason.OVERLAP_OVER,))
    )


def _meant_to_sign(files: CertificateFiles, certs: tuple[bytes, ...], own: bytes | None) -> Authority | None:
    """Return the CA that should sign, for its faults to be named; None where there is no trace of one."""
    if own is not None:
        return Authority(own, files.authority_key)
    if not (files.bundle or files.authority_key):
        return None
    return Authority(certs[0] if certs else files.bundle, files.authority_key)


def _may_sign(faults: Reasons) -> bool:
    return set(faults) <= {RenewalReason.TWO_THIRDS_OVER}


def _ends_with(authority: Authority, cert_pem: bytes) -> bool:
    return describe(cert_pem).validity.not_after >= describe(authority.cert_pem).validity.not_after


def _with(rotation: Rotation, action: RotationAction, reasons: Reasons) -> tuple[CertificateChange, ...]:
    return (*rotation.changes, CertificateChange(action, reasons))
