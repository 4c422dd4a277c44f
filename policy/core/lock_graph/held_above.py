"""Which locks are held above each template body of a graph: on some path to it, on a certain one, on all.

Sets of locks are integers with a bit for each lock: five thousand bodies cost a few thousand operations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from policy.core.lock_graph.cycles import components
from policy.core.lock_graph.template_graph import Graph, TemplateNode
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

Callees: TypeAlias = Mapping[TemplateNode, Sequence[TemplateNode]]
"""The nodes that each node calls."""


class HeldAbove(msgspec.Struct, frozen=True, eq=False):
    """The locks of a graph by number, and for each node the sets of those it takes and those held above it.

    `some` has the locks that are held above on some path, and `always` those on every path. `certain` has,
    for the nodes that every run reaches, those on a path that every run takes; it is empty where no lock is
    taken below itself.
    """

    names: Sequence[str]
    own: Mapping[TemplateNode, int]
    own_certain: Mapping[TemplateNode, int]
    some: Mapping[TemplateNode, int]
    certain: Mapping[TemplateNode, int]
    always: Mapping[TemplateNode, int]


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def held_in(graph: Graph, budget: Budget = UNBOUNDED) -> HeldAbove:
    """Return which locks are held where in a graph."""
    numbers: dict[str, int] = {}
    own: dict[TemplateNode, int] = {}
    own_certain: dict[TemplateNode, int] = {}
    for node in paced((graph.root, *graph.nodes), budget, Part.DEADLOCKS):
        every = certain = 0
        for lock in node.locks:
            bit = 1 << numbers.setdefault(lock.name, len(numbers))
            every |= bit
            certain |= bit if lock.certain else 0
        own[node], own_certain[node] = every, certain
    callees = callees_in(own, budget, certain=False)
    order = in_order(graph.root, callees, budget)
    some = _above(graph.root, own, callees, order, budget)
    certain_above: Mapping[TemplateNode, int] = {}
    if any(mask & some[node] for node, mask in own.items()):  # It is needed only then.
        certain_callees = callees_in(own, budget, certain=True)
        certain_order = in_order(graph.root, certain_callees, budget)
        certain_above = _above(graph.root, own_certain, certain_callees, certain_order, budget)
    always = _always_above(graph.root, own_certain, callees, order, budget)
    return HeldAbove(list(numbers), own, own_certain, some, certain_above, always)


def callees_of(node: TemplateNode, *, certain: bool) -> list[TemplateNode]:
    """Return the nodes that a node may call, or with `certain` calls whenever it runs."""
    return [
        edge.target
        for edge in node.calls
        if edge.target is not None and (not certain or edge.reference.certain)
    ]


def callees_in(own: Mapping[TemplateNode, int], budget: Budget, *, certain: bool) -> Callees:
    """Return the nodes that each node may call, or with `certain` calls whenever it runs."""
    return {node: callees_of(node, certain=certain) for node in paced(own, budget, Part.DEADLOCKS)}


def in_order(root: TemplateNode, callees: Callees, budget: Budget) -> list[list[TemplateNode]]:
    """Return the strongly connected parts that calls lead to, callers first.

    Most graphs have no recursion: then each node is a part, and counting callers puts them in order.
    """
    callers = {root: 0}
    work = [root]
    budget.check(Part.DEADLOCKS)
    while work:
        for other in callees[work.pop()]:
            if other in callers:
                callers[other] += 1
            else:
                callers[other] = 1
                work.append(other)
    budget.check(Part.DEADLOCKS)
    order: list[list[TemplateNode]] = []
    work = [] if callers[root] else [root]
    while work:
        node = work.pop()
        order.append([node])
        for other in callees[node]:
            callers[other] -= 1
            if not callers[other]:
                work.append(other)
    if len(order) == len(callers):
        return order
    budget.check(Part.DEADLOCKS)
    return components([root], callees.__getitem__)


def recursive(part: Sequence[TemplateNode], callees: Callees) -> bool:
    """Return whether the nodes of a strongly connected part call themselves in the end."""
    return len(part) > 1 or part[0] in callees[part[0]]


def _above(
    root: TemplateNode,
    own: Mapping[TemplateNode, int],
    callees: Callees,
    order: Sequence[Sequence[TemplateNode]],
    budget: Budget,
) -> dict[TemplateNode, int]:
    """Return what is held above each node that these calls lead to from the root."""
    above: dict[TemplateNode, int] = {root: 0}
    for part in paced(order, budget, Part.DEADLOCKS):
        inside = 0
        for node in part:
            inside |= above.get(node, 0)
        if recursive(part, callees):
            for node in part:
                inside |= own[node]
        for node in part:
            above[node] = inside
            passed = inside | own[node]
            for other in callees[node]:
                above[other] = above.get(other, 0) | passed
    return above


def _always_above(
    root: TemplateNode,
    own: Mapping[TemplateNode, int],
    callees: Callees,
    order: Sequence[Sequence[TemplateNode]],
    budget: Budget,
) -> dict[TemplateNode, int]:
    """Return the locks that are held above each node on every path to it."""
    above: dict[TemplateNode, int] = {root: 0}
    for part in paced(order, budget, Part.DEADLOCKS):
        entered = [above[node] for node in part if node in above]
        common = entered[0]
        for each in entered[1:]:
            common &= each
        members = set(part) if len(part) > 1 else ()
        for node in part:
            above[node] = common
            passed = common | own[node]
            for other in callees[node]:
                if other is not node and other not in members:
                    above[other] = above[other] & passed if other in above else passed
    return above


class CertainCounts(msgspec.Struct, frozen=True):
    """How often a lock is taken on the path of certain calls that takes it most often, down to each node.

    `callers` gives the node before on that path.
    """

    counts: Mapping[TemplateNode, int]
    callers: Mapping[TemplateNode, TemplateNode]

    def path_to(self, node: TemplateNode) -> list[TemplateNode]:
        """Return the path from the root to a node."""
        path = [node]
        while path[-1] in self.callers:
            path.append(self.callers[path[-1]])
        return path[::-1]


def certain_counts(
    graph: Graph, held: HeldAbove, lock: int, budget: Budget = UNBOUNDED
) -> CertainCounts | None:
    """Return how often paths of certain calls take a lock; None where a recursion takes it."""
    bit = 1 << lock
    callees = callees_in(held.own, budget, certain=True)
    above: dict[TemplateNode, int] = {graph.root: 0}
    counts: dict[TemplateNode, int] = {}
    callers: dict[TemplateNode, TemplateNode] = {}
    for part in paced(in_order(graph.root, callees, budget), budget, Part.DEADLOCKS):
        taken = sum(bool(held.own_certain[node] & bit) for node in part)
        if taken and recursive(part, callees):
            return None
        entered = max(above.get(node, 0) for node in part)
        for node in part:
            counts[node] = entered + taken
            for other in callees[node]:
                if other not in above or above[other] < entered + taken:
                    above[other] = entered + taken
                    if other not in counts:  # Nothing of a recursion is its own caller.
                        callers[other] = node
    return CertainCounts(counts, callers)
