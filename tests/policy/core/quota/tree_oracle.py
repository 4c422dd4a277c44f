"""The rules of a pool in plain form, recomputed from all usage each time."""

from collections.abc import Iterator, Mapping

import msgspec

from policy.core.quota.pool_borrowing import Member, PoolUsage, Tree
from policy.core.values.amounts import ZERO, Limits, Usage


class PlainPool(msgspec.Struct, frozen=True):
    """A pool of one level: its total, and each member's share, what it may borrow and lend.

    `assigned` are the shares that the pool assigns; the others come from quotas of the members.
    """

    name: str
    total: Limits
    nominal: Mapping[str, Limits]
    borrowing: Mapping[str, Limits]
    lending: Mapping[str, Limits]
    assigned: Mapping[str, Limits] = {}

    def members(self) -> Iterator[Member]:
        """Yield the members of the same tree."""
        yield Member("", None, self.total)
        for name, nominal in self.nominal.items():
            assigned = self.assigned.get(name, Limits())
            yield Member(name, "", nominal, self.borrowing[name], self.lending[name], assigned)


def usage_in(tree: Tree, used: Mapping[str, Usage]) -> PoolUsage:
    """Return the usage of a tree of which this is used."""
    usage = PoolUsage(tree)
    for name, amount in used.items():
        usage.charge(name, amount)
    return usage


def guarantees(plain: PlainPool, *, tasks: bool) -> dict[str, int]:
    """Return what each member keeps for itself: what it does not lend, cut in proportion to the total.

    First that is cut of which the pool has assigned nothing.
    """
    wanted = {}
    for name in plain.nominal:
        nominal, lending = (
            _number(plain.nominal[name], tasks=tasks),
            _number(plain.lending[name], tasks=tasks),
        )
        wanted[name] = 0 if nominal is None or lending is None else max(0, nominal - lending)
    total, found = _number(plain.total, tasks=tasks), dict(wanted)
    assigned = {name for name, limits in plain.assigned.items() if _number(limits, tasks=tasks) is not None}
    left = total
    for names in (wanted.keys() & assigned, wanted.keys() - assigned):
        asked = sum(wanted[name] for name in names)
        if left is not None and asked > left:
            found |= {name: wanted[name] * left // asked for name in names}
        left = None if left is None else max(0, left - asked)
    return found


def would_exceed(
    plain: PlainPool, used: Mapping[str, Usage], who: str, weight: Usage, withheld: Usage = ZERO
) -> bool:
    """Return whether one more of this weight breaks a rule."""
    return any(
        _breaks(plain, used, who, weight, withheld.tasks if tasks else withheld.workflows, tasks=tasks)
        for tasks in (False, True)
    )


def _breaks(
    plain: PlainPool, used: Mapping[str, Usage], who: str, weight: Usage, withheld: int, *, tasks: bool
) -> bool:
    def count(usage: Usage) -> int:
        return usage.tasks if tasks else usage.workflows

    total = _number(plain.total, tasks=tasks)
    nominal, borrowing = _number(plain.nominal[who], tasks=tasks), _number(plain.borrowing[who], tasks=tasks)
    after = count(used[who]) + count(weight)
    capped = nominal is not None and borrowing is not None
    if nominal is not None and borrowing is not None and after > nominal + borrowing:
        return True
    if tasks and capped and (weight.unbounded or used[who].unbounded):
        return True
    if total is None:
        return False
    if tasks and (weight.unbounded or any(each.unbounded for each in used.values())):
        return True
    mine = guarantees(plain, tasks=tasks)
    others = sum(max(count(used[name]), mine[name]) for name in plain.nominal if name != who)
    return after + others > total - withheld


def _number(limits: Limits, *, tasks: bool) -> int | None:
    return limits.tasks.value if tasks else limits.workflows.value
