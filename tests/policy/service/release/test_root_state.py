"""The state of one root: what a pass counts, settles and releases, for any mix of policies and Workflows."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.hold import holds_of
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import OnExceed
from policy.core.queue.ordering import Requirements
from policy.core.queue.positions import WaitReason, reason_of
from policy.core.quota.accounts import Account, Root
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.ledger import Ledger, Purpose, Reservation, with_reservations
from policy.core.values.amounts import ZERO, Amount, Usage
from policy.service.release.root_state import AT_ONCE, RootState
from policy.service.tracking.tracked import Tracked
from tests.policy.core.builders import limits, quota, snapshot
from tests.policy.service.release.bookkeeping import (
    ELASTIC,
    POOL,
    ROOT,
    Desk,
    desks,
    edited,
    fits,
    ledger_of,
    live,
    one_pool,
    policies,
    reserved,
    workflows,
)
from tests.policy.service.world import NOON


@given(desk=desks())
def test_what_a_pass_releases_fits_every_limit_that_it_touches(desk: Desk) -> None:
    """One after the other, each has room as admission reckons it: tree, reserves and windows included."""
    before = set(desk.ledger.reservations)
    settled = desk.settled()
    old = {key: each for key, each in settled.reservations.items() if key in before}
    ledger = Ledger(ROOT, 3, settled.used, old)
    for each in settled.reservations.values():
        if each.id in before:
            continue
        tracked = desk.live[each.workflow]
        assert tracked.held
        assert fits(ledger, tracked, desk), each
        ledger = with_reservations(ledger, [each])


@given(desk=desks())
def test_whoever_still_waits_would_not_have_fitted(desk: Desk) -> None:
    """A pass leaves no slot idle that somebody could have."""
    settled = desk.settled()
    for uid in desk.waiting():
        assert not fits(settled, desk.live[uid], desk), uid


@given(desk=desks())
def test_who_can_never_run_is_known(desk: Desk) -> None:
    """It would not fit with nobody else there, whatever windows say."""
    desk.settled()
    for group in desk.state.planner.pending.groups():
        reason, short = reason_of(desk.state.planner, group)
        never = reason is WaitReason.EXCEEDS_MAX_QUOTA
        assert never == any(desk.state.planner.headroom.never_fitting(group.needs))
        assert short
        if never:
            assert not any(fits(Ledger(ROOT), desk.live[each.uid], desk) for each in group)


@given(desk=desks())
def test_every_held_workflow_is_released_or_waits_or_was_reserved_already(desk: Desk) -> None:
    """Nobody is forgotten, and nobody is planned twice."""
    before = desk.ledger.reservations
    settled = desk.settled()
    held = {each.uid: each.release for each in desk.live.values() if each.held}
    going = {uid for uid, release in held.items() if release in settled.reservations}
    assert going | set(desk.waiting()) == set(held)
    assert not going & set(desk.waiting())
    assert {uid for uid, release in held.items() if release in before} <= going


@given(desk=desks())
def test_a_reservation_stays_exactly_while_its_object_is_not_accounted_for(desk: Desk) -> None:
    """Protocol rules 4 and 5: nothing else may drop one, and nothing settled may stay."""
    before = desk.ledger.reservations
    settled = desk.settled(most=0)
    seen = {each.reservation for each in desk.live.values()}
    owed = {each.release for each in desk.live.values() if each.held}
    kept = {
        each.id
        for each in before.values()
        if (each.id not in seen if each.purpose is Purpose.CREATE else each.id in owed)
    }
    assert set(settled.reservations) == kept
    for identity in kept:
        old, new = before[identity], settled.reservations[identity]
        assert set(new.accounts) >= set(old.accounts)
        assert (new.requested, new.at, new.workflow) == (old.requested, old.at, old.workflow)


@given(desk=desks())
def test_used_is_the_number_of_live_ones_that_count(desk: Desk) -> None:
    """Protocol rule 7, counted here without the product's own arithmetic."""
    used = desk.settled().used
    counted = [each for each in desk.live.values() if not each.held]
    assert used.get(POOL, ZERO) == _sum(counted)
    for namespace in "ab":
        own = [each for each in counted if each.namespace == namespace]
        assert used.get(Account.share("data", namespace), ZERO) in (ZERO, _sum(own))
        assert desk.state.running.get(namespace, ZERO) == _sum(own)


