"""Strongly connected parts of a graph, without recursion: what calls, or waits for, itself in the end."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

NodeT = TypeVar("NodeT", bound=Hashable)


def parts(nodes: Iterable[NodeT], after: Callable[[NodeT], Iterable[NodeT]]) -> list[list[NodeT]]:
    """Return the strongly connected parts, each after all that can reach it (Tarjan's algorithm)."""
    search = _Search(after)
    for node in nodes:
        if node not in search.number:
            search.run(node)
    search.found.reverse()
    return search.found


class _Search(Generic[NodeT]):
    """The state of the search: numbers in order of discovery, and the nodes whose part is still open."""

    def __init__(self, after: Callable[[NodeT], Iterable[NodeT]]) -> None:
        self.found: list[list[NodeT]] = []
        self.number: dict[NodeT, int] = {}
        self._after = after
        self._lowest: dict[NodeT, int] = {}
        self._open: list[NodeT] = []
        self._is_open: set[NodeT] = set()
        self._work: list[tuple[NodeT, Iterator[NodeT]]] = []

    def run(self, start: NodeT) -> None:
        """Find the parts of all that a node leads to."""
        self._enter(start)
        while self._work:
            node, rest = self._work[-1]
            other = self._next(node, rest)
            if other is not None:
                self._enter(other)
                continue
            self._work.pop()
            if self._lowest[node] == self.number[node]:
                self._close(node)
            if self._work:
                caller = self._work[-1][0]
                self._lowest[caller] = min(self._lowest[caller], self._lowest[node])

    def _enter(self, node: NodeT) -> None:
        self.number[node] = self._lowest[node] = len(self.number)
        self._open.append(node)
        self._is_open.add(node)
        self._work.append((node, iter(self._after(node))))

    def _next(self, node: NodeT, rest: Iterator[NodeT]) -> NodeT | None:
        """Return the next node that was not seen yet, noting the open ones on the way."""
        for other in rest:
            if other not in self.number:
                return other
            if other in self._is_open:
                self._lowest[node] = min(self._lowest[node], self.number[other])
        return None

    def _close(self, node: NodeT) -> None:
        """Take the part that begins with a node off the stack."""
        part: list[NodeT] = []
        while not part or part[-1] != node:
            part.append(self._open.pop())
            self._is_open.discard(part[-1])
        self.found.append(part)


def shortest(
    start: NodeT, ends: Callable[[NodeT], bool], after: Callable[[NodeT], Iterable[NodeT]]
) -> list[NodeT] | None:
    """Return the shortest way of at least one step from `start` to a node that `ends` it, else None."""
    came_from: dict[NodeT, NodeT] = {}
    layer = [start]
    while layer:
        following: list[NodeT] = []
        for node in layer:
            for other in after(node):
                if ends(other):
                    return [*_way(node, start, came_from), other]
                if other not in came_from and other != start:
                    came_from[other] = node
                    following.append(other)
        layer = following
    return None


def _way(node: NodeT, start: NodeT, came_from: dict[NodeT, NodeT]) -> Sequence[NodeT]:
    way = [node]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    way.reverse()
    return way
