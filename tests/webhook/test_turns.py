"""Who may compute, and what a review that waits does with its permit."""

import pytest

from webhook.turns import IN_LOOP, LongReviewSlots, NotHereError, Permits, ThreadTurn


class WrittenDown(Permits):
    """Permits that write down what is asked of them."""

    def __init__(self) -> None:
        super().__init__(1)
        self.said: list[str] = []

    def acquire(self) -> None:
        self.said.append("acquire")

    def release(self) -> None:
        self.said.append("release")


def test_a_review_that_finds_a_slot_keeps_the_permit() -> None:
    """Nothing is released where a slot is free."""
    permits = WrittenDown()
    LongReviewSlots(permits, 1).enter(1)
    assert permits.said == []


def test_a_review_that_waits_for_a_slot_has_no_permit() -> None:
    """So two long reviews leave a permit to the short ones."""
    permits = WrittenDown()
    slots = LongReviewSlots(permits, 1)
    assert slots.enter(0)
    assert not slots.enter(0)
    assert permits.said == ["release", "acquire"]
    slots.leave()
    assert slots.enter(0)


def test_a_review_that_waits_for_others_has_no_permit() -> None:
    """Others compute meanwhile, and it has one again afterwards, however the wait ended."""
    permits = WrittenDown()
    turn = ThreadTurn(permits, LongReviewSlots(permits, 1), waited=0)
    turn.may_wait()

    def wait() -> None:
        with turn.waiting():
            permits.said.append("wait")
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        wait()
    assert permits.said == ["release", "wait", "acquire"]


def test_nothing_waits_in_the_loop() -> None:
    """Whoever would have to is told to do it elsewhere, before it begins."""
    with pytest.raises(NotHereError):
        IN_LOOP.may_wait()
    with pytest.raises(NotHereError):
        IN_LOOP.waiting()
    with pytest.raises(NotHereError):
        IN_LOOP.enter(1)