def _sum(counted: list[Tracked]) -> Usage:
    return Usage(
        len(counted),
        sum(each.weighed.tasks.value or 0 for each in counted),
        sum(each.weighed.tasks.value is None for each in counted),
    )


@given(desk=desks())
def test_a_second_pass_on_the_same_view_changes_nothing(desk: Desk) -> None:
    """A leader that sees nothing new writes nothing and releases nobody else."""
    desk.work()
    first, waiting = desk.ledger, desk.waiting()
    assert desk.work() == []
    assert desk.ledger == first
    assert desk.waiting() == waiting


@given(desk=desks())
def test_the_next_leader_finds_the_same(desk: Desk) -> None:
    """What was written tells it all: a new state on the same ledger release nobody else and drop nothing."""
    desk.work()
    first, waiting = desk.ledger, desk.waiting()
    desk.state = desk.opened()
    assert desk.work() == []
    assert desk.ledger == first
    assert desk.waiting() == waiting


@given(desk=desks())
def test_a_queue_drains_when_what_runs_ends(desk: Desk) -> None:
    """Passes and ends in turn let everybody run, except whom a limit can never admit now."""
    for _ in range(len(desk.live) + 1):
        desk.see(gone=[uid for uid, each in desk.live.items() if not each.held])
        desk.state.departed(("c0", "c1", "c2", "lost"))
        desk.work()
        desk.runs(*(key.partition(".")[0] for key in desk.ledger.reservations))
    desk.see(gone=[uid for uid, each in desk.live.items() if not each.held])
    assert desk.work() == []
    assert not any(fits(Ledger(ROOT), each, desk) for each in desk.live.values())


def test_who_waits_in_a_window_goes_though_all_is_kept_for_others_outside_of_it() -> None:
    """What is guaranteed to the other member is nothing at noon; nobody is taken for one who never fits."""
    noon: JsonObject = {"name": "noon", "schedule": "0 11 * * *", "duration": "2h"}
    noon["limits"] = {"workflows": 0}
    share = quota("share", namespace="a", limits={"workflows": 1}, windows=[noon])
    borrowing: JsonObject = {"lendingLimit": {"workflows": 0}}
    before, waits = live("u1", namespace="b", held=False), live("u2", namespace="b")
    desk = Desk(one_pool(1, share, borrowing=borrowing), before, waits)
    assert desk.work() == []
    desk.see(gone=["u1"])
    assert desk.work() == ["u2"]


Step: TypeAlias = tuple[str, list[Tracked] | list[str]]


def _alone(what: str) -> Step:
    return what, []


class Steps:
    """What happens to state between two looks at them."""

    see = st.lists(st.integers(0, 7).flatmap(workflows), min_size=1, max_size=3).map(
        lambda found: ("see", found)
    )
    go = st.sets(st.integers(0, 7), min_size=1, max_size=3).map(
        lambda found: ("go", [f"u{each}" for each in sorted(found)])
    )
    end = st.sets(st.integers(0, 7), min_size=1, max_size=3).map(
        lambda found: ("end", [f"u{each}" for each in sorted(found)])
    )
    passes = st.sampled_from(["work", "fail", "lose", "hour", "nodes"]).map(_alone)


def take(desk: Desk, what: str, found: list[Tracked] | list[str]) -> None:
    """Take one step."""
    uids = [each for each in found if isinstance(each, str) and each in desk.live]
    if what == "see":
        drawn = {each.uid: each for each in found if isinstance(each, Tracked)}
        desk.see(*(each for each in drawn.values() if may_become(desk, each)))
    elif what == "go":
        desk.runs(*(uid for uid in uids if desk.live[uid].held))
    elif what == "end":
        desk.see(gone=uids)
    elif what == "work":
        desk.work()
    elif what == "fail":
        desk.fail()
    elif what == "lose":
        desk.lose_the_answer()
    else:
        by = timedelta(hours=1) if what == "hour" else timedelta(seconds=1)
        desk.later(by, limits(3) if what == "nodes" else desk.capacity)


