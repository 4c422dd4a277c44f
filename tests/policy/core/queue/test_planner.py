"""The order of releases, example by example: what a platform engineer is promised."""

from datetime import timedelta
from itertools import permutations
from math import ceil, log2
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.workflow import HIGHEST_PRIORITY
from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy
from policy.core.queue.planner import Charge
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.pool_borrowing import Member, compile_tree
from policy.core.values.amounts import ZERO, Usage
from tests.policy.core.builders import NOW, limits
from tests.policy.core.queue.queue_fixtures import bound, minutes, planner, pool_of, uids, waiter

STRICT: Final = QueueRules(strategy=QueueStrategy.STRICT_FIFO)
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


def test_as_many_as_fit_are_released_at_once_and_the_next_when_one_ends() -> None:
    """Three free slots release three; one that ends lets the fourth go."""
    queue, most = planner(), bound("main", limits(3))
    for number in range(5):
        queue.add(waiter(f"u{number}", most, arrival=number))
    gone = queue.plan(NOW)
    assert uids(gone) == ["u0", "u1", "u2"]
    assert queue.plan(NOW) == []
    queue.ended(queue.charge_of(gone[1]), NOW)
    assert uids(queue.plan(NOW)) == ["u3"]


def test_a_waiter_passes_more_priorities_with_each_aging_up_to_the_highest_that_waits() -> None:
    """One rank after ten minutes, three after twenty; level with the highest it goes first, being older."""
    queue, full = planner(), bound("main", limits(0))
    queue.set_rules("team-a", AGING)
    queue.add(waiter("low", full, arrival=0))
    for number, priority in enumerate((5, 70, 800, 9000), start=1):
        young = timedelta(minutes=-1)
        queue.add(waiter(f"high{number}", full, priority=priority, age=young, arrival=number))
    level = queue.pending.order.level
    low = queue.pending.get("low")
    assert low is not None
    for now, reached in ((9, 0), (10, 5), (19, 5), (20, 800), (29, 800), (30, 9000)):
        queue.plan(minutes(now))
        assert level(low) == reached
    queue.set_limits(full.account, limits(1))
    assert uids(queue.plan(minutes(30))) == ["low"]


def test_the_highest_number_starves_no_other() -> None:
    """For 48 hours one of 2147483647 comes every minute: its neighbour starts after one hour."""
    queue, shared = planner(), bound("shared", limits(1), namespace="")
    queue.add(waiter("running", shared, namespace="greedy", priority=HIGHEST_PRIORITY))
    (running,) = queue.plan(NOW)
    queue.add(waiter("quiet", shared, namespace="team-b"))
    for minute in range(48 * 60):
        now = minutes(minute)
        born = -timedelta(minutes=minute)
        uid, most = f"greedy{minute}", HIGHEST_PRIORITY
        queue.add(waiter(uid, shared, namespace="greedy", priority=most, age=born, arrival=minute + 1))
        queue.ended(queue.charge_of(running), now)
        (running,) = queue.plan(now)
        if running.uid == "quiet":
            assert minute == 60
            return
    raise AssertionError("it never started")


def test_many_different_priorities_do_not_stretch_the_way_to_the_top() -> None:
    """A thousand numbers above a waiter cost it ten agings, and not a thousand."""
    queue, full = planner(), bound("shared", limits(0), namespace="")
    queue.add(waiter("quiet", full, namespace="team-b"))
    for number in range(1, 1001):
        queue.add(waiter(f"greedy{number}", full, priority=number, age=-100 * HOUR, arrival=number))
    quiet = queue.pending.get("quiet")
    assert quiet is not None
    queue.plan(minutes(9 * 60))
    assert queue.pending.order.level(quiet) == 511
    queue.plan(minutes(10 * 60))
    assert queue.pending.order.level(quiet) == 1000


