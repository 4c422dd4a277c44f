"""The state of one root: what a pass counts, settles and releases, for any mix of policies and Workflows."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.hold import holds_of
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.queue.ordering import Requirements
from policy.core.queue.positions import WaitReason, positions, reason_of
from policy.core.quota.accounts import Account, Root
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.ledger import Ledger, Purpose, Reservation, with_reservations
from policy.core.values.amounts import ZERO, Amount, Usage
from policy.service.release.root_state import MOST_RELEASES, RootState
from policy.service.tracking.tracked import Tracked
from tests.policy.core.builders import limits, quota, snapshot
from tests.policy.service.release.driven_state import (
    ELASTIC,
    POOL,
    ROOT,
    DrivenState,
    driven_states,
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


@given(driven=driven_states())
def test_what_a_pass_releases_fits_every_limit_that_it_touches(driven: DrivenState) -> None:
    """One after the other, each has capacity as admission computes it, with tree, reserves and windows."""
    before = set(driven.ledger.reservations)
    settled = driven.settled()
    old = {key: each for key, each in settled.reservations.items() if key in before}
    ledger = Ledger(ROOT, 3, settled.used, old)
    for each in settled.reservations.values():
        if each.id in before:
            continue
        tracked = driven.live[each.workflow]
        assert tracked.held
        assert fits(ledger, tracked, driven), each
        ledger = with_reservations(ledger, [each])


@given(driven=driven_states())
def test_one_that_still_waits_would_not_have_fitted(driven: DrivenState) -> None:
    """A pass leaves no slot unused that a Workflow could have."""
    settled = driven.settled()
    for uid in driven.waiting():
        assert not fits(settled, driven.live[uid], driven), uid


@given(driven=driven_states())
def test_one_that_can_never_run_is_known(driven: DrivenState) -> None:
    """It would not fit alone, whatever windows allow."""
    driven.settled()
    for group in driven.state.planner.pending.groups():
        reason, short = reason_of(driven.state.planner, group)
        never = reason is WaitReason.EXCEEDS_MAX_QUOTA
        assert never == any(driven.state.planner.headroom.never_fitting(group.needs))
        assert short
        if never:
            assert not any(fits(Ledger(ROOT), driven.live[each.uid], driven) for each in group)


@given(driven=driven_states())
def test_every_held_workflow_is_released_or_waits_or_was_reserved_already(driven: DrivenState) -> None:
    """None is forgotten, and none is planned twice."""
    before = driven.ledger.reservations
    settled = driven.settled()
    held = {each.uid: each.release for each in driven.live.values() if each.held}
    going = {uid for uid, release in held.items() if release in settled.reservations}
    assert going | set(driven.waiting()) == set(held)
    assert not going & set(driven.waiting())
    assert {uid for uid, release in held.items() if release in before} <= going


@given(driven=driven_states())
def test_a_reservation_stays_exactly_while_its_object_is_not_accounted_for(driven: DrivenState) -> None:
    """Protocol rules 4 and 5: nothing else may drop one, and nothing settled may stay."""
    before = driven.ledger.reservations
    settled = driven.settled(most=0)
    seen = {each.reservation for each in driven.live.values()}
    owed = {each.release for each in driven.live.values() if each.held}
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


@given(driven=driven_states())
def test_used_is_the_number_of_live_ones_that_count(driven: DrivenState) -> None:
    """Protocol rule 7, counted here without the product's own arithmetic."""
    used = driven.settled().used
    counted = [each for each in driven.live.values() if not each.held]
    assert used.get(POOL, ZERO) == _sum(counted)
    for namespace in "ab":
        own = [each for each in counted if each.namespace == namespace]
        assert used.get(Account.share("data", namespace), ZERO) in (ZERO, _sum(own))
        assert driven.state.running.get(namespace, ZERO) == _sum(own)


def _sum(counted: list[Tracked]) -> Usage:
    return Usage(
        len(counted),
        sum(each.usage_marks.tasks.value or 0 for each in counted),
        sum(each.usage_marks.tasks.value is None for each in counted),
    )


