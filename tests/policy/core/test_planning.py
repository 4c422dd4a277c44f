"""The order of releases, example by example: what a platform engineer is promised."""

from datetime import timedelta
from itertools import permutations
from typing import Final

from policy.core.amounts import ZERO, Usage
from policy.core.ordering import QueueRules
from policy.core.planning import Load
from policy.core.quota_kinds import StopPolicy, Strategy
from policy.core.tree import Member, compile_tree
from tests.policy.core.builders import NOW, limits
from tests.policy.core.queueing_world import bound, minutes, planner, pool_of, uids, waiter

STRICT: Final = QueueRules(strategy=Strategy.STRICT_FIFO)
AGING: Final = QueueRules(aging=timedelta(minutes=10))
HOUR: Final = timedelta(hours=1)


def test_priority_goes_before_age_before_arrival_before_uid() -> None:
    """The whole order within a namespace, in every order of arrival."""
    in_order = [
        waiter("urgent", priority=5),
        waiter("old", age=timedelta(minutes=9), arrival=9),
        waiter("first", arrival=1),
        waiter("a-tie", arrival=2),
        waiter("b-tie", arrival=2),
        waiter("low", priority=-1),
    ]
    for mixed in permutations(in_order):
        queue = planner()
        for each in mixed:
            queue.add(each)
        assert uids(queue.plan(NOW)) == uids(in_order)


def test_as_many_as_fit_go_in_one_pass_and_the_next_when_one_ends() -> None:
    """Three free slots release three; one that ends lets the fourth go."""
    queue, most = planner(), bound("main", limits(3))
    for number in range(5):
        queue.add(waiter(f"u{number}", most, arrival=number))
    gone = queue.plan(NOW)
    assert uids(gone) == ["u0", "u1", "u2"]
    assert queue.plan(NOW) == []
    queue.ended(queue.load_of(gone[1]), NOW)
    assert uids(queue.plan(NOW)) == ["u3"]


def test_a_waiter_gains_a_level_with_each_aging_up_to_the_highest_that_waits() -> None:
    """After twenty minutes one of priority 0 is level with priority 2, and goes first because it is older."""
    queue, full = planner(), bound("main", limits(0))
    queue.set_rules("team-a", AGING)
    queue.add(waiter("low", full, arrival=0))
    queue.add(waiter("high", full, priority=2, age=timedelta(minutes=-1), arrival=1))
    level = queue.line.order.level
    low = queue.line.get("low")
    assert low is not None
    queue.plan(minutes(10))
    assert level(low) == 1
    queue.plan(minutes(60))
    assert level(low) == 2
    queue.set_limits(full.account, limits(1))
    assert uids(queue.plan(minutes(60))) == ["low"]


def test_without_aging_priorities_stay_as_they_are() -> None:
    """`aging` None: the higher priority always goes first."""
    queue, full = planner(), bound("main", limits(0))
    queue.set_rules("team-a", QueueRules(aging=None))
    queue.add(waiter("low", full, age=100 * HOUR))
    queue.add(waiter("high", full, priority=1))
    queue.set_limits(full.account, limits(1))
    assert uids(queue.plan(NOW)) == ["high"]


def test_a_long_backlog_does_not_outgrow_fair_share() -> None:
    """With equal priorities, having waited for hours does not beat a namespace that used nothing."""
    queue, shared = planner(), bound("shared", limits(1), namespace="")
    for number in range(3):
        queue.add(waiter(f"hog{number}", shared, age=5 * HOUR, arrival=number))
    gone = queue.plan(NOW)
    assert uids(gone) == ["hog0"]
    queue.add(waiter("new", shared, namespace="team-b", arrival=9))
    queue.ended(queue.load_of(gone[0]), NOW)
    assert uids(queue.plan(NOW)) == ["new"]


def test_namespaces_take_turns_and_so_do_users_within() -> None:
    """A burst of one namespace does not slip in before another's first; nor that of one user."""
    queue, shared = planner(), bound("shared", limits(6), namespace="")
    for number in range(8):
        queue.add(waiter(f"ann{number}", shared, user="ann", arrival=number))
    queue.add(waiter("bob", shared, user="bob", arrival=50))
    for number in range(8):
        queue.add(waiter(f"other{number}", shared, namespace="team-b", user="eve", arrival=60 + number))
    assert uids(queue.plan(NOW)) == ["ann0", "other0", "bob", "other1", "ann1", "other2"]


