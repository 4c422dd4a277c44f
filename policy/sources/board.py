"""The snapshot in force: policies from a source, usage from the controller, swapped by reference.

Readers take it once a review. Writers replace it whole; nobody ever sees half of a change.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Lock

from policy.core.snapshot import Snapshot
from policy.core.usage import UsageView


class SnapshotBoard:
    """Holds the current snapshot and tells listeners when policies or the view of usage change."""

    def __init__(self, *, snapshot: Snapshot, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._write = Lock()
        self._snapshot = snapshot
        self._loaded_at = clock()
        self._listeners: list[Callable[[], None]] = []
        self._usage_listeners: list[Callable[[], None]] = []

    def current(self) -> Snapshot:
        """Return the snapshot in force."""
        return self._snapshot

    def loaded_at(self) -> datetime:
        """Return when the policies in force were loaded."""
        return self._loaded_at

    def on_policies(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of policies."""
        self._listeners.append(listener)

    def on_usage(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every new view of usage."""
        self._usage_listeners.append(listener)

    def put_policies(self, snapshot: Snapshot) -> None:
        """Put new policies in force; the view of usage stays."""
        with self._write:
            self._snapshot = snapshot.with_usage(self._snapshot.usage)
            self._loaded_at = self._clock()
        for listener in self._listeners:
            listener()

    def joined(self, namespace: str, priority: int) -> None:
        """Take note that one more waits, which the next view of usage will show."""
        with self._write:
            usage = self._snapshot.usage
            if usage.knows(namespace):
                self._snapshot = self._snapshot.with_usage(usage.with_one_more(namespace, priority))

    def put_usage(self, usage: UsageView) -> None:
        """Show a new view of usage beside the policies in force."""
        with self._write:
            self._snapshot = self._snapshot.with_usage(usage)
        for listener in self._usage_listeners:
            listener()