@given(driven=driven_states())
def test_a_second_pass_on_the_same_view_changes_nothing(driven: DrivenState) -> None:
    """A leader that sees nothing new writes nothing and releases no other."""
    driven.work()
    first, waiting = driven.ledger, driven.waiting()
    assert driven.work() == []
    assert driven.ledger == first
    assert driven.waiting() == waiting


@given(driven=driven_states())
def test_the_next_leader_finds_the_same(driven: DrivenState) -> None:
    """What was written is enough: a new state on the same ledger releases no other and drops nothing."""
    driven.work()
    first, waiting = driven.ledger, driven.waiting()
    driven.state = driven.opened()
    assert driven.work() == []
    assert driven.ledger == first
    assert driven.waiting() == waiting


@given(driven=driven_states())
def test_a_queue_drains_when_what_runs_ends(driven: DrivenState) -> None:
    """Passes and ends in turn let all run, except those that a limit can never admit now."""
    for _ in range(len(driven.live) + 1):
        driven.see(gone=[uid for uid, each in driven.live.items() if not each.held])
        driven.state.departed(("c0", "c1", "c2", "lost"))
        driven.work()
        driven.runs(*(key.partition(".")[0] for key in driven.ledger.reservations))
    driven.see(gone=[uid for uid, each in driven.live.items() if not each.held])
    assert driven.work() == []
    assert not any(fits(Ledger(ROOT), each, driven) for each in driven.live.values())


def test_the_cap_of_a_quota_that_only_warns_keeps_from_a_reserve_above_it() -> None:
    """The limits of such a quota limit nothing; a cap of priorities is none of them, and counts as any."""
    reserve: JsonValue = [{"abovePriority": -1, "workflows": 1}]
    cap = quota("cap", namespace="a", onExceed="Warn", perWorkflow={"maxPriority": -1})
    policies_there = one_pool(None, cap, elastic=ELASTIC, reserve=reserve)
    driven = DrivenState(policies_there, live("u1"), live("u2", namespace="b", arrival=1))
    assert not fits(driven.ledger, driven.live["u1"], driven)
    assert driven.work() == ["u2"]
    assert set(driven.waiting()) == {"u1"}


def test_who_is_edited_while_a_write_fails_waits_as_it_is_by_then() -> None:
    """Not as it was when its release was planned: nothing else would show the edit again."""
    driven = DrivenState(one_pool(1), live("u1", priority=1), live("u2", arrival=1))
    driven.fail()
    driven.see(live("u1", priority=-1))
    driven.settled(most=0)
    assert {uid: each.priority for uid, each in driven.waiting().items()} == {"u1": -1, "u2": 0}
    assert driven.work() == ["u2"]


def test_one_that_waits_in_a_window_is_released_though_all_is_withheld_outside_of_it() -> None:
    """What is guaranteed to the other member is nothing at noon; none is taken for one that never fits."""
    noon: JsonObject = {"name": "noon", "schedule": "0 11 * * *", "duration": "2h"}
    noon["limits"] = {"workflows": 0}
    share = quota("share", namespace="a", limits={"workflows": 1}, windows=[noon])
    borrowing: JsonObject = {"lendingLimit": {"workflows": 0}}
    before, waits = live("u1", namespace="b", held=False), live("u2", namespace="b")
    driven = DrivenState(one_pool(1, share, borrowing=borrowing), before, waits)
    assert driven.work() == []
    driven.see(gone=["u1"])
    assert driven.work() == ["u2"]


Step: TypeAlias = tuple[str, list[Tracked] | list[str]]


def _alone(what: str) -> Step:
    return what, []


class Steps:
    """What happens to a state between two passes."""

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


def take(driven: DrivenState, what: str, found: list[Tracked] | list[str]) -> None:
    """Take one step."""
    uids = [each for each in found if isinstance(each, str) and each in driven.live]
    if what == "see":
        drawn = {each.uid: each for each in found if isinstance(each, Tracked)}
        driven.see(*(each for each in drawn.values() if may_become(driven, each)))
    elif what == "go":
        driven.runs(*(uid for uid in uids if driven.live[uid].held))
    elif what == "end":
        driven.see(gone=uids)
    elif what == "work":
        driven.work()
    elif what == "fail":
        driven.fail()
    elif what == "lose":
        driven.lose_the_answer()
    else:
        by = timedelta(hours=1) if what == "hour" else timedelta(seconds=1)
        driven.later(by, limits(3) if what == "nodes" else driven.capacity)


