"""What another limit would have done: exact where the record is, and no result where it has too little."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.lock_queues.past_uses import Use
from policy.core.lock_queues.replay import FEWEST, TimedUse, replay, replay_limit, wait_times
from tests.policy.core.lock_graph.running import BEGIN, semaphore

DB = semaphore("db")
COMINGS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 60)), min_size=FEWEST, max_size=FEWEST + 30
).map(sorted)


def run(comings: Sequence[tuple[int, int]], limit: int) -> list[tuple[int, int, int]]:
    """Play a queue second by second: return when each arrived, began and finished, by arrival."""
    waiting = list(enumerate(comings))
    begun: dict[int, int] = {}
    now = 0
    while waiting:
        holding = sum(1 for index, start in begun.items() if start + comings[index][1] > now)
        while waiting and waiting[0][1][0] <= now and holding < limit:
            begun[waiting.pop(0)[0]] = now
            holding += 1
        now += 1
    return [(came, begun[index], begun[index] + length) for index, (came, length) in enumerate(comings)]


def use(arrived: float, ended: float | None, *, began: float | None = None, index: int = 0) -> Use:
    """Return a use of the semaphore; those of one second come in the order of their index."""
    return Use(
        DB,
        BEGIN + timedelta(seconds=arrived),
        None if began is None else BEGIN + timedelta(seconds=began),
        None if ended is None else BEGIN + timedelta(seconds=ended),
        0,
        BEGIN + timedelta(seconds=index),
    )


@given(COMINGS, st.integers(1, 4), st.booleans())
def test_a_record_of_one_limit_gives_what_another_would_have_done(
    comings: list[tuple[int, int]],
    limit: int,
    known: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """Exactly, where Argo's order is that of the arrivals: lengths are worked out from ends alone."""
    recorded = run(comings, limit)
    uses = [
        use(came, done, began=began if known else None, index=index)
        for index, (came, began, done) in enumerate(recorded)
    ]
    played = replay(DB, limit, uses, most_wait=0)
    assert (played.no_result, played.record.finished) == ("", len(comings))
    for each in played.outcomes:
        waits = [began - came for came, began, _ in run(comings, each.limit)]
        assert each.mean_wait.value == pytest.approx(sum(waits) / len(waits))
        assert each.tail_wait.value == sorted(waits)[int(0.95 * len(waits))]
        assert each.tail_wait.least <= each.tail_wait.value <= each.tail_wait.most


STAYS = st.lists(st.builds(TimedUse, st.floats(0, 1000), st.floats(0, 100)), min_size=1, max_size=40).map(
    lambda stays: sorted(stays, key=lambda each: each.arrived)
)


@given(STAYS, st.integers(1, 5))
def test_more_slots_never_make_a_wait_longer(stays: list[TimedUse], limit: int) -> None:
    """Or a suggestion to raise would be worth nothing."""
    fewer, more = wait_times(stays, limit), wait_times(stays, limit + 1)
    assert all(one >= other - 1e-9 for one, other in zip(fewer, more, strict=True))
    assert all(wait == 0 for wait in wait_times(stays, len(stays)))


def test_busy_slots_and_the_longest_queue_are_reported() -> None:
    """Three that come at once for one slot: two wait, and the slot is never idle."""
    made = replay_limit([TimedUse(0, 10), TimedUse(0, 10), TimedUse(0, 10)], 1)
    assert (made.longest_queue, made.busy, made.mean_wait.value) == (2, 1.0, 10.0)
    assert replay_limit([TimedUse(0, 10), TimedUse(20, 10)], 1).longest_queue == 0


def test_few_uses_give_no_result() -> None:
    """A false figure is worse than none."""
    few = [use(index, index + 5) for index in range(FEWEST - 1)]
    played = replay(DB, 2, [*few, use(50, None)], most_wait=10)
    assert played.no_result == f"too little was seen: {FEWEST - 1} finished uses, and {FEWEST} are needed"
    assert (played.outcomes, played.suggested, played.record.unfinished) == ((), None, 1)


def test_what_the_limit_does_not_explain_is_not_replayed() -> None:
    """Forty that ran at once under a limit of one: it was another then."""
    crowd = [use(0, 10, index=index) for index in range(40)]
    played = replay(DB, 1, crowd, most_wait=10)
    assert played.no_result.startswith("what was seen does not fit the limit 1: 98% of the uses overlap more")
    assert played.suggested is None


def test_the_lowest_limit_with_short_waits_is_suggested() -> None:
    """A use every five seconds that takes ten needs two slots, and lives with two."""
    steady = [(index * 5, 10) for index in range(60)]
    uses = [use(came, done, index=index) for index, (came, _, done) in enumerate(run(steady, 1))]
    assert replay(DB, 1, uses, most_wait=1).suggested == 2
    plenty = [use(came, done, index=index) for index, (came, _, done) in enumerate(run(steady, 5))]
    assert replay(DB, 5, plenty, most_wait=1).suggested == 3
    crowd = [use(0, 10 * (index + 1), index=index) for index in range(60)]
    assert replay(DB, 1, crowd, most_wait=0).suggested is None
