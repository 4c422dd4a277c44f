"""The closing words of a play: what ran in each namespace under which limits, and who waits and why."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Final

from lockkeeper.embedded.event_printer import EventPrinter, NamespaceTotals
from lockkeeper.process.console import aligned
from policy.core.lock_model.lock_names import CONFIG_MAP, LockName
from policy.core.policies.lock_limits import LockLimits
from policy.core.policies.snapshot import Snapshot
from policy.core.values.amounts import Amount, Limits

_NONE: Final = "No Workflow was created."
_UNKNOWN: Final = "the controller has not looked at it yet"
Capacity = Callable[[str], Limits | None]
"""Returns what nodes allow a pool, None while they are not measured."""


def closing(
    failures: Sequence[str],
    printer: EventPrinter,
    most_held: Mapping[str, int],
    snapshot: Snapshot,
    *,
    now: datetime,
    capacity: Capacity,
) -> str:
    """Return the closing tables, and a line for each thing that went wrong or still waits."""
    limits = {name: limit_of(name, snapshot, now) for name in most_held}
    sums = printer.sums()
    in_force = {name: limit_in_force(snapshot, name, now, capacity) for name in sums}
    parts = ["", namespace_table(sums, in_force) if sums else _NONE]
    if limits:
        parts += ["", lock_table(limits, most_held)]
    parts += [
        f"{each.namespace}/{each.name} still waits: {each.reason or _UNKNOWN}" for each in printer.waiting()
    ]
    return "\n".join([*parts, *failures])


def limit_of(lock: str, snapshot: Snapshot, now: datetime) -> int:
    """Return the limit of a lock by Argo's name of it at a time; a mutex has 1, an unknown semaphore none."""
    if LockName.parse(lock).kind != CONFIG_MAP:
        return 1
    return LockLimits(snapshot).limit(lock, now) or 0


def limit_in_force(snapshot: Snapshot, namespace: str, now: datetime, capacity: Capacity) -> Amount:
    """Return how many Workflows may run in a namespace at a time.

    By the quotas of all its Workflows with the windows that are open, and by its pool: what nodes allow, its
    share, and what it may borrow. Quotas of some of its Workflows, and of users, do not bound the others.
    """
    quotas = snapshot.policies(namespace).quotas
    limits = [each.limits_at(now) for each in quotas if each.selects_all and not each.is_share]
    pool = snapshot.pool(namespace)
    if pool is not None:
        limits.append(pool.tree_at(now, capacity(pool.name)).potential(namespace))
    return reduce(Limits.tightest, limits, Limits()).workflows


def namespace_table(by_namespace: Mapping[str, NamespaceTotals], limits: Mapping[str, Amount]) -> str:
    """Return the table that sums up every namespace: what was created, what ran, and its limit."""
    rows = [
        ("NAMESPACE", "CREATED", "DENIED", "FINISHED", "MOST RUNNING", "LIMIT", "MOST QUEUED", "LONGEST WAIT")
    ]
    for namespace, totals in sorted(by_namespace.items()):
        rows.append(
            (
                namespace,
                str(totals.created),
                str(totals.denied),
                str(totals.finished),
                str(totals.most_running),
                str(limits[namespace]),
                str(totals.most_queued),
                f"{totals.longest_wait:.1f} s",
            )
        )
    return aligned(rows)


def lock_table(limits: Mapping[str, int], most: Mapping[str, int]) -> str:
    """Return the table of locks: the limit of each and how many held it at once at most."""
    rows = [("LOCK", "LIMIT", "MOST HELD")]
    rows += [(name, str(limits[name]), str(held)) for name, held in sorted(most.items())]
    return aligned(rows)