def may_become(driven: DrivenState, after: Tracked) -> bool:
    """Return whether one may look so now: admission sees to it that a hold has a number of its own.

    No one changes the tasks of a held Workflow or the user that it counts for, and no uid is used twice.
    """
    before = driven.live.get(after.uid)
    if before is None:
        return after.uid not in driven.seen
    if not after.held:
        return True
    new = holds_of(after.metadata) > holds_of(before.metadata)
    same = (before.user, before.weight, before.metadata) == (after.user, after.weight, after.metadata)
    return new or (before.held and same)


@given(
    drawn=policies(),
    steps=st.lists(st.one_of(Steps.see, Steps.go, Steps.end, Steps.passes), min_size=1, max_size=12),
)
def test_changes_folded_one_by_one_give_the_same_as_a_new_state(drawn: Snapshot, steps: list[Step]) -> None:
    """Whatever comes in whatever order, writes that fail or whose answer is lost among it."""
    driven = DrivenState(drawn)
    for what, found in steps:
        take(driven, what, found)
    folded = driven.settled(most=0)
    waiting, old = driven.waiting(), driven.state
    driven.state = driven.opened()
    anew = driven.settled(most=0)
    assert folded.used == anew.used
    assert folded.reservations == anew.reservations
    assert old.running == driven.state.running
    assert waiting == driven.waiting()
    assert old.view() == driven.state.view()
    assert old.planner.headroom.used == driven.state.planner.headroom.used
    known = set(old.planner.headroom.limits) & set(driven.state.planner.headroom.limits)
    quotas = [quota for name in "ab" for quota in drawn.policies(name).quotas]
    assert known >= {quota.account for quota in quotas if _bounds(quota)}
    assert _in_force(old, known) == _in_force(driven.state, known)


def _bounds(quota: CompiledQuota) -> bool:
    """Return whether a quota that is no part of a tree bounds any Workflow."""
    return bool(quota.account.namespace) and not quota.is_share and quota.on_exceed is not OnExceed.WARN


def _in_force(state: RootState, accounts: set[Account]) -> object:
    headroom = state.planner.headroom
    tree = None if headroom.pool is None else (headroom.pool.usage.tree, headroom.pool.ever)
    return {each: headroom.limits[each] for each in accounts}, tree


def test_held_workflows_count_nowhere() -> None:
    """Not even on a quota that denies: the release evaluates it again."""
    policies_there = snapshot(
        quota("builds", namespace="a", limits={"workflows": 3}, onExceed="Deny"),
        quota("queue", namespace="a", limits={"workflows": 0}),
    )
    driven = DrivenState(
        policies_there, live("u1"), live("u2", held=False), root=Root.of_namespace("a"), namespaces="a"
    )
    assert driven.settled().used == {Account("a", "builds"): Usage(1, 1), Account("a", "queue"): Usage(1, 1)}


def test_every_account_is_in_the_ledger_also_where_nothing_is_used() -> None:
    """No replica may reserve on an account that was not counted, so one that is empty has to be there."""
    driven = DrivenState(one_pool(1, quota("q", namespace="a", perUser={"workflows": 1}), borrowing={}))
    shares = {Account.share("data", name) for name in "ab"}
    assert driven.settled().used == dict.fromkeys({POOL, Account("a", "q"), *shares}, ZERO)


def test_users_are_counted_apart() -> None:
    """Each user has an account beside that of the quota, for as long as something of the user runs."""
    policies_there = snapshot(quota("q", namespace="a", perUser={"workflows": 1}))
    driven = DrivenState(
        policies_there,
        live("u1", arrival=1),
        live("u2", arrival=2),
        live("u3", user="bob", arrival=3),
        root=Root.of_namespace("a"),
        namespaces="a",
    )
    assert driven.work() == ["u1", "u3"]
    assert driven.ledger.total_usage()[Account("a", "q", "ann")] == Usage(1, 1)
    driven.runs("u1", "u3")
    driven.see(gone=["u3"])
    assert driven.settled().used == {Account("a", "q"): Usage(1, 1), Account("a", "q", "ann"): Usage(1, 1)}