def test_a_priority_with_which_none_waits_any_more_is_no_step() -> None:
    """When those between have left, one that has aged rises to the next priority that is still there."""
    queue, full = planner(), bound("main", limits(0))
    queue.add(waiter("low", full, age=HOUR))
    queue.add(waiter("middle", full, priority=5, arrival=1))
    queue.add(waiter("high", full, priority=9, arrival=2))
    low = queue.pending.get("low")
    assert low is not None
    queue.plan(NOW)
    assert queue.pending.order.level(low) == 5
    queue.remove("middle")
    queue.set_limits(full.account, limits(1))
    assert uids(queue.plan(NOW)) == ["low"]


def test_a_run_that_takes_over_a_slot_is_no_step_either() -> None:
    """It is above all priorities, since it takes over its own slot; no age reaches it."""
    queue, full = planner(), bound("main", limits(0))
    queue.add(waiter("old", full, age=100 * HOUR))
    queue.add(waiter("heir", full, priority=HIGHEST_PRIORITY + 1, arrival=1))
    queue.plan(NOW)
    queue.set_limits(full.account, limits(1))
    assert uids(queue.plan(NOW)) == ["heir"]


@given(
    priorities=st.lists(st.integers(-(2**31), HIGHEST_PRIORITY), min_size=1, max_size=60),
    comings=st.lists(st.integers(-(2**31), HIGHEST_PRIORITY), max_size=20),
)
def test_each_waiter_gets_to_the_top_within_the_logarithm_of_the_priorities(
    priorities: list[int], comings: list[int]
) -> None:
    """Whatever the numbers are, and whichever others join later: log2(priorities + 1) agings do."""
    queue, full = planner(), bound("main", limits(0))
    for number, priority in enumerate(priorities):
        queue.add(waiter(f"u{number}", full, priority=priority, arrival=number))
    queue.plan(NOW)
    for number, priority in enumerate(comings):
        queue.add(waiter(f"late{number}", full, priority=priority, age=-100 * HOUR, arrival=99 + number))
    agings = ceil(log2(len({*priorities, *comings}) + 1))
    queue.plan(NOW + agings * HOUR)
    order = queue.pending.order
    first = {order.level(each) for each in queue.pending.waiters() if each.uid.startswith("u")}
    assert first == {max([*priorities, *comings])}


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
    queue.ended(queue.charge_of(gone[0]), NOW)
    assert uids(queue.plan(NOW)) == ["new"]


def test_namespaces_alternate_and_so_do_users_within() -> None:
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
        queue.ended(queue.charge_of(each), NOW)
        assert uids(queue.plan(NOW)) == [following]


def test_in_a_strict_queue_the_head_blocks_its_namespace_only() -> None:
    """Smaller ones behind it wait; another namespace does not; one that can never fit blocks none."""
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
    queue.ended(next(queue.charge_of(each) for each in gone if each.uid == "running"), NOW)
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


def test_a_queue_on_hold_releases_none_until_it_is_lifted() -> None:
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
    """Raised: more are released. Lowered: none is released until enough has ended, and none is stopped."""
    queue, most = planner(), bound("main", limits(1))
    for number in range(5):
        queue.add(waiter(f"u{number}", most, arrival=number))
    gone = queue.plan(NOW)
    queue.set_limits(most.account, limits(3))
    gone += queue.plan(NOW)
    assert uids(gone) == ["u0", "u1", "u2"]
    queue.set_limits(most.account, limits(1))
    for each, following in zip(gone, ([], [], ["u3"]), strict=True):
        queue.ended(queue.charge_of(each), NOW)
        assert uids(queue.plan(NOW)) == following


def test_a_limit_of_a_new_waiter_holds_where_none_was_set() -> None:
    """The limit that was set holds, whatever a new demand has: it may be of other windows."""
    queue = planner()
    queue.add(waiter("u0", bound("main", limits(1)), arrival=0))
    queue.add(waiter("u1", bound("main", limits(1)), arrival=1))
    assert uids(queue.plan(NOW)) == ["u0"]
    queue.set_limits(bound("main", limits(2)).account, limits(2))
    queue.add(waiter("u2", bound("main", limits(9)), arrival=2))
    assert uids(queue.plan(NOW)) == ["u1"]


