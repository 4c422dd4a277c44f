"""Every question that a run asks is answered from its seed, by the name of the question.

An answer depends on nothing but the seed and the name (actor, number of its step, what is asked). So a run is
the same in every process, and leaving one misfortune out leaves all the others where they were: that is what
makes a failing run shrink well.
"""

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Final, TypeVar

T = TypeVar("T")
_SCALE: Final = 1 << 32
_WIDTH: Final = 4


class Roll:
    """The numbers drawn for one question, each in [0, 1): as many as eight decisions can be made on it."""

    __slots__ = ("_bytes",)

    def __init__(self, drawn: bytes) -> None:
        self._bytes = drawn

    def __getitem__(self, place: int) -> float:
        start = place * _WIDTH
        return int.from_bytes(self._bytes[start : start + _WIDTH], "big") / _SCALE


class Choices:
    """Answers questions; `left_out` names those that get the plainest answer whatever the seed says.

    `certain` names others that get the least plain one, so that what is rare otherwise happens often. `taken`
    lists, in order, the questions whose answer was not the plainest.
    """

    def __init__(self, seed: int, *, left_out: Collection[str] = (), certain: Collection[str] = ()) -> None:
        self.seed = seed
        self._salt = seed.to_bytes(8, "big", signed=True)
        self._left_out = frozenset(left_out)
        self._certain = frozenset(certain)
        self.taken: list[str] = []

    def roll(self, question: str) -> Roll:
        """Return the numbers of a question; whoever acts on one asks `takes` first."""
        return Roll(blake2b(question.encode(), digest_size=32, key=self._salt).digest())

    def takes(self, decision: str) -> bool:
        """Tell whether a decision that differs from the plainest may be made, and note it."""
        if decision in self._left_out:
            return False
        self.taken.append(decision)
        return True

    def chance(self, question: str, probability: float) -> bool:
        """Tell whether something of this probability happens; the plainest is that it does not."""
        happens = question in self._certain or self.roll(question)[0] < probability
        return happens and self.takes(question)

    def pick(self, question: str, options: Sequence[T]) -> T:
        """Return one of some options, the first of which is the plainest."""
        last = len(options) - 1
        place = last if question in self._certain else int(self.roll(question)[0] * len(options))
        return options[place if place and self.takes(question) else 0]

    def between(self, question: str, low: int, high: int) -> int:
        """Return a number from low to high, both included; the plainest is `low`."""
        value = high if question in self._certain else low + int(self.roll(question)[0] * (high - low + 1))
        return value if value == low or self.takes(question) else low