def may_become(desk: Desk, after: Tracked) -> bool:
    """Tell whether one may look so now: admission sees to it that a hold has a number of its own.

    Nobody changes what a held Workflow weighs and whom it counts for, and no uid comes twice.
    """
    before = desk.live.get(after.uid)
    if before is None:
        return after.uid not in desk.seen
    if not after.held:
        return True
    new = holds_of(after.metadata) > holds_of(before.metadata)
    same = (before.user, before.weight, before.metadata) == (after.user, after.weight, after.metadata)
    return new or (before.held and same)


@given(
    drawn=policies(),
    steps=st.lists(st.one_of(Steps.see, Steps.go, Steps.end, Steps.passes), min_size=1, max_size=12),
)
def test_changes_folded_one_by_one_come_to_the_same_as_opening_the_books_anew(
    drawn: Snapshot, steps: list[Step]
) -> None:
    """Whatever comes in whatever order, writes that fail or whose answer is lost among it."""
    desk = Desk(drawn)
    for what, found in steps:
        take(desk, what, found)
    folded = desk.settled(most=0)
    waiting, old = desk.waiting(), desk.state
    desk.state = desk.opened()
    anew = desk.settled(most=0)
    assert folded.used == anew.used
    assert folded.reservations == anew.reservations
    assert old.running == desk.state.running
    assert waiting == desk.waiting()
    assert sorted(map(repr, old.going())) == sorted(map(repr, desk.state.going()))
    assert old.planner.headroom.used == desk.state.planner.headroom.used
    known = set(old.planner.headroom.limits) & set(desk.state.planner.headroom.limits)
    quotas = [quota for name in "ab" for quota in drawn.policies(name).quotas]
    assert known >= {quota.account for quota in quotas if _bounds(quota)}
    assert _in_force(old, known) == _in_force(desk.state, known)


def _bounds(quota: CompiledQuota) -> bool:
    """Tell whether a quota that is no part of a tree bounds anybody."""
    return bool(quota.account.namespace) and not quota.is_share and quota.on_exceed is not OnExceed.WARN


def _in_force(state: RootState, accounts: set[Account]) -> object:
    headroom = state.planner.headroom
    tree = None if headroom.pool is None else (headroom.pool.usage.tree, headroom.pool.ever)
    return {each: headroom.limits[each] for each in accounts}, tree


def test_held_workflows_count_nowhere() -> None:
    """Not even on a quota that denies: the release asks it anew."""
    policies_there = snapshot(
        quota("builds", namespace="a", limits={"workflows": 3}, onExceed="Deny"),
        quota("queue", namespace="a", limits={"workflows": 0}),
    )
    desk = Desk(
        policies_there, live("u1"), live("u2", held=False), root=Root.of_namespace("a"), namespaces="a"
    )
    assert desk.settled().used == {Account("a", "builds"): Usage(1, 1), Account("a", "queue"): Usage(1, 1)}


def test_every_account_stands_in_the_ledger_also_where_nothing_is_used() -> None:
    """Nobody may reserve on an account that was not counted, so one that is empty has to say so."""
    desk = Desk(one_pool(1, quota("q", namespace="a", perUser={"workflows": 1}), borrowing={}))
    shares = {Account.share("data", name) for name in "ab"}
    assert desk.settled().used == dict.fromkeys({POOL, Account("a", "q"), *shares}, ZERO)


def test_users_are_counted_apart() -> None:
    """Each user has an account beside that of the quota, for as long as something of the user runs."""
    policies_there = snapshot(quota("q", namespace="a", perUser={"workflows": 1}))
    desk = Desk(
        policies_there,
        live("u1", arrival=1),
        live("u2", arrival=2),
        live("u3", user="bob", arrival=3),
        root=Root.of_namespace("a"),
        namespaces="a",
    )
    assert desk.work() == ["u1", "u3"]
    assert desk.ledger.total_usage()[Account("a", "q", "ann")] == Usage(1, 1)
    desk.runs("u1", "u3")
    desk.see(gone=["u3"])
    assert desk.settled().used == {Account("a", "q"): Usage(1, 1), Account("a", "q", "ann"): Usage(1, 1)}


