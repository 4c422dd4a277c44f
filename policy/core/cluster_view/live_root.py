"""One quota root as it is now, and the rows of the view that its planner gives."""

from collections.abc import Iterable

import msgspec

from policy.core.cluster_view.precedence import RootOrder
from policy.core.cluster_view.view import RunningRow, WaitingRow
from policy.core.queue import wait_messages
from policy.core.queue.planner import Charge, Planner
from policy.core.queue.positions import Position, positions
from policy.core.quota.accounts import Root
from policy.core.quota.usage_view import UsageView


class LiveRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A root whose planner has released what fits; `running` are all that have their slot by that.

    `loads` are what those count for that had their slot before, the oldest first.
    """

    root: Root
    planner: Planner
    running: tuple[RunningRow, ...]
    usage: UsageView
    loads: tuple[Charge, ...]

    @property
    def order(self) -> RootOrder:
        """The order of all that wait here, worked out anew."""
        return RootOrder(self.planner)

    def position(self, namespace: str, uid: str) -> Position | None:
        """Return the position of one that waits, None where it does not wait any more."""
        found = (each for each in positions(self.planner, namespace) if each.waiter.uid == uid)
        return next(found, None)


def waiting_rows(live: LiveRoot, namespaces: Iterable[str]) -> list[WaitingRow]:
    """Return those that wait in some namespaces of a root, each namespace in its order."""
    order = live.order
    return [
        _row(live, each, order) for namespace in namespaces for each in positions(live.planner, namespace)
    ]


def _row(live: LiveRoot, position: Position, order: RootOrder) -> WaitingRow:
    waiter = position.waiter
    ahead = order.ahead(waiter.uid)
    return WaitingRow(
        namespace=waiter.namespace,
        name=waiter.name,
        uid=waiter.uid,
        user=waiter.user,
        priority=waiter.priority,
        tasks=waiter.needs.requested.task_amount.value,
        since=waiter.created,
        position=position.position,
        ahead=0 if ahead is None else ahead,
        reason=position.reason,
        message=wait_messages.reason(position, live.planner.pending.rules(waiter.namespace)),
        blocked_by=position.short[0].demand.source if position.short else "",
        root=str(live.root),
    )
