"""Gauges of many series as the text that Prometheus scrapes, without an object for each series.

The client library makes two objects for each series and sorts its labels: half a second for 40,000 of them.
Here a series is a tuple and a number, and its line is one format.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

Series: TypeAlias = tuple[tuple[str, ...], float]
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class GaugeRows(msgspec.Struct, frozen=True):
    """A gauge: name, help, names of labels, and series. `plain`: no value of a label needs an escape."""

    name: str
    text: str
    labels: tuple[str, ...]
    rows: list[Series] = msgspec.field(default_factory=list)
    plain: bool = True

    def add(self, values: tuple[str, ...], value: float) -> None:
        """Add one series."""
        self.rows.append((values, value))


def rendered(gauges: Iterable[GaugeRows]) -> bytes:
    """Return the gauges in Prometheus' text format; a gauge without series too, so that its name is known."""
    parts = []
    for gauge in gauges:
        parts.append(f"# HELP {gauge.name} {gauge.text}\n# TYPE {gauge.name} gauge\n")
        line = _line_of(gauge)
        if gauge.plain:
            parts.extend([line % (*values, value) for values, value in gauge.rows])
        else:
            parts.extend(
                [
                    line % (*(each.translate(_ESCAPES) for each in values), value)
                    for values, value in gauge.rows
                ]
            )
    return "".join(parts).encode()


def _line_of(gauge: GaugeRows) -> str:
    if not gauge.labels:
        return f"{gauge.name} %r\n"
    labels = ",".join(f'{each}="%s"' for each in gauge.labels)
    return f"{gauge.name}{{{labels}}} %r\n"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
