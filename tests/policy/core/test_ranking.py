"""A ranking gives what sorting anew would, while keys rise unnoticed and fall with notice."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from policy.core.deadlines import Deadlines
from policy.core.ordering import Key
from policy.core.ranking import Ranking
from tests.policy.core.builders import NOW

steps = st.lists(
    st.tuples(st.sampled_from(["put", "rise", "fall", "drop", "none"]), st.integers(0, 5), st.integers(0, 9)),
    max_size=80,
)


@given(steps)
def test_the_first_is_the_one_with_the_lowest_key(history: list[tuple[str, int, int]]) -> None:
    """After any history, against a dictionary that is searched each time."""
    keys: dict[int, Key | None] = {}
    inside: set[int] = set()
    ranking: Ranking[int] = Ranking(keys.__getitem__)
    for what, item, by in history:
        key = keys.get(item)
        if what == "put" or (what == "fall" and item in inside):
            before = key[0] if key is not None and isinstance(key[0], int) else by
            keys[item] = (before - by if what == "fall" else by, item)
            ranking.put(item)
            inside.add(item)
        elif what == "rise" and key is not None and isinstance(key[0], int):
            keys[item] = (key[0] + by, item)
        elif what == "drop":
            ranking.discard(item)
            inside.discard(item)
        elif what == "none" and item in inside:
            keys[item] = None
        alive = {each: found for each in inside if (found := keys[each]) is not None}
        first = ranking.first()
        assert first == (min((found, each) for each, found in alive.items()) if alive else None)
        # An item without a key is gone once it came to the front; it may have a key no more without a put.
        inside = set(alive)
        for each in range(6):
            if each not in inside:
                ranking.discard(each)
        assert len(ranking) == len(inside)


def test_it_does_not_grow_with_what_is_put_again_and_again() -> None:
    """Outdated entries are thrown away."""
    ranking: Ranking[int] = Ranking(lambda item: (item,))
    for _ in range(1000):
        ranking.put(1)
    assert len(ranking._heap) < 30


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 20))), max_size=40))
def test_deadlines_that_have_come_are_those_of_a_search(history: list[tuple[int, int | None]]) -> None:
    """Set, changed and forgotten in any order, in the order of their times."""
    deadlines = Deadlines()
    known: dict[str, datetime] = {}
    for number, seconds in history:
        uid = f"u{number}"
        if seconds is None:
            deadlines.discard(uid)
            known.pop(uid, None)
        else:
            known[uid] = NOW.replace(second=seconds)
            deadlines.put(uid, known[uid])
        assert deadlines.next() == min(known.values(), default=None)
    for second in range(21):
        now = NOW.replace(second=second)
        assert set(deadlines.passed(now)) == {uid for uid, at in known.items() if at <= now}
    for uid in known:
        deadlines.discard(uid)
    assert deadlines.passed(NOW.replace(second=30)) == []
