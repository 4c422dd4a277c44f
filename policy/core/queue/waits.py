"""Since when the oldest of each queue waits, and how many wait for which reason: for metrics."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from policy.core.queue.planner import Planner
from policy.core.queue.positions import WaitReason, reason_of
from policy.core.quota.usage_view import Waits


def waits_in(planner: Planner) -> Waits:
    """Return it of all that waits in a planner: one look at each waiter, and one reason for each group."""
    oldest: dict[str, datetime] = {}
    reasons: Counter[str] = Counter()
    grouped = 0
    for waiter in planner.pending.waiters():
        first = oldest.get(waiter.namespace)
        if first is None or waiter.created < first:
            oldest[waiter.namespace] = waiter.created
        if waiter.fault:
            reasons[WaitReason.MISCONFIGURED.value] += 1
        elif waiter.on_hold:
            reasons[WaitReason.ON_HOLD.value] += 1
        else:
            grouped += 1
    if grouped:
        for group in planner.pending.groups():
            reasons[reason_of(planner, group)[0].value] += sum(1 for _ in group)
    return Waits(oldest, reasons)


def all_waits(several: Iterable[Waits]) -> Waits:
    """Return what some have together; every reason is in it, also where nothing waits for it."""
    oldest: dict[str, datetime] = {}
    reasons: Counter[str] = Counter({each.value: 0 for each in WaitReason})
    for each in several:
        oldest.update(each.oldest)
        reasons.update(each.reasons)
    return Waits(oldest, reasons)
