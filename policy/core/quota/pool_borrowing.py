"""What a member of a pool may use: its share and what others leave idle, but not what others are guaranteed.

For Workflows and for tasks alike, as Kueue's cohorts count (`resource_node.go`):

    guaranteed(n) = nominal - lendingLimit, what is for n alone; 0 without a lending limit
    committed(n)  = what n uses; of a pool: the sum of max(committed, guaranteed) of its members
    available(n)  = what is left of guaranteed(n) + available(parent), and at most
                    nominal + borrowingLimit - committed(n)

The nominal of the root is the limit of all members together. It is never exceeded, not even where more is
guaranteed than it allows, after an edit or because nodes were removed: guarantees shrink in proportion then,
and first those of shares that come from a member's own quota and are not assigned by the pool.
What is available may be negative after an edit; running Workflows are not stopped.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from policy.core.values.amounts import ZERO, Amount, Limits, Usage

ROOT: Final = ""
"""Name of a pool in its own tree, where members have the names of their namespaces."""
_NO_LIMITS: Final = Limits()
_Pick: TypeAlias = Callable[[Limits], int | None]
_Path: TypeAlias = tuple[str, ...]
_Committed: TypeAlias = Mapping[str, int] | None
"""What is committed of each member; None is as if nothing ran."""


class Member(msgspec.Struct, frozen=True):
    """A node of the tree: a namespace's share, or the pool (no parent).

    `nominal` is its own share, of a pool its limit. An unlimited `lending` lends all of it, and with an
    unlimited `borrowing` only the pool bounds it. Without a nominal it guarantees nothing and lends nothing.
    `assigned` is the share that the pool itself assigns; guarantees from it shrink last.
    """

    name: str
    parent: str | None = None
    nominal: Limits = _NO_LIMITS
    borrowing: Limits = _NO_LIMITS
    lending: Limits = _NO_LIMITS
    assigned: Limits = _NO_LIMITS


class Bound(msgspec.Struct, frozen=True):
    """One resource of one member. `cap` is the most it may use; `idle` is committed while nothing runs."""

    guaranteed: int
    cap: int | None
    idle: int


class Tree(msgspec.Struct, frozen=True):
    """A compiled tree. Any change of a limit makes another tree."""

    members: Mapping[str, Member]
    paths: Mapping[str, _Path]
    workflows: Mapping[str, Bound]
    tasks: Mapping[str, Bound]

    def potential(self, name: str, withheld: Usage = ZERO) -> Limits:
        """Return what a member could use if nothing ran: a request for more can never start."""
        path = self.paths[name]
        return Limits(
            Amount(_available(self.workflows, None, path, withheld.workflows)),
            Amount(_available(self.tasks, None, path, withheld.tasks)),
        )


def compile_tree(members: Iterable[Member]) -> Tree:
    """Compile the members of one tree, given in any order.

    Raises:
        ValueError: a name is there twice, a parent is missing, or parents form a circle.
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
    paths: dict[str, _Path] = {name: (name,) for name in downwards}
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
    """Compile one resource: add the guarantees upwards, then cut them downwards to what there is."""
    guaranteed: dict[str, int] = {}
    for name in reversed(downwards):
        below = sum(guaranteed[child] for child in children.get(name, ()))
        guaranteed[name] = _guarantee(members[name], below, pick)
    for name in downwards:
        budget = pick(members[name].nominal) if members[name].parent is None else guaranteed[name]
        if budget is not None and name in children:
            assigned = {child for child in children[name] if pick(members[child].assigned) is not None}
            budget -= _shrink(guaranteed, assigned, budget)
            _shrink(guaranteed, [child for child in children[name] if child not in assigned], budget)
    bounds: dict[str, Bound] = {}
    for name in reversed(downwards):
        member, root = members[name], members[name].parent is None
        idle = sum(max(bounds[child].idle, bounds[child].guaranteed) for child in children.get(name, ()))
        nominal, borrowing = pick(member.nominal), pick(member.borrowing)
        cap = nominal
        if nominal is not None and not root:
            cap = None if borrowing is None else nominal + borrowing
        bounds[name] = Bound(0 if root else guaranteed[name], cap, idle)
    return bounds


def _shrink(guaranteed: dict[str, int], names: Collection[str], budget: int) -> int:
    """Cut these guarantees in proportion to what the budget has; return how much of it they use."""
    total = sum(guaranteed[name] for name in names)
    if total <= budget:
        return total
    for name in names:
        guaranteed[name] = guaranteed[name] * budget // total
    return budget


def _guarantee(member: Member, below: int, pick: _Pick) -> int:
    """Return what a member is guaranteed: at least what its children are (`below`), at most its share."""
    nominal, lending = pick(member.nominal), pick(member.lending)
    if nominal is None:
        return below
    not_lent = 0 if lending is None else max(0, nominal - lending)
    return min(max(not_lent, below), nominal)


