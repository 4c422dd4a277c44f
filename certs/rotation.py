"""Which step of a rotation is due for the CA and the serving certificate that replicas share.

Pure functions from what is stored, and the time, to what has to be stored next. A rotation has steps, so that
at any time all clients trust what any replica serves:

1. the next CA is created, and its certificate joins the bundle; nothing is signed with it yet;
2. once every client has had the time to learn the bundle, it signs a new serving certificate, and the old
   CA's key is deleted; the old CA stays in the bundle for replicas that still serve the old certificate;
3. once every replica has had the time to serve the new one, the old CA leaves the bundle.

What is stored decides, not a memory of the last step, so a crash between two steps costs nothing:

| CA that signs | serving certificate | next CA | what happens |
|---|---|---|---|
| can sign | accepted | none | nothing; where the CA is due, step 1 |
| can sign | due, corrupt, not accepted | any | a new one from the CA that signs, at once: it is trusted |
| can sign | any | there | step 2 after the wait |
| key lost | accepted | there, or created now | step 2 after the wait: what is served still works |
| key lost, expired | not accepted | there | step 2 at once: nothing that works can break |
| key lost, expired, missing | not accepted | none | a new CA signs at once; valid CAs stay in the bundle |

"Accepted" means that a client that trusts the bundle accepts it now. A bundle that was lost is first restored
from memory (`former`), for the sake of replicas that still serve what it signed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from certs.bundle import belongs, is_accepted, split
from certs.files import CertificateFiles
from certs.renewal import RenewalReason
from certs.rotation_steps import (
    USUAL,
    CertificateChange,
    Rotation,
    RotationAction,
    Timing,
    announce,
    files_of,
    retire_where_due,
    rotation_of,
    sign,
    sign_where_due,
    start_over,
    switch,
)
from certs.subject_names import normalised_names


@dataclass(frozen=True, slots=True)
class CertificateStep:
    """What has to be stored from now on, and the changes that led to it; no changes mean that all is well."""

    files: CertificateFiles
    changes: tuple[CertificateChange, ...] = ()


def advance(
    files: CertificateFiles,
    *,
    now: datetime,
    names: Iterable[str],
    in_place_since: datetime | None,
    former: bytes = b"",
    timing: Timing = USUAL,
) -> CertificateStep:
    """Return what has to be stored from now on; called again with its result it changes nothing more.

    Args:
        files: what is stored, unchecked.
        now: the time, with its zone.
        names: the names that the serving certificate has to carry.
        in_place_since: since when all clients are configured to trust exactly `files.bundle`, if they are.
        former: the last bundle that was known to be good, in case that it got lost.
        timing: how long things last.

    Raises:
        UnusableNameError: a name cannot be in a certificate, or there is none.
        UnusableCertificateError: the CA is good, but its key is of a kind that cannot sign here.
    """
    wanted = normalised_names(names)
    rotation = rotation_of(files, former=former, now=now)
    served = is_accepted(files.cert, rotation.trusted(), now=now) and belongs(files.cert, files.key)
    nothing_works = rotation.signing is None and not served
    if _has_propagated(rotation, in_place_since, now, timing):
        rotation = switch(rotation, (RenewalReason.PROPAGATED,), now=now)
    elif rotation.coming is not None and nothing_works:
        rotation = switch(rotation, rotation.faults, now=now)
    elif nothing_works:
        rotation = start_over(rotation, rotation.faults, now=now, timing=timing)
    if rotation.faults and rotation.coming is None:
        rotation = announce(rotation, rotation.faults, now=now, timing=timing)
    rotation = sign_where_due(rotation, names=wanted, now=now, timing=timing)
    return _step(files, retire_where_due(rotation, now=now, timing=timing))


def renew_leaf(
    files: CertificateFiles, *, now: datetime, names: Iterable[str], timing: Timing = USUAL
) -> CertificateStep:
    """Return what to store for a new serving certificate on demand; nothing changes where no CA can sign.

    Raises:
        UnusableNameError, UnusableCertificateError: as `advance`.
    """
    rotation = rotation_of(files, former=b"", now=now)
    if rotation.signing is None:
        return CertificateStep(files)
    wanted = normalised_names(names)
    return _step(files, sign(rotation, (RenewalReason.REQUESTED,), names=wanted, now=now, timing=timing))


def begin_change(files: CertificateFiles, *, now: datetime, timing: Timing = USUAL) -> CertificateStep:
    """Return what to store to begin a change of CA on demand; nothing changes where one is under way."""
    rotation = rotation_of(files, former=b"", now=now)
    if rotation.coming is not None:
        return CertificateStep(files)
    return _step(files, announce(rotation, (RenewalReason.REQUESTED,), now=now, timing=timing))


def change_at_once(
    files: CertificateFiles, *, now: datetime, names: Iterable[str], timing: Timing = USUAL
) -> CertificateStep:
    """Return what to store where no client has to learn it first: a new CA alone, and a certificate from it.

    Raises:
        UnusableNameError: as `advance`.
    """
    wanted = normalised_names(names)
    reasons = (RenewalReason.REQUESTED,)
    rotation = start_over(Rotation(files, (), None, None, ()), reasons, now=now, timing=timing)
    return _step(files, sign(rotation, reasons, names=wanted, now=now, timing=timing))


def _has_propagated(rotation: Rotation, since: datetime | None, now: datetime, timing: Timing) -> bool:
    """Return whether every client has had the time to trust the next CA, which has to be in the bundle."""
    if since is None or now - since < timing.propagation or rotation.coming is None:
        return False
    return rotation.coming.cert_pem in split(rotation.files.bundle)


def _step(before: CertificateFiles, rotation: Rotation) -> CertificateStep:
    after = files_of(before, rotation)
    if after == before:
        return CertificateStep(before)
    return CertificateStep(
        after, rotation.changes or (CertificateChange(RotationAction.REPAIRED, (RenewalReason.CORRUPT,)),)
    )
