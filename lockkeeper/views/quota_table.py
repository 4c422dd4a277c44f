"""Quotas and pools as a tree: how much of each limit is used, who waits, and what changes next."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from lockkeeper.views.terminal import Terminal, lines
from policy.core.cluster_view.quota_tree import keys_in_words, quota_tree
from policy.core.cluster_view.view import ClusterView, QuotaRow
from policy.core.policies.group_figures import GroupFigures
from policy.core.policies.status_figures import MemberFigures, ShownLimits
from policy.core.policy_kinds.quota_parts import OnExceed, StopPolicy
from policy.core.values.amounts import AmountField
from policy.core.values.durations import written

_HEADER: Final = ("QUOTA", "WORKFLOWS", "TASKS", "QUEUED", "BORROWED", "NOW")
_MEMBER: Final = "  "
_NONE: Final = "no quota governs what you may read: lockkeeper check tells whether Lockkeeper is installed"


def quota_table(view: ClusterView, terminal: Terminal) -> str:
    """Return the tree of all quotas of a view: pools with their members, then the others."""
    rows = [_HEADER, *_rows(view, terminal)]
    table = terminal.table(rows) if len(rows) > 1 else _NONE
    return lines((table, *(terminal.sentence(f"note: {each}") for each in view.unread)))


def _rows(view: ClusterView, terminal: Terminal) -> Iterator[tuple[str, ...]]:
    for each in quota_tree(view):
        label = f"{_MEMBER}{each.label}" if each.in_pool else each.label
        if isinstance(each.figures, MemberFigures):
            yield _member(label, each.figures, terminal)
        elif each.quota is not None:
            yield _row(label, each.quota, view.at, terminal)
            indent = _MEMBER * (2 if each.in_pool else 1)
            for group in each.quota.figures.groups:
                yield _group(f"{indent}group {group.name}", group)


def _row(label: str, row: QuotaRow, now: datetime, terminal: Terminal) -> tuple[str, ...]:
    figures = row.figures
    limits: ShownLimits = figures.effective_limits
    borrowed = figures.borrowed
    return (
        label,
        terminal.bar(figures.running, _number(limits.workflows)),
        terminal.bar(figures.tasks, _number(limits.tasks)),
        str(figures.queued),
        str(borrowed.workflows or borrowed.tasks or "-"),
        _now(row, now),
    )


def _member(label: str, member: MemberFigures, terminal: Terminal) -> tuple[str, ...]:
    """Return a member that has no quota of its own."""
    return (
        label,
        terminal.bar(member.running, None),
        terminal.bar(member.tasks, None),
        str(member.queued),
        str(member.borrowed or "-"),
        "",
    )


def _group(label: str, group: GroupFigures) -> tuple[str, ...]:
    """Return a group of a quota: who waits for a key is counted in the queue of the quota too."""
    return (label, "", "", str(group.waiting), "", keys_in_words(group))


def _now(row: QuotaRow, now: datetime) -> str:
    """Return what is special now, and what changes next."""
    parts = []
    if row.stop_policy is not StopPolicy.NONE:
        parts.append(f"on hold ({row.stop_policy})")
    if row.on_exceed is not OnExceed.QUEUE:
        parts.append({OnExceed.DENY: "denies", OnExceed.WARN: "warns only"}[row.on_exceed])
    parts += [f"window {each}" for each in row.figures.open_windows]
    if row.changes_at is not None:
        parts.append(f"limits change in {written(row.changes_at - now)}")
    return ", ".join(parts)


def _number(limit: AmountField) -> int | None:
    return limit if isinstance(limit, int) else None