def test_the_reservation_of_a_create_goes_when_its_object_is_counted() -> None:
    """Held or running, the object that carries the label takes its reservation's place."""
    ledger = ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE))
    held, running = (
        Desk(one_pool(None), live("u1", held=held, reservation="c1"), ledger=ledger).settled()
        for held in (True, False)
    )
    assert set(held.reservations) == {"u1.1"}
    assert set(running.reservations) == set()
    assert held.total_usage() == running.total_usage() == {POOL: Usage(1, 1)}


def test_the_reservation_of_a_create_stays_while_no_object_is_seen() -> None:
    """The watch may lag behind the create; only time and a consistent list may drop it."""
    ledger = ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE))
    desk = Desk(one_pool(2), live("u1", held=False), ledger=ledger)
    desk.later(timedelta(days=1), None)
    settled = desk.settled()
    assert set(settled.reservations) == {"c1"}
    assert settled.total_usage()[POOL].workflows == 2


def test_the_reservation_of_one_that_came_and_went_goes() -> None:
    """Protocol rule 4b: its end was seen, and there is nothing left to count."""
    desk = Desk(one_pool(2), ledger=ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE)))
    desk.state.departed(["c1"])
    assert desk.settled().reservations == {}


def test_a_create_is_remembered_until_its_ledger_was_written() -> None:
    """Seen, then gone, while the ledger could not be written: the slot comes back with the next write."""
    desk = Desk(one_pool(2), ledger=ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE)))
    desk.see(live("u1", held=False, reservation="c1"))
    desk.fail()
    desk.see(gone=["u1"])
    desk.work()
    assert desk.ledger.total_usage() == {POOL: ZERO}


def test_a_release_goes_from_the_ledger_when_the_workflow_runs_or_is_gone() -> None:
    """It is counted in the same write, or there is nothing left to count."""
    ledger = ledger_of(reserved("u1.1", POOL), reserved("u2.1", POOL))
    settled = Desk(one_pool(5), live("u1", held=False), ledger=ledger).settled()
    assert settled.reservations == {}
    assert settled.used == {POOL: Usage(1, 1)}


def test_a_release_of_an_earlier_hold_is_settled() -> None:
    """Held again after a retry, a Workflow has another identity and waits its turn anew."""
    desk = Desk(one_pool(0), live("u1", holds=2), ledger=ledger_of(reserved("u1.1", POOL)))
    assert desk.settled().reservations == {}
    assert set(desk.waiting()) == {"u1"}


def test_one_that_ran_and_is_held_again_gives_its_slot_to_others() -> None:
    """`argo retry` makes it wait behind whoever waits already, and it counts no more meanwhile."""
    desk = Desk(one_pool(1), live("u1", arrival=1), live("u2", arrival=2, priority=1))
    assert desk.work() == ["u2"]
    desk.runs("u2")
    assert desk.work() == []
    desk.see(live("u2", holds=2, arrival=2))
    assert desk.state.running == {}
    assert desk.work() == ["u1"]
    desk.runs("u1")
    desk.see(gone=["u1"])
    assert desk.work() == ["u2"]
    assert set(desk.ledger.reservations) == {"u2.2"}


@pytest.mark.parametrize("above", ["Deny", "Lower"])
def test_a_cap_holds_for_the_priorities_of_those_that_came_before_it_or_past_admission(above: str) -> None:
    """They wait as those at the cap do, and take no reserve that is above it."""
    cap: JsonObject = {"maxPriority": 5, "onPriorityAbove": above}
    reserve: JsonValue = [{"abovePriority": 4, "workflows": 1}, {"abovePriority": 6, "workflows": 2}]
    capped = quota("cap", namespace="a", perWorkflow=cap)
    policies = one_pool(4, capped, reserve=reserve, borrowing={})
    bold = [live(f"u{number}", arrival=number, priority=2**31 - 1) for number in (1, 2, 3)]
    desk = Desk(policies, *bold, live("u0", arrival=0, priority=5))
    assert desk.work() == ["u0", "u1"]
    assert [each.priority for each in desk.state.planner.pending.waiters()] == [5, 5]


