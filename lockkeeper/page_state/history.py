"""Each quota over time, as charts: running, queued, the limit, and how long the one waits that waits longest.

`History` keeps what this process has seen; samples that Prometheus has kept become the same charts.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import msgspec

from policy.core.cluster_view.quota_tree import QuotaTreeRow, quota_tree
from policy.core.cluster_view.view import ClusterView
from policy.core.quota.accounts import Root
from policy.core.values.durations import written

_MOST_SAMPLES: Final = 720
MOST_QUOTAS: Final = 200
"""Rows of one sample, the first of the tree; the figures of more would take memory nobody looks at."""
_SPACING: Final = timedelta(seconds=5)
"""From one sample to the next at least; all of them are an hour, or longer where nobody looks."""
_WIDTH: Final = 600
_HEIGHT: Final = 100
_SECOND: Final = timedelta(seconds=1)


class Figures(msgspec.Struct, frozen=True):
    """A quota at one time; the limit is None where there is none, `wait` is the longest in seconds."""

    running: int
    queued: int
    limit: int | None
    wait: int = 0


class Sample(msgspec.Struct, frozen=True):
    """Quotas at one time, by their labels."""

    at: datetime
    quotas: Mapping[str, Figures]


class Chart(msgspec.Struct, frozen=True):
    """One quota over time, as paths of an SVG of 600 by 100, and in figures; `wait` has its own scale."""

    label: str
    running: str
    queued: str
    limit: str
    wait: str
    now: Figures
    most_running: int
    most_queued: int
    most_wait: int
    top: int
    begin: datetime
    end: datetime

    @property
    def longest_wait(self) -> str:
        """The longest wait of all, as text."""
        return _text(self.most_wait)

    @property
    def wait_now(self) -> str:
        """The longest wait of now, as text."""
        return _text(self.now.wait)


class History:
    """The last samples."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_MOST_SAMPLES)
        self._lock = Lock()

    def record(self, view: ClusterView, at: datetime) -> None:
        """Keep the figures of a view that was so at a time, unless others were kept just before."""
        with self._lock:
            if self._samples and at - self._samples[-1].at < _SPACING:
                return
            self._samples.append(Sample(at, dict(_figures(view, at))))

    @property
    def mark(self) -> str:
        """Another text after each sample."""
        with self._lock:
            return self._samples[-1].at.isoformat() if self._samples else ""

    def charts(self) -> list[Chart]:
        """Return a chart for each quota of the last sample."""
        with self._lock:
            samples = list(self._samples)
        return charts_of(samples, samples[-1].quotas) if samples else []


def shown_quotas(view: ClusterView) -> Iterator[QuotaTreeRow]:
    """Yield the rows that have a chart."""
    for each, _ in zip(quota_tree(view), range(MOST_QUOTAS), strict=False):
        if each.quota is not None:
            yield each


def charts_of(samples: Sequence[Sample], labels: Iterable[str]) -> list[Chart]:
    """Return a chart for each of these quotas that is in one of the samples."""
    return [_chart(label, samples) for label in labels if any(label in each.quotas for each in samples)]


def _figures(view: ClusterView, at: datetime) -> Iterator[tuple[str, Figures]]:
    oldest: dict[str, datetime] = {}
    for waiting in view.waiting:
        for key in (waiting.root, f"namespace/{waiting.namespace}"):
            oldest[key] = min(oldest.get(key, waiting.since), waiting.since)
    for each in shown_quotas(view):
        if each.quota is None:
            continue
        figures = each.quota.figures
        limit = figures.effective_limits.workflows
        key = str(Root.of_pool(each.pool)) if each.pool else f"namespace/{each.namespace}"
        wait = max(0, (at - oldest.get(key, at)) // _SECOND)
        known = limit if isinstance(limit, int) else None
        yield each.label, Figures(figures.running, figures.queued, known, wait)


def _chart(label: str, samples: Sequence[Sample]) -> Chart:
    found = [(each.at, each.quotas[label]) for each in samples if label in each.quotas]
    top = max(1, *(max(each.running, each.queued, each.limit or 0) for _, each in found))
    most_wait = max(each.wait for _, each in found)
    begin, end = found[0][0], found[-1][0]
    running = [(at, each.running) for at, each in found]
    queued = [(at, each.queued) for at, each in found]
    limits = [(at, each.limit) for at, each in found if each.limit is not None]
    waits = [(at, each.wait) for at, each in found]
    return Chart(
        label=label,
        running=_path(running, begin, end, top),
        queued=_path(queued, begin, end, top),
        limit=_path(limits, begin, end, top),
        wait=_path(waits, begin, end, max(1, most_wait)),
        now=found[-1][1],
        most_running=max(value for _, value in running),
        most_queued=max(value for _, value in queued),
        most_wait=most_wait,
        top=top,
        begin=begin,
        end=end,
    )


def _path(points: Sequence[tuple[datetime, int]], begin: datetime, end: datetime, top: int) -> str:
    """Return a line of steps: a figure holds until another one is sampled."""
    if not points:
        return ""
    length = max((end - begin).total_seconds(), 1.0)
    parts: list[str] = []
    last = None
    for at, value in points:
        if value == last:
            continue
        last = value
        x = _WIDTH * (at - begin).total_seconds() / length
        y = _HEIGHT - _HEIGHT * value / top
        parts.append(f"H{x:.1f}V{y:.1f}" if parts else f"M{x:.1f} {y:.1f}")
    return "".join(parts) + f"H{_WIDTH}"


def _text(seconds: int) -> str:
    return written(timedelta(seconds=seconds))
