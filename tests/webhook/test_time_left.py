"""How much time a review has, the slots of those that take long, and that no answer comes too late."""

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.decision.decision import Side
from policy.core.values.budget import Part, TimeSpentError
from tests.webhook.calling import SlowLedgers, Webhook
from tests.webhook.reviews import EVERYTHING, admission_review, encoded, quota, workflow
from webhook.http_errors import OutOfTime
from webhook.review import review
from webhook.time_left import (
    DEFAULT_TIMEOUT,
    LONGEST,
    SHARE,
    TimeLeft,
    budget_of,
    parse_duration,
)
from webhook.turns import ALONE, IN_LOOP, LONG, LONG_IN_LOOP, NotHereError

BODY = encoded(admission_review(workflow()))
DENY = quota("Deny", limits={"workflows": 5})


class Hand:
    """A clock that shows what is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class WrittenDown:
    """A turn that writes down what is asked of it."""

    long = LONG
    waited = 0.0

    def may_wait(self) -> None:
        self.said.append("wait")

    def waiting(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __init__(self, *, room: bool = True) -> None:
        self.said: list[str] = []
        self.room = room

    def enter(self, seconds: float) -> bool:
        self.said.append(f"enter {seconds:g}")
        return self.room

    def leave(self) -> None:
        self.said.append("leave")


def test_a_short_review_needs_no_slot() -> None:
    """Nearly all reviews are over before anybody asks."""
    clock, slots = Hand(), WrittenDown()
    left = TimeLeft(clock, 1, slots)
    clock.now = LONG
    left.check(Part.GRAPH)
    left.done()
    assert slots.said == []


def test_a_long_review_takes_one_slot_and_gives_it_back() -> None:
    """It asks once, for as long as it has time, and gives the slot back once."""
    clock, slots = Hand(), WrittenDown()
    left = TimeLeft(clock, 1, slots)
    clock.now = 0.25
    left.check(Part.GRAPH)
    left.check(Part.LOCKS)
    left.done()
    left.done()
    assert slots.said == ["enter 0.75", "leave"]


def test_a_long_review_without_a_slot_in_time_is_over() -> None:
    """It is out of time while it waits, and has nothing to give back."""
    clock, slots = Hand(), WrittenDown(room=False)
    left = TimeLeft(clock, 1, slots)
    clock.now = 0.5
    with pytest.raises(TimeSpentError, match="waiting"):
        left.check(Part.GRAPH)
    left.done()
    assert slots.said == ["enter 0.5"]


def test_the_part_that_spent_the_time_is_reported() -> None:
    """The sentence says where the time went."""
    clock = Hand()
    left = TimeLeft(clock, 1, WrittenDown())
    clock.now = 1.5
    with pytest.raises(TimeSpentError, match="in the part graph"):
        left.check(Part.GRAPH)


def test_without_a_server_long_reviews_are_not_limited() -> None:
    """The embedded mode and the tests have no permits."""
    assert ALONE.enter(0)
    assert ALONE.enter(0)
    ALONE.leave()


def test_what_was_waited_before_is_no_time_of_the_review() -> None:
    """The API server counts from when it asked, whoever was busy then."""
    clock, slots = Hand(), WrittenDown()
    slots.waited = 0.9
    left = TimeLeft(clock, 1, slots)
    clock.now = 0.2
    with pytest.raises(TimeSpentError, match="graph"):
        left.check(Part.GRAPH)


def test_a_review_that_takes_long_leaves_the_loop_and_is_done_anew() -> None:
    """The loop is left at the first look at the time, and nothing has happened until then."""
    clock = Hand()

    def ticking() -> float:
        clock.now += LONG_IN_LOOP * 0.6
        return clock.now

    webhook = Webhook(EVERYTHING)
    parts = msgspec.structs.replace(webhook.app._parts, monotonic=ticking)
    with pytest.raises(NotHereError):
        review(BODY, Side.MUTATE, timedelta(seconds=9), parts, IN_LOOP)
    assert webhook.decisions == []
    review(BODY, Side.MUTATE, timedelta(seconds=9), parts, WrittenDown())
    assert len(webhook.decisions) == 1


@pytest.mark.parametrize("step", [0.06, 0.3])
def test_a_review_gives_its_slot_back_however_it_ends(step: float) -> None:
    """Answered or out of time: a slot that is not given back would be lost for ever."""
    clock, slots = Hand(), WrittenDown()

    def ticking() -> float:
        clock.now += step
        return clock.now

    webhook = Webhook(EVERYTHING)
    parts = msgspec.structs.replace(webhook.app._parts, monotonic=ticking)
    with nullcontext() if step < LONG else pytest.raises(OutOfTime):
        review(BODY, Side.MUTATE, timedelta(seconds=1), parts, slots)
    assert [each.split()[0] for each in slots.said] == ["enter", "leave"]


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("1m0s", 60),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2h0m0s", 7200),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1h1m1s1ms", 3661.001),
        ("99999999h", 86_400),
        ("9" * 400 + "s", 86_400),
    ],
)
def test_durations_of_go_are_read(text: str, seconds: float) -> None:
    """What `time.Duration.String` writes is understood; more than a day is cut."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "+5s", "0s", "0h0m0s", "5S", "5s ", "1d", "1e3s", "5ss"]
)
def test_other_texts_are_no_duration(text: str) -> None:
    """Nothing is guessed from what Go would not write, and no review gets no time at all."""
    assert parse_duration(text) is None