def test_one_that_was_released_ended_and_is_held_again_between_two_looks_waits_anew() -> None:
    """Its first release is settled, and what it counted for is free."""
    desk = Desk(one_pool(1), live("u1", arrival=1), live("u2", arrival=2))
    assert desk.work() == ["u1"]
    desk.see(live("u1", holds=2, arrival=1))
    assert desk.work() == ["u1"]
    assert set(desk.ledger.reservations) == {"u1.2"}
    assert set(desk.waiting()) == {"u2"}


def test_a_release_that_is_reserved_is_not_planned_again_and_not_charged_twice() -> None:
    """Protocol rule 5: it is completed as it stands, even where the limit was lowered meanwhile."""
    ledger = ledger_of(reserved("u1.1", POOL))
    present = [live("u1", arrival=1), live("u2", arrival=2)]
    desk = Desk(one_pool(1), *present, ledger=ledger)
    assert desk.work() == []
    assert set(desk.waiting()) == {"u2"}
    assert desk.ledger.total_usage()[POOL] == Usage(1, 1)
    lowered = Desk(one_pool(0), *present, ledger=ledger)
    assert set(lowered.settled().reservations) == {"u1.1"}


def test_a_release_that_runs_is_counted_in_the_place_of_its_reservation() -> None:
    """At no moment is it counted twice or not at all."""
    desk = Desk(one_pool(1), live("u1", tasks=3))
    assert desk.work() == ["u1"]
    assert (desk.ledger.used, desk.ledger.total_usage()) == ({POOL: ZERO}, {POOL: Usage(1, 3)})
    desk.runs("u1")
    desk.work()
    assert (desk.ledger.used, desk.ledger.reservations) == ({POOL: Usage(1, 3)}, {})


def test_a_write_whose_answer_was_lost_is_adopted() -> None:
    """The ledger has the reservation already: it is kept, and nobody else is planned in its stead."""
    desk = Desk(one_pool(1), live("u1", arrival=1), live("u2", arrival=2))
    desk.lose_the_answer()
    stands = desk.ledger
    assert desk.work() == []
    assert desk.ledger == stands
    assert set(desk.waiting()) == {"u2"}
    assert list(desk.state.releases) == ["u1.1"]


def test_a_write_that_failed_is_taken_back() -> None:
    """Nobody was released, so the next pass decides anew by what is there then."""
    desk = Desk(one_pool(1), live("u1", arrival=1))
    desk.fail()
    desk.see(live("urgent", priority=9, arrival=2))
    assert desk.work() == ["urgent"]
    assert set(desk.waiting()) == {"u1"}
    assert desk.ledger.total_usage() == {POOL: Usage(1, 1)}


def test_one_that_went_while_a_write_failed_is_not_charged() -> None:
    """Its place is free for the next."""
    desk = Desk(one_pool(1), live("u1", arrival=1), live("u2", arrival=2))
    desk.fail()
    desk.see(gone=["u1"])
    assert desk.work() == ["u2"]


def test_a_limit_lowered_below_what_runs_ends_nothing_and_releases_nothing() -> None:
    """Availability may be negative after an edit."""
    desk = Desk(one_pool(1), live("r1", held=False), live("r2", held=False), live("w"))
    assert desk.work() == []
    assert desk.ledger.used == {POOL: Usage(2, 2)}


def test_a_workflow_that_came_past_us_counts_and_blocks_a_limit_on_tasks() -> None:
    """Protocol rule 10: it is counted when seen, and nothing new starts until there is room."""
    desk = Desk(one_pool(None, limits={"tasks": 10}), live("stranger", held=False, tasks=None), live("w"))
    assert desk.work() == []
    assert desk.ledger.used[POOL].task_amount == Amount(None)


