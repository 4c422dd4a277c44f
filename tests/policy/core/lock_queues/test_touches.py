"""Who is touched because Argo would overlook them, when, and how seldom."""

from datetime import timedelta

from policy.core.lock_queues.lock_queues import LockQueue, lock_queues
from policy.core.lock_queues.touches import (
    FIRST_AGAIN,
    LAST_AGAIN,
    MOST_AT_ONCE,
    NAMED_AFTER,
    OVERLOOKED_AFTER,
    Touch,
    Why,
    free_locks,
    none_touched,
    touches,
)
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.lock_graph.running import BEGIN, node, running, semaphore, stamp, traced

DB = semaphore("db")
OWN: JsonObject = {
    "templates": [
        {
            "name": "x",
            "synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]},
        }
    ]
}


def waiter(name: str, created: float, spec: JsonObject | None = None) -> JsonObject:
    """Return a Workflow whose task waits for the lock."""
    return running(name, created=created, spec=spec, nodes={"n": node(phase="Pending", waiting=DB)})


def look(*workflows: JsonObject, limit: int = 1) -> tuple[LockQueue, ...]:
    """Return the queues."""
    return lock_queues([traced(each) for each in workflows], lambda _: limit)


def due(found: tuple[LockQueue, ...], after: timedelta, *, touched: int = 0) -> list[str]:
    """Return who is touched when the lock has been free for some time, and one was touched before."""
    since, before = free_locks(found, {}, BEGIN), none_touched()
    for _ in range(touched):
        before.failed("uid-team-a-a", BEGIN, None)
    return [each.workflow.name for each in touches(found, free_since=since, before=before, now=BEGIN + after)]


def test_the_head_of_a_queue_whose_lock_stays_free_is_touched() -> None:
    """The others wait in the queue: only the head can take the lock."""
    found = look(waiter("second", 2), waiter("first", 1))
    assert due(found, OVERLOOKED_AFTER - timedelta(seconds=1)) == []
    assert due(found, OVERLOOKED_AFTER) == ["first"]


def test_a_waiter_that_argo_finds_by_itself_is_left_to_it_for_longer() -> None:
    """It looks within seconds after a ConfigMap changed."""
    found = look(waiter("named", 1, OWN))
    assert due(found, OVERLOOKED_AFTER) == []
    assert due(found, NAMED_AFTER) == ["named"]


def test_who_waits_for_a_poisoned_lock_is_left_alone() -> None:
    """Only a restart of Argo's controller helps."""
    poisoned: JsonObject = {
        **node(phase="Pending", waiting=DB),
        "message": f"lock {DB} is in a poisoned state: lost; manual intervention required",
    }
    assert due(look(running("a", nodes={"n": poisoned})), NAMED_AFTER) == []


def test_no_waiter_is_touched_while_the_lock_is_held() -> None:
    """They wait for good reason."""
    holder = running("holder", holds={DB: ["n"]}, nodes={"n": node()})
    assert due(look(holder, waiter("a", 1)), timedelta(hours=1)) == []


def test_a_lock_that_was_held_meanwhile_counts_from_its_release() -> None:
    """Free is free without a break."""
    free = look(waiter("a", 1))
    later = BEGIN + timedelta(seconds=9)
    assert free_locks(free, {DB: BEGIN}, later) == {DB: BEGIN}
    holder = running("holder", holds={DB: ["n"]}, nodes={"n": node()})
    assert free_locks(look(holder, waiter("a", 1)), {DB: BEGIN}, later) == {}


def test_a_waiter_past_its_deadline_is_touched() -> None:
    """Argo does not check it (argo-verified 6); the lock may be held or free."""
    spec: JsonObject = {"activeDeadlineSeconds": 60}
    late = running("late", spec=spec, startedAt=stamp(), nodes={"n": node(phase="Pending", waiting=DB)})
    found = look(running("holder", holds={DB: ["n"]}, nodes={"n": node()}), late)
    assert due(found, timedelta(seconds=60)) == []
    assert due(found, timedelta(seconds=65)) == ["late"]
    (touch,) = touches(found, free_since={}, before=none_touched(), now=BEGIN + timedelta(seconds=65))
    assert touch == Touch(traced(late), Why.DEADLINE)


def test_a_touch_that_did_not_help_is_repeated_later_and_later() -> None:
    """A head that is suspended, or waits for a second lock, is not written for ever."""
    found = look(waiter("a", 1))
    assert due(found, FIRST_AGAIN - timedelta(seconds=1), touched=1) == []
    assert due(found, FIRST_AGAIN, touched=1) == ["a"]
    assert due(found, LAST_AGAIN - timedelta(seconds=1), touched=40) == []
    assert due(found, LAST_AGAIN, touched=40) == ["a"]


def test_few_are_touched_at_once() -> None:
    """After a raise in many namespaces the API server is not stormed."""
    locks = [semaphore(f"k{number}") for number in range(MOST_AT_ONCE + 5)]
    found = look(
        *(running(f"w{i}", nodes={"n": node(phase="Pending", waiting=lock)}) for i, lock in enumerate(locks))
    )
    assert len(due(found, timedelta(minutes=1))) == MOST_AT_ONCE
