"""The change log of the in-memory cluster, and the watches that follow it.

Every write is one change with the next version, so the log is dense and a version is a position in it.
A change has the object before and after; each watch decides for itself what the change means to it.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from threading import TIMEOUT_MAX, Condition, RLock
from time import monotonic

import msgspec

from policy.cluster.errors import Gone
from policy.cluster.memory.stored_objects import StoredObject
from policy.cluster.protocol import EventType, Selection, WatchEvent
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.label_selectors import Predicate


class StoredChange(msgspec.Struct, frozen=True):
    """One write: the object before it (None for a create) and after it (None for a removal)."""

    version: int
    before: StoredObject | None
    after: StoredObject | None


class WatchedObjects(msgspec.Struct, frozen=True):
    """What a list or a watch requests, with its label selector parsed."""

    selection: Selection
    matches: Predicate

    def covers(self, stored: StoredObject | None) -> bool:
        """Return whether an object is there and requested."""
        return (
            stored is not None
            and stored.resource == self.selection.resource
            and self.selection.namespace in ("", stored.facts.namespace)
            and self.selection.name in ("", stored.facts.name)
            and self.matches(stored.facts.labels)
        )

    def shown(self, stored: StoredObject) -> JsonObject:
        """Return a new copy of the object, or of its metadata where no more is requested."""
        return stored.partial() if self.selection.metadata_only else stored.full()

    def event(self, change: StoredChange) -> WatchEvent[JsonObject] | None:
        """Return what the change means to a watch of this view, None for a change of other objects."""
        version = str(change.version)
        if change.after is not None and self.covers(change.after):
            kind = EventType.MODIFIED if self.covers(change.before) else EventType.ADDED
            return WatchEvent(kind, self.shown(change.after), version)
        if change.before is not None and self.covers(change.before):
            # As the API server does (cacher, convertToWatchEvent): the last state that matched, at the
            # version of the change, both when the object is deleted and when it only stopped matching.
            last = change.before.with_metadata({"resourceVersion": version})
            return WatchEvent(EventType.DELETED, self.shown(last), version)
        return None


class ChangeLog:
    """The last `size` changes, and the `version` of the newest.

    `lock` is the cluster's own: writers hold it while they append, so a change and its state appear at once.
    """

    def __init__(self, *, lock: RLock, size: int) -> None:
        self._moved = Condition(lock)
        self._size = size
        self._changes: deque[StoredChange] = deque()
        # "0" means "any version" to the Kubernetes API, so no state of ours has that version.
        self.version = 1
        self._closed = False

    def append(self, *, before: StoredObject | None, after: StoredObject | None) -> None:
        """Record the next change, forget the oldest where there are too many, and wake the watches."""
        with self._moved:
            self.version += 1
            self._changes.append(StoredChange(self.version, before, after))
            if len(self._changes) > self._size:
                self._changes.popleft()
            self._moved.notify_all()

    def close(self) -> None:
        """End every watch, now and later."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()

    def position(self, since: str) -> int:
        """Return the version to follow from. Raises Gone for one too old, not reached yet, or malformed."""
        with self._moved:
            oldest = self.version - len(self._changes)
            position = int(since) if since.isdecimal() and len(since) <= len(str(self.version)) else -1
            if str(position) != since or not oldest <= position <= self.version:
                raise Gone(f"too old or unknown resource version: {since!r} (oldest kept: {oldest})")
            return position

    def follow(
        self, view: WatchedObjects, *, position: int, deadline: float
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Yield the view's events after a version until the deadline (of `time.monotonic`) or `close`.

        What is there already is yielded even after the deadline. Raises Gone when the reader is too slow.
        """
        while changes := self._take(position, deadline):
            for change in changes:
                # Decoding and the reader's own work happen here, outside the lock.
                event = view.event(change)
                if event is not None:
                    yield event
                if self._closed:
                    return
            position = changes[-1].version
            if monotonic() >= deadline:
                return

    def _take(self, position: int, deadline: float) -> tuple[StoredChange, ...]:
        """Return all changes after a version, waiting for the first; none at the deadline or when closed."""
        with self._moved:
            seconds = min(max(0.0, deadline - monotonic()), TIMEOUT_MAX)
            self._moved.wait_for(lambda: self._closed or self.version > position, seconds)
            if self._closed:
                return ()
            skipped = len(self._changes) - (self.version - position)
            if skipped < 0:
                raise Gone(f"too old resource version: {position} is no longer kept")
            return tuple(islice(self._changes, skipped, None))
