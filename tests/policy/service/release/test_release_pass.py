"""One pass of the leader: what is written before what, what a release tests, and what gives a slot back."""

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from policy.cluster.errors import Conflict, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS, EventType, JsonPatch, MergePatch, WatchEvent
from policy.core.decision.decision import ReservationRequest
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject, JsonValue, Op
from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    ClusterWorkflowQuotaSpec,
    ElasticSpec,
    OnExceed,
    QuotaLimits,
    WindowSpec,
    WorkflowQuotaSpec,
)
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import RESERVATION_TTL, Ledger, Purpose, Reservation, fence
from policy.core.quota.ledger import with_reservations as with_added
from policy.core.quota.usage_view import NamespaceQueue
from policy.core.values.amounts import ZERO, Amount, Limits, Usage
from policy.service.leading.fences import TERM, Deposed
from policy.service.release.position_messages import MOST_WRITES, REFRESHED_POSITIONS, WRITE_EVERY
from policy.service.release.release_pass import LOOK_EVERY
from policy.service.release.release_sender import FIRST_DELAY
from policy.service.tracking.tracked import track
from tests.policy.service.world import (
    NOON,
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    is_held,
    labels_of,
    member,
    name_of,
    part,
    pool,
    quota,
    snapshot_of,
    submit,
)

ROOT = Root.of_namespace("etl")
ACCOUNT = Account("etl", "q")
ONE_AT_A_TIME = snapshot_of(quota("etl", "q", workflows=1))
DENIES = snapshot_of(quota("etl", "q", workflows=1, on_exceed=OnExceed.DENY))


@pytest.fixture
def leader(spy: Spy, clock: Clock) -> Leader:
    """Return a leader of a namespace where one Workflow runs at a time."""
    return Leader(spy, ONE_AT_A_TIME, clock)


def queue_up(leader: Leader, *names: str, priority: int | None = None) -> list[JsonObject]:
    """Create held Workflows in the namespace."""
    return [
        submit(leader.cluster, leader.snapshot, draft(name, priority=priority), namespace="etl")
        for name in names
    ]


def reservation(leader: Leader, name: str) -> ReservationRequest:
    """Return what a create asks for in the namespace that denies, and reserve it; the leader has counted."""
    if ACCOUNT not in leader.ledgers.read(ROOT).used:
        leader.work()
    request = ReservationRequest(
        root=ROOT,
        id=name,
        namespace="etl",
        workflow=name,
        requested=Usage(1, 1),
        demands=(Demand(ACCOUNT, Limits(Amount(1)), "WorkflowQuota etl/q"),),
    )
    assert leader.ledgers.reserve(request) == []
    return request


def store(leader: Leader, name: str, reserved: str, **labels: str) -> JsonObject:
    """Create a Workflow that runs and carries the label of a reservation."""
    made = draft(name, labels={well_known.RESERVATION: reserved, **labels})
    return leader.cluster.create(WORKFLOWS, made, namespace="etl")


def once(condition: Callable[[Call], bool], effect: Callable[[], object]) -> Callable[[Call], None]:
    """Return a hook that has its effect at the first call that meets the condition."""
    left = [effect]

    def hook(call: Call) -> None:
        if left and condition(call):
            left.pop()()

    return hook


def is_release(call: Call) -> bool:
    """Return whether a call releases a Workflow."""
    return call.releases


def annotate(leader: Leader, name: str, **annotations: JsonValue) -> JsonObject:
    """Change annotations of a Workflow, which moves its version on."""
    value: JsonObject = {"metadata": {"annotations": annotations}}
    return leader.cluster.patch(WORKFLOWS, name, MergePatch(value), namespace="etl")


def test_a_new_leader_fences_each_root_once_and_lists_after_it(leader: Leader, spy: Spy) -> None:
    """Protocol rule 1: its first write raises the epoch, and nothing else is in that write."""
    queue_up(leader, "a")
    spy.calls.clear()
    leader.lead()
    leader.lead()
    written = [call for call in spy.calls if call.writes_ledger]
    assert [call.name for call in written] == [str(TERM), str(ROOT)]
    assert leader.ledgers.read(ROOT) == Ledger(ROOT, 1)
    after = spy.calls[spy.calls.index(written[1]) :]
    assert "list" in {call.verb for call in after if call.plural == "workflows"}


