"""A lazy heap gives what sorting anew would, while keys rise unnoticed and fall with notice."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from policy.core.queue.equivalence_groups import LazyHeap
from policy.core.queue.ordering import Key
from policy.core.queue.pending import Deadlines
from tests.policy.core.builders import NOW

steps = st.lists(
    st.tuples(st.sampled_from(["put", "rise", "fall", "drop"]), st.integers(0, 5), st.integers(0, 9)),
    max_size=80,
)


@given(steps)
def test_the_first_is_the_one_with_the_lowest_key(history: list[tuple[str, int, int]]) -> None:
    """After any history, against a dictionary that is searched each time."""
    keys: dict[int, tuple[int, int]] = {}
    heap = LazyHeap[int]()
    for what, item, by in history:
        if what == "put" or (what == "fall" and item in keys):
            keys[item] = (keys[item][0] - by if what == "fall" else by, item)
            heap.put(item, keys[item])
        elif what == "rise" and item in keys:
            keys[item] = (keys[item][0] + by, item)
        elif what == "drop":
            heap.discard(item)
            keys.pop(item, None)
        assert _first(heap, keys) == min(((key, each) for each, key in keys.items()), default=None)
        assert len(heap) == len(keys)


def _first(heap: LazyHeap[int], keys: dict[int, tuple[int, int]]) -> tuple[Key, int] | None:
    """Return the first by the keys of now, as all users of such a heap do."""
    while (first := heap.first()) is not None:
        key, item = first
        if keys[item] <= key:
            return first
        heap.put(item, keys[item])
    return None


def test_it_does_not_grow_with_what_is_put_again_and_again() -> None:
    """Outdated entries are thrown away."""
    heap = LazyHeap[int]()
    for _ in range(1000):
        heap.put(1, (1,))
    assert len(heap._heap) < 30


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 20))), max_size=40))
def test_deadlines_that_have_passed_are_those_that_a_search_finds(
    history: list[tuple[int, int | None]],
) -> None:
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
