"""The time of a review: long work checks it now and then, and ends when it is spent.

The core reads no clock. The caller passes a `Budget`; the controller and the command line pass none and have
no deadline. A check costs a tenth of a microsecond, so work that a request can make long checks at each long
step, and once in `STEPS` short ones.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain
from typing import Final, Protocol, TypeVar

Item = TypeVar("Item")

STEPS: Final = 32
"""Short steps between two checks of the time."""


class Part(StrEnum):
    """The parts of a review that may take long; also the label of the metric."""

    WAITING = "waiting"
    READING = "reading"
    TYPES = "types"
    COMPARING = "comparing"
    LOCKS = "locks"
    INJECTION = "injection"
    GRAPH = "graph"
    DEADLOCKS = "deadlocks"
    TEMPLATES = "templates"
    POLICY = "policy"
    LEDGER = "ledger"
    ANSWER = "answer"


class TimeSpentError(Exception):
    """The time of a review is spent; `part` is the part in which, or before which, it ran out."""

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self.part = part

    def __str__(self) -> str:
        return f"its time was spent in the part {self.part}"


class Budget(Protocol):
    """The time that is left."""

    def check(self, part: Part) -> None:
        """Raise TimeSpentError where no time is left."""
        ...


class _Unbounded:
    """No deadline."""

    def check(self, part: Part) -> None:
        """Continue."""


UNBOUNDED: Final[Budget] = _Unbounded()


def paced(items: Collection[Item], budget: Budget, part: Part) -> Iterable[Item]:
    """Return the items; the time is checked during the loop over them, unless they are few."""
    if len(items) <= STEPS:
        return items
    whole = items if isinstance(items, Sequence) else tuple(items)
    return chain.from_iterable(_pieces(whole, budget, part))


def _pieces(items: Sequence[Item], budget: Budget, part: Part) -> Iterator[Sequence[Item]]:
    """Yield the items in pieces: within a piece, the loop costs no more than without a budget."""
    yield items[:STEPS]
    for start in range(STEPS, len(items), STEPS):
        budget.check(part)
        yield items[start : start + STEPS]
