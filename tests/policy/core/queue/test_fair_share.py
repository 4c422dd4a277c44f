"""Fair share: past usage is forgotten by halves, in integers, and a start counts at once."""

from datetime import datetime, timedelta
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from policy.core.queue.fair_share import ENTRY, SCALE, UNBOUNDED_SHARE, FairShare
from policy.core.quota.accounts import Tenant
from policy.core.values.amounts import Usage
from tests.policy.core.builders import NOW, limits

HOUR: Final = timedelta(hours=1)
A: Final = Tenant("a")
B: Final = Tenant("b")


def _fair(now: datetime = NOW, **weights: int) -> FairShare:
    return FairShare(now=now, limits=limits(10, 100), half_life=HOUR, weights=weights)


def test_the_tenant_that_used_less_goes_first() -> None:
    """Usage is slots times seconds, by the resource of which it takes the larger part."""
    fair = _fair()
    fair.started(A, Usage(1, 50), NOW, entry=False)
    fair.started(B, Usage(2, 2), NOW, entry=False)
    fair.sample(NOW + timedelta(seconds=10))
    history = fair.history(NOW + timedelta(seconds=10))
    # Half of the tasks, and a fifth of the Workflows, for ten seconds.
    assert abs(history[A] - 5 * SCALE) < SCALE // 100
    assert abs(history[B] - 2 * SCALE) < SCALE // 100
    assert fair.ranks.get(B, 0) < fair.ranks.get(A, 0)


def test_half_is_forgotten_after_a_half_life() -> None:
    """And half of that after another one."""
    fair = _fair()
    fair.started(A, Usage(10), NOW)
    fair.ended(A, Usage(10), NOW)
    spent = [fair.history(NOW + each * HOUR)[A] for each in range(4)]
    assert spent[0] == ENTRY * SCALE
    assert spent == [spent[0] >> halvings for halvings in range(4)]


def test_what_was_used_lately_counts_more() -> None:
    """The same usage an hour later counts twice."""
    fair = _fair()
    for tenant, start in ((A, NOW), (B, NOW + HOUR)):
        fair.started(tenant, Usage(1), start)
        fair.ended(tenant, Usage(1), start)
    assert fair.ranks.get(B, 0) == 2 * fair.ranks.get(A, 0) > 0


def test_a_burst_counts_before_anything_was_measured() -> None:
    """A start is charged as if it had run for a minute already, at once."""
    fair = _fair()
    fair.started(A, Usage(1), NOW)
    assert fair.ranks.get(A, 0) > fair.ranks.get(B, 0) == 0
    assert fair.history(NOW) == {A: ENTRY * SCALE // 10}


def test_a_heavier_namespace_may_use_more() -> None:
    """Weight three: three times the usage for the same rank."""
    fair = _fair(a=3)
    for tenant, count in ((A, 3), (B, 1)):
        for _ in range(count):
            fair.started(tenant, Usage(1), NOW)
    assert fair.ranks.get(A, 0) == fair.ranks.get(B, 0)


def test_without_limits_workflows_are_counted() -> None:
    """There is no share of something unlimited."""
    fair = FairShare(now=NOW, limits=limits(), half_life=HOUR)
    fair.started(A, Usage(2, 500), NOW)
    assert fair.history(NOW) == {A: 2 * UNBOUNDED_SHARE * ENTRY}


events = st.lists(
    st.tuples(st.sampled_from([A, B, Tenant("a", "ann")]), st.integers(0, 3), st.integers(0, 7200)),
    max_size=30,
)


def _replay(fair: FairShare, steps: list[tuple[Tenant, int, int]]) -> datetime:
    now = NOW
    running: list[tuple[Tenant, Usage]] = []
    for tenant, count, seconds in steps:
        now += timedelta(seconds=seconds)
        if count:
            fair.started(tenant, Usage(count, count), now)
            running.append((tenant, Usage(count, count)))
        elif running:
            fair.ended(*running.pop(0), now)
    return now


@given(events)
def test_the_same_events_give_the_same_ranks(steps: list[tuple[Tenant, int, int]]) -> None:
    """Integers only, so every replica agrees to the last bit."""
    one, other = _fair(), _fair()
    assert _replay(one, steps) == _replay(other, steps)
    assert all(one.ranks.get(each, 0) == other.ranks.get(each, 0) for each in (A, B, Tenant("a", "ann")))


@given(events)
def test_a_rank_never_falls_by_time_or_use(steps: list[tuple[Tenant, int, int]]) -> None:
    """What the planner relies on: keys that it holds are too low at most."""
    fair, before, now = _fair(), dict.fromkeys((A, B), 0), NOW
    for tenant, count, seconds in steps:
        now += timedelta(seconds=seconds)
        fair.started(tenant, Usage(count), now)
        fair.sample(now)
        ranks = {each: fair.ranks.get(each, 0) for each in (A, B)}
        assert all(ranks[each] >= before[each] for each in ranks)
        before = ranks


@given(events)
def test_decay_is_that_of_the_definition(steps: list[tuple[Tenant, int, int]]) -> None:
    """Against floating point: charges decay by 2**(-age/half-life), to within a part in ten thousand."""
    fair = _fair()
    entries: list[tuple[datetime, int]] = []
    now = NOW
    for _, count, seconds in steps:
        now += timedelta(seconds=seconds)
        fair.started(A, Usage(count), now)
        fair.ended(A, Usage(count), now)
        entries.append((now, count * SCALE // 10 * ENTRY))
    wanted = sum(amount * 2 ** (-((now - at) / HOUR)) for at, amount in entries)
    found = fair.history(now).get(A, 0)
    assert abs(found - wanted) <= 1e-3 * wanted + 2


@given(events)
def test_scaling_numbers_down_keeps_the_order(steps: list[tuple[Tenant, int, int]]) -> None:
    """After many half-lives the numbers are cut, and who was ahead is not behind."""
    fair = _fair()
    now = _replay(fair, steps) + 40 * HOUR
    fair.sample(now)
    ahead = fair.ranks.get(A, 0) <= fair.ranks.get(B, 0)
    assert fair.rebase(now)
    assert not fair.rebase(now)
    assert not ahead or fair.ranks.get(A, 0) <= fair.ranks.get(B, 0)


@given(events)
def test_a_new_leader_continues_from_the_history(steps: list[tuple[Tenant, int, int]]) -> None:
    """What a status shows is enough to order by."""
    fair = _fair()
    now = _replay(fair, steps)
    history = fair.history(now)
    again = FairShare(now=now, limits=limits(10, 100), half_life=HOUR, history=history)
    assert again.history(now) == history
