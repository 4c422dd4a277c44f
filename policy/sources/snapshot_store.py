"""The current snapshot: policies from a source, usage from the controller, replaced by reference.

A review reads it once. Writers replace it whole, so no reader sees half of a change. Subscribing returns an
unsubscribe, to be called when the work ends: the store outlives every term of a leader.
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
    """Callbacks for changes; safe for any number of threads."""

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
        """Call all in this thread; one that is removed at the same time may be among them."""
        for listener in self._present.values():  # A change replaces the dictionary.
            listener()


class SnapshotStore:
    """Holds the current snapshot and calls listeners when policies or the view of usage change."""

    def __init__(self, *, snapshot: Snapshot, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._write = Lock()
        self._snapshot = snapshot
        self._loaded_at = clock()
        self._of_policies = Listeners()
        self._of_usage = Listeners()

    def current(self) -> Snapshot:
        """Return the current snapshot."""
        return self._snapshot

    def loaded_at(self) -> datetime:
        """Return when the current policies were loaded."""
        return self._loaded_at

    def on_policies(self, listener: Listener) -> Unsubscribe:
        """Call `listener` after every change of policies."""
        return self._of_policies.add(listener)

    def on_usage(self, listener: Listener) -> Unsubscribe:
        """Call `listener` after every new view of usage."""
        return self._of_usage.add(listener)

    def put_policies(self, snapshot: Snapshot) -> None:
        """Replace the policies; the view of usage stays."""
        with self._write:
            self._snapshot = snapshot.with_usage(self._snapshot.usage)
            self._loaded_at = self._clock()
        self._of_policies.call()

    def joined(self, namespace: str, priority: int) -> None:
        """Count one more pending Workflow, which the next view of usage will show."""
        with self._write:
            usage = self._snapshot.usage
            if usage.knows(namespace):
                self._snapshot = self._snapshot.with_usage(usage.with_one_more(namespace, priority))

    def put_usage(self, usage: UsageView) -> None:
        """Replace the view of usage; the policies stay."""
        with self._write:
            self._snapshot = self._snapshot.with_usage(usage)
        self._of_usage.call()
