"""The position of each waiting Workflow in its namespace, why it waits, and which limits are short."""

from enum import StrEnum
from heapq import nsmallest
from typing import Final, TypeAlias

import msgspec

from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.equivalence_groups import EquivalenceGroup
from policy.core.queue.ordering import Key, Order, Waiter
from policy.core.queue.pending import PendingOfNamespace
from policy.core.queue.planner import Planner
from policy.core.quota.demands import Shortfall


class WaitReason(StrEnum):
    """Why a Workflow waits, in order of precedence."""

    MISCONFIGURED = "Misconfigured"
    ON_HOLD = "OnHold"
    EXCEEDS_MAX_QUOTA = "ExceedsMaxQuota"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    WAITING_FOR_GROUP = "WaitingForGroup"
    WAITING_FOR_HIGHER_PRIORITY = "WaitingForHigherPriority"
    RELEASING = "Releasing"


_ASIDE: Final = {False: WaitReason.MISCONFIGURED, True: WaitReason.ON_HOLD}
"""Why a waiter stands aside, by whether it has no fault."""
_Why: TypeAlias = tuple[WaitReason, tuple[Shortfall, ...]]


class Position(msgspec.Struct, frozen=True):
    """A waiter, its position among those of its namespace (from 1), and why it waits.

    `short` are the limits that have not enough left now, or that can never admit it.
    """

    waiter: Waiter
    position: int
    reason: WaitReason
    short: tuple[Shortfall, ...] = ()


def positions(planner: Planner, namespace: str, most: int | None = None) -> list[Position]:
    """Return those that wait in a namespace, in the order of now, at most `most`; last who stands aside."""
    order, here = planner.pending.order, planner.pending.of(namespace)
    reasons: dict[EquivalenceGroup, _Why] = {}
    found = []
    for position, (waiter, group) in enumerate(_in_order(order, here, most), start=1):
        if group is None:
            found.append(Position(waiter, position, _ASIDE[waiter.fault == ""]))
            continue
        if group not in reasons:
            reasons[group] = reason_of(planner, group)
        found.append(Position(waiter, position, *reasons[group]))
    return found


def _in_order(
    order: Order, here: PendingOfNamespace, most: int | None
) -> list[tuple[Waiter, EquivalenceGroup | None]]:
    """Return waiters with their groups in order; of a long queue only those that may be among the first."""
    placed: list[tuple[bool, Key, Waiter, EquivalenceGroup | None]] = [
        (False, order.in_namespace(waiter), waiter, group)
        for group in here.groups.values()
        for waiter in (group if most is None else group.first(most))
    ]
    placed += [(True, order.in_namespace(waiter), waiter, None) for waiter in here.aside.values()]
    wanted = len(placed) if most is None else most
    return [(waiter, group) for _, _, waiter, group in nsmallest(wanted, placed, key=lambda each: each[:2])]


def reason_of(planner: Planner, group: EquivalenceGroup) -> _Why:
    """Return why a group waits, by the order of precedence, and the limits that are the cause."""
    headroom, needs = planner.headroom, group.needs
    if planner.pending.rules(needs.namespace).stop_policy is not StopPolicy.NONE:
        return WaitReason.ON_HOLD, ()
    never = tuple(headroom.never_fitting(needs))
    if never:
        return WaitReason.EXCEEDS_MAX_QUOTA, never
    short = tuple(headroom.shortfalls(needs, reserves=False))
    if short:
        account = short[0].demand.account
        if not account.group:
            return WaitReason.WAITING_FOR_QUOTA, short
        first = msgspec.structs.replace(short[0], holders=planner.key_holders.names(account))
        return WaitReason.WAITING_FOR_GROUP, (first, *short[1:])
    reserved = tuple(headroom.shortfalls(needs))
    if reserved or not planner.queue.is_head_of_line(group) or planner.queue.blocked_at(group) is not None:
        return WaitReason.WAITING_FOR_HIGHER_PRIORITY, reserved
    return WaitReason.RELEASING, ()