def test_each_leader_gets_a_higher_epoch(leader: Leader, cluster: MemoryCluster, clock: Clock) -> None:
    """No two leaders ever carry the same one."""
    queue_up(leader, "a")
    leader.lead()
    Leader(cluster, ONE_AT_A_TIME, clock).lead()
    assert leader.ledgers.read(ROOT).epoch == 2


def test_the_reservation_is_in_the_ledger_before_the_release_is_sent(leader: Leader, spy: Spy) -> None:
    """Protocol rule 3, seen at the moment of every patch that frees a Workflow."""
    leader.snapshot = snapshot_of(quota("etl", "q", workflows=3))
    made = queue_up(leader, "a", "b", "c", "d")
    uids = {each["metadata"]["uid"]: each for each in made if isinstance(each["metadata"], dict)}
    reserved: list[bool] = []

    def look(call: Call) -> None:
        if call.releases and isinstance(call.patch, JsonPatch):
            uid = call.patch.operations[0].value
            reserved.append(f"{uid}.1" in leader.ledgers.read(ROOT).reservations)

    spy.before = look
    assert leader.work() == 3
    assert reserved == [True, True, True]
    assert len(uids) == 4
    assert leader.held("etl") == {"a": False, "b": False, "c": False, "d": True}


def test_a_release_tests_uid_version_and_hold_before_it_changes_anything(leader: Leader, spy: Spy) -> None:
    """Protocol rule 6."""
    (made,) = queue_up(leader, "a")
    leader.work()
    (sent,) = [call.patch for call in spy.calls if call.releases]
    assert isinstance(sent, JsonPatch)
    tests = [(each.path, each.value) for each in sent.operations if each.op is Op.TEST]
    assert tests == [
        ("/metadata/uid", part(made, "metadata", "uid")),
        ("/metadata/resourceVersion", part(made, "metadata", "resourceVersion")),
        (hold.INSTANCE_LABEL, well_known.HOLD_VALUE),
    ]
    assert [each.op for each in sent.operations][:3] == [Op.TEST] * 3


@pytest.mark.parametrize("original", [None, "argo-of-team-etl"])
def test_a_released_workflow_is_as_its_author_wrote_it(leader: Leader, original: str | None) -> None:
    """Label and status are as before the hold, so the controller that it is for picks it up."""
    labels = None if original is None else {well_known.INSTANCE_ID: original}
    held = submit(leader.cluster, leader.snapshot, draft("a", labels=labels), namespace="etl")
    assert is_held(held)
    assert part(held, "status", "phase") == "Pending"
    leader.work()
    freed = leader.cluster.get(WORKFLOWS, "a", namespace="etl")
    assert labels_of(freed).get(well_known.INSTANCE_ID) == original
    assert "status" not in freed
    assert well_known.ORIGINAL_INSTANCE_ID not in str(freed)
    assert leader.told.released_names == ["a"]


def test_a_workflow_that_changed_meanwhile_is_read_again_and_released(leader: Leader, spy: Spy) -> None:
    """An annotation of a user may not cost a Workflow its release."""
    queue_up(leader, "a")
    spy.before = once(is_release, lambda: annotate(leader, "a", note="hello"))
    assert leader.work() == 1
    assert leader.held("etl") == {"a": False}
    assert [call.name for call in spy.calls if call.verb == "get" and call.plural == "workflows"] == ["a"]


def test_a_workflow_that_lost_its_status_meanwhile_is_released(leader: Leader, spy: Spy) -> None:
    """No other client writes it, yet a user may; the patch of the second attempt fits what is there."""
    queue_up(leader, "a")

    def strip() -> None:
        leader.cluster.patch(WORKFLOWS, "a", MergePatch({"status": None}), namespace="etl")

    spy.before = once(is_release, strip)
    assert leader.work() == 1
    assert leader.held("etl") == {"a": False}


def test_a_workflow_that_was_deleted_is_left_and_frees_its_slot(leader: Leader, spy: Spy) -> None:
    """A deletion between plan and patch is no error, and costs no slot for longer than a pass."""
    queue_up(leader, "a", "b")

    def delete() -> None:
        leader.cluster.delete(WORKFLOWS, "a", namespace="etl")

    spy.before = once(is_release, delete)
    assert leader.work() == 0
    assert leader.told.failures == []
    assert len(leader.ledgers.read(ROOT).reservations) == 1
    assert leader.work() == 1
    assert leader.held("etl") == {"b": False}
    assert leader.ledgers.read(ROOT).total_usage() == {ACCOUNT: Usage(1, 1)}


