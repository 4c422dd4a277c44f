"""The time of a review, and the places of those that take long."""

from contextlib import nullcontext
from datetime import timedelta

import msgspec
import pytest

from policy.core.budget import Part, TimeSpentError
from policy.core.decision import Side
from tests.webhook.calling import Webhook
from tests.webhook.reviews import EVERYTHING, admission_review, encoded, workflow
from webhook.failure import OutOfTime
from webhook.long_reviews import LONG, Places, TimeLeft, lane_of
from webhook.review import review

BODY = encoded(admission_review(workflow()))


class Hand:
    """A clock that shows what is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Told:
    """Turns, or a lane, that write down what is asked of them."""

    def __init__(self, *, room: bool = True) -> None:
        self.said: list[str] = []
        self.room = room

    def take(self) -> None:
        self.said.append("take")

    def give(self) -> None:
        self.said.append("give")

    def enter(self, seconds: float) -> bool:
        self.said.append(f"enter {seconds:g}")
        return self.room

    def leave(self) -> None:
        self.said.append("leave")


def test_a_short_review_needs_no_place() -> None:
    """Nearly all reviews are over before anybody asks."""
    clock, lane = Hand(), Told()
    left = TimeLeft(clock, 1, lane)
    clock.now = LONG
    left.check(Part.GRAPH)
    left.done()
    assert lane.said == []


def test_a_long_review_takes_one_place_and_gives_it_back() -> None:
    """It asks once, for as long as it has time, and gives the place back once."""
    clock, lane = Hand(), Told()
    left = TimeLeft(clock, 1, lane)
    clock.now = 0.25
    left.check(Part.GRAPH)
    left.check(Part.LOCKS)
    left.done()
    left.done()
    assert lane.said == ["enter 0.75", "leave"]


def test_a_long_review_without_a_place_in_time_is_over() -> None:
    """It is out of time while it waits, and has nothing to give back."""
    clock, lane = Hand(), Told(room=False)
    left = TimeLeft(clock, 1, lane)
    clock.now = 0.5
    with pytest.raises(TimeSpentError, match="waiting"):
        left.check(Part.GRAPH)
    left.done()
    assert lane.said == ["enter 0.5"]


def test_whose_time_is_spent_is_told_the_part() -> None:
    """The sentence says where the time went."""
    clock = Hand()
    left = TimeLeft(clock, 1, Told())
    clock.now = 1.5
    with pytest.raises(TimeSpentError, match="in the part graph"):
        left.check(Part.GRAPH)


def test_who_finds_a_place_keeps_the_turn() -> None:
    """Nothing changes hands where a place is free."""
    turns = Told()
    Places(turns, 1).enter(1)
    assert turns.said == []


def test_who_waits_for_a_place_has_no_turn() -> None:
    """So two long reviews leave a turn to the short ones."""
    turns = Told()
    places = Places(turns, 1)
    assert places.enter(0)
    assert not places.enter(0)
    assert turns.said == ["give", "take"]
    places.leave()
    assert places.enter(0)


def test_without_a_server_there_is_room_for_everybody() -> None:
    """The embedded mode and the tests have no turns."""
    lane = lane_of({})
    assert lane.enter(0)
    assert lane.enter(0)
    lane.leave()


@pytest.mark.parametrize("step", [0.06, 0.3])
def test_a_review_gives_its_place_back_however_it_ends(step: float) -> None:
    """Answered or out of time: a place that is not given back would be lost for ever."""
    clock, lane = Hand(), Told()

    def ticking() -> float:
        clock.now += step
        return clock.now

    webhook = Webhook(EVERYTHING)
    parts = msgspec.structs.replace(webhook.app._parts, monotonic=ticking)
    with nullcontext() if step < LONG else pytest.raises(OutOfTime):
        review(BODY, Side.MUTATE, timedelta(seconds=1), parts, lane)
    assert [each.split()[0] for each in lane.said] == ["enter", "leave"]


def test_a_review_out_of_time_is_counted_and_logged_with_its_part() -> None:
    """Whoever looks for the reason finds the part of the review in one line and in a metric."""
    webhook = Webhook(EVERYTHING)
    times = iter(range(100))
    webhook.app._parts = msgspec.structs.replace(webhook.app._parts, monotonic=lambda: 10.0 * next(times))
    reply = webhook.post(BODY, "/mutate?timeout=2s")
    assert (reply.status, reply.body) == (504, b"the review took longer than 1.7 s, in the part reading\n")
    [line] = webhook.logged()
    assert line["message"] == "the review took longer than 1.7 s, in the part reading"
    assert webhook.metric("lockkeeper_reviews_out_of_time_total", part="reading") == 1
