"""Namespaces that change their pool: what is reserved goes with them, and counts at every moment."""

from collections.abc import Callable

import msgspec
import pytest

from policy.cluster.errors import Conflict, Unavailable
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS
from policy.core.decision.decision import ReservationRequest
from policy.core.objects.well_known import RESERVATION
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import RESERVATION_TTL, Ledger
from policy.core.values.amounts import ZERO, Amount, Limits, Usage
from policy.service.release.release_pass import LOOK_EVERY
from tests.policy.service.world import (
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    member,
    pool,
    quota,
    snapshot_of,
    submit,
)

OLD = Account("", "old")
NEW = Account("", "new")


def belongs(to: str, *, workflows: int = 2, on_exceed: OnExceed = OnExceed.QUEUE) -> Snapshot:
    """Return two pools, of which one has the namespace etl, and the other another."""
    other = "new" if to == "old" else "old"
    return snapshot_of(
        pool("old", workflows=workflows, on_exceed=on_exceed),
        pool("new", workflows=workflows, on_exceed=on_exceed),
        member("etl", to),
        member("ml", other),
    )


def request(identity: str, where: str = "old") -> ReservationRequest:
    """Return what a create in etl asks of a pool that denies."""
    demand = Demand(Account("", where), Limits(Amount(2)), f"ClusterWorkflowQuota {where}")
    return ReservationRequest(Root.of_pool(f"{where}"), identity, "etl", identity, Usage(1, 1), (demand,))


@pytest.fixture
def leader(spy: Spy, clock: Clock) -> Leader:
    """Return a leader of two pools that queue."""
    return Leader(spy, belongs("old"), clock)


def taken(ledgers: Ledgers, pool_name: str) -> Usage:
    """Return what is taken of a pool."""
    return ledgers.read(Root.of_pool(f"{pool_name}")).total_usage().get(Account("", pool_name), ZERO)


def writes(number: int, effect: Callable[[], None]) -> Callable[[Call], None]:
    """Return a hook that has its effect before the write of a ledger of this number."""
    seen: list[Call] = []

    def hook(call: Call) -> None:
        if call.writes_ledger:
            seen.append(call)
            if len(seen) == number:
                effect()

    return hook


def fails() -> None:
    """Let no answer come."""
    raise Unavailable("no answer")


def die() -> None:
    """End the leader, as a crash does."""
    raise SystemExit


def test_what_runs_and_what_is_on_its_way_counts_in_the_new_ledger(leader: Leader) -> None:
    """And no more in the old one, from the first pass on."""
    for name in ("a", "b", "c"):
        submit(leader.cluster, leader.snapshot, draft(name), namespace="etl")
    assert leader.work() == 2
    leader.snapshot = belongs("new", workflows=3)
    assert leader.work() == 1
    assert (taken(leader.ledgers, "old"), taken(leader.ledgers, "new")) == (ZERO, Usage(3, 3))


def test_a_release_that_was_not_sent_is_sent_by_the_new_ledger(
    leader: Leader, spy: Spy, cluster: MemoryCluster, clock: Clock
) -> None:
    """Protocol rule 5: a slot that is reserved is used, and no Workflow is released twice."""
    submit(leader.cluster, leader.snapshot, draft("a"), namespace="etl")

    def dies(call: Call) -> None:
        if call.releases:
            die()

    spy.before = dies
    with pytest.raises(SystemExit):
        leader.work()
    heir = Leader(cluster, belongs("new", workflows=1), clock)
    assert heir.work() == 1
    assert heir.held("etl") == {"a": False}
    assert (taken(heir.ledgers, "old"), taken(heir.ledgers, "new")) == (ZERO, Usage(1, 1))


def test_a_create_that_is_under_way_is_carried_over_and_found_there(leader: Leader) -> None:
    """Its object may be stored at any moment, by whatever policies it was admitted."""
    leader.snapshot = belongs("old", on_exceed=OnExceed.DENY)
    leader.work()
    assert leader.ledgers.reserve(request("c1")) == []
    leader.snapshot = belongs("new", on_exceed=OnExceed.DENY)
    leader.work()
    assert leader.ledgers.read(Root.of_pool("old")).reservations == {}
    assert set(leader.ledgers.read(Root.of_pool("new")).reservations) == {"c1"}
    assert taken(leader.ledgers, "new") == Usage(1, 1)
    made = draft("w", labels={RESERVATION: "c1"})
    leader.cluster.create(WORKFLOWS, made, namespace="etl")
    leader.work()
    assert leader.ledgers.read(Root.of_pool("new")).reservations == {}
    assert taken(leader.ledgers, "new").workflows == 1