class PoolUsage:
    """The usage of one tree, in O(depth). Only members of the tree are charged, and the pool itself.

    `withheld` is what the pool reserves for priorities above that of the Workflow in question.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._used = dict.fromkeys(tree.members, ZERO)
        self._workflows = {name: bound.idle for name, bound in tree.workflows.items()}
        self._tasks = {name: bound.idle for name, bound in tree.tasks.items()}
        self._unbounded = dict.fromkeys(tree.members, 0)

    def charge(self, name: str, usage: Usage) -> None:
        """Count the usage of a member; it may be negative, or more than the member may use."""
        path = self.tree.paths[name]
        self._used[name] += usage
        _add(self.tree.workflows, self._workflows, path, usage.workflows)
        _add(self.tree.tasks, self._tasks, path, usage.tasks)
        for step in path:
            self._unbounded[step] += usage.unbounded

    def used(self, name: str) -> Usage:
        """Return the usage of a member itself."""
        return self._used[name]

    def available(self, name: str, withheld: Usage = ZERO) -> Limits:
        """Return what a member may still use: negative after an edit, no tasks if some have no bound."""
        path = self.tree.paths[name]
        workflows = _available(self.tree.workflows, self._workflows, path, withheld.workflows)
        tasks = _available(self.tree.tasks, self._tasks, path, withheld.tasks)
        if tasks is not None and self._has_unbounded(path):
            tasks = min(tasks, 0)
        return Limits(Amount(workflows), Amount(tasks))

    def fits(self, name: str, requested: Usage, withheld: Usage = ZERO) -> bool:
        """Return whether a member may use `requested` more now."""
        return self.within_cap(name, requested) and self.fits_in_pool(name, requested, withheld)

    def within_cap(self, name: str, requested: Usage) -> bool:
        """Return whether a member stays within its own share and what it may borrow."""
        workflows = self.tree.workflows[name].cap
        if workflows is not None and self._workflows[name] + requested.workflows > workflows:
            return False
        tasks = self.tree.tasks[name].cap
        if tasks is None:
            return True
        unbounded = self._unbounded[name] + requested.unbounded
        return not unbounded and self._tasks[name] + requested.tasks <= tasks

    def fits_in_pool(self, name: str, requested: Usage, withheld: Usage = ZERO) -> bool:
        """Return whether the parents of a member have enough left for `requested`, besides `withheld`."""
        path = self.tree.paths[name]
        workflows = _from_above(self.tree.workflows, self._workflows, path, withheld.workflows)
        if workflows is not None and requested.workflows > workflows:
            return False
        tasks = _from_above(self.tree.tasks, self._tasks, path, withheld.tasks)
        if tasks is None:
            return True
        return requested.tasks <= tasks and not requested.unbounded and not self._has_unbounded(path[1:])

    def unused_guarantee(self, name: str) -> tuple[int, int]:
        """Return the Workflows and tasks that are guaranteed to a member and that it does not use."""
        workflows, tasks = self.tree.workflows[name].guaranteed, self.tree.tasks[name].guaranteed
        return max(0, workflows - self._workflows[name]), max(0, tasks - self._tasks[name])

    def would_borrow(self, name: str, requested: Usage) -> bool:
        """Return whether a member would go beyond its share; members within theirs go before it then."""
        return not self.tree.members[name].nominal.admits(self._used[name] + requested)

    def _has_unbounded(self, path: _Path) -> bool:
        """Return whether a Workflow without a bound on its tasks runs where tasks are bounded."""
        return any(self._unbounded[name] for name in path if self.tree.tasks[name].cap is not None)


class Pool(msgspec.Struct, frozen=True):
    """A pool that borrows: the usage of its members in the tree of now, and the tree with the highest limits.

    `rises` has in words when the highest limits (`ever`) apply.
    """

    name: str
    source: str
    usage: PoolUsage
    ever: Tree
    rises: str = ""


def _add(bounds: Mapping[str, Bound], committed: dict[str, int], path: _Path, change: int) -> None:
    """Add to a member, and to its parents what is not covered by guarantees below them."""
    for name in path:
        if not change:
            return
        before = committed[name]
        committed[name] = before + change
        guaranteed = bounds[name].guaranteed
        change = max(before + change, guaranteed) - max(before, guaranteed)


def _available(bounds: Mapping[str, Bound], committed: _Committed, path: _Path, withheld: int) -> int | None:
    """Return what the first of the path may still use."""
    bound = bounds[path[0]]
    used = bound.idle if committed is None else committed[path[0]]
    left = None if bound.cap is None else bound.cap - used
    if len(path) == 1:
        return None if left is None else left - withheld
    above = _from_above(bounds, committed, path, withheld)
    if left is None or above is None:
        return above if left is None else left
    return min(left, above)


def _from_above(bounds: Mapping[str, Bound], committed: _Committed, path: _Path, withheld: int) -> int | None:
    """Return what its parents and its guarantee leave to the first of the path."""
    if len(path) == 1:
        return None
    above = _available(bounds, committed, path[1:], withheld)
    if above is None:
        return None
    bound = bounds[path[0]]
    used = bound.idle if committed is None else committed[path[0]]
    return above + max(0, bound.guaranteed - used)