def test_another_workflow_of_the_same_name_is_not_released_in_its_stead(leader: Leader, spy: Spy) -> None:
    """The slot was reserved for a uid, not for a name."""
    queue_up(leader, "a")

    def swap() -> None:
        leader.cluster.delete(WORKFLOWS, "a", namespace="etl")
        queue_up(leader, "a")

    spy.before = once(is_release, swap)
    assert leader.work() == 0
    assert leader.held("etl") == {"a": True}
    assert leader.work() == 1


def test_a_workflow_that_another_client_released_is_left_alone(leader: Leader, spy: Spy) -> None:
    """A release whose answer was lost is not reported twice."""
    queue_up(leader, "a")
    value: JsonObject = {"metadata": {"labels": {well_known.INSTANCE_ID: None}}}

    def let_go() -> None:
        leader.cluster.patch(WORKFLOWS, "a", MergePatch(value), namespace="etl")

    spy.before = once(is_release, let_go)
    assert leader.work() == 0
    assert (leader.told.released_names, leader.told.failures) == ([], [])


def test_a_workflow_that_was_held_again_meanwhile_waits_in_the_queue_again(leader: Leader, spy: Spy) -> None:
    """Protocol rules 6 and 8: the reservation is of one hold, not of every later one."""
    queue_up(leader, "a")
    spy.before = once(is_release, lambda: annotate(leader, "a", **{well_known.HOLDS: "2"}))
    assert leader.work() == 0
    assert leader.held("etl") == {"a": True}


def test_a_release_that_fails_is_reported_and_completed_by_a_later_pass(
    leader: Leader, spy: Spy, clock: Clock
) -> None:
    """Protocol rule 5: it stays reserved, is planned no second time, and no other takes its slot."""
    queue_up(leader, "a", "b")

    def fail() -> None:
        raise Unavailable("no answer")

    spy.before = once(is_release, fail)
    assert leader.work() == 0
    assert [name for name, _ in leader.told.failures] == ["a"]
    before = leader.ledgers.read(ROOT)
    assert len(before.reservations) == 1
    assert leader.work() == 0  # It is tried again after a while, not at once.
    assert leader.release_pass.next_event() == NOON + FIRST_DELAY
    clock.advance(FIRST_DELAY)
    assert leader.work() == 1
    assert leader.ledgers.read(ROOT) == before
    assert leader.held("etl") == {"a": False, "b": True}


def test_a_release_whose_answer_was_lost_is_not_sent_to_a_workflow_that_runs(
    leader: Leader, spy: Spy
) -> None:
    """The leader may not know that the patch arrived; the tests of the next one do."""
    queue_up(leader, "a")
    leader.lead()

    def lose() -> None:
        raise Unavailable("the connection broke after the write")

    spy.after = once(is_release, lose)
    assert leader.release_pass.run_pass(leader.tracker) == 0
    version = part(leader.cluster.get(WORKFLOWS, "a", namespace="etl"), "metadata", "resourceVersion")
    assert leader.release_pass.run_pass(leader.tracker) == 0  # On the old view: it still looks held.
    assert part(leader.cluster.get(WORKFLOWS, "a", namespace="etl"), "metadata", "resourceVersion") == version
    assert leader.held("etl") == {"a": False}


def test_a_workflow_that_changes_at_every_attempt_is_reported_and_left_for_the_next_pass(
    leader: Leader, spy: Spy
) -> None:
    """One busy object must not hold up the pass."""
    queue_up(leader, "a")

    def meddle(call: Call) -> None:
        if call.releases:
            annotate(leader, "a", note=str(len(spy.calls)))

    spy.before = meddle
    assert leader.work() == 0
    assert [name for name, _ in leader.told.failures] == ["a"]
    assert len([call for call in spy.calls if call.releases]) == 2


def test_after_a_conflict_on_the_ledger_the_pass_decides_again(
    leader: Leader, spy: Spy, cluster: MemoryCluster, clock: Clock
) -> None:
    """A create that took the slot between read and write keeps the queue waiting."""
    leader.snapshot = snapshot_of(quota("etl", "q", workflows=1))
    queue_up(leader, "a")
    leader.lead()
    leader.ledgers.update(ROOT, lambda ledger: msgspec.structs.replace(ledger, used={ACCOUNT: ZERO}))
    rival = Leader(cluster, leader.snapshot, clock)
    spy.before = once(lambda call: call.writes_ledger, lambda: reservation(rival, "create-1"))
    assert leader.release_pass.run_pass(leader.tracker) == 0
    assert leader.held("etl") == {"a": True}
    assert set(leader.ledgers.read(ROOT).reservations) == {"create-1"}


