"""Who may compute, and what a long review that waits for a slot does with its permit."""

from webhook.time_left import LongReviewSlots, Permits


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
