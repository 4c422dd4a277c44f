"""Who joins a queue later, if as many come as lately: drawn anew for each play of a root.

Nobody knows who comes. What is known is who came lately: of those that were created within about the length
of two runs, most are live. As many are let come again, at other times; how many is as uncertain as they are
few. It matters only where a newcomer may pass one that waits: by its user, namespace, priority or size.
Elsewhere none is let come, which saves the time.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from math import isqrt, log
from typing import Final

import msgspec

from policy.core.cluster_view.drawn_numbers import MASK, mixed
from policy.core.cluster_view.live_root import Arrival
from policy.core.cluster_view.run_lengths import RunLengths

_FEWEST: Final = 3
"""With fewer that came lately nothing is known of who comes."""
_RUNS: Final = 2
"""So many times the median length of a run is "lately"."""
_SHORTEST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=1)
_ONE: Final = 1 << 10
_DOUBT: Final = 2600
"""By how much a number of one is uncertain, in 1024ths of it: more than by chance, for times change, too."""
_DEVIATIONS: Final = (100, -1180, 1180, -330, 330, -1770, 1770, -830, 830, -560, 560, -100)
"""Numbers of a normal distribution with the deviation 1024, so that few plays have some of all."""
_LAST: Final = 1 << 40
"""Newcomers arrive after all that are live."""
_PLAY: Final = 40
_NUMBER: Final = 20
"""Bits by which the numbers of plays and newcomers are kept apart."""


class Newcomers:
    """Those of all that are live who came lately."""

    def __init__(self, live: Iterable[Arrival], lengths: RunLengths, now: datetime) -> None:
        found = list(live)
        self._now = now
        self._window = _SHORTEST
        self._lately: list[Arrival] = []
        medians = sorted(
            length
            for each in (found if _may_pass(found) else ())
            if (length := lengths.lengths(each.series).quantile(1, 2)) is not None
        )
        if medians:
            lately = timedelta(seconds=_RUNS * medians[len(medians) // 2])
            self._window = min(_LONGEST, max(_SHORTEST, lately))
            self._lately = [each for each in found if now - each.waiter.created < self._window]

    def __bool__(self) -> bool:
        return len(self._lately) >= _FEWEST

    def drawn(self, play: int) -> Iterator[Arrival]:
        """Yield those who come in one play, without end, the next one first."""
        count = len(self._lately)
        if count < _FEWEST:
            return
        some = [self._lately[_below(count, play << _PLAY | each)] for each in range(count)]
        deviation = _DEVIATIONS[play % len(_DEVIATIONS)]
        factor = max(_ONE // 4, _ONE + deviation * _DOUBT // isqrt(count << _NUMBER))
        mean = self._window.total_seconds() * _ONE / factor / count
        at, number = self._now, 0
        while True:
            number += 1
            drawn = mixed(play << _PLAY | number << _NUMBER)
            at += timedelta(seconds=-mean * log((1 + (drawn & MASK)) / (MASK + 1)))
            like = some[(drawn >> _NUMBER) % count]
            waiter = msgspec.structs.replace(
                like.waiter, uid=f"{like.waiter.uid}+{number}", created=at, arrival=_LAST + number
            )
            yield Arrival(waiter, like.series)


def _below(count: int, number: int) -> int:
    return (mixed(number) >> _NUMBER) % count


def _may_pass(live: Iterable[Arrival]) -> bool:
    """Return whether these differ in anything by which one goes before another, but age."""
    return len({(each.waiter.user, each.waiter.priority, each.waiter.needs) for each in live}) > 1