@given(st.integers(1, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_written_duration_is_read_back(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    """Reading undoes writing, for every combination of units."""
    expected = timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    assert parse_duration(f"{hours}h{minutes}m{seconds}s{milliseconds}ms") == expected


@given(st.text(max_size=40))
def test_any_query_gives_a_budget_that_the_api_server_could_allow(query: str) -> None:
    """Whatever stands behind the question mark, a review gets some time and never more than 30 seconds."""
    assert timedelta(0) < budget_of(query) <= LONGEST * SHARE


@pytest.mark.parametrize(
    ("query", "timeout"),
    [
        ("timeout=5s", timedelta(seconds=5)),
        ("a=b&timeout=2s&c=d", timedelta(seconds=2)),
        ("timeout=2s&timeout=3s", timedelta(seconds=3)),
        ("timeout=1m0s", LONGEST),
        ("", DEFAULT_TIMEOUT),
        ("timeout=", DEFAULT_TIMEOUT),
        ("timeout=soon", DEFAULT_TIMEOUT),
        ("timeout=-1s", DEFAULT_TIMEOUT),
        ("Timeout=5s", DEFAULT_TIMEOUT),
        ("timeout=%32s", timedelta(seconds=2)),
        ("timeout=%ff", DEFAULT_TIMEOUT),
    ],
)
def test_a_part_of_the_timeout_in_the_query_is_ours(query: str, timeout: timedelta) -> None:
    """The answer has to travel, so we take less than the API server waits; the last value counts."""
    assert budget_of(query) == timeout * SHARE


def slow(seconds: float) -> Webhook:
    """Return a webhook whose ledger takes so long to answer."""
    webhook = Webhook(DENY)
    webhook.serve_with(SlowLedgers(webhook.ledgers, webhook.clock, timedelta(seconds=seconds)))
    return webhook


MARKED = encoded(admission_review(Webhook(DENY).mutated(workflow())))
"""A review of an object that the mutating side is done with, so that the validating side asks the ledger."""


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("seconds", [4.3, 5, 60])
def test_an_answer_is_never_late(path: str, seconds: float) -> None:
    """With `?timeout=5s` a ledger that takes longer gives an HTTP error and never a late 200."""
    webhook = slow(seconds)
    reply = webhook.post(MARKED, f"{path}?timeout=5s")
    assert reply.status in {503, 504}
    assert webhook.decisions == []


def test_a_write_is_not_started_after_the_deadline() -> None:
    """A slot that nobody will hear of is not taken: the ledger gives up first, with 503."""
    webhook = slow(5)
    assert webhook.post(BODY, "/mutate?timeout=5s").status == 503
    assert webhook.reserved() == {}


def test_a_late_look_into_the_ledger_is_a_504() -> None:
    """A dry run that took too long is answered as out of time, with the time that it had."""
    webhook = slow(5)
    reply = webhook.post(encoded(admission_review(workflow(), dryRun=True)), "/mutate?timeout=2s")
    assert (reply.status, reply.body) == (504, b"the review took longer than 1.7 s, in the part ledger\n")


@pytest.mark.parametrize(("query", "seconds"), [("?timeout=5s", 4.2), ("", 8.4), ("?timeout=300s", 25.4)])
def test_what_comes_in_time_is_answered(query: str, seconds: float) -> None:
    """The whole of our part of the time may be used."""
    webhook = slow(seconds)
    assert webhook.post(BODY, f"/mutate{query}").status == 200
    assert len(webhook.reserved()) == 1


def test_a_late_review_is_logged_under_its_uid() -> None:
    """Whoever looks for a review that failed in the API server's log finds it in ours."""
    webhook = slow(60)
    webhook.post(MARKED, "/validate?timeout=5s")
    [line] = webhook.logged()
    assert (line["event"], line["status"]) == ("refused", "504 Gateway Timeout")
    assert line["uid"] == admission_review(workflow())["request"]["uid"]
