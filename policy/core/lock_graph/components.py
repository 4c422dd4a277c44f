"""Strongly connected parts of a graph, without recursion: what calls, or waits for, itself in the end."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

_NodeT = TypeVar("_NodeT", bound=Hashable)


def components(nodes: Iterable[_NodeT], after: Callable[[_NodeT], Iterable[_NodeT]]) -> list[list[_NodeT]]:
    """Return the strongly connected parts, each after all that can reach it (Tarjan's algorithm)."""
    search = _ComponentSearch(after)
    for node in nodes:
        if node not in search.number:
            search.run(node)
    search.found.reverse()
    return search.found


class _ComponentSearch(Generic[_NodeT]):
    """The state of the search: numbers in order of discovery, and the nodes whose part is still open."""

    def __init__(self, after: Callable[[_NodeT], Iterable[_NodeT]]) -> None:
        self.found: list[list[_NodeT]] = []
        self.number: dict[_NodeT, int] = {}
        self._after = after
        self._lowest: dict[_NodeT, int] = {}
        self._open: list[_NodeT] = []
        self._is_open: set[_NodeT] = set()
        self._work: list[tuple[_NodeT, Iterator[_NodeT]]] = []

    def run(self, start: _NodeT) -> None:
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

    def _enter(self, node: _NodeT) -> None:
        self.number[node] = self._lowest[node] = len(self.number)
        self._open.append(node)
        self._is_open.add(node)
        self._work.append((node, iter(self._after(node))))

    def _next(self, node: _NodeT, rest: Iterator[_NodeT]) -> _NodeT | None:
        """Return the next node that was not seen yet, noting the open ones on the way."""
        for other in rest:
            if other not in self.number:
                return other
            if other in self._is_open:
                self._lowest[node] = min(self._lowest[node], self.number[other])
        return None

    def _close(self, node: _NodeT) -> None:
        """Take the part that begins with a node off the stack."""
        part: list[_NodeT] = []
        while not part or part[-1] != node:
            part.append(self._open.pop())
            self._is_open.discard(part[-1])
        self.found.append(part)


def shortest_path(
    start: _NodeT, ends: Callable[[_NodeT], bool], after: Callable[[_NodeT], Iterable[_NodeT]]
) -> list[_NodeT] | None:
    """Return the shortest way of at least one step from `start` to a node that `ends` it, else None."""
    came_from: dict[_NodeT, _NodeT] = {}
    layer = [start]
    while layer:
        following: list[_NodeT] = []
        for node in layer:
            for other in after(node):
                if ends(other):
                    return [*_way(node, start, came_from), other]
                if other not in came_from and other != start:
                    came_from[other] = node
                    following.append(other)
        layer = following
    return None


def _way(node: _NodeT, start: _NodeT, came_from: dict[_NodeT, _NodeT]) -> Sequence[_NodeT]:
    way = [node]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    way.reverse()
    return way