def test_the_owner_gets_the_next_free_slot_back() -> None:
    """Whatever the borrower's priority and age: an owner within its share goes first."""
    queue = planner()
    members = [Member("team-a", "", limits(2)), Member("team-b", "", limits(2))]
    queue.set_pool(pool_of(compile_tree([Member("", None, limits(4)), *members])))
    for number in range(6):
        queue.add(waiter(f"a{number}", shares=True, priority=100, arrival=number))
    gone = queue.plan(NOW)
    assert uids(gone) == ["a0", "a1", "a2", "a3"]
    queue.add(waiter("b0", namespace="team-b", shares=True, arrival=10))
    queue.add(waiter("b1", namespace="team-b", shares=True, arrival=11))
    queue.add(waiter("b2", namespace="team-b", shares=True, arrival=12))
    for each, following in zip(gone[:3], ("b0", "b1", "a4"), strict=True):
        queue.ended(queue.load_of(each), NOW)
        assert uids(queue.plan(NOW)) == [following]


def test_in_a_strict_queue_the_head_blocks_its_namespace_only() -> None:
    """Smaller ones behind it wait; another namespace does not; one that can never fit blocks nobody."""
    queue = planner()
    queue.set_rules("team-a", STRICT)
    own, other = bound("main", limits(tasks=10)), bound("main", limits(tasks=10), namespace="team-b")
    queue.add(waiter("never", own, tasks=11, arrival=0))
    queue.add(waiter("running", own, tasks=6, arrival=1))
    queue.add(waiter("head", own, tasks=8, arrival=2))
    queue.add(waiter("small", own, tasks=1, arrival=3))
    queue.add(waiter("other", other, namespace="team-b", tasks=1, arrival=4))
    gone = queue.plan(NOW)
    assert sorted(uids(gone)) == ["other", "running"]
    queue.ended(next(queue.load_of(each) for each in gone if each.uid == "running"), NOW)
    assert uids(queue.plan(NOW)) == ["head", "small"]


def test_when_the_strict_head_leaves_the_next_may_try() -> None:
    """Deleted while it waited."""
    queue, own = planner(), bound("main", limits(tasks=5))
    queue.set_rules("team-a", STRICT)
    queue.add(waiter("running", own, tasks=3, arrival=0))
    queue.add(waiter("head", own, tasks=4, arrival=1))
    queue.add(waiter("small", own, tasks=1, arrival=2))
    assert uids(queue.plan(NOW)) == ["running"]
    queue.remove("head")
    assert uids(queue.plan(NOW)) == ["small"]


def test_a_queue_on_hold_lets_nobody_go_until_it_is_lifted() -> None:
    """Hold and HoldAndDrain, and other namespaces go on."""
    queue = planner()
    queue.add(waiter("held"))
    for stop in (StopPolicy.HOLD, StopPolicy.HOLD_AND_DRAIN):
        queue.set_rules("team-a", QueueRules(stop_policy=stop))
        queue.add(waiter(f"free-{stop}", namespace="team-b"))
        assert uids(queue.plan(NOW)) == [f"free-{stop}"]
    queue.set_rules("team-a", QueueRules())
    assert uids(queue.plan(NOW)) == ["held"]


def test_an_edited_limit_acts_at_the_next_plan() -> None:
    """Raised: more go. Lowered: nobody goes until enough has ended, and nobody is taken back."""
    queue, most = planner(), bound("main", limits(1))
    for number in range(5):
        queue.add(waiter(f"u{number}", most, arrival=number))
    gone = queue.plan(NOW)
    queue.set_limits(most.account, limits(3))
    gone += queue.plan(NOW)
    assert uids(gone) == ["u0", "u1", "u2"]
    queue.set_limits(most.account, limits(1))
    for each, following in zip(gone, ([], [], ["u3"]), strict=True):
        queue.ended(queue.load_of(each), NOW)
        assert uids(queue.plan(NOW)) == following


def test_a_limit_that_comes_with_a_newcomer_holds_where_nobody_has_set_one() -> None:
    """What was set stands, whatever a newcomer says: its demand may be of other windows."""
    queue = planner()
    queue.add(waiter("u0", bound("main", limits(1)), arrival=0))
    queue.add(waiter("u1", bound("main", limits(9)), arrival=1))
    assert uids(queue.plan(NOW)) == ["u0"]
    queue.set_limits(bound("main", limits(2)).account, limits(2))
    queue.add(waiter("u2", bound("main", limits(9)), arrival=2))
    assert uids(queue.plan(NOW)) == ["u1"]