def test_one_that_fits_no_limit_of_now_may_fit_another_window() -> None:
    """It blocks none meanwhile, and is released when the limit allows it."""
    queue, most = planner(), bound("main", limits(tasks=5))
    queue.add(waiter("big", most, tasks=8, arrival=0))
    queue.add(waiter("small", most, tasks=5, arrival=1))
    gone = queue.plan(NOW)
    assert uids(gone) == ["small"]
    queue.set_limits(most.account, limits(tasks=20))
    assert uids(queue.plan(NOW)) == ["big"]


def test_the_usage_in_the_ledger_counts() -> None:
    """Slots that others use count, and those that they gave back are free."""
    queue, most = planner(), bound("main", limits(2))
    for number in range(3):
        queue.add(waiter(f"u{number}", most, arrival=number))
    queue.set_used({most.account: Usage(2)})
    assert queue.plan(NOW) == []
    queue.set_used({most.account: Usage(1)})
    assert uids(queue.plan(NOW)) == ["u0"]
    queue.set_used({})
    assert uids(queue.plan(NOW)) == ["u1", "u2"]


def test_a_release_that_could_not_be_reserved_goes_back_to_its_place() -> None:
    """The ledger had changed meanwhile; the Workflow keeps its place before those behind it."""
    queue, most = planner(), bound("main", limits(1))
    queue.add(waiter("first", most, arrival=0))
    queue.add(waiter("second", most, arrival=1))
    (gone,) = queue.plan(NOW)
    queue.put_back(gone, queue.charge_of(gone))
    assert uids(queue.plan(NOW)) == ["first"]
    assert queue.headroom.used == {most.account: Usage(1, 0)}


def test_what_started_past_the_queue_is_counted() -> None:
    """It takes its slots and counts for fair share, and nothing new is released until it fits."""
    queue, most = planner(), bound("main", limits(1))
    queue.started(Charge("team-a", "ann", (most.account,), Usage(2)), NOW)
    queue.add(waiter("u0", most))
    assert queue.plan(NOW) == []
    queue.ended(Charge("team-a", "ann", (most.account,), Usage(2)), NOW)
    assert queue.headroom.used.get(most.account, ZERO) == ZERO
    assert uids(queue.plan(NOW)) == ["u0"]


def test_one_with_a_fault_waits_and_blocks_no_other() -> None:
    """Until it is added again without."""
    queue = planner()
    queue.set_rules("team-a", STRICT)
    queue.add(waiter("broken", fault="the policy is broken", priority=9))
    queue.add(waiter("fine"))
    assert uids(queue.plan(NOW)) == ["fine"]
    queue.add(waiter("broken"))
    assert uids(queue.plan(NOW)) == ["broken"]


def test_those_that_waited_too_long_are_returned_until_they_are_removed() -> None:
    """By the present rules of their namespace, and the next such time is known."""
    queue, full = planner(), bound("main", limits(0))
    queue.set_rules("team-a", QueueRules(max_wait=HOUR, aging=None))
    queue.add(waiter("old", full, age=timedelta(minutes=50)))
    queue.add(waiter("new", full, age=timedelta(minutes=5)))
    assert queue.pending.overdue(NOW) == []
    assert queue.pending.next_event() == minutes(10)
    assert uids(queue.pending.overdue(minutes(10))) == ["old"] == uids(queue.pending.overdue(minutes(10)))
    queue.remove("old")
    assert queue.pending.overdue(minutes(10)) == []
    queue.set_rules("team-a", QueueRules(max_wait=timedelta(minutes=1), aging=None))
    assert uids(queue.pending.overdue(minutes(10))) == ["new"]
    queue.set_rules("team-a", QueueRules(aging=None))
    assert queue.pending.overdue(minutes(10)) == []
    assert queue.pending.next_event() is None


def test_a_plan_may_be_taken_in_parts() -> None:
    """`most` bounds one call; the rest goes with the next."""
    queue = planner()
    for number in range(5):
        queue.add(waiter(f"u{number}", arrival=number))
    assert [uids(queue.plan(NOW, most=2)) for _ in range(4)] == [["u0", "u1"], ["u2", "u3"], ["u4"], []]
