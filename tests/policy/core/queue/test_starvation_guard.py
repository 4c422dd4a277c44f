"""No starvation: a big one is overtaken a bounded number of times, then what ends adds up until it fits."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.core.queue.ordering import Waiter
from policy.core.queue.planner import Planner
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.pool_borrowing import Member, compile_tree
from policy.core.values.amounts import ZERO
from tests.policy.core.builders import NOW, limits
from tests.policy.core.queue.queue_fixtures import bound, planner, pool_of, uids, waiter

MAX_OVERTAKES: Final = 4


def _stream(queue: Planner, big: str, rounds: int, *, priority: int = 0) -> int | None:
    """End one small one after another, each followed by a new one; tells when the big one went."""
    most = bound("main", limits(tasks=10))
    running: list[Waiter] = []
    for number in range(rounds):
        queue.add(waiter(f"small{number}", most, tasks=1, arrival=100 + number, priority=priority))
        gone = queue.plan(NOW)
        if big in uids(gone):
            return number
        running += gone
        if len(running) >= 10:
            queue.ended(queue.charge_of(running.pop(0)), NOW)
    return None


def test_without_protection_a_big_one_would_wait_for_ever() -> None:
    """The stream of small ones never leaves enough: this is what protection is for."""
    queue = planner()
    queue.add(waiter("big", bound("main", limits(tasks=10)), tasks=8))
    queue.plan(NOW)  # It is released while it fits...
    queue.add(waiter("big2", bound("main", limits(tasks=10)), tasks=8))
    assert _stream(queue, "big2", 500) is None  # ...and with one running, the second never does.


def test_after_some_overtakes_what_ends_adds_up() -> None:
    """The big one is overtaken so often, then none starts, and it is released once enough have ended."""
    queue, most = planner(passes=MAX_OVERTAKES), bound("main", limits(tasks=10))
    for number in range(3):
        queue.add(waiter(f"before{number}", most, tasks=1, arrival=number))
    running = queue.plan(NOW)
    queue.add(waiter("big", most, tasks=8, arrival=10))
    for number in range(20):
        queue.add(waiter(f"small{number}", most, tasks=1, arrival=100 + number))
    passed = queue.plan(NOW)
    assert uids(passed) == [f"small{number}" for number in range(MAX_OVERTAKES)]
    running += passed
    released: list[str] = []
    while not released:
        queue.ended(queue.charge_of(running.pop()), NOW)
        released = uids(queue.plan(NOW))
    assert len(running) == 2
    assert released == ["big"]


def test_one_of_a_higher_level_passes_a_protected_one() -> None:
    """Priority holds: protection blocks those of the same or a lower level."""
    queue, most = planner(passes=1), bound("main", limits(tasks=10))
    queue.set_rules("team-a", QueueRules(aging=None))
    queue.add(waiter("running", most, tasks=5))
    queue.plan(NOW)
    queue.add(waiter("big", most, tasks=8, arrival=1))
    queue.add(waiter("passes", most, tasks=1, arrival=2))
    assert uids(queue.plan(NOW)) == ["passes"]
    queue.add(waiter("same", most, tasks=1, arrival=3))
    queue.add(waiter("urgent", most, tasks=1, arrival=4, priority=1))
    assert uids(queue.plan(NOW)) == ["urgent"]


def test_protection_holds_only_on_accounts_that_are_short() -> None:
    """One that waits for its user's limit does not close the namespace to other users."""
    queue = planner(passes=1)
    shared = bound("main", limits(100))
    anns, bobs = bound("main", limits(tasks=2), user="ann"), bound("main", limits(tasks=2), user="bob")
    queue.add(waiter("ann0", shared, anns, tasks=1, user="ann"))
    queue.plan(NOW)
    queue.add(waiter("ann-big", shared, anns, tasks=2, user="ann", arrival=1))
    queue.add(waiter("ann1", shared, anns, tasks=1, user="ann", arrival=2))
    assert uids(queue.plan(NOW)) == ["ann1"]
    queue.ended(queue.charge_of(waiter("ann1", shared, anns, tasks=1, user="ann")), NOW)
    queue.add(waiter("ann2", shared, anns, tasks=1, user="ann", arrival=3))
    queue.add(waiter("bob0", shared, bobs, tasks=1, user="bob", arrival=4))
    assert uids(queue.plan(NOW)) == ["bob0"]


def test_protection_ends_with_its_workflow() -> None:
    """When the big one is deleted, those whom it barred go."""
    queue, most = planner(passes=1), bound("main", limits(tasks=10))
    queue.add(waiter("running", most, tasks=5))
    queue.plan(NOW)
    queue.add(waiter("big", most, tasks=8, arrival=1))
    queue.add(waiter("passes", most, tasks=1, arrival=2))
    queue.plan(NOW)
    queue.add(waiter("barred", most, tasks=1, arrival=3))
    assert queue.plan(NOW) == []
    queue.remove("big")
    assert uids(queue.plan(NOW)) == ["barred"]


