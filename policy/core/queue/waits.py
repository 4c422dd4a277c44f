"""Since when the oldest of each queue waits, and how many wait for which reason: for metrics and statuses."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from policy.core.queue.planner import Planner
from policy.core.queue.positions import WaitReason, reason_of
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import Waits


def waits_in(planner: Planner) -> Waits:
    """Return it of all that waits in a planner: one look at each waiter, and one reason for each group."""
    oldest: dict[str, datetime] = {}
    reasons: Counter[str] = Counter()
    keys: Counter[Account] = Counter()
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
            reason, short = reason_of(planner, group)
            count = sum(1 for _ in group)
            reasons[reason.value] += count
            if reason is WaitReason.WAITING_FOR_GROUP:
                keys[short[0].demand.account.whole] += count
    return Waits(oldest, reasons, keys)


def all_waits(several: Iterable[Waits]) -> Waits:
    """Return what some have together; every reason is in it, also where nothing waits for it."""
    oldest: dict[str, datetime] = {}
    reasons: Counter[str] = Counter({each.value: 0 for each in WaitReason})
    keys: Counter[Account] = Counter()
    for each in several:
        oldest.update(each.oldest)
        reasons.update(each.reasons)
        keys.update(each.keys)
    return Waits(oldest, reasons, keys)
