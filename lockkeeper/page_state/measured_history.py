"""The same history from Prometheus, which keeps it for days: four questions, with a bounded number of points.

Prometheus knows no rights of Kubernetes, so it is asked about the quotas that the viewer sees, and no others.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite
from threading import Lock
from typing import Final, Protocol

import msgspec

from lockkeeper.page_state.history import Chart, Figures, Sample, charts_of, shown_quotas
from policy.core.cluster_view.quota_tree import QuotaTreeRow
from policy.core.cluster_view.view import ClusterView
from policy.core.policies.status_figures import QuotaFigures

_POINTS: Final = 120
_FRESH: Final = 15.0
"""Seconds for which an answer is shown before it is asked again."""
_MOST_NAMESPACES: Final = 300
"""Of how many namespaces the series are asked for: more would be more than the page shows."""
_QUOTA_LABELS: Final = ("kind", "workflow_namespace", "quota")
_OLDEST: Final = "lockkeeper_queue_oldest_created_timestamp_seconds"
_NAME: Final = re.compile("[-a-z0-9]+")


class Span(StrEnum):
    """How far back the history goes."""

    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "1d"
    WEEK = "7d"

    @property
    def length(self) -> timedelta:
        """Its length."""
        return _LENGTHS[self]


_LENGTHS: Final = {
    Span.HOUR: timedelta(hours=1),
    Span.SIX_HOURS: timedelta(hours=6),
    Span.DAY: timedelta(days=1),
    Span.WEEK: timedelta(days=7),
}


class PrometheusError(Exception):
    """Prometheus cannot be asked, or does not answer; the text is one sentence."""


class MeasuredSeries(msgspec.Struct, frozen=True):
    """Values over time with the labels of one row; a value is a text, as Prometheus sends it."""

    metric: dict[str, str]
    values: tuple[tuple[float, str], ...]


class RangeQueries(Protocol):
    """Answers what a query gives over a time."""

    def series(self, query: str, begin: datetime, end: datetime, step: float) -> Sequence[MeasuredSeries]:
        """Return it, or raise PrometheusError."""


class MeasuredHistory:
    """The charts of one viewer from Prometheus; what was answered is kept for some seconds."""

    def __init__(self, *, api: RangeQueries, stopwatch: Callable[[], float]) -> None:
        self._api = api
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._kept: dict[Span, tuple[float, list[Chart] | PrometheusError]] = {}

    def charts(self, view: ClusterView, now: datetime, span: Span) -> list[Chart]:
        """Return a chart for each quota of the view that Prometheus knows.

        Raises:
            PrometheusError: it does not answer.
        """
        with self._lock:
            at, kept = self._kept.get(span, (0.0, None))
            if kept is None or self._stopwatch() - at >= _FRESH:
                kept = self._asked(view, now, span)
                self._kept[span] = self._stopwatch(), kept
        if isinstance(kept, PrometheusError):
            raise kept
        return kept

    def _asked(self, view: ClusterView, now: datetime, span: Span) -> list[Chart] | PrometheusError:
        rows = list(shown_quotas(view))
        names = sorted({name for each in rows for name in _namespaces(each)})
        wanted = "|".join(list(filter(_NAME.fullmatch, names))[:_MOST_NAMESPACES])
        end = now.replace(microsecond=0)
        step = span.length.total_seconds() / _POINTS
        of_quotas = f'resource="workflows",workflow_namespace=~"|{wanted}"'
        of_namespaces = f'workflow_namespace=~"{wanted}"'
        queries = (
            f"max by ({', '.join(_QUOTA_LABELS)}) (lockkeeper_quota_used{{{of_quotas}}})",
            f"max by ({', '.join(_QUOTA_LABELS)}) (lockkeeper_quota_limit{{{of_quotas}}})",
            f"max by (workflow_namespace) (lockkeeper_queued_workflows{{{of_namespaces}}})",
            f"time() - min by (workflow_namespace) ({_OLDEST}{{{of_namespaces}}})",
        )
        try:
            found = [self._api.series(each, end - span.length, end, step) for each in queries]
        except PrometheusError as error:
            return error
        used, limits = (_by_time(each, _QUOTA_LABELS) for each in found[:2])
        queued, waits = (_by_time(each, ("workflow_namespace",)) for each in found[2:])
        samples = list(_samples(rows, used, limits, queued, waits))
        return charts_of(samples, [each.label for each in rows])


_Key = tuple[str, ...]
_ByTime = Mapping[float, Mapping[_Key, int]]


def _by_time(series: Sequence[MeasuredSeries], labels: Sequence[str]) -> _ByTime:
    """Return values by time and then by labels; what is no number is left out."""
    found: dict[float, dict[_Key, int]] = {}
    for each in series:
        key = tuple(each.metric.get(label, "") for label in labels)
        for at, text in each.values:
            value = float(text)
            if isfinite(value):
                found.setdefault(at, {})[key] = int(value)
    return found


def _samples(
    rows: Sequence[QuotaTreeRow], used: _ByTime, limits: _ByTime, queued: _ByTime, waits: _ByTime
) -> Iterator[Sample]:
    nothing: Mapping[_Key, int] = {}
    for at in sorted(used):
        quotas = {}
        for row in rows:
            assert row.quota is not None  # noqa: S101 - `shown_quotas` yields no others
            key = (row.quota.kind, row.quota.namespace, row.quota.name)
            running = used[at].get(key)
            if running is None:
                continue
            names = [(each,) for each in _namespaces(row)]
            waiting, ages = queued.get(at, nothing), waits.get(at, nothing)
            quotas[row.label] = Figures(
                running=running,
                queued=sum(waiting.get(each, 0) for each in names),
                limit=limits.get(at, nothing).get(key),
                wait=max((ages.get(each, 0) for each in names), default=0),
            )
        yield Sample(datetime.fromtimestamp(at, UTC), quotas)


def _namespaces(row: QuotaTreeRow) -> list[str]:
    """Return the namespaces whose queues are those of a quota."""
    if row.namespace:
        return [row.namespace]
    return [each.name for each in row.figures.namespaces] if isinstance(row.figures, QuotaFigures) else []
