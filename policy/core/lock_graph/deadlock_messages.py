"""The sentence about a deadlock: what holds the lock, what takes it again, on which path, and what to do."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.cycles import shortest_path
from policy.core.lock_graph.held_above import HeldAbove, callees_of
from policy.core.lock_graph.lock_order import Nested
from policy.core.lock_graph.references import Via
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode, called_as
from policy.core.lock_model.parameters import as_written

_Callers: TypeAlias = Mapping[TemplateNode, Sequence[TemplateNode]]
_MOST_CALLS: Final = 30
"""Calls of a path that are written out; of a longer one the first and the last."""


class TakenAgain(msgspec.Struct, frozen=True):
    """A lock, by number, that a node takes below a holder of it; its limit, None where that is not shown."""

    node: TemplateNode
    number: int
    limit: int | None
    certain: bool


class DeadlockDescriber:
    """Describes the deadlocks of one graph; the callers of its nodes are found out once."""

    def __init__(self, graph: Graph, held: HeldAbove) -> None:
        self._graph, self._held = graph, held
        self._callers: dict[bool, _Callers] = {}

    def sentence(self, taken: TakenAgain) -> str:
        """Return the sentence about a lock that is taken again below its holder."""
        node, bit, held = taken.node, 1 << taken.number, self._held
        path = self._path(taken)
        holder = next(each for each in path if held.own[each] & bit)
        text = as_written(held.names[taken.number])
        if holder is node:
            problem = f"{called_as(node)} holds {text} and calls itself"
        else:
            problem = f"{called_as(node)} takes {text}, which {called_as(holder)} above it holds"
        return f"{problem}: {_outcome(taken)} ({_written(path, bit, held)}). {_fix(holder, node)}"

    def _path(self, taken: TakenAgain) -> list[TemplateNode]:
        """Return the path from the root over the nearest holder of the lock to the node below it."""
        root, certain = self._graph.root, taken.certain
        if certain not in self._callers:
            self._callers[certain] = _callers(root, certain=certain)
        callers, bit = self._callers[certain], 1 << taken.number
        own = self._held.own_certain if certain else self._held.own
        back = shortest_path(taken.node, lambda each: bool(own[each] & bit), callers.__getitem__)
        back = back or [taken.node]
        up = None
        if back[-1] is not root:
            up = shortest_path(back[-1], lambda each: each is root, callers.__getitem__)
        return [*reversed(up or [back[-1]]), *list(reversed(back))[1:]]


def _callers(root: TemplateNode, *, certain: bool) -> _Callers:
    """Return the callers of each node that calls, or only certain ones, lead to from the root."""
    callers: dict[TemplateNode, list[TemplateNode]] = {root: []}
    work = [root]
    while work:
        caller = work.pop()
        for other in callees_of(caller, certain=certain):
            if other not in callers:
                callers[other] = []
                work.append(other)
            callers[other].append(caller)
    return callers


def _outcome(taken: TakenAgain) -> str:
    if taken.certain:
        return "it waits for itself for ever"
    if taken.limit == 1:
        return "where that call is made, it waits for itself for ever"
    if taken.limit is None:
        return "with a limit of 1, or with enough runs at once, they wait for each other for ever"
    return f"once {taken.limit} hold it above and each waits for one more, all wait for ever"


def _fix(holder: TemplateNode, node: TemplateNode) -> str:
    if holder is node:
        return "Move the lock to a template that does not call itself"
    if holder.template.name is None and holder.pointer == holder.owner.at:
        return f"Take it at the Workflow (spec.synchronization) or at {called_as(node)}, not at both"
    return f"Take it at {called_as(holder)} or at {called_as(node)}, not at both"


def _written(path: Sequence[TemplateNode], bit: int, held: HeldAbove) -> str:
    """Return a path in words: each call by its task or step, holders marked."""
    words = [_marked(path[0], bit, held)] if path[0].template.name or held.own[path[0]] & bit else []
    calls = list(pairwise(path))
    left_out = len(calls) - _MOST_CALLS
    for number, (caller, node) in enumerate(calls):
        if left_out > 0 and _MOST_CALLS // 2 <= number < _MOST_CALLS // 2 + left_out:
            if number == _MOST_CALLS // 2:
                words.append(f"({left_out} more calls)")
            continue
        edge = next(edge for edge in caller.calls if edge.target is node)
        words.append(f"{_by(edge)}{_marked(node, bit, held)}")
    return " > ".join(words)


def _by(edge: Edge) -> str:
    via = edge.reference.via
    if via in (Via.ROOT, Via.ENTRYPOINT) or (via is Via.EXIT and edge.reference.name == "onExit"):
        return "" if via is Via.ROOT else f"{edge.reference.name} "
    return f'{via.value} "{edge.reference.name}" '


def _marked(node: TemplateNode, bit: int, held: HeldAbove) -> str:
    return f"{called_as(node)} [lock]" if held.own[node] & bit else called_as(node)


def describe_cycle(cycle: Sequence[Nested]) -> str:
    """Return the sentence about locks that are nested in a cycle."""
    nestings = "; ".join(
        f"{as_written(each.inner)} is taken inside {as_written(each.outer)} by {each.taker} of {each.owner}"
        for each in cycle
    )
    return (
        "locks are nested in a circle, so that two that run at once may wait for each other for ever: "
        f"{nestings}. Take them in the same order everywhere, or together in one synchronization block"
    )
