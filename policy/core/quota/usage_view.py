"""The latest known usage and queue lengths: for messages, warnings and metrics, never to admit a Workflow.

Only the ledger admits; a view may be some seconds old. The controller publishes it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from policy.core.quota.accounts import Account
from policy.core.values.amounts import Usage


class NamespaceQueue(msgspec.Struct, frozen=True):
    """The held Workflows of a namespace by priority: `waiting[priority]` is how many have it."""

    waiting: Mapping[int, int] = {}

    @property
    def depth(self) -> int:
        """How many wait."""
        return sum(self.waiting.values())


EMPTY_QUEUE: Final = NamespaceQueue()


class Waits(msgspec.Struct, frozen=True):
    """Since when the oldest of each queue waits, how many wait for each reason, and of each group for a key.

    The leader works them out once in a while, so they may be older than the rest of a view.
    """

    oldest: Mapping[str, datetime] = {}
    reasons: Mapping[str, int] = {}
    keys: Mapping[Account, int] = {}


class UsageView(msgspec.Struct, frozen=True):
    """The usage by account, and by namespace what waits, what runs, and how many bypassed admission.

    A view that is not `known` has no figures, since none is published in this process. A `partial` one has
    figures of some namespaces, read from a status some seconds ago: the others are unknown. In a view that is
    not partial, nothing waits in the others. A `live` one is what a controller saw in its last pass: since
    then Workflows may have been created, released or deleted.
    """

    used: Mapping[Account, Usage] = {}
    queues: Mapping[str, NamespaceQueue] = {}
    running: Mapping[str, Usage] = {}
    known: bool = True
    partial: bool = False
    not_admitted: Mapping[str, int] = {}
    live: bool = False
    waits: Waits = Waits()

    @property
    def outdated(self) -> bool:
        """Whether a position by this view is an estimate for one that joins a queue now."""
        return self.partial or self.live

    def with_one_more(self, namespace: str, priority: int) -> "UsageView":
        """Return the view with one more Workflow that waits in a namespace that has figures."""
        waiting = dict(self.queues.get(namespace, EMPTY_QUEUE).waiting)
        waiting[priority] = waiting.get(priority, 0) + 1
        return msgspec.structs.replace(self, queues={**self.queues, namespace: NamespaceQueue(waiting)})

    def position_of_new(self, namespace: str, priority: int) -> tuple[int, int]:
        """Return position (from 1) and depth of the queue for a Workflow that joins it now."""
        queue = self.queues.get(namespace, EMPTY_QUEUE)
        ahead = sum(count for each, count in queue.waiting.items() if each >= priority)
        return ahead + 1, queue.depth + 1

    def knows(self, namespace: str) -> bool:
        """Return whether there are figures of a namespace."""
        return self.known and (not self.partial or namespace in self.queues)


NO_USAGE: Final = UsageView()
UNKNOWN_USAGE: Final = UsageView(known=False)