def test_one_whose_weight_changes_while_it_runs_is_counted_by_what_it_weighs_now() -> None:
    """Nobody should change it, and whoever can shall not make the count drift."""
    desk = Desk(one_pool(None, limits={"tasks": 10}), live("r", held=False, tasks=8), live("w", tasks=3))
    assert desk.work() == []
    desk.see(live("r", held=False, tasks=2))
    assert desk.work() == ["w"]
    desk.see(gone=["r"])
    desk.runs("w")
    assert desk.settled().used == {POOL: Usage(1, 3)}


def test_without_any_quota_left_everybody_held_is_released() -> None:
    """Whoever takes a policy away does not leave its queue behind."""
    desk = Desk(snapshot(), live("u1"), live("u2"), root=Root.of_namespace("a"), namespaces="a")
    assert len(desk.work()) == 2
    assert desk.ledger.used == {}
    assert desk.ledger.total_usage() == {}


def test_the_reservation_of_a_release_names_its_workflow_and_all_accounts() -> None:
    """All accounts that a Workflow touches stand in one ledger, so one write decides."""
    own = quota("q", namespace="a", limits={"workflows": 1}, perUser={"workflows": 1})
    desk = Desk(one_pool(1, own), live("u1", tasks=3))
    assert desk.settled().reservations == {
        "u1.1": Reservation(
            id="u1.1",
            namespace="a",
            workflow="u1",
            accounts=(Account("a", "q"), Account("a", "q", "ann"), POOL),
            requested=Usage(1, 3),
            at=NOON,
            purpose=Purpose.RELEASE,
            user="ann",
        )
    }


def test_a_waiter_asks_every_quota_that_does_not_only_warn() -> None:
    """One that denies may have queued when it was held; one that only warns counts, and bounds nobody."""
    own = [
        quota(effect.value.lower(), namespace="a", limits={"workflows": 0}, onExceed=effect.value)
        for effect in OnExceed
    ]
    desk = Desk(snapshot(*own), live("u1"), root=Root.of_namespace("a"), namespaces="a")
    assert desk.work() == []
    assert [each.demand.account.quota for each in desk.waiting()["u1"].needs.wants] == [
        "deny",
        "queue",
        "warn",
    ]
    bounds = {account.quota: each for account, each in desk.state.planner.headroom.limits.items()}
    assert bounds == {"deny": limits(0), "queue": limits(0), "warn": limits()}
    desk.reopen(snapshot(own[2]))
    assert desk.policies.policies("a").quotas[0].on_exceed is OnExceed.WARN
    assert desk.work() == ["u1"]


def test_a_policy_that_changes_opens_the_books_anew_and_lets_go_who_fits_now() -> None:
    """What is on its way stays on its way, and counts on."""
    desk = Desk(one_pool(1), *(live(f"u{number}", arrival=number) for number in range(4)))
    assert desk.work() == ["u0"]
    desk.reopen(one_pool(3))
    assert desk.work() == ["u1", "u2"]
    desk.reopen(one_pool(0))
    assert desk.work() == []
    assert set(desk.ledger.reservations) == {"u0.1", "u1.1", "u2.1"}


def test_a_new_account_has_the_reservations_that_stand() -> None:
    """Whoever reserved before it was there would be missed on it, for the quota and for the user."""
    create = reserved("c1", POOL, purpose=Purpose.CREATE, user="ann", weight=Usage(1, 2))
    stranger = reserved("c2", POOL, purpose=Purpose.CREATE, namespace="b", user="ann")
    desk = Desk(one_pool(9), live("u1", tasks=3), ledger=ledger_of(create, stranger))
    assert desk.work() == ["u1"]
    own = quota("q", namespace="a", limits={"workflows": 2}, perUser={"workflows": 2})
    desk.reopen(one_pool(9, own))
    desk.see(live("u2", arrival=2))
    assert desk.work() == []
    taken = desk.ledger.total_usage()
    assert taken[Account("a", "q")] == taken[Account("a", "q", "ann")] == Usage(2, 5)
    assert taken[POOL] == Usage(3, 6)
    assert set(desk.waiting()) == {"u2"}