def test_what_is_reserved_is_sent_though_another_ledger_cannot_be_written(leader: Leader, spy: Spy) -> None:
    """Its slot is taken already; the other root is tried again by the next pass."""
    leader.snapshot = snapshot_of(*(quota(each, "q", workflows=1) for each in ("etl", "ml")))
    for each in ("etl", "ml"):
        submit(leader.cluster, leader.snapshot, draft("w"), namespace=each)
    leader.lead()

    def fail(call: Call) -> None:
        if call.writes_ledger and call.obj is not None and name_of(call.obj) == str(Root.of_namespace("ml")):
            raise Unavailable("no answer")

    spy.before = fail
    with pytest.raises(Unavailable):
        leader.release_pass.run_pass(leader.tracker)
    assert (leader.held("etl"), leader.held("ml")) == ({"w": False}, {"w": True})
    spy.before = lambda _: None
    assert leader.work() == 1


def test_a_deposed_leader_stops_before_anything_of_it_is_written(
    leader: Leader, spy: Spy, cluster: MemoryCluster, clock: Clock
) -> None:
    """Protocol rule 2: on a higher epoch it steps down at once: a write over an older version is refused."""
    queue_up(leader, "a")
    leader.lead()
    Leader(cluster, ONE_AT_A_TIME, clock).lead()
    before = leader.ledgers.read(ROOT)
    spy.calls.clear()
    with pytest.raises(Deposed, match=f"ledger {ROOT} is at epoch 2, ours is 1"):
        leader.release_pass.run_pass(leader.tracker)
    assert leader.ledgers.read(ROOT) == before
    assert {call.verb for call in spy.calls if not call.writes_ledger} <= {"get", "list"}
    assert leader.held("etl") == {"a": True}


def test_a_leader_deposed_between_read_and_write_stops_as_well(
    leader: Leader, spy: Spy, cluster: MemoryCluster, clock: Clock
) -> None:
    """The compare-and-swap fails, and the second read shows the epoch."""
    queue_up(leader, "a")
    leader.lead()
    rival = Leader(cluster, ONE_AT_A_TIME, clock)
    spy.before = once(lambda call: call.writes_ledger, rival.lead)
    with pytest.raises(Deposed):
        leader.release_pass.run_pass(leader.tracker)
    assert leader.ledgers.read(ROOT) == Ledger(ROOT, 2)


def test_the_next_leader_completes_what_the_last_one_reserved(
    leader: Leader, spy: Spy, cluster: MemoryCluster, clock: Clock
) -> None:
    """A leader that died between ledger and patch leaves a slot that is used, not lost."""
    queue_up(leader, "a", "b")

    def die() -> None:
        raise SystemExit

    spy.before = once(is_release, die)
    with pytest.raises(SystemExit):
        leader.work()
    heir = Leader(cluster, ONE_AT_A_TIME, clock)
    assert heir.work() == 1
    assert heir.held("etl") == {"a": False, "b": True}
    assert heir.ledgers.read(ROOT).total_usage() == {ACCOUNT: Usage(1, 1)}


def test_a_create_reservation_stays_until_its_time_has_passed(leader: Leader, clock: Clock) -> None:
    """The API server may still be about to store the object."""
    leader.snapshot = DENIES
    reservation(leader, "lost")
    clock.advance(RESERVATION_TTL - timedelta(seconds=1))
    leader.work()
    assert set(leader.ledgers.read(ROOT).reservations) == {"lost"}


def test_an_overdue_create_reservation_without_an_object_is_dropped(leader: Leader, clock: Clock) -> None:
    """Protocol rule 4c: a create that came to nothing costs its slot for a bounded time."""
    leader.snapshot = DENIES
    reservation(leader, "lost")
    clock.advance(RESERVATION_TTL)
    leader.work()
    assert leader.ledgers.read(ROOT).reservations == {}
    assert leader.told.expired_reservations == 1
    reservation(leader, "next")


