"""What would let a waiting Workflow start, or move it forward: each option is computed by the planner.

An option is offered only where the planner, run on the live state with that one change, says that it helps;
so it is true when it is carried out before anything else changes.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from policy.core.cluster_view.live_root import LiveRoot
from policy.core.objects.workflow import HIGHEST_PRIORITY
from policy.core.queue.positions import Position, WaitReason
from policy.core.quota.demands import Shortfall
from policy.core.values.amounts import ZERO, Amount, Usage
from policy.core.values.durations import written

_MOST_ENDS: Final = 20_000
"""Ends that are played at most."""
_MOST_AHEAD: Final = 1_000
"""Of one with more before it, it is not worked out how many have to end: when it starts says more."""
_CHANGES: Final = 4
"""Changes of limits by themselves that are tried, the next ones."""


class OptionKind(StrEnum):
    """What is to be done."""

    RAISE_PRIORITY = "RaisePriority"
    NEEDS_FEWER_TASKS = "NeedsFewerTasks"
    RAISE_LIMIT = "RaiseLimit"
    LIMITS_CHANGE = "LimitsChange"
    OTHERS_END = "OthersEnd"


class Option(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that helps. With `starts` the Workflow starts by it, else it gets this `position`.

    `value` is the priority, the tasks, or how many have to end; `at` is when limits change.
    """

    kind: OptionKind
    text: str
    starts: bool
    position: int | None = None
    value: int | None = None
    at: datetime | None = None


class Raised(msgspec.Struct, frozen=True):
    """A root under higher limits, and which fields of which policies were raised, in words."""

    live: LiveRoot
    text: str


class WhatIf(Protocol):
    """The root of one waiting Workflow, built anew under one change."""

    @property
    def max_priority(self) -> int | None:
        """The highest priority that it may have, None without a cap."""
        ...

    def with_priority(self, priority: int) -> LiveRoot:
        """Return the root if it had this priority."""
        ...

    def with_tasks(self, tasks: int) -> LiveRoot:
        """Return the root if it needed so many tasks."""
        ...

    def with_room_for(self, short: tuple[Shortfall, ...], beside: Usage) -> Raised | None:
        """Return the root with limits raised by what is short, and by what others need `beside` it.

        None where no limit can be raised for it.
        """
        ...

    def later(self, at: datetime) -> LiveRoot:
        """Return the root at another time."""
        ...

    def next_change(self, after: datetime) -> datetime | None:
        """Return when limits of the root change next by themselves."""
        ...


def options(live: LiveRoot, position: Position, what_if: WhatIf, now: datetime) -> list[Option]:
    """Return all that helps a Workflow that waits for quota, for its priority, or for higher limits."""
    if position.reason in (WaitReason.MISCONFIGURED, WaitReason.ON_HOLD, WaitReason.RELEASING):
        return []
    found = [*_fewer_tasks(position, what_if), *_higher_limit(live, position, what_if)]
    if position.reason is not WaitReason.EXCEEDS_MAX_QUOTA:
        found = [
            *_higher_priority(live, position, what_if),
            *found,
            *_later(position, what_if, now),
        ]
    if position.reason not in (WaitReason.EXCEEDS_MAX_QUOTA, WaitReason.WAITING_FOR_GROUP):
        found += _others_end(live, position, what_if, now)  # Who has the key of a group is in the reason.
    return found


def _starts(live: LiveRoot, position: Position) -> bool:
    return live.planner.pending.get(position.waiter.uid) is None


def _higher_priority(live: LiveRoot, position: Position, what_if: WhatIf) -> Iterator[Option]:
    """Yield the lowest priority that is above all that go before it, or the highest that it may have."""
    waiter, order = position.waiter, live.planner.pending.order
    before = live.order.before(waiter.uid)
    levels = [order.level(each.waiter) for each in before]
    if not levels:
        return
    cap = HIGHEST_PRIORITY if what_if.max_priority is None else what_if.max_priority
    priority = min(max(levels) + 1, cap)
    if priority <= waiter.priority:
        return
    changed = what_if.with_priority(priority)
    starts, text = _starts(changed, position), f"spec.priority {priority}"
    if starts:
        yield Option(OptionKind.RAISE_PRIORITY, f"{text}: it starts now", starts=True, value=priority)
        return
    there = changed.position(waiter.namespace, waiter.uid)
    left = len(changed.order.before(waiter.uid))
    if there is not None and (there.position < position.position or left < len(before)):
        moved = f"{text}: position {there.position}, with {left} before it instead of {len(before)}"
        yield Option(OptionKind.RAISE_PRIORITY, moved, starts=False, position=there.position, value=priority)


def _fewer_tasks(position: Position, what_if: WhatIf) -> Iterator[Option]:
    """Yield the most tasks with which it starts now."""
    needed = position.waiter.needs.requested.task_amount
    left = [_tasks_left(each) for each in position.short]
    bounds = [each for each in left if each is not None]
    most = min(bounds, default=0)
    if most < 1 or not (needed.unlimited or not Amount(most).covers(needed.value or 0)):
        return
    if _starts(what_if.with_tasks(most), position):
        text = f"at most {most} tasks at once (spec.parallelism {most} or less): it starts now"
        yield Option(OptionKind.NEEDS_FEWER_TASKS, text, starts=True, value=most)


def _tasks_left(short: Shortfall) -> int | None:
    """Return how many tasks a limit has left, None where it does not bound them."""
    limit = short.demand.limits.tasks.value
    return None if limit is None else limit - short.used.tasks


def _higher_limit(live: LiveRoot, position: Position, what_if: WhatIf) -> Iterator[Option]:
    """Yield limits that let it start: raised for it alone, or where others take that, for these as well."""
    if not position.short:
        return
    before = live.order.before(position.waiter.uid)
    others = sum((each.waiter.needs.requested for each in before), ZERO)
    for beside, count in ((ZERO, 0), (others, len(before))):
        raised = what_if.with_room_for(position.short, beside)
        if raised is not None and _starts(raised.live, position):
            for_whom = f" (room for it and the {count} before it)" if count else ""
            yield Option(OptionKind.RAISE_LIMIT, f"{raised.text}{for_whom}: it starts now", starts=True)
            return


def _later(position: Position, what_if: WhatIf, now: datetime) -> Iterator[Option]:
    """Yield the first change of limits by themselves that lets it start."""
    at: datetime | None = now
    for _ in range(_CHANGES):
        at = None if at is None else what_if.next_change(at)
        if at is None:
            return
        if _starts(what_if.later(at), position):
            text = f"the limits change in {written(at - now)}: it starts then, if nothing else changes"
            yield Option(OptionKind.LIMITS_CHANGE, text, starts=True, at=at)
            return


def _others_end(root: LiveRoot, position: Position, what_if: WhatIf, now: datetime) -> Iterator[Option]:
    """Yield how many have to end until it starts: the oldest first, then those that start meanwhile."""
    if len(root.order.before(position.waiter.uid)) > _MOST_AHEAD:
        return
    live = what_if.later(now)
    loads = deque(live.loads())
    for number in range(1, _MOST_ENDS + 1):
        if not loads:
            return
        live.planner.ended(loads.popleft(), now)
        loads.extend(live.planner.charge_of(each) for each in live.planner.plan(now))
        if _starts(live, position):
            ends = "1 Workflow has ended" if number == 1 else f"{number} Workflows have ended"
            text = f"it starts when {ends}, if they end in the order in which they started"
            yield Option(OptionKind.OTHERS_END, text, starts=True, value=number)
            return