def test_reservations_that_arrive_count_on_the_accounts_of_their_new_root() -> None:
    """They were made on accounts that stand in another ledger."""
    old = reserved("c1", Account("a", "old"), purpose=Purpose.CREATE)
    desk = Desk(one_pool(1), live("u1"))
    desk.ledger = desk.state.settle(desk.ledger, NOON, moved=[old])
    assert desk.ledger.total_usage()[POOL] == Usage(1, 1)
    assert set(desk.ledger.reservations) == {"c1"}


def test_one_pass_releases_so_many_and_the_next_the_others() -> None:
    """The ledger has to stay small; `written` says that more may go."""
    desk = Desk(one_pool(None), *(live(f"u{number}", arrival=number) for number in range(AT_ONCE + 3)))
    desk.ledger = desk.settled()
    assert desk.state.written(desk.ledger)
    assert len(desk.ledger.reservations) == AT_ONCE
    assert len(desk.work()) == 3


def test_a_window_that_opens_lets_those_go_who_fit_it() -> None:
    """RootState know when that is, and nothing else has to happen."""
    night: JsonObject = {
        "name": "night",
        "schedule": "0 20 * * *",
        "duration": "2h",
        "limits": {"workflows": 2},
    }
    desk = Desk(one_pool(0, windows=[night]), *(live(f"u{number}", arrival=number) for number in range(3)))
    assert desk.work() == []
    assert desk.state.next_event() == NOON + timedelta(hours=8)
    desk.later(timedelta(hours=8), None)
    assert desk.work() == ["u0", "u1"]
    assert desk.state.next_event() == NOON + timedelta(hours=10)
    desk.runs("u0", "u1")
    desk.later(timedelta(hours=2), None)
    desk.see(gone=["u0"])
    assert desk.work() == []


def test_nodes_that_come_let_more_go_and_the_ledger_says_what_they_allow() -> None:
    """Before anybody has measured them they allow the least."""
    present = [live(f"u{number}", arrival=number) for number in range(4)]
    desk = Desk(one_pool(None, elastic=ELASTIC), *present)
    assert desk.work() == ["u0"]
    assert desk.ledger.capacity is None
    desk.later(timedelta(seconds=1), limits(3))
    assert desk.work() == ["u1", "u2"]
    assert desk.ledger.capacity == limits(3)


def test_members_borrow_what_is_idle_and_owners_have_their_share_back_first() -> None:
    """The next slot that comes free is the owner's, whatever the borrower's priority is."""
    shares = [quota("q", namespace=name, limits={"workflows": 2}) for name in "ab"]
    desk = Desk(
        one_pool(4, *shares, borrowing={}),
        *(live(f"a{number}", arrival=number, priority=9) for number in range(6)),
    )
    assert len(desk.work()) == 4
    desk.runs("a0", "a1", "a2", "a3")
    desk.see(live("b0", namespace="b", arrival=9))
    assert desk.work() == []
    desk.see(gone=["a0"])
    assert desk.work() == ["b0"]
    used = desk.ledger.used
    assert (used[Account.share("data", "a")].workflows, used[POOL].workflows) == (3, 3)


GREEDY: JsonObject = {"workflows": 10**9, "tasks": 10**9}


def test_a_greedy_quota_takes_nothing_of_what_the_pool_keeps_for_a_neighbour() -> None:
    """The neighbour starts 6 of 9 whatever the other writes; what the other runs already stays with it."""
    night: JsonObject = {"name": "noon", "schedule": "0 11 * * *", "duration": "2h", "limits": GREEDY}
    said: JsonObject = {"lendingLimit": {"workflows": 0}, "shares": {"b": {"workflows": 6}}}
    for own in ({}, {"limits": GREEDY}, {"limits": {"workflows": 1}, "windows": [night]}):
        greedy = quota("q", namespace="a", **own)
        busy = [live(f"a{number}", arrival=number) for number in range(9)]
        desk = Desk(one_pool(9, greedy, borrowing=said), *busy)
        assert len(desk.work()) == 3
        desk.see(*(live(f"b{number}", namespace="b", arrival=9 + number) for number in range(9)))
        assert [each[0] for each in desk.work()] == ["b"] * 6


