"""What is done about shared certificates, step by step and in every emergency."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from certs.authority import (
    Authority,
    UnusableCertificateError,
    create_authority,
    describe,
    is_signed_by,
    issue_serving_pair,
)
from certs.bundle import belongs, is_accepted, joined, split
from certs.files import NOTHING, CertificateFiles, as_files, from_files
from certs.renewal import RenewalReason
from certs.rotation import CertificateStep, advance, begin_change, change_at_once, renew_leaf
from certs.rotation_steps import OVERLAP, PROPAGATION, RotationAction
from certs.subject_names import UnusableNameError

NAMES = ("webhook.ns.svc", "127.0.0.1")
DAY = timedelta(days=1)
CORRUPT = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def look(
    files: CertificateFiles, now: datetime, since: datetime | None = None, former: bytes = b""
) -> CertificateStep:
    """Return the step that is due, and check that it is a fixed point and leaves things whole."""
    step = advance(files, now=now, names=NAMES, in_place_since=since, former=former)
    assert not advance(step.files, now=now, names=NAMES, in_place_since=None, former=former).changes
    assert bool(step.changes) == (step.files != files)
    assert is_whole(step.files, now)
    return step


def is_whole(files: CertificateFiles, now: datetime) -> bool:
    """Return whether the stored certificate can be served, and clients that trust the bundle accept it."""
    return belongs(files.cert, files.key) and is_accepted(files.cert, split(files.bundle), now=now)


def deeds(step: CertificateStep) -> list[RotationAction]:
    """Return what a step does."""
    return [change.action for change in step.changes]


@pytest.fixture(scope="session")
def fresh(now: datetime) -> CertificateFiles:
    """Return what is stored after the first start."""
    return look(NOTHING, now).files


def test_the_first_start_creates_everything(now: datetime) -> None:
    """A CA, a certificate and nothing else; the reasons say that there was none."""
    step = look(NOTHING, now)
    assert [str(change) for change in step.changes] == [
        "made a new CA, which signs at once: there is none yet",
        "made a new serving certificate: there is none yet",
    ]
    assert split(step.files.bundle) == (step.files.bundle,)
    assert belongs(step.files.bundle, step.files.authority_key)
    assert (step.files.next_cert, step.files.next_key) == (b"", b"")
    assert describe(step.files.cert).names == set(NAMES)


def test_what_is_good_is_left_alone(fresh: CertificateFiles, now: datetime) -> None:
    """At most looks nothing is to be done, in place or not."""
    for later in (timedelta(0), DAY, 59 * DAY):
        assert look(fresh, now + later, since=now) == CertificateStep(fresh)


def test_a_due_certificate_is_renewed_by_the_same_ca(fresh: CertificateFiles, now: datetime) -> None:
    """Clients trust that CA already, so nothing has to be waited for."""
    step = look(fresh, now + 61 * DAY)
    assert [str(change) for change in step.changes] == [
        "made a new serving certificate: two thirds of its life are over"
    ]
    assert step.files.bundle == fresh.bundle


def test_other_names_need_another_certificate_at_once(fresh: CertificateFiles, now: datetime) -> None:
    """A name added to the settings works as soon as it is read."""
    step = advance(fresh, now=now, names=[*NAMES, "extra.example"], in_place_since=None)
    assert [change.reasons for change in step.changes] == [(RenewalReason.OTHER_NAMES,)]
    assert describe(step.files.cert).names == {*NAMES, "extra.example"}


def test_a_change_of_ca_takes_three_steps(fresh: CertificateFiles, now: datetime) -> None:
    """Announce, switch after the bundle was in place long enough, let the old one go after the overlap."""
    files = look(fresh, now + 200 * DAY).files
    at = now + 250 * DAY
    announced = look(files, at)
    assert deeds(announced) == [RotationAction.ANNOUNCED]
    assert split(announced.files.bundle) == (fresh.bundle, announced.files.next_cert)
    assert is_signed_by(announced.files.cert, fresh.bundle)

    early = look(announced.files, at + PROPAGATION, since=at + timedelta(seconds=1))
    assert early.changes == ()
    unseen = look(announced.files, at + DAY)
    assert unseen.changes == (), "as long as the bundle is not in place nothing may go on"

    switched = look(announced.files, at + PROPAGATION, since=at)
    assert deeds(switched) == [RotationAction.SWITCHED, RotationAction.NEW_LEAF]
    assert switched.changes[0].reasons == (RenewalReason.PROPAGATED,)
    assert split(switched.files.bundle) == (announced.files.next_cert, fresh.bundle)
    assert (switched.files.authority_key, switched.files.next_key) == (announced.files.next_key, b"")
    assert is_signed_by(switched.files.cert, announced.files.next_cert)

    done = at + PROPAGATION + OVERLAP
    assert look(switched.files, done - timedelta(seconds=1), since=at).changes == ()
    retired = look(switched.files, done, since=at)
    assert deeds(retired) == [RotationAction.RETIRED]
    assert retired.files == replace(switched.files, bundle=announced.files.next_cert)


def test_the_wait_does_not_count_while_the_next_ca_is_not_in_the_bundle(
    fresh: CertificateFiles, now: datetime
) -> None:
    """A user removed it by hand: the bundle in place then is without it."""
    announced = begin_change(fresh, now=now).files
    robbed = replace(announced, bundle=fresh.bundle)
    step = look(robbed, now + DAY, since=now)
    assert deeds(step) == [RotationAction.REPAIRED]
    assert step.files == announced


def test_a_certificate_may_be_renewed_while_the_next_ca_waits(fresh: CertificateFiles, now: datetime) -> None:
    """The CA that everybody trusts goes on signing until then."""
    announced = begin_change(fresh, now=now).files
    step = advance(announced, now=now, names=["other.example"], in_place_since=None)
    assert is_signed_by(step.files.cert, fresh.bundle)
    assert split(step.files.bundle) == split(announced.bundle)


@pytest.mark.parametrize("key", [b"", b"nonsense", CORRUPT])
def test_a_lost_ca_key_is_replaced_without_a_gap(fresh: CertificateFiles, now: datetime, key: bytes) -> None:
    """What is served still works, so the next CA is announced and waited for as usual."""
    lost = replace(fresh, authority_key=key)
    announced = look(lost, now)
    assert deeds(announced) == [RotationAction.ANNOUNCED]
    assert (announced.files.cert, announced.files.authority_key) == (fresh.cert, key)
    assert set(split(announced.files.bundle)) == {fresh.bundle, announced.files.next_cert}
    assert look(announced.files, now + DAY).changes == ()
    switched = look(announced.files, now + PROPAGATION, since=now)
    assert deeds(switched) == [RotationAction.SWITCHED, RotationAction.NEW_LEAF]
    assert set(split(switched.files.bundle)) == set(split(announced.files.bundle))


def test_a_lost_ca_key_with_a_certificate_that_no_client_accepts_causes_no_wait(
    fresh: CertificateFiles, now: datetime
) -> None:
    """Nothing that works can break; the old CA stays trusted, for replicas that serve from memory."""
    step = look(replace(fresh, authority_key=b"", cert=b"nonsense"), now)
    assert deeds(step) == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert len(split(step.files.bundle)) == 2
    assert split(step.files.bundle)[1] == fresh.bundle


def test_a_next_ca_that_was_announced_is_preferred_in_an_emergency(
    fresh: CertificateFiles, now: datetime
) -> None:
    """Some clients may know it already, and none knows one that is created now."""
    announced = begin_change(fresh, now=now).files
    step = look(replace(announced, authority_key=b"", key=b""), now)
    assert deeds(step) == [RotationAction.SWITCHED, RotationAction.NEW_LEAF]
    assert split(step.files.bundle) == (announced.next_cert, fresh.bundle)


def test_an_expired_ca_is_replaced_at_once(fresh: CertificateFiles, now: datetime) -> None:
    """After a year without any controller nothing is trusted, so there is nothing to wait for."""
    step = look(fresh, now + 400 * DAY)
    assert deeds(step) == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert step.changes[0].reasons == (RenewalReason.EXPIRED,)
    assert len(split(step.files.bundle)) == 1


def test_an_expired_ca_with_a_next_one_switches_at_once(fresh: CertificateFiles, now: datetime) -> None:
    """A change that stood still for months, because no configuration could be written, ends here."""
    announced = look(look(fresh, now + 200 * DAY).files, now + 250 * DAY).files
    step = look(announced, now + 366 * DAY)
    assert deeds(step) == [RotationAction.SWITCHED, RotationAction.NEW_LEAF]
    assert split(step.files.bundle) == (announced.next_cert,)


def test_an_expired_certificate_is_renewed_by_a_ca_that_still_signs(
    fresh: CertificateFiles, now: datetime
) -> None:
    """Clients trust the CA, so the outage ends with the write."""
    step = look(fresh, now + 100 * DAY)
    assert [change.reasons for change in step.changes] == [(RenewalReason.EXPIRED,)]


@pytest.mark.parametrize("part", ["cert", "key"])
@pytest.mark.parametrize("content", [b"", b"nonsense", CORRUPT])
def test_a_corrupt_pair_is_replaced_by_the_same_ca(
    fresh: CertificateFiles, now: datetime, part: str, content: bytes
) -> None:
    """Whichever half is missing."""
    step = look(replace(fresh, **{part: content}), now)
    assert deeds(step) == [RotationAction.NEW_LEAF]
    assert step.files.bundle == fresh.bundle


def test_a_certificate_of_another_ca_is_replaced(
    fresh: CertificateFiles, stranger: Authority, now: datetime
) -> None:
    """No client would accept it, whatever is in it."""
    pair = issue_serving_pair(stranger, names=NAMES, now=now)
    step = look(replace(fresh, cert=pair.cert_pem, key=pair.key_pem), now)
    assert [change.reasons for change in step.changes] == [(RenewalReason.OTHER_CA,)]


@pytest.mark.parametrize("bundle", [b"", b"nonsense", CORRUPT])
def test_a_lost_bundle_is_put_back_from_memory(fresh: CertificateFiles, now: datetime, bundle: bytes) -> None:
    """The key knows its certificate again, and nothing has to be created again."""
    step = look(replace(fresh, bundle=bundle), now, former=fresh.bundle)
    assert deeds(step) == [RotationAction.REPAIRED]
    assert step.files == fresh


def test_all_lost_with_a_memory_leaves_the_old_ca_trusted(fresh: CertificateFiles, now: datetime) -> None:
    """A Secret that was deleted: replicas go on with the old certificate until they have read the new one."""
    step = look(NOTHING, now, former=fresh.bundle)
    assert deeds(step) == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert split(step.files.bundle)[1:] == (fresh.bundle,)
    assert is_accepted(fresh.cert, split(step.files.bundle), now=now)
    later = look(step.files, now + OVERLAP)
    assert deeds(later) == [RotationAction.RETIRED]


def test_memory_changes_nothing_in_a_bundle_that_exists(
    fresh: CertificateFiles, stranger: Authority, now: datetime
) -> None:
    """Else a CA that was retired would be trusted again."""
    assert look(fresh, now, former=stranger.cert_pem).changes == ()


def test_a_lost_bundle_without_a_memory_starts_over(fresh: CertificateFiles, now: datetime) -> None:
    """The certificate can be read, but its signer is unknown."""
    assert deeds(look(replace(fresh, bundle=b"nonsense"), now)) == [
        RotationAction.NEW_AUTHORITY,
        RotationAction.NEW_LEAF,
    ]


def test_what_is_no_valid_ca_leaves_the_bundle(
    fresh: CertificateFiles, now: datetime, authority: Authority
) -> None:
    """Leaves, expired authorities, keys and comments would only make clients read more."""
    expired = create_authority(now=now - 10 * DAY, lifetime=DAY)
    leaf = issue_serving_pair(authority, names=NAMES, now=now)
    untidy = b"# ours\n" + fresh.bundle + CORRUPT + expired.cert_pem + leaf.cert_pem + authority.key_pem
    assert look(replace(fresh, bundle=untidy), now) == look(replace(fresh, bundle=untidy), now)
    assert look(replace(fresh, bundle=untidy), now).files == fresh


def test_a_half_lost_next_ca_is_dropped(fresh: CertificateFiles, now: datetime) -> None:
    """It can never sign. A change that is due begins again; one that was requested, when it is requested."""
    announced = begin_change(fresh, now=now).files
    assert look(replace(announced, next_key=b""), now, since=now - DAY).files.next_cert == b""
    due = look(look(fresh, now + 200 * DAY).files, now + 250 * DAY).files
    again = look(replace(due, next_key=b"nonsense"), now + 250 * DAY)
    assert deeds(again) == [RotationAction.ANNOUNCED, RotationAction.RETIRED]
    assert split(again.files.bundle) == (fresh.bundle, again.files.next_cert)
    assert again.files.next_cert != due.next_cert


def test_a_ca_near_its_end_does_not_sign_again_and_again(fresh: CertificateFiles, now: datetime) -> None:
    """A new certificate would end with the CA as well, so it gains nothing; the next CA is waited for."""
    files = look(look(fresh, now + 200 * DAY).files, now + 290 * DAY).files
    assert describe(files.cert).validity.not_after == describe(fresh.bundle).validity.not_after
    for left in (50 * DAY, 10 * DAY, timedelta(minutes=5)):
        assert look(files, now + 365 * DAY - left).changes == ()


def test_a_clock_that_was_set_back_starts_over_and_trusts_the_old_ca(
    fresh: CertificateFiles, now: datetime
) -> None:
    """Whose clock is wrong cannot be known: those who find the old one valid go on with it."""
    step = look(fresh, now - DAY)
    assert deeds(step) == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert fresh.bundle in split(step.files.bundle)


def test_a_certificate_on_demand_is_signed_by_the_same_ca(fresh: CertificateFiles, now: datetime) -> None:
    """And so it may be served at once."""
    step = renew_leaf(fresh, now=now, names=NAMES)
    assert [change.reasons for change in step.changes] == [(RenewalReason.REQUESTED,)]
    assert step.files.cert != fresh.cert
    assert is_whole(step.files, now)
    assert step.files.bundle == fresh.bundle


def test_a_certificate_on_demand_needs_a_ca_that_can_sign(fresh: CertificateFiles, now: datetime) -> None:
    """Nothing is touched where there is none."""
    lost = replace(fresh, authority_key=b"")
    assert renew_leaf(lost, now=now, names=NAMES) == CertificateStep(lost)


def test_a_change_on_demand_begins_once(fresh: CertificateFiles, now: datetime) -> None:
    """Asked for twice, it is one change; what is served stays."""
    begun = begin_change(fresh, now=now)
    assert [str(change) for change in begun.changes] == [
        "added the next CA to the bundle: somebody asked for it"
    ]
    assert begun.files.cert == fresh.cert
    assert begin_change(begun.files, now=now) == CertificateStep(begun.files)
    assert deeds(look(begun.files, now + PROPAGATION, since=now)) == [
        RotationAction.SWITCHED,
        RotationAction.NEW_LEAF,
    ]


def test_a_change_at_once_leaves_nothing_of_the_old(fresh: CertificateFiles, now: datetime) -> None:
    """For a folder, whose clients read the CA beside the certificate."""
    step = change_at_once(begin_change(fresh, now=now).files, now=now, names=NAMES)
    assert deeds(step) == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert is_whole(step.files, now)
    assert len(split(step.files.bundle)) == 1
    assert (step.files.next_cert, step.files.next_key) == (b"", b"")


def test_without_a_name_nothing_is_created(fresh: CertificateFiles, now: datetime) -> None:
    """A certificate without names would be refused by every client."""
    with pytest.raises(UnusableNameError):
        advance(fresh, now=now, names=(), in_place_since=None)


def test_a_ca_key_of_a_kind_that_cannot_sign_is_an_error(now: datetime) -> None:
    """A user provided this CA: it must not be replaced silently."""
    key = ed25519.Ed25519PrivateKey.generate()
    mine = create_authority(now=now)
    step = advance(
        CertificateFiles(bundle=mine.cert_pem, authority_key=mine.key_pem),
        now=now,
        names=NAMES,
        in_place_since=None,
    )
    assert deeds(step) == [RotationAction.NEW_LEAF], "an own CA is taken, and signs"
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(UnusableCertificateError):
        issue_serving_pair(Authority(mine.cert_pem, pem), names=NAMES, now=now)


def test_a_bundle_never_carries_a_key(authority: Authority, stranger: Authority) -> None:
    """A key in the same file must not end up in a webhook configuration."""
    text = authority.cert_pem + authority.key_pem + stranger.cert_pem + authority.cert_pem
    assert split(text) == (authority.cert_pem, stranger.cert_pem)
    assert b"PRIVATE" not in joined(split(text))


def test_files_and_back_again(fresh: CertificateFiles) -> None:
    """The names are those of a TLS Secret; what else there is is left out."""
    files = as_files(fresh)
    assert set(files) == {"ca.crt", "ca.key", "next-ca.crt", "next-ca.key", "tls.crt", "tls.key"}
    assert from_files({**files, "other": b"x"}) == fresh
    assert from_files({}) == NOTHING
    assert "PRIVATE" not in repr(fresh)
