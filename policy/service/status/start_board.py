"""When those that wait are expected to start, between the threads of a leader.

One thread computes it, which takes up to a second, from a copy of what is live; the passes give that copy
when it is asked for. They write the starts into messages, and scrapes show them as metrics. So no pass and no
scrape waits for them.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from policy.core.cluster_view.view import StartRange
from policy.service.tracking.start_misses import StartMisses
from policy.service.tracking.tracker import Tracker, WorkflowChange


def _nobody() -> None:
    """Tell nobody."""


class StartBoard:
    """The starts that were computed last; `number` is how often that was.

    `until` is when all that wait in a namespace have probably started; it has no namespace where that is not
    known of one of them. `misses` are by how much earlier ones were wrong.
    """

    def __init__(self) -> None:
        self.number = 0
        self.until: Mapping[str, datetime] = {}
        self.misses = StartMisses()
        self._starts: Mapping[str, StartRange] = {}
        self._copy: Tracker | None = None
        self._asked: Callable[[], None] | None = None

    def ask(self, tell: Callable[[], None] = _nobody) -> None:
        """Ask for a copy of what is live; `tell` is called when it is there."""
        self._asked = tell

    def offer(self, tracker: Tracker, changes: Iterable[WorkflowChange], now: datetime) -> None:
        """Copy what is live where that was asked for, and note who has started: the part of a pass."""
        self.misses.observe(changes, now)
        if self._asked is not None:
            tell, self._asked = self._asked, None
            self._copy = tracker.copy()
            tell()

    def take(self) -> Tracker | None:
        """Return the copy that was asked for, once."""
        copy, self._copy = self._copy, None
        return copy

    def put(self, starts: Mapping[str, StartRange], until: Mapping[str, datetime]) -> None:
        """Put other starts in the place of those before."""
        if starts or self._starts:
            self._starts, self.until = starts, until
            self.number += 1

    def of(self, uid: str) -> StartRange | None:
        """Return when one that waits is expected to start; None where that is not known."""
        return self._starts.get(uid)

    def clear(self) -> None:
        """Forget all: another process leads."""
        self.put({}, {})
        self.misses, self._copy, self._asked = StartMisses(), None, None
