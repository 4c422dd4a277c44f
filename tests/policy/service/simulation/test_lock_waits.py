"""Locks on a virtual clock: all of a step or none, by priority and then by age."""

from datetime import UTC, datetime, timedelta

from policy.service.simulation.lock_waits import LockWaits, StepWaiter

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LIMITS = {"one": 1, "two": 2, "none": 0}


def waiter(name: str, *locks: str, priority: int = 0, age: int = 0) -> StepWaiter:
    """Return one that wants some locks."""
    return StepWaiter((-priority, NOON - timedelta(seconds=age), name, name), frozenset(locks))


def test_a_step_takes_all_of_its_locks_or_none() -> None:
    """One that holds a part of what it needs would keep it from others."""
    locks = LockWaits(limit_of=LIMITS.get)
    assert locks.take(waiter("a", "one"))
    assert not locks.take(waiter("b", "one", "two"))
    assert locks.take(waiter("c", "two"))
    assert locks.held == {"one": 1, "two": 1}


def test_the_next_lock_goes_by_priority_and_then_by_age() -> None:
    """This is Argo's order of waiters."""
    locks = LockWaits(limit_of=LIMITS.get)
    locks.take(waiter("holds", "one"))
    for each in (waiter("young", "one"), waiter("old", "one", age=9), waiter("first", "one", priority=5)):
        locks.take(each)
    got = []
    for _ in range(3):
        got += [each.uid for each in locks.free(["one"])]
    assert got == ["first", "old", "young"]


def test_one_that_needs_another_lock_too_is_passed_by() -> None:
    """Whoever cannot have all of its locks does not hold up those behind it."""
    locks = LockWaits(limit_of=LIMITS.get)
    locks.take(waiter("holds", "one"))
    locks.take(waiter("stuck", "one", "none", age=9))
    locks.take(waiter("next", "one"))
    assert [each.uid for each in locks.free(["one"])] == ["next"]
    assert [each.uid for each in locks.waiting()] == ["stuck"]


def test_one_that_is_withdrawn_waits_no_longer() -> None:
    """In none of the queues that it was in; one that does not wait changes nothing."""
    locks = LockWaits(limit_of=LIMITS.get)
    locks.take(waiter("holds", "one"))
    locks.take(waiter("gone", "one", "two"))
    locks.take(waiter("next", "one"))
    assert locks.withdraw("gone")
    assert not locks.withdraw("gone")
    assert not locks.withdraw("holds")
    assert [each.uid for each in locks.waiting()] == ["next"]
    assert [each.uid for each in locks.free(["one"])] == ["next"]


def test_a_lock_of_unknown_limit_holds_nobody_up_and_is_told() -> None:
    """What cannot be known is not made up."""
    locks = LockWaits(limit_of=LIMITS.get)
    assert all(locks.take(waiter(str(each), "?")) for each in range(9))
    assert locks.unlimited == {"?"}


def test_a_limit_that_rises_lets_those_go_that_wait() -> None:
    """A window of a semaphore opens: nothing is freed, and yet there is room."""
    limits = {"window": 1}
    locks = LockWaits(limit_of=limits.get)
    locks.take(waiter("a", "window"))
    locks.take(waiter("b", "window"))
    assert list(locks.granted()) == []
    limits["window"] = 2
    assert [each.uid for each in locks.granted()] == ["b"]
