"""A number over time, such as how many wait: its mean and its highest value in each part of the time.

The parts begin with a minute; when there are too many, each two become one. So the size is bounded however
long a history is, and what is kept of two curves can be brought to the same parts.
"""

from itertools import zip_longest
from typing import Final

import msgspec

_FIRST_WIDTH: Final = 60.0
MOST_PARTS: Final = 360


class CurveParts(msgspec.Struct, frozen=True):
    """The means and the highest values of a curve, in parts of `width` seconds from the beginning."""

    width: float
    means: tuple[float, ...]
    peaks: tuple[float, ...]


class Curve:
    """One number over time, in seconds from the beginning."""

    __slots__ = ("_areas", "_at", "_peaks", "_value", "_width", "area", "highest")

    def __init__(self) -> None:
        self._width = _FIRST_WIDTH
        self._areas: list[float] = []
        self._peaks: list[float] = []
        self._at = 0.0
        self._value = 0.0
        self.area = 0.0
        self.highest = 0.0

    @property
    def value(self) -> float:
        """The present value."""
        return self._value

    def put(self, at: float, value: float) -> None:
        """Set the value from a time on; times do not run backwards."""
        if value == self._value:
            return
        if self._value and at > self._at:
            self._pass(at)
        self._at = max(self._at, at)
        self._value = value
        self.highest = max(self.highest, value)
        if value:
            number = self._part(self._at)
            self._peaks[number] = max(self._peaks[number], value)

    def parts(self, until: float, width: float = _FIRST_WIDTH) -> CurveParts:
        """Return the curve up to a time, in parts of at least this width."""
        if self._value and until > self._at:
            self._pass(until)
        self._at = max(self._at, until)
        while self._width < width:
            self._widen()
        if until > 0:
            self._part(max(0.0, until - 1e-6))
        lengths = [
            min(self._width, max(until - number * self._width, 1e-6)) for number in range(len(self._areas))
        ]
        means = tuple(area / length for area, length in zip(self._areas, lengths, strict=True))
        return CurveParts(self._width, means, tuple(self._peaks))

    def _pass(self, at: float) -> None:
        """Count the value for the time up to `at`."""
        value, begun = self._value, self._at
        self.area += value * (at - begun)
        here = int(begun // self._width)
        if at <= (here + 1) * self._width:  # The part is there since the value was put.
            self._areas[here] += value * (at - begun)
            return
        while begun < at:
            number = self._part(begun)
            end = min(at, (number + 1) * self._width)
            self._areas[number] += value * (end - begun)
            self._peaks[number] = max(self._peaks[number], value)
            begun = end

    def _part(self, at: float) -> int:
        """Return the part that a time is in, which is there afterwards."""
        while at >= MOST_PARTS * self._width:
            self._widen()
        number = int(at // self._width)
        missing = number + 1 - len(self._areas)
        if missing > 0:
            self._areas += [0.0] * missing
            self._peaks += [0.0] * missing
        return number

    def _widen(self) -> None:
        """Make one part of each two."""
        self._width *= 2
        areas, peaks = self._areas, self._peaks
        self._areas = [sum(pair) for pair in zip_longest(areas[::2], areas[1::2], fillvalue=0.0)]
        self._peaks = [max(pair) for pair in zip_longest(peaks[::2], peaks[1::2], fillvalue=0.0)]


def common_width(until: float) -> float:
    """Return the width of the parts of every curve up to this time."""
    width = _FIRST_WIDTH
    while until >= MOST_PARTS * width:
        width *= 2
    return width
