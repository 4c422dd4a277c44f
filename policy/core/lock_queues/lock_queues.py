"""The queue of every lock: which Workflows hold it and wait, since when; and which of them are deadlocked.

Deadlocks are found in the actual state, node by node: a waiter is stuck when its lock has as many stuck
holders as its limit, and a holder is stuck when all that is active below it is stuck. The largest such set
never moves by itself: a Workflow that waits for itself (argo-verified 6), and circles of several. A holder
about which nothing is known counts as active: only a certain deadlock is reported.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec

from policy.core.lock_model.lock_names import CONFIG_MAP, LockName
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.lock_queues.live_workflow import LockHold, LockWait, Traced

_Unit: TypeAlias = tuple[str, str]
"""A Workflow's uid and one of its nodes, "" for itself."""


class LockHolder(msgspec.Struct, frozen=True):
    """One holder of a lock."""

    workflow: Traced
    held: LockHold


class LockWaiter(msgspec.Struct, frozen=True):
    """One waiter of a lock."""

    workflow: Traced
    waits: LockWait
    stuck: bool


class LockQueue(msgspec.Struct, frozen=True):
    """One lock, with its waiters in the order in which Argo gives them the lock."""

    lock: str
    limit: int | None
    holders: tuple[LockHolder, ...]
    waiters: tuple[LockWaiter, ...]

    @property
    def free(self) -> int:
        """How many more could hold it; 0 where the limit is unknown."""
        return max(0, (self.limit or 0) - len(self.holders))

    @property
    def oldest(self) -> datetime | None:
        """Since when the longest wait lasts."""
        return min((each.waits.since for each in self.waiters), default=None)

    @property
    def poisoned(self) -> str:
        """Why Argo gives it to nobody until its controller is restarted, "" where that is not so."""
        return next((each.waits.poisoned for each in self.waiters if each.waits.poisoned), "")

    @property
    def deadlocked(self) -> bool:
        """Whether a waiter waits for ever."""
        return any(each.stuck for each in self.waiters)


def lock_queues(workflows: Iterable[Traced], limit_of: LimitOf) -> tuple[LockQueue, ...]:
    """Return every lock that is held or waited for, by name."""
    holders: dict[str, list[LockHolder]] = {}
    waiting: dict[str, list[tuple[Traced, LockWait]]] = {}
    for workflow in workflows:
        for held in workflow.holds:
            holders.setdefault(held.lock, []).append(LockHolder(workflow, held))
        for waits in workflow.waits:
            waiting.setdefault(waits.lock, []).append((workflow, waits))
    names = sorted(holders.keys() | waiting.keys())
    limits = {name: limit_of(name) for name in names}
    stuck = _stuck(holders, waiting, limits)
    return tuple(
        LockQueue(
            name,
            limits[name],
            tuple(holders.get(name, ())),
            tuple(
                LockWaiter(workflow, waits, (workflow.uid, waits.node) in stuck)
                for workflow, waits in sorted(waiting.get(name, ()), key=_place)
            ),
        )
        for name in names
    )


def _place(waiter: tuple[Traced, LockWait]) -> tuple[object, ...]:
    workflow, waits = waiter
    return (*workflow.order, workflow.namespace, waits.since, waits.node)


def _stuck(
    holders: Mapping[str, list[LockHolder]],
    waiting: Mapping[str, list[tuple[Traced, LockWait]]],
    limits: Mapping[str, int | None],
) -> set[_Unit]:
    """Return the largest set of waiters of which each waits for holders that wait for others of the set.

    Those that Argo never comes back to wait for ever, whoever holds the lock.
    """
    every = [(workflow.uid, waits) for each in waiting.values() for workflow, waits in each]
    stuck = {(uid, waits.node) for uid, waits in every}
    abandoned = {(uid, waits.node) for uid, waits in every if waits.left}
    moved = True
    while moved and stuck:
        blocked = {
            lock
            for lock in waiting
            if (limit := limits[lock]) is not None
            and sum(_is_stuck(each, stuck) for each in holders.get(lock, ())) >= limit > 0
        }
        left = {
            (workflow.uid, waits.node)
            for lock in blocked
            for workflow, waits in waiting[lock]
            if (workflow.uid, waits.node) in stuck
        }
        left |= abandoned
        moved, stuck = left != stuck, left
    return stuck


