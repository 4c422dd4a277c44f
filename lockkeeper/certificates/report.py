"""The state of certificates for people and scripts: one row a certificate, and what is wrong."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from certs.authority import Authority, CertificateFacts, ServingPair
from certs.bundle import facts_of, is_accepted, is_valid_authority, signers_of, split
from certs.files import CertificateFiles
from certs.renewal import RenewalReason, reasons_against_authority, reasons_against_pair, renew_at
from certs.subject_names import normalised_names

_COLUMNS = (
    "PART",
    "SUBJECT",
    "NAMES",
    "NOT BEFORE",
    "NOT AFTER",
    "RENEWAL AT",
    "SIGNED BY",
    "TRUSTED",
    "IN CABUNDLE",
)
_LATE = timedelta(hours=1)
"""How long after a certificate became due it counts as overdue."""


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """One certificate; `in_ca_bundle` is None where it was not read, or does not apply."""

    part: str
    subject: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    renewal_at: datetime
    signed_by: str
    trusted: bool
    in_ca_bundle: bool | None = None


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """All certificates, what is wrong with them, and what is going on without being wrong."""

    certificates: tuple[Row, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def report_on(
    kept: CertificateFiles, *, now: datetime, names: Sequence[str] = (), placed: Sequence[bytes] | None = None
) -> Report:
    """Return the state of the stored certificates.

    Args:
        kept: what is stored, unchecked.
        now: the time of the report.
        names: names that the serving certificate has to carry; none are checked where none are given.
        placed: the bundle in each webhook of ours; None where the configurations were not read.
    """
    bundle = split(kept.bundle)
    labels = _labels(kept, bundle)
    rows = [_authority_row(each, labels[each], kept, now, placed) for each in bundle]
    leaf = facts_of(kept.cert)
    if leaf is not None:
        signers = signers_of(kept.cert, bundle)
        signed_by = ", ".join(labels[each] for each in signers) or "nobody in the bundle"
        trusted = is_accepted(kept.cert, bundle, now=now)
        rows.append(_row("serving certificate", leaf, signed_by, trusted=trusted))
    problems = [*_authority_problems(kept, bundle, now), *_leaf_problems(kept, bundle, names, now)]
    problems += [f"{row.part} was due at {_time(row.renewal_at)}" for row in _overdue(rows, now)]
    if placed is not None and bundle:
        problems += _placement_problems(bundle, placed)
    return Report(tuple(rows), tuple(problems), tuple(_notes(kept, bundle)))


def table(report: Report) -> list[tuple[str, ...]]:
    """Return the rows as texts, with the heads of the columns first."""
    return [_COLUMNS, *(_cells(row) for row in report.certificates)]


def _labels(kept: CertificateFiles, bundle: tuple[bytes, ...]) -> dict[bytes, str]:
    """Return what each certificate of the bundle is called."""
    coming = split(kept.next_cert)
    rest = [each for each in bundle if each not in coming]
    labels = dict.fromkeys(rest[1:], "old CA")
    labels.update({each: "next CA" for each in bundle if each in coming})
    if rest:
        labels[rest[0]] = "CA"
    return labels


def _authority_row(
    cert: bytes, label: str, kept: CertificateFiles, now: datetime, placed: Sequence[bytes] | None
) -> Row:
    facts = facts_of(cert)
    if facts is None:  # It was read just now, but its extensions make no sense.
        return Row(label, "cannot be read", (), now, now, now, "", trusted=False)
    everywhere = None if placed is None else all(cert in split(each) for each in placed)
    signed_by = "itself" if cert in signers_of(cert, (cert,)) else "another CA"
    trusted = is_valid_authority(cert, now=now) and cert in split(kept.bundle)
    return _row(label, facts, signed_by, trusted=trusted, in_ca_bundle=everywhere)


def _row(
    part: str, facts: CertificateFacts, signed_by: str, *, trusted: bool, in_ca_bundle: bool | None = None
) -> Row:
    validity = facts.validity
    return Row(
        part,
        facts.subject,
        tuple(sorted(facts.names)),
        validity.not_before,
        validity.not_after,
        renew_at(validity).replace(microsecond=0),
        signed_by,
        trusted,
        in_ca_bundle,
    )


def _authority_problems(kept: CertificateFiles, bundle: tuple[bytes, ...], now: datetime) -> list[str]:
    if not bundle:
        return ["CA: there is none yet" if not kept.bundle else "CA: it cannot be read"]
    if not kept.authority_key:  # It is stored elsewhere: the certificates are given, and not renewed by us.
        return [] if is_valid_authority(bundle[0], now=now) else ["CA: it is no CA, or not valid now"]
    reasons = reasons_against_authority(Authority(bundle[0], kept.authority_key), now=now)
    return [f"CA: {reason}" for reason in reasons if reason is not RenewalReason.TWO_THIRDS_OVER]


def _leaf_problems(
    kept: CertificateFiles, bundle: tuple[bytes, ...], names: Sequence[str], now: datetime
) -> list[str]:
    facts = facts_of(kept.cert)
    if facts is None:
        return [f"serving certificate: {'it cannot be read' if kept.cert else 'there is none yet'}"]
    problems = []
    pair = ServingPair(kept.cert, kept.key)
    for authority in signers_of(kept.cert, bundle)[:1]:
        wanted = normalised_names(names) if names else facts.names
        reasons = reasons_against_pair(pair, authority=Authority(authority, b""), names=wanted, now=now)
        problems = [
            f"serving certificate: {each}" for each in reasons if each is not RenewalReason.TWO_THIRDS_OVER
        ]
    if not is_accepted(kept.cert, bundle, now=now):
        problems.append("serving certificate: no client that trusts the bundle accepts it")
    return problems


def _overdue(rows: Sequence[Row], now: datetime) -> list[Row]:
    return [
        row
        for row in rows
        if row.part in ("CA", "serving certificate") and row.renewal_at + _LATE < now <= row.not_after
    ]


def _placement_problems(bundle: tuple[bytes, ...], placed: Sequence[bytes]) -> list[str]:
    if not placed:
        return ["caBundle: there are no webhook configurations"]
    behind = sum(split(each) != bundle for each in placed)
    return [f"caBundle: {behind} of {len(placed)} webhooks do not carry the bundle"] if behind else []


def _notes(kept: CertificateFiles, bundle: tuple[bytes, ...]) -> list[str]:
    notes = []
    if kept.next_cert:
        notes.append("a change of CA is under way: the next CA waits until every API server trusts it")
    elif len(bundle) > 1:
        notes.append("a change of CA is ending: old CAs stay in the bundle for a while")
    if bundle and not kept.authority_key:
        notes.append("the CA's key is not kept here: somebody else renews")
    return notes


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.part,
        row.subject,
        ",".join(row.names) or "-",
        _time(row.not_before),
        _time(row.not_after),
        _time(row.renewal_at),
        row.signed_by,
        "yes" if row.trusted else "no",
        {None: "-", True: "yes", False: "no"}[row.in_ca_bundle],
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
