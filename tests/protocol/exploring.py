"""Every state that a set of rules can reach, breadth first: the way to a bad one is the shortest."""

from array import array
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S")


class Explored(msgspec.Struct, frozen=True):
    """What an exploration found: `trail` leads to the first state that is bad, or from which none is good."""

    states: int
    steps: int
    finding: str
    trail: tuple[str, ...]


class Explorer(Generic[S]):
    """Explores from a first state; states are hashable values."""

    def __init__(self, first: S, moves: Callable[[S], Iterable[tuple[str, S]]]) -> None:
        self._moves = moves
        self._states = [first]
        self._ids = {first: 0}
        self._parents = array("i", [-1])
        self._labels = [""]
        self._sources = array("i")
        self._targets = array("i")

    def run(
        self, *, bad: Callable[[S], str], good: Callable[[S], bool], may_be_stuck: Callable[[S], bool]
    ) -> Explored:
        """Visit every state; ends at the first that `bad` has a word for.

        Afterwards every state must have a way to a `good` one, but for those that `may_be_stuck`.
        """
        place = 0
        while place < len(self._states):
            state = self._states[place]
            word = bad(state)
            if word:
                return self._explored(word, place)
            for label, target in self._moves(state):
                self._visit(place, label, target)
            place += 1
        reached = self._backwards(good)
        for place, state in enumerate(self._states):
            if not reached[place] and not may_be_stuck(state):
                return self._explored("stuck for ever", place)
        return self._explored("", 0)

    def _visit(self, source: int, label: str, state: S) -> None:
        place = self._ids.get(state)
        if place is None:
            place = self._ids[state] = len(self._states)
            self._states.append(state)
            self._parents.append(source)
            self._labels.append(label)
        self._sources.append(source)
        self._targets.append(place)

    def _backwards(self, good: Callable[[S], bool]) -> bytearray:
        """Return, by state, whether a good one can be reached from it."""
        first, following = array("i", [-1]) * len(self._states), array("i", [-1]) * len(self._sources)
        for edge, target in enumerate(self._targets):
            following[edge] = first[target]
            first[target] = edge
        reached = bytearray(len(self._states))
        todo = [place for place, state in enumerate(self._states) if good(state)]
        for place in todo:
            reached[place] = 1
        while todo:
            edge = first[todo.pop()]
            while edge >= 0:
                source = self._sources[edge]
                if not reached[source]:
                    reached[source] = 1
                    todo.append(source)
                edge = following[edge]
        return reached

    def _explored(self, finding: str, place: int) -> Explored:
        trail: list[str] = []
        while finding and place > 0:
            trail.append(self._labels[place])
            place = self._parents[place]
        return Explored(len(self._states), len(self._sources), finding, tuple(reversed(trail)))