def test_the_reservation_of_a_create_is_dropped_when_its_object_is_counted() -> None:
    """Held or running, the object that carries the label takes its reservation's place."""
    ledger = ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE))
    held, running = (
        DrivenState(one_pool(None), live("u1", held=held, reservation="c1"), ledger=ledger).settled()
        for held in (True, False)
    )
    assert set(held.reservations) == {"u1.1"}
    assert set(running.reservations) == set()
    assert held.total_usage() == running.total_usage() == {POOL: Usage(1, 1)}


def test_the_reservation_of_a_create_stays_while_no_object_is_seen() -> None:
    """The watch may lag behind the create; only time and a consistent list may drop it."""
    ledger = ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE))
    driven = DrivenState(one_pool(2), live("u1", held=False), ledger=ledger)
    driven.later(timedelta(days=1), None)
    settled = driven.settled()
    assert set(settled.reservations) == {"c1"}
    assert settled.total_usage()[POOL].workflows == 2


def test_the_reservation_of_one_that_was_created_and_deleted_is_dropped() -> None:
    """Protocol rule 4b: its end was seen, and there is nothing left to count."""
    driven = DrivenState(one_pool(2), ledger=ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE)))
    driven.state.departed(["c1"])
    assert driven.settled().reservations == {}


def test_a_create_is_remembered_until_its_ledger_was_written() -> None:
    """Seen, then gone, while the ledger could not be written: the slot comes back with the next write."""
    driven = DrivenState(one_pool(2), ledger=ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE)))
    driven.see(live("u1", held=False, reservation="c1"))
    driven.fail()
    driven.see(gone=["u1"])
    driven.work()
    assert driven.ledger.total_usage() == {POOL: ZERO}


def test_a_release_is_dropped_from_the_ledger_when_the_workflow_runs_or_is_deleted() -> None:
    """It is counted in the same write, or there is nothing left to count."""
    ledger = ledger_of(reserved("u1.1", POOL), reserved("u2.1", POOL))
    settled = DrivenState(one_pool(5), live("u1", held=False), ledger=ledger).settled()
    assert settled.reservations == {}
    assert settled.used == {POOL: Usage(1, 1)}


def test_a_release_of_an_earlier_hold_is_settled() -> None:
    """Held again after a retry, a Workflow has another identity and waits in the queue again."""
    driven = DrivenState(one_pool(0), live("u1", holds=2), ledger=ledger_of(reserved("u1.1", POOL)))
    assert driven.settled().reservations == {}
    assert set(driven.waiting()) == {"u1"}


def test_one_that_ran_and_is_held_again_gives_its_slot_to_others() -> None:
    """`argo retry` makes it wait behind those that wait already, and it counts no more meanwhile."""
    driven = DrivenState(one_pool(1), live("u1", arrival=1), live("u2", arrival=2, priority=1))
    assert driven.work() == ["u2"]
    driven.runs("u2")
    assert driven.work() == []
    driven.see(live("u2", holds=2, arrival=2))
    assert driven.state.running == {}
    assert driven.work() == ["u1"]
    driven.runs("u1")
    driven.see(gone=["u1"])
    assert driven.work() == ["u2"]
    assert set(driven.ledger.reservations) == {"u2.2"}


@pytest.mark.parametrize("above", ["Deny", "Lower"])
def test_a_cap_holds_for_the_priorities_of_those_that_are_older_or_bypassed_admission(above: str) -> None:
    """They wait as those at the cap do, and take no reserve that is above it."""
    cap: JsonObject = {"maxPriority": 5, "onPriorityAbove": above}
    reserve: JsonValue = [{"abovePriority": 4, "workflows": 1}, {"abovePriority": 6, "workflows": 2}]
    capped = quota("cap", namespace="a", perWorkflow=cap)
    policies = one_pool(4, capped, reserve=reserve, borrowing={})
    bold = [live(f"u{number}", arrival=number, priority=2**31 - 1) for number in (1, 2, 3)]
    driven = DrivenState(policies, *bold, live("u0", arrival=0, priority=5))
    assert driven.work() == ["u0", "u1"]
    assert [each.priority for each in driven.state.planner.pending.waiters()] == [5, 5]


