"""What runs, what waits and how full quotas are, as metrics of the leader alone, read at each scrape.

Every webhook would show it too, and a sum over all of them would count everything several times. A namespace
is shown that has quotas of its own, or where something runs or waits now or did in the last hour: a quota
that becomes empty falls to 0 and does not vanish, and of thousands of idle namespaces nothing is shown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from policy.core.policies.group_figures import GroupFigures
from policy.core.policies.quota_gauges import QuotaGauge, quota_gauges
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import ZERO, Limits, Usage
from policy.service.status.gauge_text import GaugeRows, rendered

SHOWN_FOR: Final = timedelta(hours=1)
"""How long a namespace is shown after the last Workflow there."""
_OF_NAMESPACE: Final = ("workflow_namespace",)
_OF_QUOTA: Final = ("kind", "workflow_namespace", "quota", "resource")
_OF_GROUP: Final = ("kind", "workflow_namespace", "quota", "group")
_UNLIMITED: Final = Limits()
_RESOURCES: Final = ("workflows", "tasks")


def priority_class(priority: int) -> str:
    """Return the label of a priority: there are any number of those, and three classes."""
    return "normal" if priority == 0 else "high" if priority > 0 else "low"


class UsageMetrics:
    """The gauges of one process as text; nothing while it does not lead.

    `capacity` is what nodes allow a pool, by its name, and `until` when all that wait in a namespace have
    probably started.
    """

    def __init__(
        self,
        *,
        snapshot: Callable[[], Snapshot],
        leading: Callable[[], bool],
        capacity: Callable[[str], Limits | None],
        clock: Callable[[], datetime],
        until: Callable[[], Mapping[str, datetime]] = dict,
    ) -> None:
        self._until = until
        self._snapshot = snapshot
        self._leading = leading
        self._capacity = capacity
        self._clock = clock
        self._last_used: dict[str, datetime] = {}

    def render(self) -> bytes:
        """Return the text of all gauges."""
        if not self._leading():
            self._last_used = {}
            return b""
        return rendered(self.gauges())

    def gauges(self) -> Iterator[GaugeRows]:
        """Yield the gauges of now."""
        snapshot, now = self._snapshot(), self._clock()
        view = snapshot.usage
        namespaces = self._shown(view, now)
        yield from _of_namespaces(snapshot, view, namespaces)
        yield _expected(self._until(), now)
        shown = sorted({*namespaces, *snapshot.quotas})
        yield from _of_quotas(quota_gauges(snapshot, view, now, self._capacity, shown))

    def _shown(self, view: UsageView, now: datetime) -> list[str]:
        """Return the namespaces where something runs or waits, or did not long ago."""
        used = dict.fromkeys((*view.running, *view.queues, *view.not_admitted), now)
        kept = {name: at for name, at in self._last_used.items() if now - at < SHOWN_FOR}
        self._last_used = {**kept, **used}
        return sorted(self._last_used)


def _of_namespaces(snapshot: Snapshot, view: UsageView, namespaces: list[str]) -> Iterable[GaugeRows]:
    running = GaugeRows("lockkeeper_running_workflows", "Workflows that run, by namespace.", _OF_NAMESPACE)
    queued = GaugeRows(
        "lockkeeper_queued_workflows", "Workflows that wait in the queue, by namespace.", _OF_NAMESPACE
    )
    by_priority = GaugeRows(
        "lockkeeper_queued_workflows_by_priority",
        "The same by class of priority: low is below 0, high above.",
        ("workflow_namespace", "priority"),
    )
    passed = GaugeRows(
        "lockkeeper_not_admitted_workflows",
        "Workflows that bypassed admission and are not completed, by namespace.",
        _OF_NAMESPACE,
    )
    oldest = GaugeRows(
        "lockkeeper_queue_oldest_created_timestamp_seconds",
        "When the Workflow that waits longest was created; none where nothing waits.",
        _OF_NAMESPACE,
    )
    most = GaugeRows(
        "lockkeeper_queue_limit", "How many Workflows may wait in a namespace (maxLength).", _OF_NAMESPACE
    )
    for namespace in namespaces:
        usage, queue = view.running.get(namespace), view.queues.get(namespace)
        running.add((namespace,), usage.workflows if usage else 0)
        depth = 0
        if queue is not None:
            counts = {"low": 0, "normal": 0, "high": 0}
            for priority, count in queue.waiting.items():
                counts[priority_class(priority)] += count
            depth = sum(counts.values())
            for name, count in counts.items():
                by_priority.add((namespace, name), count)
        queued.add((namespace,), depth)
        longest = snapshot.policies(namespace).rules.max_length
        if longest is not None:
            most.add((namespace,), longest)
    for namespace, count in sorted(view.not_admitted.items()):
        passed.add((namespace,), count)
    for namespace, at in sorted(view.waits.oldest.items()):
        oldest.add((namespace,), at.timestamp())
    blocked = GaugeRows(
        "lockkeeper_queue_blocked_workflows", "Workflows that wait, by the reason of their wait.", ("reason",)
    )
    for reason, count in view.waits.reasons.items():
        blocked.add((reason,), count)
    return running, queued, by_priority, passed, oldest, most, blocked


def _expected(until: Mapping[str, datetime], now: datetime) -> GaugeRows:
    found = GaugeRows(
        "lockkeeper_queue_expected_wait_seconds",
        "Until all that wait have probably started: what one that joins the queue may expect at least.",
        _OF_NAMESPACE,
    )
    for namespace, at in sorted(until.items()):
        found.add((namespace,), max(0.0, (at - now).total_seconds()))
    return found


class _QuotaRows(NamedTuple):
    """The gauges that have a series for each quota."""

    used: GaugeRows
    limit: GaugeRows
    highest: GaugeRows
    borrowed: GaugeRows
    per_user: GaugeRows
    at_limit: GaugeRows
    reserve: GaugeRows
    window: GaugeRows
    key_limit: GaugeRows
    keys_in_use: GaugeRows
    keys_at_limit: GaugeRows
    waiting_for_key: GaugeRows


def _of_quotas(quotas: Iterable[QuotaGauge]) -> Iterable[GaugeRows]:
    found = _QuotaRows(
        GaugeRows("lockkeeper_quota_used", "What a quota counts as used or reserved.", _OF_QUOTA),
        GaugeRows("lockkeeper_quota_limit", "The limit that is in force; none is unlimited.", _OF_QUOTA),
        GaugeRows(
            "lockkeeper_quota_highest_limit",
            "The highest that windows and nodes ever make of a limit; none where it never changes.",
            _OF_QUOTA,
        ),
        GaugeRows("lockkeeper_quota_borrowed", "What a member of a pool uses beyond its share.", _OF_QUOTA),
        GaugeRows("lockkeeper_quota_user_limit", "The limit of one user; none is unlimited.", _OF_QUOTA),
        GaugeRows(
            "lockkeeper_quota_users_at_limit",
            "Users who have nothing left of the limit of one user.",
            _OF_QUOTA[:-1],
        ),
        GaugeRows(
            "lockkeeper_quota_reserve",
            "What is kept of a limit for priorities above the one in the label.",
            (*_OF_QUOTA, "above_priority"),
        ),
        GaugeRows(
            "lockkeeper_quota_window_open",
            "1 while a window of a quota is open.",
            (*_OF_QUOTA[:-1], "window"),
            plain=False,
        ),
        GaugeRows("lockkeeper_group_key_limit", "The limit of one key of a group.", (*_OF_GROUP, "resource")),
        GaugeRows("lockkeeper_group_keys_in_use", "Keys of a group under which anything runs.", _OF_GROUP),
        GaugeRows("lockkeeper_group_keys_at_limit", "Keys of a group that have nothing left.", _OF_GROUP),
        GaugeRows("lockkeeper_group_waiting_workflows", "Workflows that wait for their key.", _OF_GROUP),
    )
    for quota in quotas:
        if quota.group is None:
            _add(found, quota)
        else:
            _add_group(found, quota, quota.group)
    return found


def _add(found: _QuotaRows, quota: QuotaGauge) -> None:
    key = (quota.kind, quota.namespace, quota.name)
    workflows, tasks = (*key, "workflows"), (*key, "tasks")
    found.used.rows.extend(((workflows, quota.used.workflows), (tasks, quota.used.tasks)))
    _add_limits(found.limit, key, quota.limits)
    if quota.highest is not None:
        _add_limits(found.highest, key, quota.highest)
    if quota.borrowed is not None:
        found.borrowed.rows.extend(((workflows, quota.borrowed.workflows), (tasks, quota.borrowed.tasks)))
    if quota.per_user != _UNLIMITED:
        _add_limits(found.per_user, key, quota.per_user)
        found.at_limit.add(key, quota.at_limit)
    sizes: dict[str, Usage] = {}
    for reserve in quota.reserves:
        above = str(reserve.above_priority)
        sizes[above] = sizes.get(above, ZERO) + reserve.size
    for above, size in sizes.items():
        found.reserve.rows.extend((((*workflows, above), size.workflows), ((*tasks, above), size.tasks)))
    for window, is_open in quota.windows:
        found.window.add((*key, window), float(is_open))


def _add_group(found: _QuotaRows, quota: QuotaGauge, group: GroupFigures) -> None:
    key = (quota.kind, quota.namespace, quota.name, group.name)
    _add_limits(found.key_limit, key, quota.per_user)
    found.keys_in_use.add(key, group.keys_in_use)
    found.keys_at_limit.add(key, group.keys_at_limit)
    found.waiting_for_key.add(key, group.waiting)


def _add_limits(gauge: GaugeRows, key: tuple[str, ...], limits: Limits) -> None:
    for resource, amount in zip(_RESOURCES, (limits.workflows, limits.tasks), strict=True):
        if amount.value is not None:
            gauge.rows.append(((*key, resource), amount.value))
