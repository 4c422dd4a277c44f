"""Which waiters go before another one in a root, and by which rule of `queue.ordering` each of them does."""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.ordering import Key, Waiter
from policy.core.queue.planner import Planner
from policy.core.quota.accounts import Tenant


class Precedence(StrEnum):
    """The first rule by which one waiter is before another."""

    OWN_SHARE = "OwnShare"
    PRIORITY = "HigherPriority"
    AGED = "AgedPriority"
    NAMESPACE_USED_LESS = "NamespaceUsedLess"
    USER_USED_LESS = "UserUsedLess"
    OLDER = "Older"


_BY_PART = (
    Precedence.OWN_SHARE,
    Precedence.PRIORITY,
    Precedence.NAMESPACE_USED_LESS,
    Precedence.USER_USED_LESS,
)
"""The rules by the parts of a place in a root; all parts after these are about age."""


class Ahead(msgspec.Struct, frozen=True):
    """A waiter that goes before another one, and why."""

    waiter: Waiter
    because: Precedence


class RootOrder:
    """All waiters of a root that may be released, in their order of now."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._placed = sorted(_placed(planner), key=lambda each: each[0])
        self._index = {waiter.uid: number for number, (_, waiter) in enumerate(self._placed)}

    def ahead(self, uid: str) -> int | None:
        """Return how many go before a waiter; None for one that is not released as things are."""
        return self._index.get(uid)

    def before(self, uid: str) -> list[Ahead]:
        """Return those that go before a waiter, the first of all first."""
        number = self._index.get(uid, 0)
        if not number:
            return []
        place = self._placed[number][0]
        return [Ahead(each, self._because(key, each, place)) for key, each in self._placed[:number]]

    def _because(self, key: Key, waiter: Waiter, other: Key) -> Precedence:
        part = next(
            (number for number, pair in enumerate(zip(key, other, strict=True)) if pair[0] != pair[1]),
            len(key),
        )
        found = _BY_PART[part] if part < len(_BY_PART) else Precedence.OLDER
        aged = found is Precedence.PRIORITY and self._planner.pending.order.level(waiter) > waiter.priority
        return Precedence.AGED if aged else found


def _placed(planner: Planner) -> Iterator[tuple[Key, Waiter]]:
    """Yield the waiters that block others, each with its place in the root."""
    order = planner.pending.order
    for group in planner.pending.groups():
        needs = group.needs
        stopped = planner.pending.rules(needs.namespace).stop_policy is not StopPolicy.NONE
        if stopped or planner.headroom.never_fitting(needs):
            continue
        for waiter in group:
            place = order.in_namespace(waiter)
            yield order.in_root(place, Tenant(needs.namespace), borrows=group.borrows), waiter
