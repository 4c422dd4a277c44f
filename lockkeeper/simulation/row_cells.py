"""What rows of results show, in the tables of a terminal and of the report alike."""

from collections.abc import Sequence

from lockkeeper.process.console import aligned, printable
from lockkeeper.simulation.words import length, percent
from policy.service.simulation.result import GroupResult, LockResult, QuotaResult
from policy.service.simulation.wait_counts import WaitFigures


def wait_cells(waits: WaitFigures) -> tuple[str, str, str]:
    """Return the median of waits, 95 of 100, and the longest."""
    return length(waits.median), length(waits.p95), length(waits.longest)


def wait_in_history(group: GroupResult) -> str:
    """Return what 95 of 100 waited in the history, where that tells it."""
    return length(group.in_history.p95) if group.told_in_history else "-"


def quota_cells(quota: QuotaResult) -> tuple[str, str, str, str]:
    """Return the use of both limits, and the most of both."""
    return (
        percent(quota.workflows),
        percent(quota.tasks),
        str(quota.highest_workflows),
        str(quota.highest_tasks),
    )


def lock_cells(lock: LockResult) -> tuple[str, ...]:
    """Return a lock with its limit, its uses, and the waits for it."""
    limit = "?" if lock.limit is None else str(lock.limit)
    return (lock.lock, limit, str(lock.uses), *wait_cells(lock.waits))


def shown_rows(rows: Sequence[Sequence[str]], total: int, most: int) -> str:
    """Return a table for a terminal, with a line about those that are not among its `most` rows."""
    text = aligned([tuple(map(printable, row)) for row in rows])
    left = total - most
    return f"{text}\n... and {left} more; -o json has all" if left > 0 else text
