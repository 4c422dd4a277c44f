"""The tables of the HTML report: groups, quotas, locks, refusals, and who starves."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from lockkeeper.simulation.outcome import SimulationOutcome
from lockkeeper.simulation.row_cells import (
    lock_cells,
    quota_cells,
    wait_cells,
    wait_in_history,
)
from lockkeeper.simulation.starts import shown_start
from lockkeeper.simulation.words import length, percent
from policy.service.simulation.result import KINDS_OF_GROUPS, GroupResult, PolicyResult, groups_of

_MOST: Final = 200
_GROUP_HEAD: Final = (
    "Workflows",
    "half wait up to",
    "95 of 100",
    "longest",
    "denied",
    "gave up",
    "never started",
    "started borrowed",
    "95 of 100 for locks",
    "95 of 100 in the history",
    "time lost waiting",
)


def report_tables(outcome: SimulationOutcome) -> Iterator[str]:
    """Yield all tables; of two sets of policies both."""
    sides = [(outcome.result.policies, outcome.result)]
    if outcome.before is not None:
        sides = [
            (f"{outcome.result.policies} (after)", outcome.result),
            (f"{outcome.before.policies} (before)", outcome.before),
        ]
    for name, result in sides:
        yield f"<h2>Figures: {escape(name)}</h2>"
        yield from _figures(result, is_open=result is outcome.result)


def starts_details(outcome: SimulationOutcome) -> Iterator[str]:
    """Yield the table of those that wait in a cluster now, where it is one."""
    if not outcome.starts:
        return
    compared = outcome.before is not None
    rows = [
        (
            f"{each.namespace}/{each.name}",
            each.user or "(not known)",
            length(each.waited),
            shown_start(each.seconds, each.outcome),
            *([shown_start(each.before, each.outcome_before)] if compared else []),
        )
        for each in outcome.starts
    ]
    head = ("", "user", "waited so far", "starts in", *(["before"] if compared else []))
    yield _details("Who waits now, and when they start", head, rows, is_open=True)


def _figures(result: PolicyResult, *, is_open: bool) -> Iterator[str]:
    for kind, title in KINDS_OF_GROUPS.items():
        groups = groups_of(result, kind)
        if groups:
            rows_groups = list(map(_group, groups))
            yield _details(title.capitalize(), ("", *_GROUP_HEAD), rows_groups, is_open=is_open)
            is_open = False
    if result.quotas:
        rows = [(each.quota, *quota_cells(each)) for each in result.quotas]
        head = ("", "Workflows used of the limit", "tasks used", "most Workflows", "most tasks")
        yield _details("Quotas", head, rows)
    if result.locks:
        head_locks = ("", "limit", "uses", "half wait up to", "95 of 100", "longest")
        yield _details("Locks", head_locks, list(map(lock_cells, result.locks)))
    yield from _refused(result)


def _refused(result: PolicyResult) -> Iterator[str]:
    if result.denied:
        rows = [
            (f"{each.namespace}: {each.code}", str(each.count), each.example, each.message)
            for each in result.denied
        ]
        yield _details("Denied", ("", "count", "the first", "its message"), rows)
    if result.starved:
        rows_starved = [
            (
                f"{each.namespace}/{each.name}",
                each.user or "(not known)",
                str(each.priority),
                f"{each.created:%Y-%m-%d %H:%M}Z",
                length(each.waited),
                "yes" if each.started else "no",
            )
            for each in result.starved
        ]
        head = ("", "user", "priority", "created", "waited", "started")
        yield _details(f"Who starves ({result.starved_count})", head, rows_starved)
    if result.fairness:
        rows_fair = [(each.name, str(each.namespaces), f"{each.index:.3f}") for each in result.fairness]
        yield _details("Fairness (Jain's index, 1 is even)", ("", "namespaces", "index"), rows_fair)


def _group(group: GroupResult) -> tuple[str, ...]:
    return (
        group.name,
        str(group.workflows),
        *wait_cells(group.waits),
        *map(str, (group.denied, group.gave_up, group.never_started, group.borrowed)),
        length(group.lock_waits.p95),
        wait_in_history(group),
        percent(group.lost),
    )


def _details(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, is_open: bool = False) -> str:
    shown = "".join(f"<tr>{_cells('td', each)}</tr>" for each in rows[:_MOST])
    more = f'<p class="soft">... and {len(rows) - _MOST} more.</p>' if len(rows) > _MOST else ""
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(title)}</summary>"
        f'<div class="scroll"><table><thead><tr>{_cells("th", head)}</tr></thead>'
        f"<tbody>{shown}</tbody></table></div>{more}</details>"
    )


def _cells(tag: str, values: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(each)}</{tag}>" for each in values)
