"""What held Workflows show of their wait: right in front, at a bounded rate, and why."""

from datetime import timedelta

from policy.cluster.errors import Unavailable
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.queue.positions import WaitReason
from policy.service.release.position_messages import REFRESHED_POSITIONS, WRITE_EVERY
from tests.policy.core.builders import quota, snapshot
from tests.policy.service.world import (
    NOON,
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    member,
    pool,
    snapshot_of,
    submit,
)

HALF: timedelta = WRITE_EVERY / 2


def policies(workflows: int, **spec: str) -> Snapshot:
    """Return the namespaces etl and ml, where so many run at a time."""
    return snapshot(
        *(quota("q", namespace=name, limits={"workflows": workflows}, **spec) for name in ("etl", "ml"))
    )


def queue_up(leader: Leader, *names: str, namespace: str = "etl", tasks: int | None = 1) -> None:
    """Create held Workflows."""
    for name in names:
        submit(leader.cluster, leader.snapshot, draft(name, tasks=tasks), namespace=namespace)


def newly_written(leader: Leader) -> list[tuple[str, str]]:
    """Return what was written since the last call, without the common prefix."""
    found = [(name, text.removeprefix("queued by lockkeeper: ")) for name, text in leader.told.messages]
    leader.told.messages.clear()
    return found


def test_messages_of_a_namespace_are_written_again_after_a_second_at_the_earliest(
    spy: Spy, clock: Clock
) -> None:
    """A queue that moves fast costs one round a second; another namespace does not wait for it."""
    leader = Leader(spy, policies(1), clock)
    queue_up(leader, "a", "b", "c")
    leader.work()
    assert [name for name, _ in newly_written(leader)] == ["b", "c"]
    complete(spy, "a", namespace="etl")
    queue_up(leader, "x", "y", namespace="ml")
    clock.advance(HALF)
    leader.work()
    assert [name for name, _ in newly_written(leader)] == ["y"]
    assert leader.release_pass.next_event() == NOON + WRITE_EVERY
    clock.advance(HALF)
    leader.work()
    assert newly_written(leader) == [("c", "position 1 of 1 in etl (1/1 running)")]


def test_the_message_is_the_latest_where_much_happened_meanwhile(spy: Spy, clock: Clock) -> None:
    """No message shows a position in between."""
    leader = Leader(spy, policies(1), clock)
    names = [f"w{number}" for number in range(5)]
    queue_up(leader, *names)
    leader.work()
    newly_written(leader)
    for name in names[:3]:
        complete(spy, name, namespace="etl")
        leader.work()
    assert newly_written(leader) == []
    rounds(leader, 2)
    assert newly_written(leader) == [("w4", "position 1 of 1 in etl (1/1 running)")]


def rounds(leader: Leader, number: int) -> None:
    """Let so many rounds of messages be written."""
    for _ in range(number):
        leader.clock.advance(WRITE_EVERY)
        leader.work()


def test_a_leader_in_a_hurry_writes_a_few_messages_a_second(spy: Spy, clock: Clock) -> None:
    """However many passes it makes in that second: releases would wait for each of them."""
    leader = Leader(spy, policies(1), clock)
    queue_up(leader, *(f"w{number}" for number in range(9)))
    leader.lead()
    written: list[int] = []
    for _ in range(2):
        for _ in range(3):
            leader.release_pass.run_pass(leader.tracker, pressed=lambda: True)
            assert leader.release_pass.unwritten is (len(written) == 0)
        written.append(len(newly_written(leader)))
        clock.advance(WRITE_EVERY)
        leader.see()
    assert written == [5, 3]


def test_those_who_start_soon_are_not_told_where_they_stand(spy: Spy, clock: Clock) -> None:
    """Of a queue of which three start each second, a position is out of date before anybody reads it."""
    leader = Leader(spy, policies(3), clock)
    names = [f"w{number:02d}" for number in range(40)]
    queue_up(leader, *names)
    leader.work()
    newly_written(leader)
    for first in range(0, 21, 3):
        for name in names[first : first + 3]:
            complete(spy, name, namespace="etl")
        rounds(leader, 1)
        if first > 3:
            assert newly_written(leader) == []
        newly_written(leader)


def test_whoever_waits_behind_the_first_that_start_is_told_at_once(spy: Spy, clock: Clock) -> None:
    """How fast a queue moves is not known before a second has passed."""
    leader = Leader(spy, policies(3), clock)
    queue_up(leader, "a", "b", "c", "d")
    assert leader.work() == 3
    assert newly_written(leader) == [("d", "position 1 of 1 in etl (3/3 running)")]


def test_those_who_were_about_to_start_are_told_once_the_queue_stands_still(spy: Spy, clock: Clock) -> None:
    """Though nothing has changed by then: what they show would be wrong for as long as it stands."""
    leader = Leader(spy, policies(3), clock)
    names = [f"w{number:02d}" for number in range(12)]
    queue_up(leader, *names)
    leader.work()
    for first in (0, 3):
        for name in names[first : first + 3]:
            complete(spy, name, namespace="etl")
        rounds(leader, 1)
    newly_written(leader)
    due = leader.release_pass.next_event()
    assert due is not None
    assert due <= clock() + WRITE_EVERY
    rounds(leader, 3)
    assert dict(newly_written(leader))["w09"] == "position 1 of 3 in etl (3/3 running)"


