"""The planner, kept up to date event by event, decides what a computation from scratch decides."""

from copy import deepcopy
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy
from policy.core.queue.planner import Charge, Planner
from policy.core.quota.accounts import Account
from policy.core.quota.pool_borrowing import compile_tree
from policy.core.values.amounts import ZERO, Usage, less
from tests.policy.core.queue.queue_fixtures import NEVER, RandomQueue, pool_of, uids

seeds = st.integers(0, 2**40)
lengths = st.integers(1, 80)


@settings(max_examples=400)
@given(seeds, lengths)
def test_a_planner_releases_what_the_oracle_releases_in_the_same_order(seed: int, length: int) -> None:
    """Any mix of arrivals, ends, edits, holds, pools, reserves, strict queues and time."""
    case = RandomQueue(seed)
    for _ in range(length):
        case.step()
        if case.rng.random() < 0.6:
            found, wanted = case.plan()
            assert found == wanted


@settings(max_examples=200)
@given(seeds, lengths)
def test_a_release_exceeds_no_limit_and_leaves_reserves_free(seed: int, length: int) -> None:
    """After each single release its accounts are within their limits, less what is withheld."""
    case = RandomQueue(seed)
    for _ in range(length):
        case.step()
        while gone := case.planner.plan(case.now, most=1):
            for want in gone[0].needs.wants:
                account = want.demand.account
                taken = case.planner.headroom.used[account]
                assert less(case.limits[account], want.withheld).admits(taken)
            plain = case.oracle.plain
            if plain is not None and gone[0].needs.shares:
                assert less(plain.total, gone[0].needs.withheld).admits(_in_the_pool(case))
            case.running[gone[0].uid] = case.planner.charge_of(gone[0])
            case.forget(gone[0])


@settings(max_examples=200)
@given(seeds, lengths)
def test_none_that_fits_is_left_waiting(seed: int, length: int) -> None:
    """No slot stays idle beside one who fits it, but for holds and strict queues."""
    case = RandomQueue(seed)
    for _ in range(length):
        case.step()
        case.plan()
        for waiter in case.oracle.waiters.values():
            rules = case.oracle.rules[waiter.namespace]
            kept = rules.stop_policy is not StopPolicy.NONE or rules.strategy is QueueStrategy.STRICT_FIFO
            assert kept or waiter.fault or not case.oracle.fits(waiter)


@settings(max_examples=200)
@given(seeds, lengths, st.randoms(use_true_random=False))
def test_a_new_planner_decides_the_same(seed: int, length: int, shuffler: Random) -> None:
    """A new leader that lists everything, in any order, with the same past, goes on where the old one was."""
    case = RandomQueue(seed)
    for _ in range(length):
        case.step()
    old = case.planner
    old.ended(Charge("team-a", "", (), ZERO), case.now)  # Its time is now.
    new = Planner(now=case.now, fair=deepcopy(old.fair), max_overtakes=NEVER, long_wait=timedelta(days=9999))
    new.sampled_at = old.sampled_at
    new.set_used(old.headroom.used)
    if case.oracle.plain is not None:
        new.set_pool(pool_of(compile_tree(case.oracle.plain.members())))
    for name, rules in case.oracle.rules.items():
        new.set_rules(name, rules)
    waiters = list(case.oracle.waiters.values())
    shuffler.shuffle(waiters)
    for waiter in waiters:
        new.add(waiter)
    for account, most in case.limits.items():
        new.set_limits(account, most)
    assert uids(new.plan(case.now)) == uids(old.plan(case.now))


def _in_the_pool(case: RandomQueue) -> Usage:
    shares = [Account(name, "pool/share") for name in case.names]
    return sum((case.planner.headroom.used.get(account, ZERO) for account in shares), ZERO)
