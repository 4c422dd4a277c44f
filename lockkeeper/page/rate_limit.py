"""How often somebody may ask: so many at once, and then so many a second."""

from collections.abc import Callable
from math import ceil
from threading import Lock
from typing import Final

import msgspec

_MOST_KEYS: Final = 10_000
"""Of whom it is known how often they asked; of more, those who asked longest ago are forgotten."""


class TooOften(Exception):  # noqa: N818 - named after what somebody did, as the errors of a cluster are
    """Somebody asked too often; in `seconds` it is allowed again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"You ask too often. Try again in {self.seconds} s."


class _Allowance(msgspec.Struct):
    """What is left of one, and as of when."""

    count: float
    at: float


class RateLimit:
    """Allows each key `burst` at once, and `rate` a second after that."""

    def __init__(self, *, rate: float, burst: int, stopwatch: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._left: dict[object, _Allowance] = {}

    def take(self, key: object) -> None:
        """Count one.

        Raises:
            TooOften: nothing is left for this key.
        """
        now = self._stopwatch()
        with self._lock:
            left = self._left.pop(key, None) or _Allowance(self._burst, now)
            self._left[key] = left
            if len(self._left) > _MOST_KEYS:
                del self._left[next(iter(self._left))]
            left.count = min(self._burst, left.count + self._rate * (now - left.at))
            left.at = now
            if left.count < 1:
                raise TooOften(ceil((1 - left.count) / self._rate))
            left.count -= 1