def test_one_that_was_released_ended_and_is_held_again_between_two_passes_waits_again() -> None:
    """Its first release is settled, and what it counted for is free."""
    driven = DrivenState(one_pool(1), live("u1", arrival=1), live("u2", arrival=2))
    assert driven.work() == ["u1"]
    driven.see(live("u1", holds=2, arrival=1))
    assert driven.work() == ["u1"]
    assert set(driven.ledger.reservations) == {"u1.2"}
    assert set(driven.waiting()) == {"u2"}


def test_a_release_that_is_reserved_is_not_planned_again_and_not_charged_twice() -> None:
    """Protocol rule 5: it is completed as it is, even where the limit was lowered meanwhile."""
    ledger = ledger_of(reserved("u1.1", POOL))
    present = [live("u1", arrival=1), live("u2", arrival=2)]
    driven = DrivenState(one_pool(1), *present, ledger=ledger)
    assert driven.work() == []
    assert set(driven.waiting()) == {"u2"}
    assert driven.ledger.total_usage()[POOL] == Usage(1, 1)
    lowered = DrivenState(one_pool(0), *present, ledger=ledger)
    assert set(lowered.settled().reservations) == {"u1.1"}


def test_a_release_that_runs_is_counted_in_the_place_of_its_reservation() -> None:
    """At no moment is it counted twice or not at all."""
    driven = DrivenState(one_pool(1), live("u1", tasks=3))
    assert driven.work() == ["u1"]
    assert (driven.ledger.used, driven.ledger.total_usage()) == ({POOL: ZERO}, {POOL: Usage(1, 3)})
    driven.runs("u1")
    driven.work()
    assert (driven.ledger.used, driven.ledger.reservations) == ({POOL: Usage(1, 3)}, {})


def test_a_write_whose_answer_was_lost_is_adopted() -> None:
    """The ledger has the reservation already: it is kept, and no other is planned in its place."""
    driven = DrivenState(one_pool(1), live("u1", arrival=1), live("u2", arrival=2))
    driven.lose_the_answer()
    stands = driven.ledger
    assert driven.work() == []
    assert driven.ledger == stands
    assert set(driven.waiting()) == {"u2"}
    assert list(driven.state.releases) == ["u1.1"]


def test_a_write_that_failed_is_taken_back() -> None:
    """None was released, so the next pass decides again by what is there then."""
    driven = DrivenState(one_pool(1), live("u1", arrival=1))
    driven.fail()
    driven.see(live("urgent", priority=9, arrival=2))
    assert driven.work() == ["urgent"]
    assert set(driven.waiting()) == {"u1"}
    assert driven.ledger.total_usage() == {POOL: Usage(1, 1)}


def test_one_that_went_while_a_write_failed_is_not_charged() -> None:
    """Its place is free for the next."""
    driven = DrivenState(one_pool(1), live("u1", arrival=1), live("u2", arrival=2))
    driven.fail()
    driven.see(gone=["u1"])
    assert driven.work() == ["u2"]


def test_a_limit_lowered_below_what_runs_ends_nothing_and_releases_nothing() -> None:
    """Availability may be negative after an edit."""
    driven = DrivenState(one_pool(1), live("r1", held=False), live("r2", held=False), live("w"))
    assert driven.work() == []
    assert driven.ledger.used == {POOL: Usage(2, 2)}


def test_a_workflow_that_bypassed_admission_counts_and_blocks_a_limit_on_tasks() -> None:
    """Protocol rule 10: it is counted when seen, and nothing new starts until there is capacity."""
    driven = DrivenState(
        one_pool(None, limits={"tasks": 10}), live("stranger", held=False, tasks=None), live("w")
    )
    assert driven.work() == []
    assert driven.ledger.used[POOL].task_amount == Amount(None)


def test_one_whose_tasks_change_while_it_runs_is_counted_by_its_tasks_of_now() -> None:
    """No user should change it, and one that does must not make the count drift."""
    driven = DrivenState(
        one_pool(None, limits={"tasks": 10}), live("r", held=False, tasks=8), live("w", tasks=3)
    )
    assert driven.work() == []
    driven.see(live("r", held=False, tasks=2))
    assert driven.work() == ["w"]
    driven.see(gone=["r"])
    driven.runs("w")
    assert driven.settled().used == {POOL: Usage(1, 3)}


