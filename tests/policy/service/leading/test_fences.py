"""A leader that was deposed and does not know it: whatever its policies speak of, it writes nothing more."""

import msgspec
import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS
from policy.core.decision.decision import ReservationRequest
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import RESERVATION_TTL, Ledger
from policy.core.values.amounts import Amount, Limits, Usage
from policy.service.leading.fences import TERM, Deposed, Fences
from tests.policy.service.world import (
    Call,
    Clock,
    Leader,
    Spy,
    draft,
    member,
    name_of,
    pool,
    quota,
    snapshot_of,
    submit,
)

ALONE: Snapshot = snapshot_of(quota("etl", "q", workflows=1))
POOLED: Snapshot = snapshot_of(quota("etl", "q", workflows=1), pool("data"), member("etl", "data"))


def _bare(root: str) -> JsonObject:
    """Return a ledger that no leader has fenced."""
    return {
        "apiVersion": QUOTA_LEDGERS.api_version,
        "kind": QUOTA_LEDGERS.kind,
        "metadata": {"name": root},
    }


@pytest.fixture
def old(cluster: MemoryCluster, clock: Clock) -> Leader:
    """Return a leader by whose policies etl is in no pool."""
    return Leader(cluster, ALONE, clock)


@pytest.fixture
def heir(cluster: MemoryCluster, clock: Clock) -> Leader:
    """Return the next leader, by whose policies etl belongs to a pool."""
    return Leader(cluster, POOLED, clock)


def test_a_ledger_that_only_the_old_policies_speak_of_is_fenced_as_well(old: Leader, heir: Leader) -> None:
    """The limit is kept in another ledger now, which knows nothing of what would be reserved in this one."""
    old.lead()  # It has the ledger, has counted nothing in it, and is frozen.
    submit(heir.cluster, POOLED, draft("a"), namespace="etl")
    submit(heir.cluster, POOLED, draft("b"), namespace="etl")
    assert heir.work() == 1
    old.see()
    with pytest.raises(Deposed, match="is at epoch 2, ours is 1"):
        old.release_pass.run_pass(old.tracker)
    assert sorted(old.held("etl").values()) == [False, True]


def test_a_ledger_that_an_old_leader_begins_is_its_last(old: Leader, heir: Leader) -> None:
    """The new one could not fence it; the old one reads the term before it uses it."""
    old.snapshot = snapshot_of()
    old.work()
    heir.work()
    old.snapshot = ALONE
    with pytest.raises(Deposed, match="ledger term is at epoch 2, ours is 1"):
        old.lead()


def test_a_leader_closes_no_ledger_of_the_next_one(old: Leader, heir: Leader) -> None:
    """What its own policies do not speak of may be what the new ones are about."""
    old.work()
    submit(heir.cluster, POOLED, draft("a"), namespace="etl")
    heir.work()
    before = heir.ledgers.read(Root.of_pool("data"))
    old.snapshot = snapshot_of(quota("etl", "q", workflows=2))
    old.see()
    with pytest.raises(Deposed):
        old.release_pass.run_pass(old.tracker)
    assert heir.ledgers.read(Root.of_pool("data")) == before
    assert heir.work() == 0  # It leads on.


def test_a_beginning_that_fails_half_way_is_begun_again(spy: Spy, clock: Clock, heir: Leader) -> None:
    """The term and all ledgers are raised once more, and the objects are listed after it."""
    heir.cluster.create(QUOTA_LEDGERS, _bare("namespace.a"))
    heir.cluster.create(QUOTA_LEDGERS, _bare("namespace.b"))
    failures = [Unavailable("restarting")]

    def interfere(call: Call) -> None:
        if call.writes_ledger and call.name == "namespace.b" and failures:
            raise failures.pop()

    spy.before = interfere
    leader = Leader(spy, ALONE, clock)
    with pytest.raises(Unavailable):
        leader.lead()
    spy.calls.clear()
    leader.lead()
    assert [call.name for call in spy.calls if call.writes_ledger] == [
        str(TERM),
        "namespace.a",
        "namespace.b",
        "namespace.etl",
    ]
    assert spy.calls[-1].plural == WORKFLOWS.plural
    epochs = {str(each.root): each.epoch for each in leader.ledgers.all().values()}
    assert epochs == {str(TERM): 2, "namespace.a": 2, "namespace.b": 1, "namespace.etl": 1}