def test_an_edit_of_the_shares_that_a_pool_says_reads_no_queue_anew() -> None:
    """It is limits that move: the state stays, and the next pass goes by it."""

    def sharing(workflows: int) -> Snapshot:
        return one_pool(
            9, borrowing={"borrowingLimit": {"workflows": 0}, "shares": {"a": {"workflows": workflows}}}
        )

    desk = Desk(sharing(1), *(live(f"a{number}", arrival=number) for number in range(4)))
    assert desk.work() == ["a0"]
    assert desk.state.fits(sharing(3), "ab")
    desk.policies = sharing(3)
    desk.later(timedelta(0), None)
    assert desk.work() == ["a1", "a2"]


def test_the_past_is_noted_for_the_next_leader_once_in_a_while() -> None:
    """Fair share goes on where it stood, and no write is made for it alone."""
    desk = Desk(one_pool(4), live("r", held=False))
    assert desk.settled().history == {}
    desk.later(timedelta(minutes=2), None)
    noted = desk.settled().history
    assert {each.namespace for each in noted} == {"a"}
    desk.later(timedelta(seconds=5), None)
    assert desk.settled().history == noted


def test_books_stay_right_where_policies_of_others_or_limits_change_only() -> None:
    """They are opened anew where what those who wait need, or who belongs to them, has changed."""
    desk = Desk(one_pool(1))
    assert desk.state.fits(one_pool(1), "ab")
    assert desk.state.fits(one_pool(2), "ab")
    assert not desk.state.fits(one_pool(1), "abc")
    assert not desk.state.fits(one_pool(1, quota("q", namespace="a")), "ab")
    assert not desk.state.fits(one_pool(1, perUser={"workflows": 1}), "ab")
    assert not desk.state.fits(one_pool(1, reserve=[{"abovePriority": 0, "workflows": 1}]), "ab")
    assert not desk.state.fits(one_pool(1, fairShare={"weights": {"a": 2}}), "ab")
    assert not desk.state.fits(one_pool(1, borrowing={}), "ab")
    assert not desk.state.fits(snapshot(), "ab")


def test_a_limit_that_is_edited_acts_with_the_next_pass_and_reads_no_queue_anew() -> None:
    """Of the pool, of a member's share in its tree, of how far members borrow, and of a stop."""

    def of(pool_limit: int, share: int, **spec: JsonValue) -> Snapshot:
        own = quota("q", namespace="a", limits={"workflows": share}, **spec)
        return one_pool(pool_limit, own, borrowing={"borrowingLimit": {"workflows": 0}})

    desk = Desk(of(0, 1), *(live(f"u{number}", arrival=number) for number in range(6)))
    state = desk.state
    assert desk.work() == []
    assert desk.edit(of(4, 1)).work() == ["u0"]
    assert desk.edit(of(4, 2)).work() == ["u1"]
    assert desk.edit(of(4, 4, stopPolicy="Hold")).work() == []
    assert desk.edit(of(4, 3)).work() == ["u2"]
    assert desk.edit(of(0, 1)).work() == []
    assert desk.state is state


@given(desk=desks(), data=st.data())
def test_whatever_limits_are_edited_it_comes_to_the_same_as_with_new_books(
    desk: Desk, data: st.DataObject
) -> None:
    """The same counts, the same releases in the same order, and the same reasons for those who wait."""
    for after in (data.draw(edited(desk.policies)), data.draw(edited(desk.policies))):
        if not desk.state.fits(after, "ab"):
            assert any(quota.rises for each in "ab" for quota in after.policies(each).quotas)
            return
        desk.edit(after)
    settled, kept = desk.settled(), desk.state
    desk.reopen(after)
    assert desk.settled() == settled
    assert reasons(kept) == reasons(desk.state)


def reasons(state: RootState) -> Mapping[Requirements, object]:
    """Return why each group waits that does."""
    return {each.needs: reason_of(state.planner, each) for each in state.planner.pending.groups() if each}