def test_one_that_fits_no_limit_of_now_may_fit_another_window() -> None:
    """It stands in nobody's way meanwhile, and goes when the limit allows it."""
    queue, most = planner(), bound("main", limits(tasks=5))
    queue.add(waiter("big", most, tasks=8, arrival=0))
    queue.add(waiter("small", most, tasks=5, arrival=1))
    gone = queue.plan(NOW)
    assert uids(gone) == ["small"]
    queue.set_limits(most.account, limits(tasks=20))
    assert uids(queue.plan(NOW)) == ["big"]


def test_what_the_ledger_says_is_taken_counts() -> None:
    """Slots that others took are gone, and those that they gave back are free."""
    queue, most = planner(), bound("main", limits(2))
    for number in range(3):
        queue.add(waiter(f"u{number}", most, arrival=number))
    queue.set_taken({most.account: Usage(2)})
    assert queue.plan(NOW) == []
    queue.set_taken({most.account: Usage(1)})
    assert uids(queue.plan(NOW)) == ["u0"]
    queue.set_taken({})
    assert uids(queue.plan(NOW)) == ["u1", "u2"]


def test_a_release_that_could_not_be_reserved_goes_back_to_its_place() -> None:
    """The ledger had changed meanwhile; the Workflow keeps its place before those behind it."""
    queue, most = planner(), bound("main", limits(1))
    queue.add(waiter("first", most, arrival=0))
    queue.add(waiter("second", most, arrival=1))
    (gone,) = queue.plan(NOW)
    queue.put_back(gone, queue.load_of(gone))
    assert uids(queue.plan(NOW)) == ["first"]
    assert queue.rooms.taken == {most.account: Usage(1, 0)}


def test_what_started_past_the_queue_is_counted() -> None:
    """It takes its slots and counts for fair share, and nothing new goes until there is room."""
    queue, most = planner(), bound("main", limits(1))
    queue.started(Load("team-a", "ann", (most.account,), Usage(2)), NOW)
    queue.add(waiter("u0", most))
    assert queue.plan(NOW) == []
    queue.ended(Load("team-a", "ann", (most.account,), Usage(2)), NOW)
    assert queue.rooms.taken.get(most.account, ZERO) == ZERO
    assert uids(queue.plan(NOW)) == ["u0"]


def test_one_with_a_fault_waits_and_stands_in_nobodys_way() -> None:
    """Until it is added again without."""
    queue = planner()
    queue.set_rules("team-a", STRICT)
    queue.add(waiter("broken", fault="the policy is broken", priority=9))
    queue.add(waiter("fine"))
    assert uids(queue.plan(NOW)) == ["fine"]
    queue.add(waiter("broken"))
    assert uids(queue.plan(NOW)) == ["broken"]


def test_those_who_waited_too_long_are_told_until_they_are_removed() -> None:
    """By the rules of their namespace as they stand, and the next such moment is known."""
    queue, full = planner(), bound("main", limits(0))
    queue.set_rules("team-a", QueueRules(max_wait=HOUR, aging=None))
    queue.add(waiter("old", full, age=timedelta(minutes=50)))
    queue.add(waiter("new", full, age=timedelta(minutes=5)))
    assert queue.overdue(NOW) == []
    assert queue.next_event() == minutes(10)
    assert uids(queue.overdue(minutes(10))) == ["old"] == uids(queue.overdue(minutes(10)))
    queue.remove("old")
    assert queue.overdue(minutes(10)) == []
    queue.set_rules("team-a", QueueRules(max_wait=timedelta(minutes=1), aging=None))
    assert uids(queue.overdue(minutes(10))) == ["new"]
    queue.set_rules("team-a", QueueRules(aging=None))
    assert queue.overdue(minutes(10)) == []
    assert queue.next_event() is None


def test_a_plan_may_be_taken_in_parts() -> None:
    """`most` bounds one call; the rest goes with the next."""
    queue = planner()
    for number in range(5):
        queue.add(waiter(f"u{number}", arrival=number))
    assert [uids(queue.plan(NOW, most=2)) for _ in range(4)] == [["u0", "u1"], ["u2", "u3"], ["u4"], []]
