"""The life of a CA and its serving certificate that replicas share: what is to be done about them now.

Pure functions from what is stored, and the time, to what has to be stored next. A change of CA goes in steps,
so that at any time all clients trust what any replica serves:

1. the next CA is made, and its certificate joins the bundle; nothing is signed with it yet;
2. once every client has had the time to learn the bundle, it signs a new serving certificate, and the old
   CA's key is forgotten; the old CA stays in the bundle for replicas that still serve the old certificate;
3. once every replica has had the time to serve the new one, the old CA leaves the bundle.

What is found decides, not a memory of how far we came, so a crash between two steps costs nothing:

| CA that signs | serving certificate | next CA | what happens |
|---|---|---|---|
| can sign | accepted | none | nothing; where the CA is due, step 1 |
| can sign | due, corrupt, not accepted | any | a new one from the CA that signs, at once: it is trusted |
| can sign | any | there | step 2 after the wait |
| key lost | accepted | there, or made now | step 2 after the wait: what is served still works |
| key lost, expired | not accepted | there | step 2 at once: nothing that works can break |
| key lost, expired, missing | not accepted | none | a new CA signs at once; valid CAs stay in the bundle |

"Accepted" means that a client that trusts the bundle takes it now. A bundle that was lost is first put back
from memory (`former`), for the sake of replicas that still serve what it signed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from certs.bundle import belongs, is_accepted, split
from certs.renewal import RenewalReason
from certs.rotation_steps import (
    USUAL,
    CertificateChange,
    Deed,
    Desk,
    Timing,
    announce,
    put_together,
    retire_where_due,
    sign,
    sign_where_due,
    sort_out,
    start_over,
    switch,
)
from certs.stored_files import Kept
from certs.subject_names import normalised_names


@dataclass(frozen=True, slots=True)
class CertificateStep:
    """What has to be kept from now on, and what makes it different; no changes mean that all is well."""

    kept: Kept
    changes: tuple[CertificateChange, ...] = ()


def advance(
    kept: Kept,
    *,
    now: datetime,
    names: Iterable[str],
    in_place_since: datetime | None,
    former: bytes = b"",
    timing: Timing = USUAL,
) -> CertificateStep:
    """Return what has to be kept from now on; called again with its result it changes nothing more.

    Args:
        kept: what is kept, unchecked.
        now: the time, with its zone.
        names: the names that the serving certificate has to carry.
        in_place_since: since when all clients are configured to trust exactly `kept.bundle`, if they are.
        former: the last bundle that was known to be good, in case that it got lost.
        timing: how long things last.

    Raises:
        UnusableNameError: a name cannot be in a certificate, or there is none.
        UnusableCertificateError: the CA is good, but its key is of a kind that cannot sign here.
    """
    wanted = normalised_names(names)
    desk = sort_out(kept, former=former, now=now)
    served = is_accepted(kept.cert, desk.trusted(), now=now) and belongs(kept.cert, kept.key)
    nothing_works = desk.signing is None and not served
    if _has_propagated(desk, in_place_since, now, timing):
        desk = switch(desk, (RenewalReason.PROPAGATED,), now=now)
    elif desk.coming is not None and nothing_works:
        desk = switch(desk, desk.faults, now=now)
    elif nothing_works:
        desk = start_over(desk, desk.faults, now=now, timing=timing)
    if desk.faults and desk.coming is None:
        desk = announce(desk, desk.faults, now=now, timing=timing)
    desk = sign_where_due(desk, names=wanted, now=now, timing=timing)
    return _step(kept, retire_where_due(desk, now=now, timing=timing))


def renew_leaf(kept: Kept, *, now: datetime, names: Iterable[str], timing: Timing = USUAL) -> CertificateStep:
    """Return what to keep for a new serving certificate on demand; nothing changes where no CA can sign.

    Raises:
        UnusableNameError, UnusableCertificateError: as `advance`.
    """
    desk = sort_out(kept, former=b"", now=now)
    if desk.signing is None:
        return CertificateStep(kept)
    wanted = normalised_names(names)
    return _step(kept, sign(desk, (RenewalReason.ASKED,), names=wanted, now=now, timing=timing))


def begin_change(kept: Kept, *, now: datetime, timing: Timing = USUAL) -> CertificateStep:
    """Return what to keep to begin a change of CA on demand; nothing changes where one is under way."""
    desk = sort_out(kept, former=b"", now=now)
    if desk.coming is not None:
        return CertificateStep(kept)
    return _step(kept, announce(desk, (RenewalReason.ASKED,), now=now, timing=timing))


def change_at_once(
    kept: Kept, *, now: datetime, names: Iterable[str], timing: Timing = USUAL
) -> CertificateStep:
    """Return what to store where no client has to learn it first: a new CA alone, and a certificate from it.

    Raises:
        UnusableNameError: as `advance`.
    """
    wanted = normalised_names(names)
    asked = (RenewalReason.ASKED,)
    desk = start_over(Desk(kept, (), None, None, ()), asked, now=now, timing=timing)
    return _step(kept, sign(desk, asked, names=wanted, now=now, timing=timing))


def _has_propagated(desk: Desk, since: datetime | None, now: datetime, timing: Timing) -> bool:
    """Return whether every client has had the time to trust the next CA, which has to be in the bundle."""
    if since is None or now - since < timing.propagation or desk.coming is None:
        return False
    return desk.coming.cert_pem in split(desk.kept.bundle)


def _step(before: Kept, desk: Desk) -> CertificateStep:
    after = put_together(before, desk)
    if after == before:
        return CertificateStep(before)
    return CertificateStep(
        after, desk.changes or (CertificateChange(Deed.REPAIRED, (RenewalReason.SPOILT,)),)
    )
