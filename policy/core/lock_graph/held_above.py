"""Which locks are held above each template body of a graph: on some way to it, and on one that is sure.

Sets of locks are integers with a bit for each lock: five thousand bodies cost a few thousand operations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from policy.core.lock_graph.components import components
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_Callees: TypeAlias = Mapping[TemplateNode, Sequence[TemplateNode]]
"""The nodes that each node calls."""


class HeldAbove(msgspec.Struct, frozen=True, eq=False):
    """The locks of a graph by number, and for each node the sets of those it takes and those held above it.

    `sure` has, for the nodes that every run reaches, the locks that are held above on a way that every run
    takes; it is empty where no lock is taken below itself. `always` has the locks that are held above on
    every way.
    """

    names: Sequence[str]
    own: Mapping[TemplateNode, int]
    own_sure: Mapping[TemplateNode, int]
    some: Mapping[TemplateNode, int]
    sure: Mapping[TemplateNode, int]
    always: Mapping[TemplateNode, int]

    def named(self, mask: int) -> Iterator[str]:
        """Yield the names of a set of locks."""
        for number in bits(mask):
            yield self.names[number]


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
    own_sure: dict[TemplateNode, int] = {}
    for node in paced((graph.root, *graph.nodes), budget, Part.DEADLOCKS):
        whole = sure = 0
        for lock in node.locks:
            bit = 1 << numbers.setdefault(lock.name, len(numbers))
            whole |= bit
            sure |= bit if lock.sure else 0
        own[node], own_sure[node] = whole, sure
    callees = {node: list(called(node)) for node in paced(own, budget, Part.DEADLOCKS)}
    order = _in_order(graph.root, callees, budget)
    some = _above(graph.root, own, callees, order, budget)
    above_surely: Mapping[TemplateNode, int] = {}
    if any(mask & some[node] for node, mask in own.items()):  # Only then does anybody ask.
        surely = {node: list(called_surely(node)) for node in paced(own, budget, Part.DEADLOCKS)}
        in_order = _in_order(graph.root, surely, budget)
        above_surely = _above(graph.root, own_sure, surely, in_order, budget)
    always = _above_always(graph.root, own_sure, callees, order, budget)
    return HeldAbove(list(numbers), own, own_sure, some, above_surely, always)


def called(node: TemplateNode) -> Iterator[TemplateNode]:
    """Yield the nodes that a node may call."""
    return (edge.target for edge in node.calls if edge.target is not None)


def called_surely(node: TemplateNode) -> Iterator[TemplateNode]:
    """Yield the nodes that a node calls whenever it runs."""
    return (edge.target for edge in node.calls if edge.certain and edge.target is not None)


def _in_order(root: TemplateNode, callees: _Callees, budget: Budget) -> list[list[TemplateNode]]:
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


def _recursive(part: Sequence[TemplateNode], callees: _Callees) -> bool:
    """Tell whether the nodes of a strongly connected part call themselves in the end."""
    return len(part) > 1 or part[0] in callees[part[0]]


def _above(
    root: TemplateNode,
    own: Mapping[TemplateNode, int],
    callees: _Callees,
    order: Sequence[Sequence[TemplateNode]],
    budget: Budget,
) -> dict[TemplateNode, int]:
    """Return what is held above each node that calls of one kind lead to from the root."""
    above: dict[TemplateNode, int] = {root: 0}
    for part in paced(order, budget, Part.DEADLOCKS):
        inside = 0
        for node in part:
            inside |= above.get(node, 0)
        if _recursive(part, callees):
            for node in part:
                inside |= own[node]
        for node in part:
            above[node] = inside
            passed = inside | own[node]
            for other in callees[node]:
                above[other] = above.get(other, 0) | passed
    return above


def _above_always(
    root: TemplateNode,
    own: Mapping[TemplateNode, int],
    callees: _Callees,
    order: Sequence[Sequence[TemplateNode]],
    budget: Budget,
) -> dict[TemplateNode, int]:
    """Return the locks that are held above each node whichever way leads there."""
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


def most_on_a_sure_way(graph: Graph, held: HeldAbove, number: int, budget: Budget = UNBOUNDED) -> int | None:
    """Return how often a lock is taken on the way of sure calls that takes it most; None for ever again."""
    bit = 1 << number
    surely = {node: list(called_surely(node)) for node in paced(held.own, budget, Part.DEADLOCKS)}
    above: dict[TemplateNode, int] = {graph.root: 0}
    most = 0
    for part in paced(_in_order(graph.root, surely, budget), budget, Part.DEADLOCKS):
        taken = sum(bool(held.own_sure[node] & bit) for node in part)
        if taken and _recursive(part, surely):
            return None
        entered = max(above.get(node, 0) for node in part)
        most = max(most, entered + taken)
        for node in part:
            for other in surely[node]:
                above[other] = max(above.get(other, 0), entered + taken)
    return most


def edge_between(caller: TemplateNode, callee: TemplateNode, *, sure: bool) -> Edge:
    """Return the call from one node to another, a sure one where that is wanted."""
    return next(edge for edge in caller.calls if edge.target is callee and (edge.certain or not sure))
