"""The time of a review: long work looks at it now and then, and ends where it is spent.

The core reads no clock. The caller passes a `Budget`, and a caller without one, as the
controller and the command line, has no deadline. A look costs a tenth of a microsecond, so
work that a request can make long looks at every step that is long in itself, and at every so many short ones.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain
from typing import Final, Protocol, TypeVar

Item = TypeVar("Item")

STEPS: Final = 32
"""Short steps between two looks at the time."""


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
    """The time of a review is spent; `part` is what it was spent in, or before."""

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
    """All the time that it takes."""

    def check(self, part: Part) -> None:
        """Go on."""


UNBOUNDED: Final[Budget] = _Unbounded()


def paced(items: Collection[Item], budget: Budget, part: Part) -> Iterable[Item]:
    """Return the items, looking at the time while they are gone through; few of them as they are."""
    if len(items) <= STEPS:
        return items
    whole = items if isinstance(items, Sequence) else tuple(items)
    return chain.from_iterable(_pieces(whole, budget, part))


def _pieces(items: Sequence[Item], budget: Budget, part: Part) -> Iterator[Sequence[Item]]:
    """Yield the items in pieces: what goes through a piece costs no more than without a budget."""
    yield items[:STEPS]
    for start in range(STEPS, len(items), STEPS):
        budget.check(part)
        yield items[start : start + STEPS]
