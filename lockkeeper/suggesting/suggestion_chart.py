"""The trade-off of a suggestion in the HTML report: a chart of waits by settings, and what is not certain."""

from collections.abc import Iterator
from html import escape
from math import inf
from typing import Final

from lockkeeper.simulation.charts import BarGroup, bars
from lockkeeper.suggesting.suggestion import Suggestion, TradeOff
from lockkeeper.suggesting.suggestion_tables import row_name, shown_columns, told, way_changes

_ENDLESS: Final = 1.25
"""How many times as long as the longest wait a bar is that has no end."""


def trade_off_section(found: Suggestion) -> Iterator[str]:
    """Yield the parts of the section; nothing where there is no suggestion."""
    if found.trade_off:
        yield "<h2>Trade-off</h2>"
        charts = "".join(_chart(found, number) for number in range(len(found.wanted)))
        yield f'<div class="charts">{charts}</div>'
    if len(found.ways) > 1:
        yield "<h2>Ways</h2>"
        yield _list(f"{each.way}: {way_changes(each) if each.met else 'not met'}" for each in found.ways)
    yield "<h2>Not certain</h2>"
    yield _list(found.uncertain)


def _chart(found: Suggestion, number: int) -> str:
    """Return the waits of one namespace in all rows of the trade-off."""
    wanted = found.wanted[number]
    finite = [row.waits[number] for row in found.trade_off if row.waits[number] != inf]
    longest = max([*finite, wanted.seconds]) or 1.0
    groups = [_bars(found, row, number, longest) for row in found.trade_off]
    groups.append(BarGroup("wanted", [("before", wanted.seconds, told(wanted.seconds))]))
    return bars(f"{wanted.namespace}: {wanted.measure} of the waits", groups)


def _bars(found: Suggestion, row: TradeOff, number: int, longest: float) -> BarGroup:
    wait = row.waits[number]
    text = told(wait)
    if row.redrawn is not None:
        text += f" (met in {row.redrawn.met} of {row.redrawn.histories})"
    columns = shown_columns(found)
    values = ", ".join(f"{row.settings[each].field} {row.settings[each].suggested}" for each in columns)
    name = f"{row_name(row)}: {values}" if values else row_name(row)
    return BarGroup(name, [("after", min(wait, longest * _ENDLESS), text)])


def _list(sentences: Iterator[str] | tuple[str, ...]) -> str:
    return '<ul class="words">' + "".join(f"<li>{escape(each)}</li>" for each in sentences) + "</ul>"
