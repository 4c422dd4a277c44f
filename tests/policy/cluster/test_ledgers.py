"""Ledgers in the cluster: exact under threads and processes, repeated on conflict, bounded in time."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.cluster.errors import Conflict, Unavailable
from policy.cluster.ledgers import MAX_ATTEMPTS, Ledgers, _decode, _encode
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import QUOTA_LEDGERS
from policy.core.decision.decision import ReservationRequest
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import Ledger, Purpose, Reservation, cancel, fence
from policy.core.values.amounts import ZERO, Amount, Limits, Usage
from tests.policy.service.world import NOON, PATIENCE, Call, Clock, Spy, memory

ROOT = Root.of_namespace("ci")
ACCOUNT = Account("ci", "builds")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that moves only when the test moves it."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[MemoryCluster]:
    """Return an empty cluster, closed afterwards."""
    made = memory(clock)
    yield made
    made.close()


@pytest.fixture
def ledgers(store: MemoryCluster, clock: Clock) -> Ledgers:
    """Return the ledgers of one process."""
    return Ledgers(cluster=store, clock=clock, led=False)


def ask(name: str, *, limit: int = 2, root: Root = ROOT, tasks: int = 1) -> ReservationRequest:
    """Return what a create of one Workflow asks for, under a limit on Workflows."""
    return ReservationRequest(
        root=root,
        id=name,
        namespace="ci",
        workflow=name,
        requested=Usage(1, tasks),
        demands=(Demand(ACCOUNT, Limits(Amount(limit)), "WorkflowQuota ci/builds"),),
    )


def version(store: MemoryCluster) -> str:
    """Return the version of the whole cluster, which every write moves."""
    return store.list(QUOTA_LEDGERS).resource_version


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns a hundred times as often as usual, so that they meet in the worst places."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_threads_of_two_processes_reserve_exactly_the_limit(store: MemoryCluster, clock: Clock) -> None:
    """No interleaving admits one too many, and none loses a slot."""
    limit, wanted, workers = 13, 40, 8
    processes = [Ledgers(cluster=store, clock=clock, led=False) for _ in range(2)]
    begin = store.list(QUOTA_LEDGERS).resource_version
    together = Barrier(workers)

    def create(number: int) -> bool:
        if number < workers:
            together.wait(PATIENCE)
        for _ in range(50):
            try:
                return not processes[number % 2].reserve(ask(f"w{number}", limit=limit))
            except Unavailable:  # Eight conflicts in a row; the API server's client asks again as well.
                continue
        return False

    with ThreadPoolExecutor(workers) as threads:
        admitted = [number for number, got in enumerate(threads.map(create, range(wanted))) if got]
    states = [_decode(each.object)[0] for each in store.watch(QUOTA_LEDGERS, since=begin, timeout=0)]
    assert len(admitted) == limit
    assert set(processes[0].read(ROOT).reservations) == {f"w{number}" for number in admitted}
    assert [state.total_usage()[ACCOUNT].workflows for state in states] == list(range(1, limit + 1))


def test_a_ledger_that_was_never_written_reads_as_empty(ledgers: Ledgers, store: MemoryCluster) -> None:
    """Reading makes no object."""
    assert ledgers.read(ROOT) == Ledger(ROOT)
    assert store.list(QUOTA_LEDGERS).items == ()


def test_an_update_runs_its_change_again_on_what_another_process_wrote(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """A conflict loses neither of the two writes."""
    ledgers.reserve(ask("first", limit=9))
    spy = Spy(store)
    rivals = iter(["rival"])

    def meddle(call: Call) -> None:
        if call.verb == "replace":
            for rival in rivals:
                ledgers.reserve(ask(rival, limit=9))

    spy.before = meddle
    seen: list[set[str]] = []

    def change(ledger: Ledger) -> Ledger:
        seen.append(set(ledger.reservations))
        return fence(ledger)

    written = Ledgers(cluster=spy, clock=clock, led=False).update(ROOT, change)
    assert seen == [{"first"}, {"first", "rival"}]
    assert ledgers.read(ROOT) == written
    assert (written.epoch, set(written.reservations)) == (1, {"first", "rival"})


def test_all_ledgers_are_written_as_listed_and_read_again_where_another_was_faster(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """A leader that begins among a thousand of them asks for each no more than it has to."""
    for namespace in "abc":
        ledgers.update(Root.of_namespace(namespace), fence)
    spy = Spy(store)

    def meddle(call: Call) -> None:
        if call.verb == "replace" and call.name == "namespace.b":
            spy.before = lambda _: None
            ledgers.reserve(ask("rival", root=Root.of_namespace("b")))

    spy.before = meddle
    written = Ledgers(cluster=spy, clock=clock, led=False).update_all(fence, but={Root.of_namespace("c")})
    assert [(call.verb, call.name) for call in spy.calls] == [
        ("list", ""),
        ("replace", "namespace.a"),
        ("replace", "namespace.b"),
        ("get", "namespace.b"),
        ("replace", "namespace.b"),
    ]
    assert {root: each.epoch for root, each in written.items()} == {
        Root.of_namespace("a"): 2,
        Root.of_namespace("b"): 2,
    }
    assert set(ledgers.read(Root.of_namespace("b")).reservations) == {"rival"}
    assert ledgers.read(Root.of_namespace("c")).epoch == 1


def test_two_first_writes_of_a_ledger_both_count(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """The loser of the race to create the object finds the winner's reservation."""
    spy = Spy(store)
    rivals = iter(["rival"])

    def meddle(call: Call) -> None:
        if call.verb == "create":
            for rival in rivals:
                ledgers.reserve(ask(rival))

    spy.before = meddle
    assert Ledgers(cluster=spy, clock=clock, led=False).reserve(ask("late")) == []
    assert set(ledgers.read(ROOT).reservations) == {"rival", "late"}


