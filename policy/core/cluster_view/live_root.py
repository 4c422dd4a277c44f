"""One quota root as it is now, and the rows of the view that its planner gives."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec

from policy.core.cluster_view.precedence import RootOrder
from policy.core.cluster_view.run_lengths import AllSeries
from policy.core.cluster_view.view import RunningRow, StartRange, WaitingRow
from policy.core.queue import wait_messages
from policy.core.queue.ordering import Waiter
from policy.core.queue.planner import Charge, Planner
from policy.core.queue.positions import Position, positions
from policy.core.quota.accounts import Root
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import Limits

_UNKNOWN: Final[Mapping[str, StartRange]] = {}


class Slot(msgspec.Struct, frozen=True):
    """One that has its slot: what it counts for, its series, and since when.

    Where that is not `exact`, it may have waited before, and has had its slot since some time after that.
    """

    charge: Charge
    series: AllSeries
    since: datetime
    exact: bool = True


class Arrival(msgspec.Struct, frozen=True):
    """One that came lately, as it waited or would have waited, and its series."""

    waiter: Waiter
    series: AllSeries


class LimitsAhead(Protocol):
    """The limits of a root as time passes."""

    @property
    def limits_until(self) -> datetime:
        """Until when those in force stay as they are."""
        ...

    def put_limits(self, now: datetime, capacity: Limits | None) -> bool:
        """Put those of another time in force."""
        ...


class LiveRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A root whose planner has released what fits; `running` returns all that have their slot by that.

    `loads` returns what those count for that had their slot before, the oldest first. `slots` are all that
    have it now, and `series_of` the series of one that waits, by its uid. `limits` change under `capacity`.
    `arrivals` are all that are live, as each waits or would wait.
    """

    root: Root
    planner: Planner
    running: Callable[[], Iterable[RunningRow]]
    usage: UsageView
    loads: Callable[[], Iterable[Charge]]
    slots: Callable[[], Iterable[Slot]]
    series_of: Callable[[str], AllSeries]
    limits: LimitsAhead
    capacity: Limits | None
    arrivals: Callable[[], Iterable[Arrival]] = tuple

    @property
    def order(self) -> RootOrder:
        """The order of all that wait here, worked out anew."""
        return RootOrder(self.planner)

    def position(self, namespace: str, uid: str) -> Position | None:
        """Return the position of one that waits, None where it does not wait any more."""
        found = (each for each in positions(self.planner, namespace) if each.waiter.uid == uid)
        return next(found, None)


def waiting_rows(
    live: LiveRoot, namespaces: Iterable[str], expected: Mapping[str, StartRange] = _UNKNOWN
) -> list[WaitingRow]:
    """Return those that wait in some namespaces of a root, each namespace in its order.

    `expected` are the expected starts that are known, by uid.
    """
    order = live.order
    return [
        _row(live, each, order, expected.get(each.waiter.uid))
        for namespace in namespaces
        for each in positions(live.planner, namespace)
    ]


def _row(live: LiveRoot, position: Position, order: RootOrder, expected: StartRange | None) -> WaitingRow:
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
        expected=expected,
    )
