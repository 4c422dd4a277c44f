"""Cycles and shortest paths of a graph, without recursion: what calls, or waits for, itself in the end."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
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
        """Return the next node that was not seen yet; record the open ones before it."""
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
    """Return the shortest path of at least one step from `start` to a node that `ends` it, else None."""
    came_from: dict[_NodeT, _NodeT] = {}
    work = deque([start])
    while work:
        node = work.popleft()
        for other in after(node):
            if ends(other):
                path = [other, node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if other not in came_from and other != start:
                came_from[other] = node
                work.append(other)
    return None
