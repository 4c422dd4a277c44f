"""Whether a process still works, for its liveness probe; and its end by a signal while it still starts.

A restart mends what only a new process can: a thread that a bug has ended, a loop that hangs. It does not
mend an API server that is away, so nothing here asks one; readiness and metrics tell of the rest.
"""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import ExceptHookArgs, Lock
from types import FrameType
from typing import Final

from webhook.logs import Log

LONGEST_TURN: Final = timedelta(minutes=5)
"""Without a turn of its main loop for so long a process hangs.

A turn asks the API server a few times, and each time-out is seconds; all of them together stay well below.
"""


class Liveness:
    """Notices threads that a bug has ended, and a main loop that no longer turns.

    `restarted` names the threads that somebody restarts when they end; their errors are logged and do no
    harm. `caught` is made to be `threading.excepthook`; `beating` lends the loop its stopwatch, and hears
    from its use that the loop turns.
    """

    def __init__(
        self,
        *,
        log: Log,
        stopwatch: Callable[[], float],
        restarted: tuple[str, ...] = (),
        longest_turn: timedelta = LONGEST_TURN,
    ) -> None:
        self._log = log
        self._stopwatch = stopwatch
        self._restarted = restarted
        self._longest_turn = longest_turn.total_seconds()
        self._lock = Lock()
        self._dead: dict[str, str] = {}
        self._beat: float | None = None

    def caught(self, ended: ExceptHookArgs) -> None:
        """Record a thread that ended by an error of ours."""
        name = ended.thread.name if ended.thread is not None else "unknown"
        error = ended.exc_value or ended.exc_type()
        if name in self._restarted:
            self._log.event("thread", f"{name} ended and begins anew: {error}", level="warning")
            return
        self._log.bug("", error)
        with self._lock:
            self._dead[name] = type(error).__name__

    def beating(self) -> float:
        """Return the stopwatch's seconds, and record that the main loop turns."""
        self._beat = self._stopwatch()
        return self._beat

    def faults(self) -> list[str]:
        """Return what only a new process can mend, or nothing; a loop that has not begun yet is no fault."""
        with self._lock:
            faults = [f"the thread {name} was ended by a bug ({error})" for name, error in self._dead.items()]
        beat = self._beat
        if beat is not None and (silent := self._stopwatch() - beat) > self._longest_turn:
            faults.append(f"the main loop has not turned for {silent:.0f} s")
        return faults


@contextmanager
def ending_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process while the context lasts, by SystemExit, so that what is open is closed.

    As the first process of a container it would ignore the signal otherwise, until it is killed.
    """
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


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
