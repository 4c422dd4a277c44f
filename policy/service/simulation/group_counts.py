"""What is counted of each group of Workflows while a history is played: in bounded memory for any number."""

from collections.abc import Iterable
from typing import Final

from policy.service.simulation.result import GroupResult
from policy.service.simulation.wait_counts import WaitCounts

MOST_GROUPS: Final = 2_000
OTHERS: Final = "(others)"
"""Where users or templates are more than that, those seen later are counted together."""


class GroupCounts:
    """The counts of one group."""

    __slots__ = (
        "borrowed",
        "denied",
        "gave_up",
        "in_history",
        "lock_waits",
        "run_seconds",
        "started",
        "waited",
        "waits",
        "wasted",
        "workflows",
    )

    def __init__(self) -> None:
        self.workflows = self.started = self.denied = self.gave_up = self.waited = self.borrowed = 0
        self.run_seconds = self.wasted = 0.0
        self.waits, self.lock_waits, self.in_history = WaitCounts(), WaitCounts(), WaitCounts()

    @property
    def lost(self) -> float:
        """The part of the time of its Workflows that they waited."""
        waited = self.waits.total + self.lock_waits.total + self.wasted
        whole = self.run_seconds + waited
        return waited / whole if whole > 0 else 0.0

    def result(self, name: str) -> GroupResult:
        """Return what is told of it."""
        return GroupResult(
            name=name,
            workflows=self.workflows,
            started=self.started,
            denied=self.denied,
            gave_up=self.gave_up,
            never_started=self.workflows - self.started - self.denied - self.gave_up,
            waited=self.waited,
            borrowed=self.borrowed,
            waits=self.waits.figures(),
            lock_waits=self.lock_waits.figures(),
            in_history=self.in_history.figures(),
            told_in_history=len(self.in_history),
            run_seconds=round(self.run_seconds, 3),
            lost=round(self.lost, 4),
        )


class Groups:
    """The groups of one kind, by name."""

    def __init__(self) -> None:
        self._groups: dict[str, GroupCounts] = {}

    def of(self, name: str) -> GroupCounts:
        """Return the counts of a group."""
        found = self._groups.get(name)
        if found is None:
            kept = name if len(self._groups) < MOST_GROUPS else OTHERS
            found = self._groups.setdefault(kept, GroupCounts())
        return found

    def items(self) -> Iterable[tuple[str, GroupCounts]]:
        """Return all groups with their names."""
        return self._groups.items()

    def results(self) -> tuple[GroupResult, ...]:
        """Return the groups, the one that lost most time first."""
        ordered = sorted(
            self._groups.items(), key=lambda each: (-each[1].waits.total - each[1].wasted, each[0])
        )
        return tuple(counts.result(name) for name, counts in ordered)


def jain(values: Iterable[float]) -> float:
    """Return Jain's index of some values: 1 where all are equal, 1/n where one has everything."""
    found = list(values)
    squares = sum(each * each for each in found)
    return 1.0 if not squares else sum(found) ** 2 / (len(found) * squares)
