"""Whether a process works and is ready, for its probes; and its end by a signal while it still starts.

A restart repairs what only a new process can: a thread that a bug has ended, a loop that hangs. It does not
repair an API server that is away, so liveness reads none; readiness and metrics show the rest.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import ExceptHookArgs, Lock
from types import FrameType
from typing import Final

from webhook.logs import Log

LONGEST_ITERATION: Final = timedelta(minutes=5)
"""Without an iteration of its main loop for so long a process hangs.

An iteration calls the API server a few times, and each time-out is seconds; together they stay well below.
"""


class Liveness:
    """Notices threads that a bug has ended, and a main loop that hangs.

    `restarted` names the threads that are started again when they end; their errors are only logged.
    `caught` is set as `threading.excepthook`; `beating` is the stopwatch of the loop, and its use shows that
    the loop runs.
    """

    def __init__(
        self,
        *,
        log: Log,
        stopwatch: Callable[[], float],
        restarted: tuple[str, ...] = (),
        longest_iteration: timedelta = LONGEST_ITERATION,
    ) -> None:
        self._log = log
        self._stopwatch = stopwatch
        self._restarted = restarted
        self._longest_iteration = longest_iteration.total_seconds()
        self._lock = Lock()
        self._dead: dict[str, str] = {}
        self._beat: float | None = None

    def caught(self, ended: ExceptHookArgs) -> None:
        """Record a thread that ended by an error of ours."""
        name = ended.thread.name if ended.thread is not None else "unknown"
        error = ended.exc_value or ended.exc_type()
        if name in self._restarted:
            self._log.event("thread", f"{name} ended and starts again: {error}", level="warning")
            return
        self._log.bug("", error)
        with self._lock:
            self._dead[name] = type(error).__name__

    def beating(self) -> float:
        """Return the stopwatch's seconds, and record that the main loop runs."""
        self._beat = self._stopwatch()
        return self._beat

    def faults(self) -> list[str]:
        """Return what only a new process can repair, or nothing; a loop that has not started is no fault."""
        with self._lock:
            faults = [f"the thread {name} was ended by a bug ({error})" for name, error in self._dead.items()]
        beat = self._beat
        if beat is not None and (silent := self._stopwatch() - beat) > self._longest_iteration:
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
"""Seconds for which an answer is repeated; a look is a few small reads."""
NOT_SEEN: Final = "the webhook configurations were not read yet"


class CachedReadiness:
    """Calls `look` for a probe, at most once a second, with its last answer; it returns what is missing."""

    def __init__(
        self, look: Callable[[list[str]], list[str]], *, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._look = look
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._looked_at: float | None = None
        self._answer = [NOT_SEEN]

    def missing(self) -> list[str]:
        """Return what is missing, or nothing."""
        # A probe during the look of another, which may wait for the API server, gets the last answer.
        if self._lock.acquire(blocking=False):
            try:
                now = self._stopwatch()
                if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                    self._answer = self._look(self._answer)
                    self._looked_at = now
            finally:
                self._lock.release()
        return list(self._answer)
