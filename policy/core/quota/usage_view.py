"""The latest view of what runs and waits: for messages and warnings, never for admitting anything.

Only the ledger admits; a view may be a moment old. It is published by the controller and shown by metrics.
"""

from collections.abc import Mapping
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

    def position_of_newcomer(self, priority: int) -> int:
        """Return the position (from 1) that a Workflow of this priority would take now."""
        return 1 + sum(count for each, count in self.waiting.items() if each >= priority)


EMPTY_QUEUE: Final = NamespaceQueue()


class UsageView(msgspec.Struct, frozen=True):
    """What is taken by account, what waits by namespace, and what runs by namespace.

    `not_admitted` says by namespace how many bypassed admission.

    A view that is not `known` has no figures at all: none is published here. A `partial` one has those of
    some namespaces, as statuses had them some seconds ago: of the others nothing is known, while otherwise
    nothing waits there.
    """

    taken: Mapping[Account, Usage] = {}
    queues: Mapping[str, NamespaceQueue] = {}
    running: Mapping[str, Usage] = {}
    known: bool = True
    partial: bool = False
    not_admitted: Mapping[str, int] = {}

    def with_one_more(self, namespace: str, priority: int) -> "UsageView":
        """Return the view with one more that waits in a namespace of which there are figures."""
        waiting = dict(self.queues.get(namespace, EMPTY_QUEUE).waiting)
        waiting[priority] = waiting.get(priority, 0) + 1
        return msgspec.structs.replace(self, queues={**self.queues, namespace: NamespaceQueue(waiting)})

    def newcomer_place(self, namespace: str, priority: int) -> tuple[int, int]:
        """Return position and depth of the queue for a Workflow that joins it now."""
        queue = self.queues.get(namespace, EMPTY_QUEUE)
        return queue.position_of_newcomer(priority), queue.depth + 1

    def knows(self, namespace: str) -> bool:
        """Return whether there are figures of a namespace."""
        return self.known and (not self.partial or namespace in self.queues)


NO_USAGE: Final = UsageView()
UNKNOWN_USAGE: Final = UsageView(known=False)
