"""The rows of the overview: each pool, quota and member with bars for what is used, borrowed and reserved."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from policy.core.cluster_view.quota_tree import QuotaTreeRow, keys_in_words, quota_tree
from policy.core.cluster_view.view import ClusterView, QuotaRow
from policy.core.policies.status_figures import MemberFigures, ShownLimits
from policy.core.policy_kinds.quota_parts import OnExceed, StopPolicy
from policy.core.quota.accounts import Root
from policy.core.values.amounts import AmountField


class Bar(msgspec.Struct, frozen=True):
    """What is used of a limit: `own`, `borrowed` and `reserved` are percents of the bar, in that order."""

    used: int
    limit: int | None
    own: float = 0.0
    borrowed: float = 0.0
    reserved: float = 0.0

    @property
    def full(self) -> bool:
        """Whether nothing is left."""
        return self.limit is not None and self.used >= self.limit


class OverviewRow(msgspec.Struct, frozen=True):
    """One row; `queue_length` is a percent of the longest queue, `tags` say what is special now."""

    row: QuotaTreeRow
    workflows: Bar
    tasks: Bar
    queued: int
    queue_length: float
    borrowed: int
    reserved: int
    tags: tuple[str, ...]


class Totals(msgspec.Struct, frozen=True):
    """The figures of the whole view; `starting` have their slot and are not started yet."""

    running: int
    starting: int
    queued: int
    on_hold: int


def totals(view: ClusterView) -> Totals:
    """Return the figures of the whole view."""
    starting = sum(each.releasing for each in view.running)
    on_hold = sum(each.reason == "OnHold" for each in view.waiting)
    return Totals(len(view.running) - starting, starting, len(view.waiting), on_hold)


def overview(view: ClusterView) -> list[OverviewRow]:
    """Return the rows from top to bottom."""
    releasing = Counter(each.namespace for each in view.running if each.releasing)
    by_root = Counter(each.root for each in view.running if each.releasing)
    rows = list(quota_tree(view))
    longest = max((each.figures.queued for each in rows), default=0)
    return [_row(each, releasing[each.namespace] or _of_pool(each, by_root), longest) for each in rows]


def _of_pool(row: QuotaTreeRow, by_root: Counter[str]) -> int:
    return by_root[str(Root.of_pool(row.pool))] if row.pool else 0


def _row(row: QuotaTreeRow, releasing: int, longest: int) -> OverviewRow:
    figures = row.figures
    if isinstance(figures, MemberFigures):
        limits, borrowed, borrowed_tasks = ShownLimits(), figures.borrowed, 0
    else:
        limits = figures.effective_limits
        borrowed, borrowed_tasks = figures.borrowed.workflows, figures.borrowed.tasks
    reserved = min(releasing, figures.running)
    return OverviewRow(
        row=row,
        workflows=_bar(figures.running, limits.workflows, borrowed, reserved),
        tasks=_bar(figures.tasks, limits.tasks, borrowed_tasks, 0),
        queued=figures.queued,
        queue_length=100 * figures.queued / longest if longest else 0.0,
        borrowed=borrowed,
        reserved=reserved,
        tags=() if row.quota is None else tuple(_tags(row.quota)),
    )


def _bar(used: int, limit: AmountField, borrowed: int, reserved: int) -> Bar:
    """Return the bar of an amount; more than the limit fills it."""
    if not isinstance(limit, int):
        return Bar(used, None)
    scale = max(limit, used, 1)
    borrowed = min(borrowed, used)
    reserved = min(reserved, used - borrowed)
    own = used - borrowed - reserved
    return Bar(used, limit, *(100 * each / scale for each in (own, borrowed, reserved)))


def _tags(row: QuotaRow) -> Iterator[str]:
    if row.stop_policy is not StopPolicy.NONE:
        yield f"on hold ({row.stop_policy})"
    if row.on_exceed is not OnExceed.QUEUE:
        yield {OnExceed.DENY: "denies", OnExceed.WARN: "warns only"}[row.on_exceed]
    yield from (f"window {each}" for each in row.figures.open_windows)
    for group in row.figures.groups:
        waits = f", {group.waiting} queued" if group.waiting else ""
        yield f"group {group.name}: {keys_in_words(group)}{waits}"