def test_a_create_that_was_lost_gives_its_slot_back_in_the_new_ledger_too(
    leader: Leader, clock: Clock
) -> None:
    """Its time is that of the reservation, whichever ledger has it."""
    leader.snapshot = belongs("old", on_exceed=OnExceed.DENY)
    leader.work()
    leader.ledgers.reserve(request("c1"))
    leader.snapshot = belongs("new", on_exceed=OnExceed.DENY)
    leader.work()
    clock.advance(RESERVATION_TTL)
    leader.work()
    assert taken(leader.ledgers, "new") == ZERO


def test_a_replica_with_the_old_policies_can_reserve_no_more_in_a_root_that_was_deleted(
    spy: Spy, clock: Clock
) -> None:
    """The account is closed before anything is carried over, and what was reserved before that is."""
    denies = quota("etl", "q", workflows=2, on_exceed=OnExceed.DENY)
    leader = Leader(spy, snapshot_of(denies), clock)
    leader.work()
    demand = Demand(Account("etl", "q"), Limits(Amount(2)), "WorkflowQuota etl/q")
    old = ReservationRequest(Root.of_namespace("etl"), "c1", "etl", "c1", Usage(1, 1), (demand,))
    assert leader.ledgers.reserve(old) == []
    leader.snapshot = snapshot_of(denies, pool("new", workflows=2), member("etl", "new"))
    late = msgspec.structs.replace(old, id="c2", workflow="c2")
    found: list[bool] = []
    spy.before = writes(3, lambda: found.append(refused(leader, late)))  # Before the new ledger has it.
    leader.work()
    assert found == [True]
    assert refused(leader, late)
    assert taken(leader.ledgers, "new") == Usage(1, 1)
    assert leader.ledgers.read(Root.of_namespace("etl")).total_usage() == {}


def refused(leader: Leader, late: ReservationRequest) -> bool:
    """Return whether a root takes no reservation, because nothing is counted there."""
    try:
        return bool(leader.ledgers.reserve(late))
    except Unavailable as error:
        return "is not counted yet" in error.message


@pytest.mark.parametrize("number", range(1, 8))
def test_a_leader_that_dies_between_two_writes_leaves_nothing_behind(
    spy: Spy, cluster: MemoryCluster, clock: Clock, number: int
) -> None:
    """Whatever it did last, the reservation is in one of both ledgers, and the next leader finds it."""
    leader = Leader(spy, belongs("old", on_exceed=OnExceed.DENY), clock)
    leader.work()
    leader.ledgers.reserve(request("c1"))
    leader.cluster.create(WORKFLOWS, draft("runs"), namespace="etl")
    leader.work()
    after = belongs("new", on_exceed=OnExceed.DENY)
    leader.snapshot = after
    spy.before = writes(number, die)
    died = False
    try:
        leader.work()
    except SystemExit:
        died = True
    spy.before = lambda _: None
    reserved = [leader.ledgers.read(root).reservations for root in (Root.of_pool("old"), Root.of_pool("new"))]
    assert any("c1" in each for each in reserved)
    heir = Leader(cluster, after, clock)
    heir.work()
    heir.work()
    assert set(heir.ledgers.read(Root.of_pool("new")).reservations) == {"c1"}
    assert (taken(heir.ledgers, "old"), taken(heir.ledgers, "new").workflows) == (ZERO, 2)
    assert died == (number <= 5)


def test_a_namespace_that_leaves_and_returns_has_what_it_had(leader: Leader) -> None:
    """Nothing is counted twice, and nothing is lost on the way."""
    for name in ("a", "b"):
        submit(leader.cluster, leader.snapshot, draft(name), namespace="etl")
    leader.work()
    for joined, other in (("new", "old"), ("old", "new")):
        leader.snapshot = belongs(joined)
        leader.work()
        leader.work()
        assert (taken(leader.ledgers, joined), taken(leader.ledgers, other)) == (Usage(2, 2), ZERO)
    complete(leader.cluster, "a", namespace="etl")
    leader.work()
    assert taken(leader.ledgers, "old") == Usage(1, 1)


