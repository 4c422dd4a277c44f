"""What a process lacks to be ready, as objects of the cluster show it, for a probe that asks often."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import Final

LOOK_SECONDS: Final = 1.0
"""Seconds for which an answer is given again; a look is a few small reads."""
NOT_SEEN: Final = "the webhook configurations were not read yet"


class CachedReadiness(ABC):
    """Looks when it is asked, at most once a second; while it cannot look it repeats what it saw last."""

    def __init__(self, *, stopwatch: Callable[[], float]) -> None:
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._looked_at: float | None = None
        self._answer = [NOT_SEEN]

    @abstractmethod
    def look(self, last: list[str]) -> list[str]:
        """Return what is missing; `last` is what was seen last."""

    def missing(self) -> list[str]:
        """Return what is missing, or nothing."""
        # Who asks while another looks, at an API server that does not answer perhaps, is not kept waiting.
        if self._lock.acquire(blocking=False):
            try:
                now = self._stopwatch()
                if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                    self._answer = self.look(self._answer)
                    self._looked_at = now
            finally:
                self._lock.release()
        return list(self._answer)
