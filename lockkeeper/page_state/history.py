"""What this process has seen of each quota over time: running, queued and the limit, as charts."""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import msgspec

from policy.core.cluster_view.quota_tree import quota_tree
from policy.core.cluster_view.view import ClusterView

_MOST_SAMPLES: Final = 720
_MOST_QUOTAS: Final = 200
"""Rows of one sample, the first of the tree; the figures of more would take memory that nobody looks at."""
_SPACING: Final = timedelta(seconds=5)
"""From one sample to the next at least; all of them are an hour, or longer where nobody looks."""
_WIDTH: Final = 600
_HEIGHT: Final = 100


class Figures(msgspec.Struct, frozen=True):
    """A quota at one time; the limit is None where there is none."""

    running: int
    queued: int
    limit: int | None


class _Sample(msgspec.Struct, frozen=True):
    at: datetime
    quotas: dict[str, Figures]


class Chart(msgspec.Struct, frozen=True):
    """One quota over time, as paths of an SVG of 600 by 100, and in figures."""

    label: str
    running: str
    queued: str
    limit: str
    now: Figures
    most_running: int
    most_queued: int
    top: int
    begin: datetime
    end: datetime


class History:
    """The last samples."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_MOST_SAMPLES)
        self._lock = Lock()

    def record(self, view: ClusterView, at: datetime) -> None:
        """Keep the figures of a view that was so at a time, unless others were kept just before."""
        with self._lock:
            if self._samples and at - self._samples[-1].at < _SPACING:
                return
            self._samples.append(_Sample(at, dict(_figures(view))))

    @property
    def mark(self) -> str:
        """Another text after each sample."""
        with self._lock:
            return self._samples[-1].at.isoformat() if self._samples else ""

    def charts(self) -> list[Chart]:
        """Return a chart for each quota of the last sample."""
        with self._lock:
            samples = list(self._samples)
        return [_chart(label, samples) for label in samples[-1].quotas] if samples else []


def _figures(view: ClusterView) -> Iterator[tuple[str, Figures]]:
    for each, _ in zip(quota_tree(view), range(_MOST_QUOTAS), strict=False):
        if each.quota is not None:
            figures = each.quota.figures
            limit = figures.effective_limits.workflows
            yield (
                each.label,
                Figures(figures.running, figures.queued, limit if isinstance(limit, int) else None),
            )


def _chart(label: str, samples: Sequence[_Sample]) -> Chart:
    found = [(each.at, each.quotas[label]) for each in samples if label in each.quotas]
    top = max(1, *(max(each.running, each.queued, each.limit or 0) for _, each in found))
    begin, end = found[0][0], found[-1][0]
    running = [(at, each.running) for at, each in found]
    queued = [(at, each.queued) for at, each in found]
    limits = [(at, each.limit) for at, each in found if each.limit is not None]
    return Chart(
        label=label,
        running=_path(running, begin, end, top),
        queued=_path(queued, begin, end, top),
        limit=_path(limits, begin, end, top),
        now=found[-1][1],
        most_running=max(value for _, value in running),
        most_queued=max(value for _, value in queued),
        top=top,
        begin=begin,
        end=end,
    )


def _path(points: Sequence[tuple[datetime, int]], begin: datetime, end: datetime, top: int) -> str:
    """Return a line of steps: a figure holds until the next sample."""
    if not points:
        return ""
    length = max((end - begin).total_seconds(), 1.0)
    parts: list[str] = []
    for at, value in points:
        x = _WIDTH * (at - begin).total_seconds() / length
        y = _HEIGHT - _HEIGHT * value / top
        parts.append(f"H{x:.1f}V{y:.1f}" if parts else f"M{x:.1f} {y:.1f}")
    return "".join(parts) + f"H{_WIDTH}"