def test_an_overdue_create_reservation_whose_object_the_watch_has_not_shown_stays(
    leader: Leader, clock: Clock
) -> None:
    """Protocol rule 4c asks a consistent list, because the watch may lag behind the create."""
    leader.snapshot = DENIES
    reservation(leader, "slow")
    leader.lead()
    store(leader, "w", "slow")
    clock.advance(RESERVATION_TTL)
    leader.release_pass.run_pass(leader.tracker)  # Its view is from before the create.
    assert set(leader.ledgers.read(ROOT).reservations) == {"slow"}
    leader.work()
    assert leader.ledgers.read(ROOT) == Ledger(ROOT, 1, {ACCOUNT: Usage(1, 0, 1)})


def test_the_list_for_overdue_reservations_selects_their_labels(
    leader: Leader, clock: Clock, spy: Spy
) -> None:
    """One list for all of them, and none while nothing is overdue."""
    leader.snapshot = snapshot_of(quota("etl", "q", workflows=9, on_exceed=OnExceed.DENY))
    leader.work()
    assert not [call for call in spy.calls if well_known.RESERVATION in call.labels]
    for name in ("one", "two"):
        reservation_of_many(leader, name)
    clock.advance(RESERVATION_TTL)
    leader.work()
    asked = [call.labels for call in spy.calls if well_known.RESERVATION in call.labels]
    assert len(asked) == 1
    assert asked[0].endswith("(one,two)")


def reservation_of_many(leader: Leader, name: str) -> None:
    """Reserve where there is capacity for several."""
    account = Demand(ACCOUNT, Limits(Amount(9)), "WorkflowQuota etl/q")
    request = ReservationRequest(ROOT, name, "etl", name, Usage(1, 1), (account,))
    assert leader.ledgers.reserve(request) == []


def test_the_reservation_of_a_workflow_that_ran_unseen_is_dropped(leader: Leader, clock: Clock) -> None:
    """Protocol rule 4b: one that was created and completed while no replica led holds no slot."""
    leader.snapshot = DENIES
    reservation(leader, "short")
    store(leader, "w", "short", **{well_known.COMPLETED: "true"})
    clock.advance(RESERVATION_TTL)
    leader.work()
    assert leader.ledgers.read(ROOT).reservations == {}


def test_a_workflow_that_is_created_and_completes_between_two_passes_frees_its_slot(leader: Leader) -> None:
    """Protocol rule 4b: its end was seen in the watch, so its slot is free at the next pass."""
    leader.snapshot = DENIES
    leader.lead()
    reservation(leader, "short")
    made = store(leader, "w", "short")
    leader.tracker.apply(WatchEvent(EventType.ADDED, made, "8"))
    leader.tracker.apply(WatchEvent(EventType.DELETED, made, "9"))
    complete(leader.cluster, "w", namespace="etl")
    leader.release_pass.run_pass(leader.tracker)
    assert leader.ledgers.read(ROOT).reservations == {}


def test_an_overdue_reservation_of_an_odd_id_does_not_stop_the_passes(leader: Leader, clock: Clock) -> None:
    """Any client that can post a review chooses its uid; one must not stop the queue of all others."""
    leader.snapshot = DENIES
    reservation(leader, "no label value!")
    clock.advance(RESERVATION_TTL)
    leader.work()
    assert leader.ledgers.read(ROOT).reservations == {}


def test_a_lost_create_in_a_namespace_where_nothing_lives_gives_its_slot_back(
    leader: Leader, clock: Clock
) -> None:
    """A pool has a ledger, and its members accounts in it, before anything runs there."""
    whole = pool("all", workflows=1, on_exceed=OnExceed.DENY, members=EVERYTHING)
    leader.snapshot = snapshot_of(whole, member("etl", "all"))
    demand = Demand(Account("", "all"), Limits(Amount(1)), "ClusterWorkflowQuota all")
    leader.work()
    leader.ledgers.reserve(
        ReservationRequest(Root.of_pool("all"), "lost", "etl", "w", Usage(1, 1), (demand,))
    )
    clock.advance(RESERVATION_TTL)
    leader.work()
    assert leader.ledgers.read(Root.of_pool("all")).reservations == {}


def test_policies_that_change_between_the_fence_and_the_pass_are_no_error(leader: Leader) -> None:
    """A namespace that joins a pool at that moment is fenced by the next round; the controller lives on."""
    queue_up(leader, "a")
    leader.lead()
    leader.snapshot = snapshot_of(pool("data", workflows=1), member("etl", "data"))
    assert leader.release_pass.run_pass(leader.tracker) == 0
    assert leader.work() == 1


