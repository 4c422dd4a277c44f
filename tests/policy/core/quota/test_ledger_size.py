"""How many creates may be on their way, and which of them share a slot."""

from datetime import UTC, datetime, timedelta

import pytest

from policy.core.objects.identities import LONGEST_USER, UPSTREAM, requester
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import (
    MAX_CREATES,
    MAX_CREATES_OF_NAME,
    MAX_CREATES_OF_USER,
    RESERVATION_TTL,
    Ledger,
    Purpose,
    Reservation,
    cancel,
    expire,
    reserve,
    too_many_creates,
    with_reservations,
)
from policy.core.values.amounts import Amount, Limits, Usage
from tests.policy.core.builders import counted_live

NOW = datetime(2026, 11, 30, tzinfo=UTC)
QUOTA = Account("etl", "q")
POOL = Account("", "pool")


def create(number: int, name: str = "same", *, tasks: int = 1, user: str = "ann") -> Reservation:
    """Return a reservation of a create."""
    return Reservation(f"id-{number}", "etl", name, (QUOTA, POOL), Usage(1, tasks), NOW, user=user)


def demand(workflows: int, tasks: int | None = None) -> list[Demand]:
    """Return what must hold on the quota."""
    return [Demand(QUOTA, Limits(Amount(workflows), Amount(tasks)), "WorkflowQuota etl/q")]


def filled(*creates: Reservation, limit: int = 10, tasks: int | None = None) -> tuple[Ledger, list[str]]:
    """Return a ledger in which creates were reserved one after the other, and who got no slot."""
    ledger, refused = Ledger(Root.of_namespace("etl"), used={QUOTA: Usage()}), []
    for each in creates:
        ledger, short = reserve(ledger, each, demand(limit, tasks))
        if short:
            refused.append(each.id)
    return ledger, refused


def test_creates_of_one_name_share_one_slot() -> None:
    """Repeated creates of one name cannot use up the slots of others."""
    ledger, refused = filled(*(create(number) for number in range(9)), create(10, "other"), limit=2)
    assert refused == []
    assert ledger.total_usage() == {QUOTA: Usage(2, 2), POOL: Usage(2, 2)}
    assert filled(create(1), create(2, "b"), create(3, "c"), limit=2)[1] == ["id-3"]


def test_one_that_is_refused_gives_back_its_own_part_alone() -> None:
    """The other may still be on its way, and is not there to be counted yet."""
    ledger, _ = filled(create(1), create(2), limit=1)
    left = cancel(ledger, "id-2")
    assert list(left.reservations) == ["id-1"]
    assert left.total_usage()[QUOTA] == Usage(1, 1)
    assert reserve(left, create(3, "other"), demand(1))[1]
    assert cancel(left, "id-1").total_usage() == {QUOTA: Usage()}


def test_one_that_is_counted_leaves_the_slot_to_later_creates() -> None:
    """It may be deleted at once, and then the other one lands."""
    ledger, _ = filled(create(1), create(2), limit=2)
    counted = counted_live(ledger, "id-1")
    assert counted.used[QUOTA] == Usage(1, 1)
    assert counted.total_usage()[QUOTA] == Usage(2, 2)


def test_each_has_a_time_of_its_own() -> None:
    """The slot goes with the last of them."""
    late = NOW + timedelta(seconds=60)
    second = Reservation("id-2", "etl", "same", (QUOTA,), Usage(1, 1), late)
    ledger, _ = filled(create(1), second)
    ledger = expire(ledger, NOW + RESERVATION_TTL, ())
    assert list(ledger.reservations) == ["id-2"]
    assert not expire(ledger, late + RESERVATION_TTL, ()).reservations


def test_a_shared_slot_is_as_large_as_the_largest_of_its_creates() -> None:
    """Another weight under the same name is no way to get in unweighed."""
    ledger, refused = filled(create(1, tasks=2), create(2, tasks=4), create(3, tasks=6), limit=9, tasks=5)
    assert refused == ["id-3"]
    assert ledger.total_usage()[QUOTA] == Usage(1, 4)
    assert reserve(ledger, create(4, "other", tasks=2), demand(9, 5))[1]


@pytest.mark.parametrize(
    "other",
    [
        Reservation("id-2", "ml", "same", (QUOTA,), Usage(1, 1), NOW),
        Reservation("id-2", "etl", "same@7", (QUOTA,), Usage(1, 1), NOW),
        Reservation("id-2", "etl", "same", (QUOTA,), Usage(1, 1), NOW, purpose=Purpose.RELEASE),
    ],
    ids=["of another namespace", "a retry", "a release"],
)
def test_what_may_be_there_beside_it_shares_nothing(other: Reservation) -> None:
    """Only of two creates of one name in one namespace at most one can succeed."""
    ledger, _ = filled(create(1), other)
    assert ledger.total_usage()[QUOTA] == Usage(2, 2)


def test_creates_without_a_name_share_nothing() -> None:
    """Each of them gets a name of its own."""
    ledger, _ = filled(create(1, ""), create(2, ""))
    assert ledger.total_usage()[QUOTA] == Usage(2, 2)


def crowded(creates: list[Reservation], wanted: Reservation) -> str:
    """Return why one more has no place beside others."""
    return too_many_creates(with_reservations(Ledger(Root.of_namespace("etl")), creates), wanted)


def test_a_name_a_user_and_a_ledger_have_a_bounded_number_of_creates_on_their_way() -> None:
    """The ledger is one object, and is read and written whole by every create."""
    same = [create(number) for number in range(MAX_CREATES_OF_NAME)]
    assert crowded(same, create(5000)) == (
        "16 creates of Workflow etl/same are on their way, and the controller has not counted them yet; try "
        "again in a moment"
    )
    own = [create(number, f"w{number}") for number in range(MAX_CREATES_OF_USER)]
    assert crowded(own, create(5000, "new")).startswith("250 creates of user ann under the quotas of ")
    assert crowded(own, create(5000, "new", user="bob")) == ""
    everybody = [create(number, f"w{number}", user=f"u{number}") for number in range(MAX_CREATES)]
    assert crowded(everybody, create(5000, "new")).startswith("1000 creates under the quotas of name")
    assert crowded(everybody, everybody[3]) == "", "one that is there already is repeated"


def test_releases_take_no_place_from_creates() -> None:
    """The controller bounds those itself, and they are no sign of a flood."""
    releases = [
        Reservation(f"u{n}.1", "etl", f"w{n}", (QUOTA,), Usage(1), NOW, Purpose.RELEASE)
        for n in range(MAX_CREATES)
    ]
    assert crowded(releases, create(5000)) == ""


def test_many_quotas_make_no_ledger_large() -> None:
    """The author of quotas decides on how many accounts one create counts."""
    many = tuple(Account("etl", f"q{number}") for number in range(500))
    wide = [Reservation(f"i{n}", "etl", f"w{n}", many, Usage(1), NOW, user="ann") for n in range(4)]
    wanted = Reservation("new", "etl", "x", many, Usage(1), NOW, user="ann")
    assert "creates of user ann" in crowded(wide, wanted)
    assert crowded(wide[:2], wanted) == ""


def test_a_user_with_an_endless_name_is_stored_short_and_is_no_other_user() -> None:
    """The name is in the ledger for each create, and on each Workflow."""
    first, second = (requester("x" * 100_000 + end, {}, UPSTREAM) for end in "ab")
    assert len(first) == len(second) == LONGEST_USER
    assert first != second
    usual = f"system:serviceaccount:{'n' * 63}:{'s' * 253}"
    assert requester(usual, {}, UPSTREAM) == usual