def test_a_rival_that_takes_the_last_slot_between_read_and_write_wins(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """The shortfall is that of the present ledger, not of the one that was first read."""
    ledgers.reserve(ask("one"))
    spy = Spy(store)
    rivals = iter(["two"])

    def meddle(call: Call) -> None:
        if call.verb == "replace":
            for rival in rivals:
                ledgers.reserve(ask(rival))

    spy.before = meddle
    short = Ledgers(cluster=spy, clock=clock, led=False).reserve(ask("three"))
    assert [(each.used.workflows, each.requested.workflows) for each in short] == [(2, 1)]
    assert set(ledgers.read(ROOT).reservations) == {"one", "two"}


def test_a_ledger_deleted_between_read_and_write_is_created_again(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """The change runs on the empty ledger, so nothing of the old one comes back."""
    ledgers.reserve(ask("old"))
    spy = Spy(store)
    deletions = iter([ROOT])

    def meddle(call: Call) -> None:
        if call.verb == "replace":
            for name in deletions:
                store.delete(QUOTA_LEDGERS, str(name))

    spy.before = meddle
    assert Ledgers(cluster=spy, clock=clock, led=False).reserve(ask("new")) == []
    assert set(ledgers.read(ROOT).reservations) == {"new"}


def test_conflicts_without_end_are_given_up(store: MemoryCluster, clock: Clock, ledgers: Ledgers) -> None:
    """The caller hears that nothing was reserved instead of waiting for ever."""
    ledgers.update(ROOT, fence)
    spy = Spy(store)

    def meddle(call: Call) -> None:
        if call.verb == "replace":
            raise Conflict("another process was faster")

    spy.before = meddle
    with pytest.raises(Unavailable, match=f"ledger {ROOT} could not be written"):
        Ledgers(cluster=spy, clock=clock, led=False).reserve(ask("unlucky"))
    assert len([call for call in spy.calls if call.verb == "get"]) == MAX_ATTEMPTS
    assert ledgers.read(ROOT) == Ledger(ROOT, 1)


def test_no_request_is_sent_after_the_deadline(store: MemoryCluster, clock: Clock) -> None:
    """An answer for which no client waits may not use a slot."""
    spy = Spy(store)
    with pytest.raises(Unavailable):
        Ledgers(cluster=spy, clock=clock, led=False).reserve(ask("late"), deadline=NOON)
    assert spy.calls == []


def test_a_deadline_that_passes_between_two_conflicts_ends_the_attempts(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """Time is looked at before each attempt, not only before the first."""
    ledgers.update(ROOT, fence)
    spy = Spy(store)

    def meddle(call: Call) -> None:
        if call.verb == "replace":
            clock.advance(timedelta(seconds=2))
            raise Conflict("another process was faster")

    spy.before = meddle
    with pytest.raises(Unavailable):
        Ledgers(cluster=spy, clock=clock, led=False).reserve(
            ask("late"), deadline=NOON + timedelta(seconds=5)
        )
    assert len([call for call in spy.calls if call.verb == "get"]) == 3
    assert ledgers.read(ROOT).reservations == {}


def test_a_deadline_counts_while_a_thread_waits_for_its_turn(ledgers: Ledgers, clock: Clock) -> None:
    """A thread that got its turn too late writes nothing."""
    inside, go_on = Event(), Event()

    def slow(ledger: Ledger) -> Ledger:
        inside.set()
        assert go_on.wait(PATIENCE)
        return fence(ledger)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ledgers.update, ROOT, slow)
        assert inside.wait(PATIENCE)
        second = threads.submit(ledgers.reserve, ask("late"), deadline=NOON + timedelta(seconds=1))
        clock.advance(timedelta(seconds=2))
        go_on.set()
        assert first.result(PATIENCE).epoch == 1
        assert isinstance(second.exception(PATIENCE), Unavailable)
    assert ledgers.read(ROOT).reservations == {}


def test_writers_of_different_roots_do_not_wait_for_each_other(ledgers: Ledgers) -> None:
    """A slow pool delays no other root."""

    def slow(ledger: Ledger) -> Ledger:
        assert ledgers.reserve(ask("quick", root=Root.of_namespace("other"))) == []
        return fence(ledger)

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(ledgers.update, ROOT, slow)
        assert done.result(PATIENCE).epoch == 1
    assert set(ledgers.read(Root.of_namespace("other")).reservations) == {"quick"}


def test_a_change_that_fails_writes_nothing_and_gives_its_turn_back(
    ledgers: Ledgers, store: MemoryCluster
) -> None:
    """An exception, such as that of a deposed leader, leaves the ledger usable."""
    before = version(store)

    def fail(_: Ledger) -> Ledger:
        raise LookupError

    with pytest.raises(LookupError):
        ledgers.update(ROOT, fail)
    assert version(store) == before
    with ThreadPoolExecutor(1) as threads:  # Another thread: a lock left taken would stop it.
        assert threads.submit(ledgers.reserve, ask("next")).result(PATIENCE) == []


def test_an_unchanged_ledger_is_not_written(ledgers: Ledgers, store: MemoryCluster) -> None:
    """A pass that finds nothing new costs no write and wakes no watcher."""
    ledgers.reserve(ask("one"))
    before = version(store)
    assert ledgers.update(ROOT, lambda ledger: ledger) == ledgers.read(ROOT)
    assert version(store) == before


def test_a_broken_connection_does_not_look_like_an_empty_ledger(store: MemoryCluster, clock: Clock) -> None:
    """Only NotFound means that nothing is taken."""
    spy = Spy(store)

    def meddle(_: Call) -> None:
        raise Unavailable("the connection broke")

    spy.before = meddle
    ledgers = Ledgers(cluster=spy, clock=clock, led=False)
    with pytest.raises(Unavailable):
        ledgers.read(ROOT)
    with pytest.raises(Unavailable):
        ledgers.reserve(ask("one"))


def test_a_write_whose_answer_was_lost_is_found_by_the_repeated_request(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """The same request takes one slot, however often it has to ask."""
    ledgers.update(ROOT, fence)
    spy = Spy(store)
    losses = iter([1])

    def lose(call: Call) -> None:
        if call.verb == "replace":
            for _ in losses:
                raise Unavailable("the connection broke after the write")

    spy.after = lose
    other = Ledgers(cluster=spy, clock=clock, led=False)
    with pytest.raises(Unavailable):
        other.reserve(ask("one", limit=1))
    assert other.reserve(ask("one", limit=1)) == []
    assert ledgers.read(ROOT).total_usage() == {ACCOUNT: Usage(1, 1)}


def test_a_probe_returns_what_is_short_and_writes_nothing(ledgers: Ledgers, store: MemoryCluster) -> None:
    """A dry run hears the same as a create, and takes no slot."""
    assert ledgers.probe(ask("dry", limit=1)) == []
    assert store.list(QUOTA_LEDGERS).items == ()
    ledgers.reserve(ask("one", limit=1))
    before = version(store)
    probed = ledgers.probe(ask("dry", limit=1))
    assert version(store) == before
    assert probed == ledgers.reserve(ask("dry", limit=1))
    assert len(probed) == 1


def test_a_full_ledger_returns_what_is_short_and_stays_as_it_is(
    ledgers: Ledgers, store: MemoryCluster
) -> None:
    """A denial writes nothing."""
    for name in ("one", "two"):
        assert ledgers.reserve(ask(name)) == []
    before = version(store)
    short = ledgers.reserve(ask("three"))
    assert [(each.demand.account, each.used.workflows) for each in short] == [(ACCOUNT, 2)]
    assert version(store) == before


def test_a_reservation_has_its_time_its_user_and_its_purpose(ledgers: Ledgers) -> None:
    """It has what a leader needs to count it or to let it expire."""
    ledgers.reserve(ask("one", tasks=3))
    assert ledgers.read(ROOT).reservations["one"] == Reservation(
        id="one",
        namespace="ci",
        workflow="one",
        accounts=(ACCOUNT,),
        requested=Usage(1, 3),
        at=NOON,
        purpose=Purpose.CREATE,
    )


def test_a_ledger_holds_a_reservation_for_its_own_namespace_only(ledgers: Ledgers) -> None:
    """A label copied into another namespace of the pool claims nothing."""
    request = ask("one")
    assert not ledgers.holds(request)
    ledgers.reserve(request)
    assert ledgers.holds(request)
    assert not ledgers.holds(msgspec.structs.replace(request, namespace="other"))
    assert not ledgers.holds(ask("two"))


def test_a_cancelled_reservation_frees_its_slot(ledgers: Ledgers) -> None:
    """A create that our validating side refused uses no slot."""
    ledgers.reserve(ask("one", limit=1))
    ledgers.cancel(ask("one", limit=1))
    assert not ledgers.holds(ask("one"))
    assert ledgers.reserve(ask("two", limit=1)) == []


def test_cancelling_what_is_not_there_writes_nothing(ledgers: Ledgers, store: MemoryCluster) -> None:
    """A refusal of an object that never had a slot touches no ledger."""
    before = version(store)
    ledgers.cancel(ask("never"))
    assert version(store) == before


words = st.text(max_size=12)
accounts = st.builds(Account, namespace=words, quota=words, key=words)
usages = st.builds(
    Usage, workflows=st.integers(0, 10**6), tasks=st.integers(0, 10**9), unbounded=st.integers(0, 10**6)
)
reservations = st.builds(
    Reservation,
    id=words,
    namespace=words,
    workflow=words,
    accounts=st.lists(accounts, max_size=3).map(tuple),
    requested=usages,
    at=st.datetimes(
        min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the strategy makes them aware
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001 - as above
        timezones=st.just(UTC),
    ),
    purpose=st.sampled_from(Purpose),
    groups=st.dictionaries(words, words, max_size=2),
)
books = st.builds(
    Ledger,
    root=st.just(ROOT),
    epoch=st.integers(0, 2**40),
    used=st.dictionaries(accounts, usages, max_size=4),
    reservations=st.lists(reservations, max_size=4).map(lambda each: {one.id: one for one in each}),
)


@given(ledger=books)
def test_a_ledger_survives_the_way_through_the_api(ledger: Ledger) -> None:
    """What is decoded from the JSON that is stored equals what was encoded."""
    wire = msgspec.json.decode(msgspec.json.encode(_encode(ledger, "7")))
    assert _decode(wire) == (ledger, "7")


steps = st.lists(st.tuples(st.sampled_from(["reserve", "cancel", "fence"]), st.integers(0, 5)), max_size=12)


@given(steps=steps, limit=st.integers(0, 4))
def test_any_sequence_of_writes_stays_within_the_limit_and_is_what_is_read(
    steps: list[tuple[str, int]], limit: int
) -> None:
    """The stored ledger always equals the one that was returned."""
    clock = Clock()
    ledgers = Ledgers(cluster=memory(clock), clock=clock, led=False)
    reserved: set[str] = set()
    for step, number in steps:
        name = f"w{number}"
        if step == "fence":
            ledgers.update(ROOT, fence)
        elif step == "cancel":
            ledgers.cancel(ask(name))
            reserved.discard(name)
        elif not ledgers.reserve(ask(name, limit=limit)):
            reserved.add(name)
        stored = ledgers.read(ROOT)
        assert set(stored.reservations) == reserved
        assert stored.total_usage().get(ACCOUNT, ZERO).workflows == len(reserved) <= limit
    assert ledgers.read(ROOT).epoch == sum(step == "fence" for step, _ in steps)


def test_an_update_returns_what_was_written(ledgers: Ledgers) -> None:
    """The result is what the cluster holds."""
    ledgers.reserve(ask("one"))
    written = ledgers.update(ROOT, lambda ledger: cancel(fence(ledger), "one"))
    assert written == ledgers.read(ROOT) == Ledger(ROOT, 1)


def verbs_of(spy: Spy) -> list[str]:
    """Return what was asked of ledgers since this was asked last."""
    found = [call.verb for call in spy.calls if call.plural == QUOTA_LEDGERS.plural]
    spy.calls.clear()
    return found


def test_a_leader_writes_over_what_it_wrote_last_without_reading_it(
    store: MemoryCluster, clock: Clock
) -> None:
    """A release waits for one request less; what stays as it is is read once a second: it may be fenced."""
    spy = Spy(store)
    leader = Ledgers(cluster=spy, clock=clock, leads=True)
    leader.update(ROOT, fence)
    assert verbs_of(spy) == ["get", "create"]
    assert leader.update(ROOT, fence).epoch == 2
    assert verbs_of(spy) == ["replace"]
    for after, verbs in ((0.0, []), (0.9, []), (0.1, ["get"]), (0.9, []), (-1.0, ["get"])):
        clock.advance(timedelta(seconds=after))
        assert leader.update(ROOT, lambda ledger: ledger).epoch == 2
        assert verbs_of(spy) == verbs


def test_what_another_process_wrote_meanwhile_is_never_lost(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """Whether the leader would write over it, or would leave the ledger as it remembers it."""
    leader = Ledgers(cluster=store, clock=clock, leads=True)
    leader.update(ROOT, fence)
    ledgers.reserve(ask("create"))
    clock.advance(timedelta(seconds=1))
    seen = leader.update(ROOT, lambda ledger: ledger)
    assert set(seen.reservations) == {"create"}
    leader.update(ROOT, lambda ledger: cancel(ledger, "create"))
    ledgers.reserve(ask("another"))
    written = leader.update(ROOT, fence)
    assert (written.epoch, set(written.reservations)) == (2, {"another"})
    assert ledgers.read(ROOT) == written


def test_a_ledger_in_which_creates_are_reserved_is_read_before_each_write(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """Webhooks write it as well, so to try what was written last would mostly be in vain."""
    ledgers.reserve(ask("create"))
    spy = Spy(store)
    leader = Ledgers(cluster=spy, clock=clock, leads=True)
    for _ in range(2):
        leader.update(ROOT, fence)
    assert verbs_of(spy) == ["get", "replace", "get", "replace"]


def test_what_another_process_wrote_is_seen_in_a_list_and_then_in_the_ledger(
    store: MemoryCluster, clock: Clock, ledgers: Ledgers
) -> None:
    """However short the time since the leader wrote it: who lists has to see the same ledger afterwards."""
    leader = Ledgers(cluster=store, clock=clock, leads=True)
    leader.update(ROOT, fence)
    ledgers.reserve(ask("create"))
    assert set(leader.all()[ROOT].reservations) == {"create"}
    assert set(leader.update(ROOT, lambda ledger: ledger).reservations) == {"create"}


def test_a_leader_that_was_fenced_off_sees_it_a_second_later(store: MemoryCluster, clock: Clock) -> None:
    """Though it has nothing to write: the ledger of the newer leader has another version."""
    older, newer = (Ledgers(cluster=store, clock=clock, leads=True) for _ in range(2))
    older.update(ROOT, fence)
    newer.update(ROOT, fence)
    epochs = []

    def look(ledger: Ledger) -> Ledger:
        epochs.append(ledger.epoch)
        return ledger

    clock.advance(timedelta(seconds=1))
    older.update(ROOT, look)
    assert epochs[-1] == 2


def test_a_leader_that_was_fenced_off_sees_it_with_its_next_write(store: MemoryCluster, clock: Clock) -> None:
    """At once, whatever it remembers: what it writes conflicts."""
    older, newer = (Ledgers(cluster=store, clock=clock, leads=True) for _ in range(2))
    older.update(ROOT, fence)
    newer.update(ROOT, fence)
    epochs = []

    def look(ledger: Ledger) -> Ledger:
        epochs.append(ledger.epoch)
        return fence(ledger)

    older.update(ROOT, look)
    assert epochs == [1, 2]


def test_a_leader_does_not_remember_what_it_wrote_before_it_wrote_all(
    store: MemoryCluster, clock: Clock
) -> None:
    """By what it remembers it would take itself for fenced off."""
    leader = Ledgers(cluster=store, clock=clock, leads=True)
    leader.update(ROOT, fence)
    leader.update_all(fence)
    epochs = []

    def look(ledger: Ledger) -> Ledger:
        epochs.append(ledger.epoch)
        return ledger

    leader.update(ROOT, look)
    assert epochs == [2]
