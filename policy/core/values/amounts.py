"""Quota amounts: exact integers with an explicit Unlimited, and sums from which a part can be subtracted.

Using a type instead of `int | None` prevents two bugs: `None` used as zero, and an unlimited amount
that, once added to a total, can never be subtracted (Kueue's `pkg/resources/amount.go` lists the same).
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

UNLIMITED_WORD: Final = "Unlimited"
INT64_MAX: Final = 2**63 - 1
AmountField: TypeAlias = int | Literal["Unlimited"]
"""How an amount is written in a policy file: an integer >= 0 or the word `Unlimited`."""


class Amount(msgspec.Struct, frozen=True, gc=False):
    """An upper bound on a count: an integer >= 0, or unlimited (`value` is None)."""

    value: int | None

    @classmethod
    def parse(cls, field: AmountField | None) -> "Amount":
        """Return the amount written in a policy; an absent field is unlimited.

        Raises:
            ValueError: the integer is negative.
        """
        if field is None or field == UNLIMITED_WORD:
            return UNLIMITED
        if field < 0:
            raise ValueError(f"must be 0 or more, or {UNLIMITED_WORD}; got {field}")
        return cls(field)

    @property
    def unlimited(self) -> bool:
        """Whether there is no bound."""
        return self.value is None

    def covers(self, count: int) -> bool:
        """Return whether `count` stays within this bound."""
        return self.value is None or count <= self.value

    def plus(self, count: int) -> "Amount":
        """Return the sum with `count`, which may be negative: 0 at least; unlimited stays unlimited."""
        return self if self.value is None else Amount(max(0, self.value + count))

    def tightest(self, other: "Amount") -> "Amount":
        """Return the smaller of two bounds."""
        if self.value is None:
            return other
        if other.value is None:
            return self
        return self if self.value <= other.value else other

    def __str__(self) -> str:
        return UNLIMITED_WORD.lower() if self.value is None else str(self.value)


UNLIMITED: Final = Amount(None)


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What Workflows use: their number, their tasks, and the number of those without a bound on their tasks.

    Keeping the unbounded ones as a count makes every sum exact and reversible:
    `(a + b) - b == a`, which a saturating total would not give.
    """

    workflows: int = 0
    tasks: int = 0
    unbounded: int = 0

    @classmethod
    def of(cls, tasks: Amount) -> "Usage":
        """Return the usage of one Workflow that runs at most `tasks` tasks at once."""
        return cls(1, 0, 1) if tasks.value is None else cls(1, tasks.value, 0)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.workflows + other.workflows, self.tasks + other.tasks, self.unbounded + other.unbounded
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            self.workflows - other.workflows, self.tasks - other.tasks, self.unbounded - other.unbounded
        )

    def times(self, count: int) -> "Usage":
        """Return the usage of `count` such Workflows."""
        return Usage(self.workflows * count, self.tasks * count, self.unbounded * count)

    def most(self, other: "Usage") -> "Usage":
        """Return what covers either of the two, for when only one of them occurs."""
        return Usage(
            max(self.workflows, other.workflows),
            max(self.tasks, other.tasks),
            max(self.unbounded, other.unbounded),
        )

    @property
    def task_amount(self) -> Amount:
        """The tasks as an amount: unlimited as soon as one Workflow in the sum is unbounded."""
        return UNLIMITED if self.unbounded else Amount(self.tasks)


ZERO: Final = Usage()


class Limits(msgspec.Struct, frozen=True):
    """How many Workflows and tasks may run at once, each with its own bound."""

    workflows: Amount = UNLIMITED
    tasks: Amount = UNLIMITED

    def admits(self, usage: Usage) -> bool:
        """Return whether `usage`, the new Workflow included, stays within both bounds."""
        if not self.workflows.covers(usage.workflows):
            return False
        return self.tasks.value is None or (not usage.unbounded and usage.tasks <= self.tasks.value)

    def tightest(self, other: "Limits") -> "Limits":
        """Return the smaller bound of each kind."""
        return Limits(self.workflows.tightest(other.workflows), self.tasks.tightest(other.tasks))

    @property
    def bounds_tasks(self) -> bool:
        """Whether a Workflow needs a known number of tasks to be admitted."""
        return not self.tasks.unlimited


class Reserve(msgspec.Struct, frozen=True):
    """A part of a limit for priorities above `above_priority`."""

    above_priority: int
    size: Usage


def withheld(reserves: Iterable[Reserve], priority: int) -> Usage:
    """Return what is withheld from a Workflow of this priority."""
    return sum((each.size for each in reserves if priority <= each.above_priority), ZERO)


def less(limits: Limits, withheld: Usage) -> Limits:
    """Return limits without what is withheld: 0 at least; unlimited stays unlimited."""
    if withheld == ZERO:
        return limits
    return Limits(limits.workflows.plus(-withheld.workflows), limits.tasks.plus(-withheld.tasks))
