"""The positions of those who wait, in their namespace, with the reason and what is short."""

from enum import StrEnum
from heapq import nsmallest

import msgspec

from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.equivalence_groups import Group
from policy.core.queue.ordering import Key, Order, Waiter
from policy.core.queue.pending import PendingOfNamespace
from policy.core.queue.planner import Planner
from policy.core.quota.demands import Shortfall


class Position(msgspec.Struct, frozen=True):
    """One who waits: the position among those of its namespace (from 1), and why.

    `short` are the limits that have no room, or that can never admit it.
    """

    waiter: Waiter
    position: int
    reason: WaitReason
    short: tuple[Shortfall, ...] = ()


def positions(planner: Planner, namespace: str, most: int | None = None) -> list[Position]:
    """Return those who wait in a namespace, in order, at most `most`; those with a fault come last.

    The order is that of now: shares and ages move on.
    """
    order, here = planner.pending.order, planner.pending.of(namespace)
    reasons: dict[Group, tuple[WaitReason, tuple[Shortfall, ...]]] = {}
    found = []
    for position, (waiter, group) in enumerate(_in_order(order, here, most), start=1):
        if group is None:
            reason: tuple[WaitReason, tuple[Shortfall, ...]] = (WaitReason.MISCONFIGURED, ())
        else:
            if group not in reasons:
                reasons[group] = reason_of(planner, group)
            reason = reasons[group]
        found.append(Position(waiter, position, *reason))
    return found


def _in_order(order: Order, here: PendingOfNamespace, most: int | None) -> list[tuple[Waiter, Group | None]]:
    """Return who waits, the first first; of a long queue only those are looked at that may be among them."""
    chosen = [
        (group, waiter)
        for group in here.groups.values()
        for waiter in (group if most is None else group.first(most))
    ]
    placed: list[tuple[bool, Key, Waiter, Group | None]] = [
        (False, order.in_namespace(waiter), waiter, group) for group, waiter in chosen
    ]
    placed += [(True, order.in_namespace(waiter), waiter, None) for waiter in here.faulty.values()]
    wanted = len(placed) if most is None else most
    return [(waiter, group) for _, _, waiter, group in nsmallest(wanted, placed, key=lambda each: each[:2])]


def reason_of(planner: Planner, group: Group) -> tuple[WaitReason, tuple[Shortfall, ...]]:
    """Return why a group waits, by the order of precedence, and the limits that it is about."""
    headroom, namespace = planner.headroom, group.shape.namespace
    if planner.pending.rules(namespace).stop_policy is not StopPolicy.NONE:
        return WaitReason.ON_HOLD, ()
    never = tuple(headroom.never_by(group.shape))
    if never:
        return WaitReason.EXCEEDS_MAX_QUOTA, never
    short = tuple(headroom.short_by(group.shape, reserves=False))
    if short:
        return WaitReason.WAITING_FOR_QUOTA, short
    reserved = tuple(headroom.short_by(group.shape))
    if reserved or not planner.queue.is_its_turn(group) or planner.queue.barred(group) is not None:
        return WaitReason.WAITING_FOR_HIGHER_PRIORITY, reserved
    return WaitReason.RELEASING, ()


class WaitReason(StrEnum):
    """Why a Workflow waits, in order of precedence."""

    MISCONFIGURED = "Misconfigured"
    ON_HOLD = "OnHold"
    EXCEEDS_MAX_QUOTA = "ExceedsMaxQuota"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    WAITING_FOR_HIGHER_PRIORITY = "WaitingForHigherPriority"
    RELEASING = "Releasing"