def test_without_any_quota_left_everybody_held_is_released() -> None:
    """A policy that is deleted does not leave its queue behind."""
    driven = DrivenState(snapshot(), live("u1"), live("u2"), root=Root.of_namespace("a"), namespaces="a")
    assert len(driven.work()) == 2
    assert driven.ledger.used == {}
    assert driven.ledger.total_usage() == {}


def test_the_reservation_of_a_release_names_its_workflow_and_all_accounts() -> None:
    """All accounts that a Workflow touches are in one ledger, so one write decides."""
    own = quota("q", namespace="a", limits={"workflows": 1}, perUser={"workflows": 1})
    driven = DrivenState(one_pool(1, own), live("u1", tasks=3))
    assert driven.settled().reservations == {
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


def test_a_waiter_needs_capacity_in_every_quota_that_does_not_only_warn() -> None:
    """One that denies may have queued when it was held; one that only warns counts, and bounds nothing."""
    own = [
        quota(effect.value.lower(), namespace="a", limits={"workflows": 0}, onExceed=effect.value)
        for effect in OnExceed
    ]
    driven = DrivenState(snapshot(*own), live("u1"), root=Root.of_namespace("a"), namespaces="a")
    assert driven.work() == []
    assert [each.demand.account.quota for each in driven.waiting()["u1"].needs.wants] == [
        "deny",
        "queue",
        "warn",
    ]
    bounds = {account.quota: each for account, each in driven.state.planner.headroom.limits.items()}
    assert bounds == {"deny": limits(0), "queue": limits(0)}
    driven.reopen(snapshot(own[2]))
    assert driven.policies.policies("a").quotas[0].on_exceed is OnExceed.WARN
    assert driven.work() == ["u1"]


def test_a_policy_that_changes_makes_a_new_state_and_releases_those_that_fit_now() -> None:
    """What is on its way stays on its way, and counts on."""
    driven = DrivenState(one_pool(1), *(live(f"u{number}", arrival=number) for number in range(4)))
    assert driven.work() == ["u0"]
    driven.reopen(one_pool(3))
    assert driven.work() == ["u1", "u2"]
    driven.reopen(one_pool(0))
    assert driven.work() == []
    assert set(driven.ledger.reservations) == {"u0.1", "u1.1", "u2.1"}


def test_a_new_account_has_the_reservations_of_before() -> None:
    """What was reserved before it was there would be missing on it, for the quota and for the user."""
    create = reserved("c1", POOL, purpose=Purpose.CREATE, user="ann", weight=Usage(1, 2))
    stranger = reserved("c2", POOL, purpose=Purpose.CREATE, namespace="b", user="ann")
    driven = DrivenState(one_pool(9), live("u1", tasks=3), ledger=ledger_of(create, stranger))
    assert driven.work() == ["u1"]
    own = quota("q", namespace="a", limits={"workflows": 2}, perUser={"workflows": 2})
    driven.reopen(one_pool(9, own))
    driven.see(live("u2", arrival=2))
    assert driven.work() == []
    taken = driven.ledger.total_usage()
    assert taken[Account("a", "q")] == taken[Account("a", "q", "ann")] == Usage(2, 5)
    assert taken[POOL] == Usage(3, 6)
    assert set(driven.waiting()) == {"u2"}


def test_a_ledger_that_somebody_deleted_has_all_accounts_again() -> None:
    """A create may have reserved in the new one before the leader wrote it."""
    driven = DrivenState(one_pool(2), live("u1", held=False))
    driven.work()
    driven.work()
    driven.ledger = Ledger(ROOT, 3, {}, {"c1": reserved("c1", purpose=Purpose.CREATE)})
    settled = driven.settled()
    assert settled.reservations["c1"].accounts == (POOL,)
    assert driven.state.planner.headroom.used[POOL] == Usage(2, 2)


def test_reservations_that_arrive_count_on_the_accounts_of_their_new_root() -> None:
    """They were reserved on accounts that are in another ledger."""
    old = reserved("c1", Account("a", "old"), purpose=Purpose.CREATE)
    driven = DrivenState(one_pool(1), live("u1"))
    driven.ledger = driven.state.settle(driven.ledger, NOON, moved=[old])
    assert driven.ledger.total_usage()[POOL] == Usage(1, 1)
    assert set(driven.ledger.reservations) == {"c1"}


def test_one_pass_releases_so_many_and_the_next_the_others() -> None:
    """The ledger has to stay small; `written` says that more may go."""
    driven = DrivenState(
        one_pool(None), *(live(f"u{number}", arrival=number) for number in range(MOST_RELEASES + 3))
    )
    driven.ledger = driven.settled()
    assert driven.state.written(driven.ledger)
    assert len(driven.ledger.reservations) == MOST_RELEASES
    assert len(driven.work()) == 3


def test_a_window_that_opens_releases_those_that_fit_it() -> None:
    """The state knows when that is, and nothing else has to happen."""
    night: JsonObject = {
        "name": "night",
        "schedule": "0 20 * * *",
        "duration": "2h",
        "limits": {"workflows": 2},
    }
    driven = DrivenState(
        one_pool(0, windows=[night]), *(live(f"u{number}", arrival=number) for number in range(3))
    )
    assert driven.work() == []
    assert driven.state.next_event() == NOON + timedelta(hours=8)
    driven.later(timedelta(hours=8), None)
    assert driven.work() == ["u0", "u1"]
    assert driven.state.next_event() == NOON + timedelta(hours=10)
    driven.runs("u0", "u1")
    driven.later(timedelta(hours=2), None)
    driven.see(gone=["u0"])
    assert driven.work() == []


def test_new_nodes_release_more_and_the_ledger_has_what_they_allow() -> None:
    """Before they are measured they allow the least."""
    present = [live(f"u{number}", arrival=number) for number in range(4)]
    driven = DrivenState(one_pool(None, elastic=ELASTIC), *present)
    assert driven.work() == ["u0"]
    assert driven.ledger.capacity is None
    driven.later(timedelta(seconds=1), limits(3))
    assert driven.work() == ["u1", "u2"]
    assert driven.ledger.capacity == limits(3)


def test_members_borrow_what_is_idle_and_owners_have_their_share_back_first() -> None:
    """The next slot that comes free is the owner's, whatever the borrower's priority is."""
    shares = [quota("q", namespace=name, limits={"workflows": 2}) for name in "ab"]
    driven = DrivenState(
        one_pool(4, *shares, borrowing={}),
        *(live(f"a{number}", arrival=number, priority=9) for number in range(6)),
    )
    assert len(driven.work()) == 4
    driven.runs("a0", "a1", "a2", "a3")
    driven.see(live("b0", namespace="b", arrival=9))
    assert driven.work() == []
    driven.see(gone=["a0"])
    assert driven.work() == ["b0"]
    used = driven.ledger.used
    assert (used[Account.share("data", "a")].workflows, used[POOL].workflows) == (3, 3)


GREEDY: JsonObject = {"workflows": 10**9, "tasks": 10**9}


def test_a_greedy_quota_takes_nothing_of_what_the_pool_withholds_for_a_neighbour() -> None:
    """The neighbour starts 6 of 9 whatever the other writes; what the other runs already stays with it."""
    night: JsonObject = {"name": "noon", "schedule": "0 11 * * *", "duration": "2h", "limits": GREEDY}
    said: JsonObject = {"lendingLimit": {"workflows": 0}, "shares": {"b": {"workflows": 6}}}
    for own in ({}, {"limits": GREEDY}, {"limits": {"workflows": 1}, "windows": [night]}):
        greedy = quota("q", namespace="a", **own)
        busy = [live(f"a{number}", arrival=number) for number in range(9)]
        driven = DrivenState(one_pool(9, greedy, borrowing=said), *busy)
        assert len(driven.work()) == 3
        driven.see(*(live(f"b{number}", namespace="b", arrival=9 + number) for number in range(9)))
        assert [each[0] for each in driven.work()] == ["b"] * 6


def test_an_edit_of_the_shares_of_a_pool_reads_no_queue_again() -> None:
    """It is limits that move: the state stays, and the next pass goes by it."""

    def sharing(workflows: int) -> Snapshot:
        return one_pool(
            9, borrowing={"borrowingLimit": {"workflows": 0}, "shares": {"a": {"workflows": workflows}}}
        )

    driven = DrivenState(sharing(1), *(live(f"a{number}", arrival=number) for number in range(4)))
    assert driven.work() == ["a0"]
    assert driven.state.take_over(sharing(3), "ab")
    driven.policies = sharing(3)
    driven.later(timedelta(0), None)
    assert driven.work() == ["a1", "a2"]


def test_the_past_is_noted_for_the_next_leader_once_in_a_while() -> None:
    """Fair share continues where it was, and no write is made for it alone."""
    driven = DrivenState(one_pool(4), live("r", held=False))
    assert driven.settled().history == {}
    driven.later(timedelta(minutes=2), None)
    noted = driven.settled().history
    assert {each.namespace for each in noted} == {"a"}
    driven.later(timedelta(seconds=5), None)
    assert driven.settled().history == noted


def test_a_state_stays_right_where_only_policies_of_others_or_limits_change() -> None:
    """A new one is made where what waiting Workflows need, or its namespaces, have changed."""
    driven = DrivenState(one_pool(1))
    assert driven.state.take_over(one_pool(1), "ab")
    assert driven.state.take_over(one_pool(2), "ab")
    assert not driven.state.take_over(one_pool(1), "abc")
    assert not driven.state.take_over(one_pool(1, quota("q", namespace="a")), "ab")
    assert not driven.state.take_over(one_pool(1, perUser={"workflows": 1}), "ab")
    assert not driven.state.take_over(one_pool(1, reserve=[{"abovePriority": 0, "workflows": 1}]), "ab")
    assert not driven.state.take_over(one_pool(1, fairShare={"weights": {"a": 2}}), "ab")
    assert not driven.state.take_over(one_pool(1, borrowing={}), "ab")
    assert not driven.state.take_over(snapshot(), "ab")


def test_a_limit_that_is_edited_acts_with_the_next_pass_and_reads_no_queue_again() -> None:
    """Of the pool, of a member's share in its tree, of how far members borrow, and of a stop."""

    def of(pool_limit: int, share: int, **spec: JsonValue) -> Snapshot:
        own = quota("q", namespace="a", limits={"workflows": share}, **spec)
        return one_pool(pool_limit, own, borrowing={"borrowingLimit": {"workflows": 0}})

    driven = DrivenState(of(0, 1), *(live(f"u{number}", arrival=number) for number in range(6)))
    state = driven.state
    assert driven.work() == []
    assert driven.edit(of(4, 1)).work() == ["u0"]
    assert driven.edit(of(4, 2)).work() == ["u1"]
    assert driven.edit(of(4, 4, stopPolicy="Hold")).work() == []
    assert driven.edit(of(4, 3)).work() == ["u2"]
    assert driven.edit(of(0, 1)).work() == []
    assert driven.state is state


@given(driven=driven_states(), data=st.data())
def test_whatever_limits_are_edited_the_result_is_the_same_as_with_a_new_state(
    driven: DrivenState, data: st.DataObject
) -> None:
    """The same counts, the same releases in the same order, and the same reasons for those that wait."""
    for after in (data.draw(edited(driven.policies)), data.draw(edited(driven.policies))):
        if not driven.state.take_over(after, "ab"):
            assert any(quota.rises for each in "ab" for quota in after.policies(each).quotas)
            return
        driven.edit(after)
    settled, kept = driven.settled(), driven.state
    driven.reopen(after)
    assert driven.settled() == settled
    assert reasons(kept) == reasons(driven.state)


def reasons(state: RootState) -> Mapping[Requirements, object]:
    """Return why each group waits that does."""
    return {each.needs: reason_of(state.planner, each) for each in state.planner.pending.groups() if each}


def test_one_that_is_paused_waits_and_blocks_no_other() -> None:
    """It is released when it is resumed, in its turn."""
    paused = live("p", arrival=1)
    assert paused.hold is not None
    marks = msgspec.structs.replace(paused.hold.marks, on_hold="true")
    paused = msgspec.structs.replace(paused, hold=msgspec.structs.replace(paused.hold, marks=marks))
    driven = DrivenState(one_pool(1), paused, live("q", arrival=2))
    assert [each.workflow for each in driven.settled().releases().values()] == ["q"]
    (position,) = positions(driven.state.planner, "a")
    assert (position.waiter.uid, position.reason) == ("p", WaitReason.ON_HOLD)