def test_a_ledger_that_was_fenced_before_the_term_could_be_read_is_not_used_before_it_is(
    spy: Spy, clock: Clock, heir: Leader
) -> None:
    """Another one could not be fenced meanwhile, and is not wanted any more."""
    old = Leader(spy, snapshot_of(), clock)
    old.work()
    old.snapshot = snapshot_of(quota("etl", "q", workflows=1), quota("ml", "q", workflows=1))

    def interfere(call: Call) -> None:
        if call.writes_ledger and call.name == "namespace.ml":
            raise Unavailable("restarting")

    spy.before = interfere
    with pytest.raises(Unavailable):
        old.lead()
    heir.work()
    old.snapshot = ALONE
    with pytest.raises(Deposed, match="ledger term"):
        old.lead()


def test_a_ledger_that_is_closed_while_a_leader_begins_is_not_taken_for_its_own(
    old: Leader, spy: Spy, clock: Clock
) -> None:
    """The one before it may do so at the same time; no leader has its epoch from then on."""
    old.work()
    closing = [True]

    def interfere(call: Call) -> None:
        if call.writes_ledger and call.name == "namespace.etl" and closing:
            old.ledgers.update(
                Root.of_namespace("etl"), lambda ledger: msgspec.structs.replace(ledger, used={}, closed=True)
            )
            closing.clear()

    spy.before = interfere
    fences = Fences(ledgers=Ledgers(cluster=spy, clock=clock))
    assert fences.raise_new([])
    assert Root.of_namespace("etl") not in fences
    assert fences.raise_new([Root.of_namespace("etl")])
    opened = old.ledgers.read(Root.of_namespace("etl"))
    assert (opened.closed, opened.epoch) == (False, 2)


def test_the_term_counts_nothing(old: Leader) -> None:
    """It is there for its epoch alone."""
    submit(old.cluster, ALONE, draft("a"), namespace="etl")
    old.work()
    assert old.ledgers.read(TERM) == Ledger(TERM, 1)


def test_a_root_is_fenced_by_its_name(old: Leader) -> None:
    """A root that was not fenced is not ours."""
    fences = Fences(ledgers=old.ledgers)
    assert fences.raise_new([Root.of_namespace("etl")])
    assert not fences.raise_new([Root.of_namespace("etl")])
    assert Root.of_namespace("etl") in fences
    assert Root.of_namespace("ml") not in fences


def test_roots_and_the_term_have_other_names(old: Leader) -> None:
    """No namespace and no pool can have the term for its ledger."""
    term = str(TERM)
    old.snapshot = snapshot_of(quota(term, "q"), pool(term))
    old.work()
    names = {name_of(item) for item in old.cluster.list(QUOTA_LEDGERS).items}
    assert names == {term, f"namespace.{term}", f"pool.{term}"}


def test_a_ledger_that_no_quota_needs_any_more_is_closed_and_costs_the_next_leader_nothing(
    spy: Spy, clock: Clock
) -> None:
    """Namespaces are created and deleted by the thousand; a new leader must not pay for all of them."""
    leader = Leader(spy, ALONE, clock)
    leader.work()
    leader.snapshot = snapshot_of()
    leader.work()
    closed = leader.ledgers.read(Root.of_namespace("etl"))
    assert (closed.closed, closed.epoch, closed.total_usage()) == (True, 2, {})
    spy.calls.clear()
    heir = Leader(spy, snapshot_of(), clock)
    heir.work()
    assert [call.name for call in spy.calls if call.writes_ledger] == [str(TERM)]


def test_a_ledger_that_was_closed_is_fenced_before_it_is_used_again(old: Leader) -> None:
    """No leader has its epoch, not even the one that closed it."""
    old.work()
    old.snapshot = snapshot_of()
    old.work()
    old.snapshot = ALONE
    submit(old.cluster, ALONE, draft("a"), namespace="etl")
    assert old.work() == 1
    opened = old.ledgers.read(Root.of_namespace("etl"))
    assert (opened.closed, opened.epoch) == (False, 3)


def test_what_is_still_reserved_keeps_a_ledger_open(old: Leader, clock: Clock) -> None:
    """The object of a create that is under way may come; when its time is over the ledger is closed."""
    denies = quota("etl", "q", workflows=1, on_exceed=OnExceed.DENY)
    old.snapshot = snapshot_of(denies)
    old.work()
    demand = Demand(Account("etl", "q"), Limits(Amount(1)), "WorkflowQuota etl/q")
    create = ReservationRequest(Root.of_namespace("etl"), "c1", "etl", "c1", Usage(1, 1), (demand,))
    assert old.ledgers.reserve(create) == []
    old.snapshot = snapshot_of()
    old.work()
    assert not old.ledgers.read(Root.of_namespace("etl")).closed
    clock.advance(RESERVATION_TTL)
    old.work()  # It looks at all ledgers, and finds what belongs nowhere.
    old.work()
    assert old.ledgers.read(Root.of_namespace("etl")).closed
