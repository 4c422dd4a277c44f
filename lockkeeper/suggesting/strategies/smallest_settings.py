"""The search: the smallest settings of one way under which a requirement is met. It plays nothing itself.

It is a generator: it yields settings to be tried, is sent what came of each, and returns where it ended. So
several searches can ask at one time, and the result depends on the answers alone.

All settings are raised together until the waits are met, then each is lowered by bisection as far as they
still are, pools first. A setting that makes no difference stays as it is. At the end no single one can be
lower, which is tried once more; another set may do as well.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeAlias

import msgspec

from lockkeeper.suggesting.strategies.settings import Setting, Values
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits
from lockkeeper.suggesting.strategies.ways import Way

_MOST_PASSES: Final = 3
_DOUBLINGS: Final = 64


class BudgetSpentError(Exception):
    """No more what-ifs may be played."""


class Found(msgspec.Struct, frozen=True):
    """Where a search ended: None where even the highest settings do not do; whether it came to its end."""

    values: Values | None
    finished: bool = True


Asked: TypeAlias = tuple[Values, ...]
Answers: TypeAlias = Sequence[AllWaits | None]
"""The waits of each; None where policies with these settings would be wrong."""
Search: TypeAlias = Generator[Asked, Answers, Found]


def smallest(way: Way, meets: Callable[[AllWaits], bool]) -> Search:
    """Return the smallest settings of a way that meet a requirement."""
    best: Values | None = None
    try:
        best = yield from _raised_together(way, meets)
        if best is None:
            return Found(None)
        for key in sorted(way.present):
            best = yield from _lowered(way, best, key, meets)
        for _ in range(_MOST_PASSES):
            lower = yield from _still_lower(way, best, meets)
            if not lower:
                break
            for key in lower:
                best = yield from _lowered(way, best, key, meets)
    except BudgetSpentError:
        return Found(best, finished=False)
    return Found(best)


def _raised_together(way: Way, meets: Callable[[AllWaits], bool]) -> Generator[Asked, Answers, Values | None]:
    """Return the present settings, doubled as often as is needed; None where nothing does."""
    at_most, now = yield (way.highest, way.present)
    if now is not None and meets(now):
        return way.present
    if at_most is None or not meets(at_most):
        return None
    steps = next((number for number in range(_DOUBLINGS) if _doubled(way, number) == way.highest), _DOUBLINGS)
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        (found,) = yield (_doubled(way, middle),)
        low, high = (low, middle) if found is not None and meets(found) else (middle, high)
    return _doubled(way, high)


def _doubled(way: Way, times: int) -> Values:
    return {
        key: min(way.highest[key], max(1, value) << times) if times else value
        for key, value in way.present.items()
    }


def _lowered(
    way: Way, values: Values, key: Setting, meets: Callable[[AllWaits], bool]
) -> Generator[Asked, Answers, Values]:
    """Return the settings with the lowest value of one of them that still does, all others as they are."""
    low, high, present = way.lowest[key] - 1, values[key], way.present[key]
    if high - low <= 1:
        return values
    here, least = yield (values, {**values, key: way.lowest[key]})
    if least is not None and meets(least):
        lowest = {**values, key: way.lowest[key]}
        if least != here or present >= high:
            return lowest if least != here else values
        kept = {**values, key: present}  # What makes no difference is no business of the search.
        (found,) = yield (kept,)
        return kept if found is not None and meets(found) else lowest
    low = way.lowest[key]
    if low < present < high:
        (found,) = yield ({**values, key: present},)
        low, high = (low, present) if found is not None and meets(found) else (present, high)
    while high - low > 1:
        middle = (low + high) // 2
        if low < present:  # What is enough is mostly little: of millions not the half is tried first.
            middle = min(middle, max(low + 1, 2 * low))
        (found,) = yield ({**values, key: middle},)
        low, high = (low, middle) if found is not None and meets(found) else (middle, high)
    return {**values, key: high}


def _still_lower(
    way: Way, values: Values, meets: Callable[[AllWaits], bool]
) -> Generator[Asked, Answers, list[Setting]]:
    """Return the settings that could be lower by one, of those that are not as at present."""
    keys = [
        key for key, value in sorted(values.items()) if value > way.lowest[key] and value != way.present[key]
    ]
    if not keys:
        return []
    found = yield tuple({**values, key: values[key] - 1} for key in keys)
    return [key for key, waits in zip(keys, found, strict=True) if waits is not None and meets(waits)]