def test_why_one_can_never_start_is_told_however_fast_the_others_do(spy: Spy, clock: Clock) -> None:
    """It does not start soon, whatever its position."""
    leader = Leader(spy, policies(3), clock)
    names = [f"w{number:02d}" for number in range(12)]
    queue_up(leader, *names)
    rounds(leader, 1)
    for first in (0, 3):
        for name in names[first : first + 3]:
            complete(spy, name, namespace="etl")
        rounds(leader, 1)
    newly_written(leader)
    leader.snapshot = policies(0)
    for name in names[6:9]:
        complete(spy, name, namespace="etl")
    rounds(leader, 1)
    assert {name for name, _ in newly_written(leader)} == {"w09", "w10", "w11"}


def test_one_that_can_never_start_shows_it_whatever_its_position(spy: Spy, clock: Clock) -> None:
    """Its author would wait for ever; its message is written once, beyond the first of the queue."""
    bounds = (
        quota("q", namespace="etl", limits={"tasks": 3}),
        quota("one", namespace="etl", limits={"workflows": 1}),
    )
    leader = Leader(spy, snapshot(*bounds), clock)
    names = [f"w{number:02}" for number in range(REFRESHED_POSITIONS + 2)]
    queue_up(leader, *names)
    queue_up(leader, "wide", tasks=4)
    leader.work()
    found = dict(newly_written(leader))
    assert set(found) == {*names[1 : 1 + REFRESHED_POSITIONS], "wide"}
    assert "it can never start: it needs tasks=4" in found["wide"]
    complete(spy, "w00", namespace="etl")
    clock.advance(WRITE_EVERY)
    leader.work()
    assert "wide" not in dict(newly_written(leader))


def test_a_queue_on_hold_shows_it(spy: Spy, clock: Clock) -> None:
    """And what ends it."""
    leader = Leader(spy, policies(1, stopPolicy="Hold"), clock)
    queue_up(leader, "a")
    assert leader.work() == 0
    ((_, text),) = newly_written(leader)
    assert text == (
        "position 1 of 1 in etl (0/1 running); "
        "etl is on hold by WorkflowQuota etl/q (Hold): nothing starts until its spec.stopPolicy is None"
    )


def test_a_message_that_could_not_be_written_is_not_taken_for_written(spy: Spy, clock: Clock) -> None:
    """The next change writes it."""
    leader = Leader(spy, policies(1), clock)
    queue_up(leader, "a", "b")

    def fail(call: Call) -> None:
        if call.verb == "patch" and call.name == "b":
            raise Unavailable("no answer")

    spy.before = fail
    leader.work()
    assert newly_written(leader) == []
    spy.before = lambda _: None
    clock.advance(WRITE_EVERY)
    queue_up(leader, "c")
    leader.work()
    assert [name for name, _ in newly_written(leader)] == ["b", "c"]


def test_a_leader_that_is_stopped_writes_no_message(spy: Spy, clock: Clock) -> None:
    """It has to be gone soon."""
    leader = Leader(spy, policies(0), clock)
    queue_up(leader, "a")
    leader.lead()
    leader.release_pass.run_pass(leader.tracker, stopping=lambda: True)
    assert newly_written(leader) == []
    assert not leader.release_pass.unwritten


def test_one_that_waits_for_a_window_shows_it(spy: Spy, clock: Clock) -> None:
    """None is released, so its position does not show when it starts."""
    window: JsonObject = {"name": "w", "schedule": "0 3 1 1 *", "duration": "1h", "limits": {"tasks": 9}}
    leader = Leader(spy, snapshot(quota("q", namespace="etl", limits={"tasks": 2}, windows=[window])), clock)
    queue_up(leader, "wide", tasks=5)
    leader.work()
    why = "it needs tasks=5 and WorkflowQuota etl/q allows tasks=2 now: it starts only when its windows allow"
    opens = "window w opens next at 2027-01-01T03:00+00:00"
    told = f"position 1 of 1 in etl; {why} it (up to tasks=9); {opens}"
    assert newly_written(leader) == [("wide", told)]
    clock.advance(timedelta(minutes=10))
    leader.work()
    assert newly_written(leader) == []


def test_the_reason_after_the_limit_of_a_pool_fell_is_that_nothing_is_left(spy: Spy, clock: Clock) -> None:
    """Never that 0 of less than nothing are used: this is what an Event says."""
    members = [member(name, of="data") for name in ("etl", "ml")]
    leader = Leader(spy, snapshot_of(pool("data", workflows=10, borrows=10), *members), clock)
    queue_up(leader, *(f"w{number}" for number in range(8)))
    leader.work()
    leader.snapshot = snapshot_of(pool("data", workflows=2, borrows=10), *members)
    queue_up(leader, "late", namespace="ml")
    clock.advance(WRITE_EVERY)
    leader.work()
    ((name, why, text),) = leader.told.reasons
    assert (name, why) == ("late", WaitReason.WAITING_FOR_QUOTA)
    assert text == (
        "waits for room in ClusterWorkflowQuota data for ml (workflows: 1 needed, 0 of 0 used); it "
        "starts when enough of what runs has ended"
    )