def test_a_root_whose_policies_were_deleted_is_emptied(leader: Leader) -> None:
    """What an account held does not stay in a ledger without limits."""
    queue_up(leader, "a", "b")
    leader.work()
    leader.snapshot = snapshot_of()
    assert leader.work() == 1
    leader.work()
    assert leader.ledgers.read(ROOT) == Ledger(ROOT, 1)


def test_a_namespace_that_joins_a_pool_moves_to_the_ledger_of_the_pool(leader: Leader) -> None:
    """Its Workflows count there, and the old ledger is empty."""
    queue_up(leader, "a", "b")
    leader.work()
    leader.snapshot = snapshot_of(pool("data", workflows=2), member("etl", "data"))
    assert leader.work() == 1
    leader.work()
    assert leader.ledgers.read(Root.of_pool("data")).used == {Account("", "data"): Usage(2, 2)}
    assert leader.ledgers.read(ROOT).total_usage() == {}


def test_higher_priorities_go_first_then_older_ones(leader: Leader) -> None:
    """The order in which a single slot is given on."""
    queue_up(leader, "first", "second")
    queue_up(leader, "urgent", priority=5)
    queue_up(leader, "lowly", priority=-5)
    for _ in range(5):
        leader.work()
        for name, waits in leader.held("etl").items():
            if not waits:
                complete(leader.cluster, name, namespace="etl")
    assert leader.told.released_names == ["urgent", "first", "second", "lowly"]


def test_the_view_tells_what_is_taken_what_waits_and_what_runs(leader: Leader) -> None:
    """Warnings and metrics are made of it."""
    queue_up(leader, "a", "b")
    queue_up(leader, "c", priority=7)
    leader.work()
    assert leader.view.used == {ACCOUNT: Usage(1, 1)}
    assert leader.view.queues == {"etl": NamespaceQueue({0: 2})}
    assert leader.view.running == {"etl": Usage(1, 1)}


def test_those_in_front_show_their_position_and_only_changes_are_written(leader: Leader, spy: Spy) -> None:
    """`kubectl get wf` shows the position in the queue, at no cost while nothing moves."""
    queue_up(leader, *(f"w{number:02}" for number in range(4)))
    leader.work()
    told = dict(leader.told.messages)
    assert told == {
        f"w{number:02}": f"queued by lockkeeper: position {number} of 3 in etl (1/1 running)"
        for number in (1, 2, 3)
    }
    shown = leader.cluster.get(WORKFLOWS, "w01", namespace="etl")
    assert shown["status"] == {"phase": "Pending", "message": told["w01"]}
    leader.work()  # It counts what was released, and has nothing else to write.
    spy.calls.clear()
    leader.work()
    assert {call.verb for call in spy.calls} == {"list"}


def test_only_the_first_of_a_queue_show_their_position(leader: Leader, clock: Clock) -> None:
    """Those further back got a position at the create; a long queue is not rewritten whenever it moves."""
    names = [f"w{number:02}" for number in range(REFRESHED_POSITIONS + 4)]
    queue_up(leader, *names)
    leader.work()
    assert [name for name, _ in leader.told.messages] == names[1 : 1 + REFRESHED_POSITIONS]
    leader.told.messages.clear()
    complete(leader.cluster, "w00", namespace="etl")
    clock.advance(WRITE_EVERY)
    leader.work()
    assert [name for name, _ in leader.told.messages] == names[2 : 2 + REFRESHED_POSITIONS]


