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

from policy.core.values.amounts import ZERO, Amount, Limits, Usage

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


_NOTHING_WITHHELD: Final = ZERO
ROOT: Final = ""
"""Name of a pool in its own tree, where members have the names of their namespaces."""


class Pool:
    """A pool that borrows: what its members use, in its tree as it is now, and `ever`, that at its most.

    `rises` says by what its limits get there.
    """

    def __init__(self, *, name: str, source: str, tree: Tree, ever: Tree, rises: str = "") -> None:
        self.name = name
        self.source = source
        self.usage = PoolUsage(tree, {})
        self.ever = PoolUsage(ever, {})
        self.rises = rises


class PoolUsage:
    """The usage of one tree. Who is charged must be in the tree; the pool itself may be charged too.

    `withheld` is what the pool keeps back from the one who asks: the reserve for higher priorities.
    """

    def __init__(self, tree: Tree, used: Mapping[str, Usage]) -> None:
        self.tree = tree
        self._used = dict.fromkeys(tree.members, ZERO)
        self._workflows = {name: bound.idle for name, bound in tree.workflows.items()}
        self._tasks = {name: bound.idle for name, bound in tree.tasks.items()}
        self._unbounded = dict.fromkeys(tree.members, 0)
        for name, usage in used.items():
            self.charge(name, usage)

    def charge(self, name: str, usage: Usage) -> None:
        """Count what a member uses from now on; it may be negative, or more than it may have."""
        path = self.tree.paths[name]
        self._used[name] += usage
        _add(self.tree.workflows, self._workflows, path, usage.workflows)
        _add(self.tree.tasks, self._tasks, path, usage.tasks)
        for step in path:
            self._unbounded[step] += usage.unbounded

    def release(self, name: str, usage: Usage) -> None:
        """Take back what was charged."""
        self.charge(name, ZERO - usage)

    def used(self, name: str) -> Usage:
        """Return what was charged to a member itself."""
        return self._used[name]

    def available(self, name: str, withheld: Usage = _NOTHING_WITHHELD) -> Limits:
        """Return what a member may still have: negative after an edit, no tasks beside one without bound."""
        path = self.tree.paths[name]
        workflows = _room(self.tree.workflows, self._workflows, path, withheld.workflows)
        tasks = _room(self.tree.tasks, self._tasks, path, withheld.tasks)
        if tasks is not None and self._flooded(path):
            tasks = min(tasks, 0)
        return Limits(Amount(workflows), Amount(tasks))

    def potential(self, name: str, withheld: Usage = _NOTHING_WITHHELD) -> Limits:
        """Return what a member could have if nobody ran: what asks for more can never start."""
        path = self.tree.paths[name]
        return Limits(
            Amount(_room(self.tree.workflows, None, path, withheld.workflows)),
            Amount(_room(self.tree.tasks, None, path, withheld.tasks)),
        )

    def fits(self, name: str, weight: Usage, withheld: Usage = _NOTHING_WITHHELD) -> bool:
        """Tell whether a member may have `weight` now."""
        return self.within_cap(name, weight) and self.pool_has(name, weight, withheld)

    def within_cap(self, name: str, weight: Usage) -> bool:
        """Tell whether a member stays within its own share and what it may borrow."""
        workflows = self.tree.workflows[name].cap
        if workflows is not None and self._workflows[name] + weight.workflows > workflows:
            return False
        tasks = self.tree.tasks[name].cap
        if tasks is None:
            return True
        unbounded = self._unbounded[name] + weight.unbounded
        return not unbounded and self._tasks[name] + weight.tasks <= tasks

    def pool_has(self, name: str, weight: Usage, withheld: Usage = _NOTHING_WITHHELD) -> bool:
        """Tell whether those above a member have room for `weight`, beside what they keep for others."""
        path = self.tree.paths[name]
        workflows = _from_above(self.tree.workflows, self._workflows, path, withheld.workflows)
        if workflows is not None and weight.workflows > workflows:
            return False
        tasks = _from_above(self.tree.tasks, self._tasks, path, withheld.tasks)
        if tasks is None:
            return True
        return weight.tasks <= tasks and not weight.unbounded and not self._flooded(path[1:])

    def kept(self, name: str) -> tuple[int, int]:
        """Return the Workflows and tasks that are kept for a member alone and that it does not use."""
        workflows, tasks = self.tree.workflows[name].guaranteed, self.tree.tasks[name].guaranteed
        return max(0, workflows - self._workflows[name]), max(0, tasks - self._tasks[name])

    def would_borrow(self, name: str, weight: Usage) -> bool:
        """Tell whether a member would go beyond its share: owners within theirs go before such."""
        used = self._used[name]
        workflows, tasks = self.tree.workflows[name], self.tree.tasks[name]
        if _beyond(workflows, used.workflows + weight.workflows):
            return True
        if tasks.nominal is None:
            return False
        return bool(used.unbounded + weight.unbounded or _beyond(tasks, used.tasks + weight.tasks))

    def _flooded(self, path: tuple[str, ...]) -> bool:
        """Tell whether one without bound on its tasks runs where tasks are bounded."""
        return any(self._unbounded[name] for name in path if self.tree.tasks[name].cap is not None)


def _add(bounds: Mapping[str, Bound], committed: dict[str, int], path: tuple[str, ...], change: int) -> None:
    """Add to a member, and to those above it what is not covered by guarantees on the way."""
    for name in path:
        if not change:
            return
        before = committed[name]
        committed[name] = before + change
        guaranteed = bounds[name].guaranteed
        change = max(before + change, guaranteed) - max(before, guaranteed)


def _room(
    bounds: Mapping[str, Bound],
    committed: Mapping[str, int] | None,
    path: tuple[str, ...],
    withheld: int,
) -> int | None:
    """Return what the first of the path may still have; with no `committed`, as if nobody ran."""
    bound = bounds[path[0]]
    used = bound.idle if committed is None else committed[path[0]]
    left = None if bound.cap is None else bound.cap - used
    if len(path) == 1:
        return None if left is None else left - withheld
    room = _from_above(bounds, committed, path, withheld)
    if left is None or room is None:
        return room if left is None else left
    return min(left, room)


def _from_above(
    bounds: Mapping[str, Bound],
    committed: Mapping[str, int] | None,
    path: tuple[str, ...],
    withheld: int,
) -> int | None:
    """Return what the first of the path may still have by what is above it and what is kept for it."""
    if len(path) == 1:
        return None
    room = _room(bounds, committed, path[1:], withheld)
    if room is None:
        return None
    bound = bounds[path[0]]
    used = bound.idle if committed is None else committed[path[0]]
    return room + max(0, bound.guaranteed - used)


def _beyond(bound: Bound, used: int) -> int:
    return 0 if bound.nominal is None else max(0, used - bound.nominal)
