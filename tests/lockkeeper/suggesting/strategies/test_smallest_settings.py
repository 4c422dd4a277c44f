"""The search by itself, over made-up answers: nothing is played."""

from collections.abc import Callable, Mapping
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from lockkeeper.suggesting.strategies.settings import Setting, Values
from lockkeeper.suggesting.strategies.smallest_settings import BudgetSpentError, Found, smallest
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits, NamespaceWaits
from lockkeeper.suggesting.strategies.ways import Way, WayKind
from policy.service.simulation.wait_counts import WaitFigures

A = Setting("ClusterWorkflowQuota", "", "data", ("limits", "workflows"))
B = Setting("WorkflowQuota", "team-a", "main", ("limits", "workflows"))
C = Setting("WorkflowQuota", "team-a", "main", ("perUser", "workflows"))


def waits(seconds: float) -> AllWaits:
    """Return one wait."""
    return {"team-a": NamespaceWaits(1, 0, WaitFigures(p95=seconds))}


def at_most(seconds: float) -> Callable[[AllWaits], bool]:
    """Return what wants a wait of so many seconds at most."""
    return lambda found: found["team-a"].figures.p95 <= seconds


def way(present: Values, *, may_be_lower: bool = False, highest: int = 1024) -> Way:
    """Return a way with some settings."""
    lowest = dict.fromkeys(present, 1) if may_be_lower else present
    return Way(
        WayKind.LIMITS, present, {key: max(1, value) * highest for key, value in present.items()}, lowest
    )


def driven(
    one: Way, meets: Callable[[AllWaits], bool], answer: Callable[[Values], float], *, most: int = 10_000
) -> tuple[Found, int]:
    """Return where a search ends whose questions are answered so, and how many it had."""
    search, asked = smallest(one, meets), 0
    try:
        questions = next(search)
        while True:
            asked += len(questions)
            if asked > most:
                search.throw(BudgetSpentError())
            questions = search.send([waits(answer(each)) for each in questions])
    except StopIteration as end:
        return end.value, asked


def needing(need: Mapping[Setting, int]) -> Callable[[Values], float]:
    """Return the wait of one second for each step that a setting is below what is needed."""
    return lambda values: sum(max(0, least - values[key]) for key, least in need.items())


NEED = st.integers(2, 1000)
PRESENT = st.integers(1, 40)


@given(st.tuples(NEED, NEED, NEED), st.tuples(PRESENT, PRESENT, PRESENT))
def test_each_setting_is_raised_to_exactly_what_is_needed(
    need: tuple[int, int, int], present: tuple[int, int, int]
) -> None:
    """Not above it, and not below what it is at present, in few questions."""
    keys = (A, B, C)
    wanted, now = dict(zip(keys, need, strict=True)), dict(zip(keys, present, strict=True))
    found, asked = driven(way(now), at_most(0), needing(wanted))
    assert found.values == {key: max(wanted[key], now[key]) for key in keys}
    assert found.finished
    assert asked < 100


@given(NEED, st.integers(3000, 9000))
def test_what_is_met_at_present_is_lowered_as_far_as_it_still_is(need: int, present: int) -> None:
    """And what makes no difference stays."""
    found, _ = driven(way({A: present, B: 7}, may_be_lower=True), at_most(0), needing({A: need}))
    assert found.values == {A: need, B: 7}


@given(st.integers(2, 60), st.integers(2, 60), st.integers(1, 20), st.integers(1, 20))
def test_where_one_can_stand_in_for_the_other_none_can_be_lower_alone(
    total: int, weight: int, a: int, b: int
) -> None:
    """Two settings that only together have to be enough: the outcome is smallest by each single one."""

    def answer(values: Values) -> float:
        return max(0, total * weight - values[A] * weight - values[B])

    found, _ = driven(way({A: a, B: b}), at_most(0), answer)
    values = found.values
    assert values is not None
    assert answer(values) == 0
    for key, low in ((A, a), (B, b)):
        assert values[key] == low or answer({**values, key: values[key] - 1}) > 0


def test_what_not_even_the_highest_meet_is_no_outcome() -> None:
    """After two questions."""
    found, asked = driven(way({A: 1}), at_most(0), lambda _: 1.0)
    assert (found, asked) == (Found(None), 2)


@given(st.integers(3, 40))
def test_a_search_that_is_stopped_returns_the_best_it_had(most: int) -> None:
    """It meets the wait, but may not be the smallest; before anything does there is none."""
    answer = needing({A: 700, B: 900, C: 50})
    found, _ = driven(way({A: 1, B: 1, C: 1}), at_most(0), answer, most=most)
    assert found.values is None or answer(found.values) == 0
    assert not found.finished or most > 30


def test_wrong_policies_are_as_good_as_a_wait_that_is_not_met() -> None:
    """A limit below what a reserve takes is refused by the checks: the search stays above it."""
    search, values = smallest(way({A: 100}, may_be_lower=True), at_most(9)), None
    try:
        questions = next(search)
        while True:
            questions = search.send(
                [None if each[A] < 13 else waits(ceil(100 / each[A])) for each in questions]
            )
    except StopIteration as end:
        values = end.value.values
    assert values == {A: 13}