def _is_stuck(holder: LockHolder, stuck: set[_Unit]) -> bool:
    on = holder.held.stuck_on
    return bool(on) and all((holder.workflow.uid, node) in stuck for node in on)


class LiveDeadlock(msgspec.Struct, frozen=True):
    """The locks that one Workflow waits for without end, and a text that names their holders."""

    workflow: Traced
    locks: tuple[str, ...]
    text: str


def live_deadlocks(found: Iterable[LockQueue]) -> tuple[LiveDeadlock, ...]:
    """Return a deadlock for every Workflow that has a stuck waiter, by name."""
    stuck: dict[str, tuple[Traced, list[LockQueue]]] = {}
    for queue in found:
        for waiter in queue.waiters:
            if waiter.stuck:
                _, queues = stuck.setdefault(waiter.workflow.uid, (waiter.workflow, []))
                if queue not in queues:
                    queues.append(queue)
    return tuple(
        LiveDeadlock(workflow, tuple(queue.lock for queue in queues), _text(workflow, queues))
        for workflow, queues in sorted(stuck.values(), key=lambda each: each[0].key)
    )


def poisoned_text(queue: LockQueue) -> str:
    """Return the message about a lock that Argo gives to nobody: why, and what to do."""
    name = LockName.parse(queue.lock)
    fix = "restart Argo's workflow-controller"
    if name.kind == CONFIG_MAP:
        fix = (
            "to write the ConfigMap again is not enough: see that ConfigMap "
            f"{name.namespace}/{name.config_map} has a number for {name.key}, then {fix}"
        )
    return (
        "is poisoned: Argo's controller gives it to nobody, because it could not set it up when it started "
        f"({queue.poisoned}); {fix}"
    )


def _others(workflow: Traced, queue: LockQueue) -> list[str]:
    """Return the other holders of a lock; those of other namespaces are only counted, not named."""
    keys = {each.workflow.key: each.workflow.namespace for each in queue.holders}
    keys.pop(workflow.key, None)
    named = sorted(key for key, namespace in keys.items() if namespace == workflow.namespace)
    unnamed = len(keys) - len(named)
    return named + ([f"{unnamed} of other namespaces"] if unnamed else [])


def _text(workflow: Traced, stuck: list[LockQueue]) -> str:
    """Return the message about a deadlock: which locks, their holders, and the fix."""
    parts = []
    left = False
    for queue in stuck:
        others = _others(workflow, queue)
        if _of(workflow, [each.workflow for each in queue.waiters if each.waits.left]):
            left = True
            parts.append(f"{queue.lock}, which Argo does not try to take any more: the task is over for it")
        elif not others:
            kept = any(each.held.left for each in queue.holders)
            left = left or kept
            why = ": Argo never gives back what the exit hook of an item took last" if kept else ""
            parts.append(f"{queue.lock}, which only itself holds{why}")
        else:
            named = ", ".join(others)
            if _of(workflow, [each.workflow for each in queue.holders]):
                named = f"itself and {named}"
            parts.append(f"{queue.lock}, which {named} will not give back: it waits too")
    fix = "take one of the locks away or ask for all of them in one place"
    if left:
        fix = "take no lock in the exit hook of a DAG task with items"
    end = f"Terminate it (argo terminate {workflow.name}), and {fix}"
    return f"waits for ever for {'; and for '.join(parts)}. {end}"


def _of(workflow: Traced, others: Iterable[Traced]) -> bool:
    return any(each.uid == workflow.uid for each in others)
