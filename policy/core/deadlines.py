"""Who has waited too long: the deadlines of many, of which the next is known at once."""

from datetime import datetime
from heapq import heappop, heappush


class Deadlines:
    """Deadlines by uid; each has one at most."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._passed: dict[str, None] = {}

    def put(self, uid: str, at: datetime) -> None:
        """Set a deadline, in the place of an earlier one."""
        if self._at.get(uid) == at:
            return
        self._passed.pop(uid, None)
        self._at[uid] = at
        heappush(self._heap, (at, uid))

    def discard(self, uid: str) -> None:
        """Forget a deadline, if there is one."""
        self._at.pop(uid, None)
        self._passed.pop(uid, None)

    def next(self) -> datetime | None:
        """Return the next deadline that has not been found passed."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def passed(self, now: datetime) -> list[str]:
        """Return those whose deadline has come, in the order of the deadlines, until they are forgotten."""
        while (at := self.next()) is not None and at <= now:
            self._passed[heappop(self._heap)[1]] = None
        return list(self._passed)
