"""Charts as inline SVG: curves over time and bars, with their texts, for a page that needs nothing else.

A chart is as wide as its place; its text stays as large as that of the page on a narrow screen. Each has a
title that screen readers read.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Final

import msgspec

_WIDTH: Final = 340
_LEFT: Final = 34
_TOP: Final = 14
_HEIGHT: Final = 92
_FOOT: Final = 18
_BAR: Final = 9
_ROW: Final = 36


class Line(msgspec.Struct, frozen=True):
    """A curve: what it is called, the class of its colour, and its values in equal parts of the time."""

    name: str
    style: str
    values: Sequence[float]


class BarGroup(msgspec.Struct, frozen=True):
    """The bars of one group: what each set of policies comes to, with its text."""

    name: str
    values: Sequence[tuple[str, float, str]]


class TimeAxis(msgspec.Struct, frozen=True):
    """When the values of curves begin, and how many seconds a part of them is."""

    begin: datetime
    part_seconds: float

    def at(self, part: float) -> str:
        """Return the time of a part, as short as it is clear."""
        found = self.begin + timedelta(seconds=part * self.part_seconds)
        return f"{found:%d %b %H:%M}"


def curves(title: str, lines: Sequence[Line], axis: TimeAxis) -> str:
    """Return a chart of curves over time."""
    highest = max((max(each.values, default=0.0) for each in lines), default=0.0) or 1.0
    parts = max((len(each.values) for each in lines), default=1) or 1
    body = [_grid(highest)]
    body += [f'<path class="line {line.style}" d="{_path(line.values, parts, highest)}"/>' for line in lines]
    bottom = _TOP + _HEIGHT + _FOOT - 4
    body.append(f'<text x="{_LEFT}" y="{bottom}">{escape(axis.at(0))}</text>')
    body.append(f'<text x="{_WIDTH}" y="{bottom}" text-anchor="end">{escape(axis.at(parts))}</text>')
    keys = "".join(
        f'<span class="key {each.style}">{escape(each.name)}</span>' for each in lines if each.name
    )
    return _figure(title, _TOP + _HEIGHT + _FOOT, "".join(body), keys)


def bars(title: str, rows: Sequence[BarGroup]) -> str:
    """Return a chart of bars, one below the other; names stand above their bars."""
    highest = max((value for row in rows for _, value, _ in row.values), default=0.0) or 1.0
    body, top = [], 0
    names: dict[str, str] = {}
    for row in rows:
        body.append(f'<text x="0" y="{top + 11}">{escape(_shortened(row.name))}</text>')
        for number, (style, value, text) in enumerate(row.values):
            y = top + 15 + number * (_BAR + 1)
            width = max(1.0, value / highest * (_WIDTH - 90))
            body.append(f'<rect class="{style}" x="0" y="{y}" width="{width:.1f}" height="{_BAR}"/>')
            body.append(f'<text class="small" x="{width + 4:.1f}" y="{y + _BAR - 1}">{escape(text)}</text>')
            names[style] = style
        top += _ROW if len(row.values) > 1 else _ROW - _BAR
    return _figure(title, max(top, 10), "".join(body), "")


def _figure(title: str, height: int, body: str, keys: str) -> str:
    label = escape(title, quote=True)
    return (
        f"<figure><figcaption>{escape(title)} {keys}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">'
        f"<title>{escape(title)}</title>{body}</svg></figure>"
    )


def _grid(highest: float) -> str:
    found = []
    for share in (0.0, 0.5, 1.0):
        y = _TOP + _HEIGHT * (1 - share)
        found.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH}"/>')
        found.append(
            f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{_number(highest * share)}</text>'
        )
    return "".join(found)


def _path(values: Sequence[float], parts: int, highest: float) -> str:
    """Return a path in steps: a value holds for the whole of its part."""
    width = (_WIDTH - _LEFT) / parts
    found: list[str] = []
    last = -1.0
    for number, value in enumerate(values):
        y = _TOP + _HEIGHT * (1 - value / highest)
        x = _LEFT + number * width
        if not found:
            found.append(f"M{x:.1f} {y:.1f}")
        elif y != last:
            found.append(f"H{x:.1f}V{y:.1f}")
        last = y
    if found:
        found.append(f"H{_LEFT + len(values) * width:.1f}")
    return "".join(found)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004 - two digits


def _shortened(name: str) -> str:
    most = 44
    return name if len(name) <= most else f"{name[: most - 3]}..."
