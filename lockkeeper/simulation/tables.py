"""The outcome as tables for a terminal: words first, then the groups, quotas, locks and refusals."""

from collections.abc import Iterator, Sequence
from typing import Final

from lockkeeper.process.console import printable
from lockkeeper.simulation.outcome import SimulationOutcome
from lockkeeper.simulation.row_cells import (
    lock_cells,
    quota_cells,
    shown_rows,
    wait_cells,
    wait_in_history,
)
from lockkeeper.simulation.starts import starts_table
from lockkeeper.simulation.words import length
from policy.service.simulation.result import (
    KINDS_OF_GROUPS,
    GroupResult,
    PolicyResult,
    QuotaResult,
    UseResult,
    groups_of,
)

MOST_ROWS: Final = 15
_HEAD: Final = (
    "WORKFLOWS",
    "MEDIAN",
    "P95",
    "LONGEST",
    "DENIED",
    "LOST",
    "BORROWED",
    "LOCKS P95",
    "HISTORY P95",
)


def simulation_tables(outcome: SimulationOutcome) -> str:
    """Return all of it as text."""
    parts = ["\n".join(map(printable, outcome.sentences))]
    if outcome.history.live:
        parts.append(starts_table(outcome.starts, compared=outcome.before is not None))
    parts += _tables(outcome)
    notes = [*outcome.history.remarks, *outcome.result.notes]
    if notes:
        parts.append("\n".join(["To be known:", *(f"  {printable(each)}" for each in notes)]))
    return "\n\n".join(parts)


def _tables(outcome: SimulationOutcome) -> Iterator[str]:
    result, before = outcome.result, outcome.before
    for kind in KINDS_OF_GROUPS:
        groups = groups_of(result, kind)
        if groups:
            old = () if before is None else groups_of(before, kind)
            yield _group_table(kind.upper(), groups, {each.name: each for each in old})
    yield from _use_tables(result, before)
    if result.locks:
        rows: list[Sequence[str]] = [("LOCK", "LIMIT", "USES", "MEDIAN", "P95", "LONGEST")]
        rows += map(lock_cells, result.locks[:MOST_ROWS])
        yield _aligned(rows, len(result.locks))
    if result.denied:
        rows_denied = [("DENIED IN", "CODE", "COUNT", "THE FIRST")]
        rows_denied += [(each.namespace, each.code, str(each.count), each.example) for each in result.denied]
        yield _aligned(rows_denied[: MOST_ROWS + 1], len(result.denied))


def _group_table(title: str, groups: Sequence[GroupResult], before: dict[str, GroupResult]) -> str:
    rows: list[Sequence[str]] = [(title, *_HEAD)]
    for group in groups[:MOST_ROWS]:
        old = before.get(group.name)
        *changing, told = (_both(*pair) for pair in zip(_cells(group), _cells(old), strict=True))
        rows.append((group.name, *changing, told.partition(" (")[0]))
    return _aligned(rows, len(groups))


def _cells(group: GroupResult | None) -> tuple[str, ...]:
    if group is None:
        return ("",) * len(_HEAD)
    return (
        str(group.workflows),
        *wait_cells(group.waits),
        str(group.denied),
        str(group.gave_up + group.never_started),
        str(group.borrowed),
        length(group.lock_waits.p95),
        wait_in_history(group),
    )


def _both(after: str, before: str) -> str:
    """Return a cell, with what it was before where that is another."""
    return after if before in ("", after) else f"{after} (was {before})"


def _use_tables(result: PolicyResult, before: PolicyResult | None) -> Iterator[str]:
    old_use = {} if before is None else {each.name: each for each in before.use}
    if result.use:
        rows: list[Sequence[str]] = [
            ("NAMESPACE", "MEAN QUEUE", "LONGEST QUEUE", "MEAN RUNNING", "MEAN BORROWED")
        ]
        ordered = sorted(result.use, key=lambda each: (-each.waiting.mean, each.name))
        for use in ordered[:MOST_ROWS]:
            old = old_use.get(use.name)
            rows.append((use.name, *(_both(*pair) for pair in zip(_use(use), _use(old), strict=True))))
        yield _aligned(rows, len(result.use))
    old_quotas = {} if before is None else {each.quota: each for each in before.quotas}
    if result.quotas:
        rows_quota: list[Sequence[str]] = [
            ("QUOTA", "USE OF WORKFLOWS", "USE OF TASKS", "MOST WORKFLOWS", "MOST TASKS")
        ]
        for quota in result.quotas[:MOST_ROWS]:
            earlier = old_quotas.get(quota.quota)
            cells = zip(_quota(quota), _quota(earlier), strict=True)
            rows_quota.append((quota.quota, *(_both(*pair) for pair in cells)))
        yield _aligned(rows_quota, len(result.quotas))


def _use(use: UseResult | None) -> tuple[str, ...]:
    if use is None:
        return ("",) * 4
    return (
        f"{use.waiting.mean:.1f}",
        str(int(use.waiting.highest)),
        f"{use.running.mean:.1f}",
        f"{use.borrowed.mean:.1f}",
    )


def _quota(quota: QuotaResult | None) -> tuple[str, ...]:
    return ("",) * 4 if quota is None else quota_cells(quota)


def _aligned(rows: Sequence[Sequence[str]], total: int) -> str:
    return shown_rows(rows, total, MOST_ROWS)