def test_protection_ends_when_the_group_can_never_fit() -> None:
    """An edit of the limit may leave it hopeless; it does not close the queue then."""
    queue, most = planner(passes=1), bound("main", limits(tasks=10))
    queue.add(waiter("running", most, tasks=5))
    queue.plan(NOW)
    queue.add(waiter("big", most, tasks=8, arrival=1))
    queue.add(waiter("passes", most, tasks=1, arrival=2))
    queue.plan(NOW)
    queue.set_limits(most.account, limits(tasks=7))
    queue.add(waiter("fits", most, tasks=1, arrival=3))
    assert uids(queue.plan(NOW)) == ["fits"]


def test_one_that_has_waited_for_long_is_overtaken_once() -> None:
    """So a new leader, which counts anew, does not let it starve."""
    queue = planner(passes=10**9, long_wait=timedelta(hours=1))
    most = bound("main", limits(tasks=10))
    queue.add(waiter("running", most, tasks=5))
    queue.plan(NOW)
    queue.add(waiter("big", most, tasks=8, age=timedelta(hours=2), arrival=1))
    queue.add(waiter("passes", most, tasks=1, arrival=2))
    assert uids(queue.plan(NOW)) == ["passes"]
    queue.add(waiter("barred", most, tasks=1, arrival=3))
    assert queue.plan(NOW) == []


def _load(seed: int, rng: Random) -> tuple[Planner, Sequence[Waiter]]:
    """Return a planner of a pool with three members, and Workflows of many sizes that all can fit."""
    queue = planner(passes=MAX_OVERTAKES)
    names = ("team-a", "team-b", "team-c")
    members = [Member(name, "", limits(4, 12), lending=limits(rng.randint(0, 4), 6)) for name in names]
    queue.set_pool(pool_of(compile_tree([Member("", None, limits(9, 24)), *members])))
    for name in names:
        queue.set_rules(name, QueueRules(aging=timedelta(minutes=10)))
    waiters = []
    for number in range(40):
        name, user = rng.choice(names), rng.choice(("ann", "bob"))
        own = bound("main", limits(6, 10), namespace=name)
        users = bound("main", limits(3), namespace=name, user=user)
        pool = queue.headroom.pool
        assert pool is not None
        most = pool.ever.potential(name).tasks.value
        waiters.append(
            waiter(
                f"u{seed}-{number}",
                *((own, users) if rng.random() < 0.7 else (own,)),
                namespace=name,
                user=user,
                priority=rng.choice((0, 0, 2)),
                tasks=rng.randint(0, min(10, most or 0)),
                arrival=number,
                shares=True,
            )
        )
    return queue, waiters


@settings(max_examples=150)
@given(st.integers(0, 2**40))
def test_each_that_can_fit_is_released_within_a_bounded_number_of_ends(seed: int) -> None:
    """Against an endless stream of small and urgent newcomers, with every account in play."""
    rng = Random(seed)
    queue, waiters = _load(seed, rng)
    for each in waiters:
        queue.add(each)
    missing = {each.uid for each in waiters}
    running: list[Waiter] = []
    now, fresh = NOW, 0
    for _ in range(6000):
        now += timedelta(seconds=20)
        name = rng.choice(("team-a", "team-b", "team-c"))
        own = bound("main", limits(6, 10), namespace=name)
        if len(list(queue.pending.waiters())) < 80:
            small = waiter(
                f"s{fresh}",
                own,
                namespace=name,
                user=rng.choice(("ann", "bob")),
                priority=rng.choice((0, 1, 2)),
                age=NOW - now,
                tasks=rng.randint(0, 2),
                arrival=1000 + fresh,
                shares=True,
            )
            queue.add(small)
            fresh += 1
        gone = queue.plan(now)
        running += gone
        missing -= set(uids(gone))
        if not missing:
            break
        if running:
            queue.ended(queue.charge_of(running.pop(rng.randrange(len(running)))), now)
    assert not missing


@settings(max_examples=150)
@given(st.integers(0, 2**40))
def test_a_queue_that_none_joins_always_empties(seed: int) -> None:
    """Protected ones never wait for each other: when all that runs has ended, one is released."""
    rng = Random(seed)
    queue, waiters = _load(seed, rng)
    for each in waiters:
        queue.add(each)
    running: list[Waiter] = []
    left = len(waiters)
    while left:
        gone = queue.plan(NOW)
        running += gone
        left -= len(gone)
        assert running
        queue.ended(queue.charge_of(running.pop(rng.randrange(len(running)))), NOW)
    for each in running:
        queue.ended(queue.charge_of(each), NOW)
    assert all(usage == ZERO for usage in queue.headroom.used.values())
