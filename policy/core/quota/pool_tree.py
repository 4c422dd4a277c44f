"""The quota tree of a pool: members use what others leave idle, and owners keep what they do not lend.

For Workflows and for tasks alike, as Kueue's cohorts count (`resource_node.go`):

    guaranteed(n) = nominal - lendingLimit, what is kept for n alone; 0 without a lending limit
    committed(n)  = what n uses; of a pool: the sum of max(committed, guaranteed) of its members
    available(n)  = what is left of guaranteed(n) + available(parent), and at most
                    nominal + borrowingLimit - committed(n)

The nominal of the root is the limit of all members together. It is never exceeded, not even where more is
guaranteed than there is, after an edit or because nodes went away: guarantees shrink in proportion then, and
first those of shares that the pool has not said itself, but a quota of the member alone.
What is available may be negative after an edit; nothing is taken from those who run.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from policy.core.values.amounts import Limits

_NO_LIMITS: Final = Limits()
_Pick: TypeAlias = Callable[[Limits], int | None]


class Member(msgspec.Struct, frozen=True):
    """A node of the tree: a namespace's share, or the pool (no parent).

    `nominal` is its own share, of a pool its limit. An unlimited `lending` lends all of it, and with an
    unlimited `borrowing` only the pool bounds it. What has no nominal guarantees nothing and lends nothing.
    `said` is what the pool itself says of the share; what a member is kept by that goes before the rest.
    """

    name: str
    parent: str | None = None
    nominal: Limits = _NO_LIMITS
    borrowing: Limits = _NO_LIMITS
    lending: Limits = _NO_LIMITS
    said: Limits = _NO_LIMITS


class Bound(msgspec.Struct, frozen=True):
    """One resource of one member. `cap` is the most it may have; `idle` is committed while nobody runs."""

    nominal: int | None
    guaranteed: int
    cap: int | None
    idle: int


class Tree(msgspec.Struct, frozen=True):
    """A tree, compiled. Another limit anywhere is another tree."""

    members: Mapping[str, Member]
    paths: Mapping[str, tuple[str, ...]]
    workflows: Mapping[str, Bound]
    tasks: Mapping[str, Bound]


def compile_tree(members: Iterable[Member]) -> Tree:
    """Compile the members of one tree, given in any order.

    Raises:
        ValueError: a name comes twice, a parent is missing, or parents go in a circle.
    """
    by_name: dict[str, Member] = {}
    for member in members:
        if by_name.setdefault(member.name, member) is not member:
            raise ValueError(f"{member.name} is in the tree twice")
    children: dict[str | None, list[str]] = {}
    for member in by_name.values():
        if member.parent is not None and member.parent not in by_name:
            raise ValueError(f"{member.parent}, the parent of {member.name}, is not in the tree")
        children.setdefault(member.parent, []).append(member.name)
    downwards = list(children.get(None, ()))
    paths: dict[str, tuple[str, ...]] = {name: (name,) for name in downwards}
    for name in downwards:  # It grows while it is walked, so that children come after their parents.
        for child in children.get(name, ()):
            downwards.append(child)
            paths[child] = (child, *paths[name])
    if len(downwards) < len(by_name):
        raise ValueError(f"{', '.join(sorted(by_name.keys() - paths.keys()))}: the parents go in a circle")
    return Tree(
        members=by_name,
        paths=paths,
        workflows=_bounds(by_name, children, downwards, lambda limits: limits.workflows.value),
        tasks=_bounds(by_name, children, downwards, lambda limits: limits.tasks.value),
    )


def _bounds(
    members: Mapping[str, Member],
    children: Mapping[str | None, Sequence[str]],
    downwards: Sequence[str],
    pick: _Pick,
) -> dict[str, Bound]:
    """Compile one resource: gather the guarantees upwards, then cut them downwards to what there is."""
    promised: dict[str, int] = {}
    for name in reversed(downwards):
        below = sum(promised[child] for child in children.get(name, ()))
        promised[name] = _promise(members[name], below, pick)
    capped: dict[str, tuple[int | None, int | None]] = {}
    for name in downwards:
        nominal, borrowing = pick(members[name].nominal), pick(members[name].borrowing)
        root = members[name].parent is None
        budget = nominal if root else promised[name]
        if budget is not None and name in children:
            said = {child for child in children[name] if pick(members[child].said) is not None}
            budget -= _shrink(promised, said, budget)
            _shrink(promised, [child for child in children[name] if child not in said], budget)
        cap = nominal
        if nominal is not None and not root:
            cap = None if borrowing is None else nominal + borrowing
        capped[name] = (nominal, cap)
    bounds: dict[str, Bound] = {}
    for name in reversed(downwards):
        idle = sum(max(bounds[child].idle, bounds[child].guaranteed) for child in children.get(name, ()))
        root = members[name].parent is None
        nominal, cap = capped[name]
        bounds[name] = Bound(nominal, 0 if root else promised[name], cap, idle)
    return bounds


def _shrink(promised: dict[str, int], names: Collection[str], budget: int) -> int:
    """Cut what these are promised to what there is, all of it in proportion; returns how much it is then."""
    asked = sum(promised[name] for name in names)
    if asked <= budget:
        return asked
    for name in names:
        promised[name] = promised[name] * budget // asked
    return budget


def _promise(member: Member, below: int, pick: _Pick) -> int:
    """Return what a member is guaranteed: at least what those below it are, at most its share."""
    nominal, lending = pick(member.nominal), pick(member.lending)
    if nominal is None:
        return below
    kept = 0 if lending is None else max(0, nominal - lending)
    return min(max(kept, below), nominal)
