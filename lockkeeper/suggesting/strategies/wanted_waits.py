"""How long namespaces are to wait at most, and whether they do in what was played.

A Workflow that is denied, gives up or never starts waits without end. Those that do so whatever the limits
are, since a template or a priority is refused, are no fault of limits: as many are set aside.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from policy.core.values.durations import duration
from policy.service.simulation.wait_counts import WaitFigures

_WAIT: Final = re.compile(r"(\S+)\s+(median|p50|p95|longest|max)\s+(\S+)")
_MEASURES: Final = {"p50": "median", "max": "longest"}
TOLERANCE: Final = 60.0
"""Seconds by which the p95 of a namespace that was not asked for may grow: less is chance."""


class WantedWait(msgspec.Struct, frozen=True, rename="camel"):
    """How long a namespace is to wait at most: half of it, 95 of 100, or all."""

    namespace: str
    measure: str
    seconds: float

    def times(self, factor: float) -> "WantedWait":
        """Return the same for a wait that is so many times as long."""
        return msgspec.structs.replace(self, seconds=self.seconds * factor)


class NamespaceWaits(msgspec.Struct, frozen=True, rename="camel"):
    """The waits of a namespace; `lost` are those that never start, which count as endless in its figures."""

    workflows: int
    lost: int
    figures: WaitFigures

    def of(self, measure: str) -> float:
        """Return one of the figures."""
        return float(getattr(self.figures, measure))


AllWaits = Mapping[str, NamespaceWaits]
"""The waits by namespace."""
NO_WAITS: Final = NamespaceWaits(0, 0, WaitFigures())


class WaitRequirement(msgspec.Struct, frozen=True):
    """What is to be met: the wanted waits, and the others of the same pools as they are at present.

    `kept` has the p95 and the lost of those others; it is empty where they may wait for longer. `lost` are
    those of the wanted namespaces that never start, whatever the limits are.
    """

    wanted: tuple[WantedWait, ...]
    kept: Mapping[str, tuple[float, int]] = {}
    lost: Mapping[str, int] = {}

    def times(self, factor: float) -> "WaitRequirement":
        """Return the same for waits that are so many times as long."""
        return msgspec.structs.replace(self, wanted=tuple(each.times(factor) for each in self.wanted))

    def met(self, waits: AllWaits) -> bool:
        """Return whether all of it is met."""
        for each in self.wanted:
            found = waits.get(each.namespace, NO_WAITS)
            if found.of(each.measure) > each.seconds or found.lost > self.lost.get(each.namespace, 0):
                return False
        return not self.hurt(waits)

    def hurt(self, waits: AllWaits) -> tuple[str, ...]:
        """Return the others that wait for longer than at present, or of which more never start."""
        return tuple(
            name
            for name, (p95, lost) in sorted(self.kept.items())
            if waits.get(name, NO_WAITS).figures.p95 > p95 + TOLERANCE
            or waits.get(name, NO_WAITS).lost > lost
        )


def wanted_wait(text: str) -> WantedWait:
    """Return a wait that is written as `team-ml p95 10m`.

    Raises:
        ValueError: it is not of that form.
    """
    match = _WAIT.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no wait: write a namespace, median, p95 or longest, and a length, in quotes: "
            '"team-ml p95 10m"'
        )
    return WantedWait(match[1], _MEASURES.get(match[2], match[2]), duration(match[3]).total_seconds())


def waits_of(wanted: Sequence[WantedWait], waits: AllWaits) -> tuple[float, ...]:
    """Return the waits that are asked for, in their order."""
    return tuple(waits.get(each.namespace, NO_WAITS).of(each.measure) for each in wanted)


def kept_waits(waits: AllWaits, others: Iterable[str]) -> dict[str, tuple[float, int]]:
    """Return how long others wait at present, and how many of them are lost."""
    return {name: (waits[name].figures.p95, waits[name].lost) for name in others if name in waits}