def test_messages_of_many_queues_are_written_a_part_at_a_time(spy: Spy, clock: Clock) -> None:
    """A new leader has written no message yet; the next release is before all of that."""
    namespaces = [f"n{number}" for number in range(MOST_WRITES // REFRESHED_POSITIONS + 2)]
    leader = Leader(spy, snapshot_of(*(quota(each, "q", workflows=1) for each in namespaces)), clock)
    names = [f"w{number:02}" for number in range(REFRESHED_POSITIONS + 1)]
    for each in namespaces:
        for name in names:
            submit(spy, leader.snapshot, draft(f"{each}-{name}"), namespace=each)
    leader.work()
    assert (len(leader.told.messages), leader.release_pass.unwritten) == (MOST_WRITES, True)
    complete(spy, "n0-w00", namespace="n0")
    assert leader.work() == 1
    while leader.release_pass.unwritten:
        leader.work()
    told = {name for name, _ in leader.told.messages}
    assert told == {f"{each}-{name}" for each in namespaces for name in names[1:]}


def test_one_that_can_never_run_shows_it(leader: Leader) -> None:
    """Its message names the limit and what to do."""
    leader.snapshot = snapshot_of(quota("etl", "q", tasks=3))
    submit(leader.cluster, leader.snapshot, draft("wide", tasks=4), namespace="etl")
    leader.work()
    ((_, message),) = leader.told.messages
    assert message.endswith(
        "; it can never start: it needs tasks=4 and WorkflowQuota etl/q allows tasks=3; "
        "set spec.parallelism to 3 or less"
    )


def test_a_message_is_not_written_on_a_workflow_that_was_released_meanwhile(leader: Leader, spy: Spy) -> None:
    """The message tests the hold: a running Workflow's status is Argo's."""
    queue_up(leader, "a", "b")
    status: JsonObject = {"phase": "Running", "message": None}
    value: JsonObject = {"metadata": {"labels": {well_known.INSTANCE_ID: None}}, "status": status}

    def let_go() -> None:
        leader.cluster.patch(WORKFLOWS, "b", MergePatch(value), namespace="etl")

    spy.before = once(lambda call: call.verb == "patch" and call.name == "b", let_go)
    leader.work()
    assert leader.cluster.get(WORKFLOWS, "b", namespace="etl")["status"] == {"phase": "Running"}
    assert leader.told.messages == []


def test_a_pass_over_one_root_writes_no_other(leader: Leader, spy: Spy) -> None:
    """Another's reservations are none of its business while something governs them."""
    both = snapshot_of(quota("etl", "q", workflows=1), quota("ml", "q", workflows=1))
    leader.snapshot = both
    leader.work()
    foreign = Reservation("x", "ml", "w", (), Usage(1, 1), NOON, Purpose.CREATE)
    leader.ledgers.update(Root.of_namespace("ml"), lambda ledger: with_added(ledger, [foreign]))
    queue_up(leader, "a")
    spy.calls.clear()
    leader.work()
    assert {call.name for call in spy.calls if call.writes_ledger} == {str(ROOT)}
    assert set(leader.ledgers.read(Root.of_namespace("ml")).reservations) == {"x"}


def test_a_reservation_that_no_quota_governs_any_more_is_dropped_when_it_cannot_be_used(
    leader: Leader, clock: Clock
) -> None:
    """The ledger is closed at once, for replicas with old policies; a create may still be on its way."""
    foreign = Reservation("x", "ml", "w", (), Usage(1, 1), NOON, Purpose.CREATE)
    leader.ledgers.update(Root.of_namespace("ml"), lambda ledger: with_added(fence(ledger), [foreign]))
    leader.work()
    kept = leader.ledgers.read(Root.of_namespace("ml"))
    assert (kept.epoch, kept.used, set(kept.reservations)) == (3, {}, {"x"})
    clock.advance(RESERVATION_TTL)
    leader.work()  # It looks at all ledgers, and finds what belongs nowhere.
    leader.work()
    assert leader.ledgers.read(Root.of_namespace("ml")).reservations == {}


def test_the_turns_of_a_pool_are_shared_by_its_namespaces(cluster: MemoryCluster, clock: Clock) -> None:
    """All accounts of a pool are in one ledger, and its limit holds over all members."""
    policies: Snapshot = snapshot_of(
        pool("data", workflows=2), member("etl", "data"), member("ml", "data"), quota("etl", "q", workflows=1)
    )
    leader = Leader(cluster, policies, clock)
    for namespace, name in (("etl", "a"), ("etl", "b"), ("ml", "c"), ("ml", "d")):
        submit(cluster, policies, draft(name), namespace=namespace)
    assert leader.work() == 2
    assert leader.held("etl") | leader.held("ml") == {"a": False, "b": True, "c": False, "d": True}
    assert [name_of(item) for item in cluster.list(QUOTA_LEDGERS).items] == ["pool.data", str(TERM)]


def test_a_conflict_of_the_release_is_treated_like_a_failed_test(leader: Leader, spy: Spy) -> None:
    """The API server answers 409 or 422; both mean that the object moved on."""
    queue_up(leader, "a")

    def conflict() -> None:
        raise Conflict("the object has been modified")

    spy.before = once(is_release, conflict)
    assert leader.work() == 1
    assert not is_held(leader.cluster.get(WORKFLOWS, "a", namespace="etl"))


def test_a_release_id_is_that_of_the_hold() -> None:
    """Protocol rule 8: the uid and the number of times that it was held, so that a second is another."""
    assert track({"metadata": {"uid": "u"}}).release == "u.1"
    assert track({"metadata": {"uid": "u", "annotations": {well_known.HOLDS: "2"}}}).release == "u.2"
    assert track({"metadata": {"uid": "u", "annotations": {well_known.HOLDS: "3"}}}).release == "u.3"
    assert msgspec.json.encode(Purpose.RELEASE) == b'"Release"'


def test_a_leader_that_is_stopped_sends_no_more_and_the_next_completes_what_is_reserved(
    spy: Spy, clock: Clock
) -> None:
    """Giving the lease up does not wait for thousands of releases, and none of them is lost."""
    first = Leader(spy, snapshot_of(quota("etl", "q", workflows=3)), clock)
    queue_up(first, "a", "b", "c")
    first.lead()
    sent = iter((False, True))
    assert first.release_pass.run_pass(first.tracker, stopping=lambda: next(sent, True)) == 1
    second = Leader(spy, first.snapshot, clock)
    second.lead()
    assert second.release_pass.run_pass(second.tracker) == 2
    assert not any(is_held(each) for each in spy.list(WORKFLOWS).items)


def test_time_alone_opens_a_window_and_releases_those_that_fit_it(
    cluster: MemoryCluster, clock: Clock
) -> None:
    """Nothing else happens at that time: no event arrives, and only the time causes a pass."""
    night = WindowSpec("night", "30 12 * * *", "1h", QuotaLimits(2))
    spec = WorkflowQuotaSpec(limits=QuotaLimits(0), windows=(night,))
    leader = Leader(cluster, snapshot_of(WorkflowQuota(PolicyMetadata("q", "etl"), spec)), clock)
    for name in ("a", "b", "c"):
        submit(cluster, leader.snapshot, draft(name), namespace="etl")
    assert leader.work() == 0
    clock.advance(timedelta(minutes=29, seconds=50))
    assert leader.release_pass.run_pass(leader.tracker) == 0
    assert leader.release_pass.next_event() == NOON + timedelta(minutes=30)
    clock.advance(timedelta(seconds=10))
    assert leader.release_pass.run_pass(leader.tracker) == 2


def test_nodes_alone_release_those_that_fit_on_them(cluster: MemoryCluster, clock: Clock) -> None:
    """The watch of nodes wakes the leader, and nothing else has changed."""
    elastic = ElasticSpec(workflows_per_node=1, min=QuotaLimits(0), max=QuotaLimits(9))
    spec = ClusterWorkflowQuotaSpec(namespace_selector=LabelSelector({"pool": "data"}), elastic=elastic)
    policies = snapshot_of(ClusterWorkflowQuota(PolicyMetadata("data"), spec), member("etl", "data"))
    leader = Leader(cluster, policies, clock)
    allowed = [Limits(Amount(0))]
    leader.release_pass._capacity = lambda _: allowed[-1]
    for name in ("a", "b", "c"):
        submit(cluster, policies, draft(name), namespace="etl")
    assert leader.work() == 0
    allowed.append(Limits(Amount(2)))
    assert leader.release_pass.run_pass(leader.tracker) == 2
    assert leader.ledgers.read(Root.of_pool("data")).capacity == Limits(Amount(2))


def test_the_slot_of_a_create_that_was_refused_is_given_to_one_that_waits(
    leader: Leader, clock: Clock
) -> None:
    """The webhook gives the reservation back in the ledger alone, which no event shows."""
    taken = reservation(leader, "c1")
    queue_up(leader, "a")
    assert leader.work() == 0
    leader.ledgers.cancel(taken)
    clock.advance(LOOK_EVERY)
    assert leader.release_pass.run_pass(leader.tracker) == 1


def test_an_edited_limit_is_put_in_force_with_the_queue_as_it_is(leader: Leader) -> None:
    """The state goes on, so that the edit of a number costs the same before a queue of any length."""
    queue_up(leader, "a", "b", "c")
    assert leader.work() == 1
    state = leader.release_pass._states[ROOT]
    leader.snapshot = snapshot_of(quota("etl", "q", workflows=2))
    assert leader.release_pass.run_pass(leader.tracker) == 1
    assert leader.release_pass._states[ROOT] is state
