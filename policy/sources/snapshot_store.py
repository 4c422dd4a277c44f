"""The snapshot in force: policies from a source, usage from the controller, swapped by reference.

Readers take it once a review. Writers replace it whole; nobody ever sees half of a change. Who subscribes to
changes gets an unsubscribe, to be called when the work ends: the store outlives every term of a leader.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import TypeAlias

from policy.core.policies.snapshot import Snapshot
from policy.core.quota.usage_view import UsageView

Listener: TypeAlias = Callable[[], None]
Unsubscribe: TypeAlias = Callable[[], None]


class Listeners:
    """Those who are called when something changes; safe for any number of threads."""

    def __init__(self) -> None:
        self._write = Lock()
        self._present: dict[object, Listener] = {}

    def __len__(self) -> int:
        return len(self._present)

    def add(self, listener: Listener) -> Unsubscribe:
        """Call `listener` at every change from now on, until what is returned is called."""
        key = object()
        with self._write:
            self._present = {**self._present, key: listener}

        def unsubscribe() -> None:
            with self._write:
                self._present = {each: other for each, other in self._present.items() if each is not key}

        return unsubscribe

    def call(self) -> None:
        """Call all, each in this thread; one that is just being removed may be among them."""
        for listener in self._present.values():  # The dictionary is replaced at a change, never changed.
            listener()


class SnapshotStore:
    """Holds the current snapshot and tells listeners when policies or the view of usage change."""

    def __init__(self, *, snapshot: Snapshot, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._write = Lock()
        self._snapshot = snapshot
        self._loaded_at = clock()
        self._of_policies = Listeners()
        self._of_usage = Listeners()

    def current(self) -> Snapshot:
        """Return the snapshot in force."""
        return self._snapshot

    def loaded_at(self) -> datetime:
        """Return when the policies in force were loaded."""
        return self._loaded_at

    def on_policies(self, listener: Listener) -> Unsubscribe:
        """Call `listener` after every change of policies."""
        return self._of_policies.add(listener)

    def on_usage(self, listener: Listener) -> Unsubscribe:
        """Call `listener` after every new view of usage."""
        return self._of_usage.add(listener)

    def put_policies(self, snapshot: Snapshot) -> None:
        """Put new policies in force; the view of usage stays."""
        with self._write:
            self._snapshot = snapshot.with_usage(self._snapshot.usage)
            self._loaded_at = self._clock()
        self._of_policies.call()

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
        self._of_usage.call()
