"""Who waits and who runs, as tables."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from lockkeeper.views.terminal import Terminal, age, lines
from policy.core.cluster_view.start_sentences import waits_for
from policy.core.cluster_view.view import ClusterView, RunningRow, WaitingRow
from policy.core.values.amounts import UNLIMITED_WORD

_WAITING: Final = (
    "NAMESPACE",
    "POSITION",
    "NAME",
    "PRIORITY",
    "TASKS",
    "AHEAD",
    "AGE",
    "STARTS IN",
    "REASON",
    "BLOCKED BY",
)
_RUNNING: Final = ("NAMESPACE", "NAME", "PRIORITY", "TASKS", "USER", "AGE", "STATE")
_MESSAGE: Final = "MESSAGE"
_Place: TypeAlias = tuple[object, ...]


class Sort(StrEnum):
    """By what those that wait are sorted."""

    POSITION = "position"
    AGE = "age"
    PRIORITY = "priority"
    TASKS = "tasks"


_KEYS: Final[dict[Sort, Callable[[WaitingRow], _Place]]] = {
    Sort.POSITION: lambda each: (each.namespace, each.position),
    Sort.AGE: lambda each: (each.since, each.namespace, each.position),
    Sort.PRIORITY: lambda each: (-each.priority, each.namespace, each.position),
    Sort.TASKS: lambda each: (each.tasks is not None, -(each.tasks or 0), each.namespace, each.position),
}


def sorted_rows(rows: Sequence[WaitingRow], by: Sort) -> list[WaitingRow]:
    """Return those that wait in another order."""
    return sorted(rows, key=_KEYS[by])


def waiting_table(view: ClusterView, terminal: Terminal, *, wide: bool = False) -> str:
    """Return those that wait; `wide` adds the user and the whole sentence why."""
    header = (*_WAITING, "USER", _MESSAGE) if wide else _WAITING
    rows = [_waiting(each, view, wide=wide) for each in view.waiting]
    table = terminal.table([header, *rows]) if rows else "nothing waits"
    return lines((table, *_notes(view, terminal)))


def running_table(view: ClusterView, terminal: Terminal) -> str:
    """Return those that have their slot."""
    rows = [_running(each, view) for each in view.running]
    table = terminal.table([_RUNNING, *rows]) if rows else "nothing runs"
    return lines((table, *_notes(view, terminal)))


def _waiting(row: WaitingRow, view: ClusterView, *, wide: bool) -> tuple[str, ...]:
    cells = (
        row.namespace,
        str(row.position),
        row.name,
        str(row.priority),
        _tasks(row.tasks),
        str(row.ahead),
        age(row.since, view.at),
        "-" if row.expected is None else waits_for(row.expected, view.at),
        str(row.reason),
        row.blocked_by or "-",
    )
    return (*cells, row.user or "-", row.message) if wide else cells


def _running(row: RunningRow, view: ClusterView) -> tuple[str, ...]:
    state = "Releasing" if row.releasing else "Child" if row.parent else "Running"
    return (
        row.namespace,
        row.name,
        str(row.priority),
        _tasks(row.tasks),
        row.user or "-",
        age(row.created, view.at),
        state,
    )


def _tasks(tasks: int | None) -> str:
    return UNLIMITED_WORD.lower() if tasks is None else str(tasks)


def _notes(view: ClusterView, terminal: Terminal) -> list[str]:
    return [terminal.sentence(f"note: {each}") for each in view.unread]
