"""Who may compute, and what a long review that waits for a place does with its permit."""

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


def test_who_finds_a_place_keeps_the_permit() -> None:
    """Nothing changes hands where a place is free."""
    permits = WrittenDown()
    LongReviewSlots(permits, 1).enter(1)
    assert permits.said == []


def test_who_waits_for_a_place_has_no_permit() -> None:
    """So two long reviews leave a permit to the short ones."""
    permits = WrittenDown()
    slots = LongReviewSlots(permits, 1)
    assert slots.enter(0)
    assert not slots.enter(0)
    assert permits.said == ["release", "acquire"]
    slots.leave()
    assert slots.enter(0)