def test_the_members_that_stay_keep_what_they_have(leader: Leader) -> None:
    """A ledger that loses a namespace goes on for the others."""
    everything = snapshot_of(pool("old", workflows=9), member("etl", "old"), member("ml", "old"))
    leader.snapshot = everything
    for namespace in ("etl", "ml"):
        submit(leader.cluster, everything, draft(f"in-{namespace}"), namespace=namespace)
    leader.work()
    leader.snapshot = snapshot_of(
        pool("old", workflows=9), pool("new", workflows=9), member("etl", "new"), member("ml", "old")
    )
    leader.work()
    assert (taken(leader.ledgers, "old"), taken(leader.ledgers, "new")) == (Usage(1, 1), Usage(1, 1))


def test_a_release_where_no_quota_governs_any_more_is_dropped(leader: Leader) -> None:
    """No limit holds a Workflow there any more."""
    submit(leader.cluster, leader.snapshot, draft("a"), namespace="etl")
    leader.work()
    leader.snapshot = snapshot_of(pool("old", workflows=2), member("ml", "old"))
    leader.work()
    leader.work()
    assert leader.ledgers.read(Root.of_pool("old")) == Ledger(Root.of_pool("old"), 2, {OLD: ZERO})
    assert leader.held("etl") == {"a": False}


def test_a_write_that_is_still_on_its_way_does_not_arrive_once_the_namespace_is_elsewhere(
    leader: Leader, spy: Spy, cluster: MemoryCluster
) -> None:
    """It would bring back an account that is not counted any more, and with it a slot that nothing uses."""
    leader.snapshot = snapshot_of(quota("etl", "q", workflows=2))
    leader.lead()
    submit(cluster, leader.snapshot, draft("w"), namespace="etl")
    late = cluster.get(QUOTA_LEDGERS, "namespace.etl")
    spy.before = writes(1, fails)
    with pytest.raises(Unavailable):
        leader.work()
    leader.snapshot = snapshot_of(quota("etl", "q", workflows=2), pool("new"), member("etl", "new"))
    leader.work()
    with pytest.raises(Conflict):
        cluster.replace(QUOTA_LEDGERS, late)
    assert leader.ledgers.read(Root.of_namespace("etl")).total_usage() == {}
    assert taken(leader.ledgers, "new") == Usage(1, 1)


def test_a_ledger_that_could_not_be_closed_is_closed_by_the_next_pass(leader: Leader, spy: Spy) -> None:
    """And it is fenced again, for how far the first try got is not known."""
    submit(leader.cluster, leader.snapshot, draft("a"), namespace="etl")
    leader.work()
    leader.snapshot = belongs("new")
    spy.after = writes(1, fails)
    with pytest.raises(Unavailable):
        leader.work()
    leader.work()
    assert (taken(leader.ledgers, "old"), taken(leader.ledgers, "new")) == (ZERO, Usage(1, 1))
    assert leader.ledgers.read(Root.of_pool("new")).epoch == 4


def test_a_misplaced_entry_of_a_ledger_is_corrected_at_the_next_reading_of_all_ledgers(
    leader: Leader, clock: Clock
) -> None:
    """A write of ours may arrive late: no event shows it, and the slot would stay used."""
    leader.work()
    stale = {OLD: Usage(1, 1)}
    leader.ledgers.update(Root.of_pool("old"), lambda ledger: msgspec.structs.replace(ledger, used=stale))
    leader.ledgers.update(Root.of_pool("gone"), lambda ledger: msgspec.structs.replace(ledger, used=stale))
    leader.work()
    assert taken(leader.ledgers, "old") == Usage(1, 1)
    clock.advance(LOOK_EVERY)
    leader.work()
    assert taken(leader.ledgers, "old") == ZERO
    assert leader.release_pass.next_event() == clock()  # What belongs nowhere needs another pass.
    leader.work()
    assert leader.ledgers.read(Root.of_pool("gone")).total_usage() == {}
