"""The waits for each lock of a play."""

from collections.abc import Callable, Iterable
from typing import Final

from policy.service.simulation.result import LockResult
from policy.service.simulation.wait_counts import WaitCounts

_MOST: Final = 2_000
_OTHERS: Final = "(others)"


class LockCounts:
    """Counts by Argo's names of the locks."""

    def __init__(self) -> None:
        self._waits: dict[str, WaitCounts] = {}

    def add(self, locks: Iterable[str], seconds: float) -> None:
        """Count a step that got some locks after so long."""
        for lock in locks:
            found = self._waits.get(lock)
            if found is None:
                name = lock if len(self._waits) < _MOST else _OTHERS
                found = self._waits.setdefault(name, WaitCounts())
            found.add(seconds)

    def results(self, limit_of: Callable[[str], int | None]) -> tuple[LockResult, ...]:
        """Return the locks, the one with the longest waits first; `limit_of` returns their limits."""
        ordered = sorted(self._waits.items(), key=lambda each: (-each[1].total, each[0]))
        return tuple(
            LockResult(name, None if name == _OTHERS else limit_of(name), len(waits), waits.figures())
            for name, waits in ordered
        )
