from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import Validity
from certs.renewal import RenewalReason, reasons_to_renew_authority, reasons_to_renew_leaf, renew_at

START = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - timezones=
lives = st.timedeltas(timedelta(minutes=1), timedelta(days=4000))
validities = st.builds(lambda start, life: Validity(start, start + life), moments, lives)


@given(validities)
def test_a_third_of_the_life_is_left_at_renewal(validity: Validity) -> None:
    """That third is the time to notice and repair a renewal that fails."""
    left = validity.not_after - renew_at(validity)
    assert abs(left - (validity.not_after - validity.not_before) / 3) <= timedelta(microseconds=1)


@given(validities, st.floats(0, 0.66))
def test_a_young_ca_is_not_replaced(validity: Validity, share: float) -> None:
    """Renewing early would only wear out the trust of clients."""
    now = validity.not_before + (validity.not_after - validity.not_before) * share
    assert reasons_to_renew_authority(validity, now=now) == ()


@given(validities, moments, moments)
def test_once_due_a_certificate_stays_due(validity: Validity, one: datetime, other: datetime) -> None:
    """A renewal that was missed while the process slept is made up for at the next look."""
    earlier, later = sorted((one, other))
    if earlier >= validity.not_before and reasons_to_renew_authority(validity, now=earlier):
        assert reasons_to_renew_authority(validity, now=later)


@given(validities, moments)
def test_outside_its_life_a_certificate_is_always_due(validity: Validity, now: datetime) -> None:
    """No client would take it."""
    if now < validity.not_before:
        assert reasons_to_renew_authority(validity, now=now) == (RenewalReason.NOT_YET_VALID,)
    if now > validity.not_after:
        assert reasons_to_renew_authority(validity, now=now) == (RenewalReason.EXPIRED,)


@given(validities, validities, st.booleans(), moments)
def test_a_leaf_is_due_whenever_its_own_dates_are(
    leaf: Validity,
    authority: Validity,
    signed: bool,  # noqa: FBT001 - hypothesis passes it
    now: datetime,
) -> None:
    """The CA can add reasons, and never takes one away."""
    own = reasons_to_renew_authority(leaf, now=now)
    reasons = reasons_to_renew_leaf(leaf, authority=authority, signed_by_authority=signed, now=now)
    assert reasons[: len(own)] == own
    assert (RenewalReason.OTHER_CA in reasons) == (not signed)
    assert bool(reasons) == (bool(own) or not signed or authority.not_after < leaf.not_after)


@pytest.mark.parametrize(
    ("days", "due"), [(-1, True), (0, False), (59, False), (60, True), (90, True), (91, True)]
)
def test_ninety_days_are_due_after_sixty(days: int, due: bool) -> None:  # noqa: FBT001 - pytest passes it
    """The figures that a person would check by hand."""
    validity = Validity(START, START + timedelta(days=90))
    assert bool(reasons_to_renew_authority(validity, now=START + timedelta(days=days))) is due


def test_a_leaf_that_its_ca_does_not_survive_is_due() -> None:
    """Clients check the whole chain, so the leaf's later date means nothing."""
    leaf = Validity(START, START + timedelta(days=90))
    authority = Validity(START, START + timedelta(days=89))
    reasons = reasons_to_renew_leaf(leaf, authority=authority, signed_by_authority=True, now=START)
    assert reasons == (RenewalReason.OUTLIVES_CA,)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START.replace(tzinfo=None), START),
        (START, START.replace(tzinfo=None)),
        (START, START - timedelta(seconds=1)),
    ],
)
def test_a_life_with_senseless_dates_is_refused(start: datetime, end: datetime) -> None:
    """Comparing it with the clock would raise somewhere far away, or say nonsense."""
    with pytest.raises(ValueError, match=r"time zone|before it starts"):
        Validity(start, end)
