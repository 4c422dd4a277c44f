"""When those that wait are expected to start, where they are many: computed beside the readings, at times.

It takes a second of CPU for 5,000 that wait, and a page may not wait for that. So the rows have what was
computed last, which is about times of a day and so stays true for a while; the first view has none yet.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from threading import Lock, Thread
from typing import Final, TypeAlias

from lockkeeper.page_state.last_read import ReadingShare
from policy.core.cluster_view.view import StartRange
from policy.core.quota.accounts import Root
from policy.service.reading.cluster_reading import Reading
from policy.service.reading.live_roots import LiveRoots

Background: TypeAlias = Callable[[Callable[[], None]], None]
"""Runs something that nobody waits for."""
_FEW: Final = 200
"""Live Workflows up to which starts are computed with the view: that takes some hundredths of a second."""
_AT_ONCE: Final = 0
"""The number of a computation that is part of the view."""


def in_thread(run: Callable[[], None]) -> None:
    """Run it in a thread of its own, which ends with the process."""
    Thread(target=run, name="page-starts", daemon=True).start()


class StartTimes:
    """The expected starts that were computed last; `computed` is how often that was."""

    def __init__(
        self,
        *,
        stopwatch: Callable[[], float],
        cost: Callable[[], float],
        share: ReadingShare,
        background: Background,
    ) -> None:
        self._stopwatch = stopwatch
        self._cost = cost
        self._share = share
        self._background = background
        self._lock = Lock()
        self._running = False
        self._next = 0.0
        self._found: Mapping[Root, Mapping[str, StartRange]] = {}
        self.computed = _AT_ONCE

    def put_into(self, roots: LiveRoots, *, begin: bool = True) -> int:
        """Let roots have the starts of the last computation, or compute their own where they are few.

        With `begin` the next computation begins, if it is time for one. Returns the number of the one used.
        """
        reading = roots.reading
        if reading.lengths is None or _are_few(reading):
            return self.computed
        with self._lock:
            roots.take_expected(self._found)
            used, due = self.computed, not self._running and self._stopwatch() >= self._next
            self._running = self._running or (begin and due)
        if begin and due:
            self._background(lambda: self._compute(reading))
        return used

    def _compute(self, reading: Reading) -> None:
        before = self._cost()
        found: Mapping[Root, Mapping[str, StartRange]] = self._found
        try:
            roots = LiveRoots(reading)
            found = {each: roots.expected(each) for each in roots.roots()}
        finally:
            with self._lock:
                self._found = found
                self.computed += 1
                self._running = False
                self._next = self._stopwatch() + self._share.idle_after(self._cost() - before)


def _are_few(reading: Reading) -> bool:
    return sum(1 for _ in islice(reading.tracker, _FEW + 1)) <= _FEW
