"""For how long Workflows had their slot, as the leader sees them start and end.

A run lasts from its release to its completion; of one that never waited, from its creation. One that waited
before this term began shows no time of its start, so it is left out. What a pass does here is to note times:
another thread makes of them what is known of lengths.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import WorkflowChange

_MOST_ENDED: Final = 20_000
"""Ends that wait for the other thread; the oldest are forgotten when it does not come."""
_NEW: Final = timedelta(minutes=5)
"""One that is older when it comes was retried: it starts when it comes."""


class RunEnd(msgspec.Struct, frozen=True):
    """One that has ended: whose it was, what it refers to, and for how long it had its slot."""

    namespace: str
    name: str
    refers_to: str
    length: timedelta


class RunEnds:
    """Sees starts and ends in what has changed. `take` may be called by another thread."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}
        self._ended: deque[RunEnd] = deque(maxlen=_MOST_ENDED)
        self._listed = False

    def observe(self, changes: Iterable[WorkflowChange], now: datetime) -> None:
        """Note who has started and who has ended; in the first changes of a term are all that are live."""
        for each in changes:
            before, after = each.before, each.after
            if after is None:
                if before is not None:
                    self._end(before, now)
            elif after.held:
                self._begun.pop(after.uid, None)
            elif (before is not None and before.held) or (before is None and self._came_late(after, now)):
                self._begun[after.uid] = int(now.timestamp())
        self._listed = True

    def take(self) -> list[RunEnd]:
        """Return those that have ended since the last call."""
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def _came_late(self, tracked: Tracked, now: datetime) -> bool:
        return self._listed and now - tracked.created > _NEW

    def _end(self, tracked: Tracked, now: datetime) -> None:
        """Note the end of a run; one under the slot of another, or without any quota, says nothing."""
        begun = self._begun.pop(tracked.uid, None)
        if tracked.held or tracked.root_labels is not None or not tracked.admitted:
            return
        if begun is None and tracked.holds is not None:
            return
        since = tracked.created if begun is None else datetime.fromtimestamp(begun, UTC)
        length = max(timedelta(0), now - since)
        self._ended.append(RunEnd(tracked.namespace, tracked.name, tracked.refers_to, length))
