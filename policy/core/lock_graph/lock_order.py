"""Which locks are taken below which others, in one object and in all templates of a namespace.

Two that take the same locks in different orders can wait for each other for ever. Locks of one block are
taken together and have no order (argo-workflows D.2).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from policy.core.lock_graph.components import components, shortest_path
from policy.core.lock_graph.held_above import HeldAbove, bits
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Graph, TemplateNode, called_as
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_MAX_NESTED: Final = 5_000
"""Pairs of nested locks that are looked at in one object; with more, the analysis is not whole."""


class Nested(msgspec.Struct, frozen=True):
    """That a lock is taken below another: who takes it, and other locks that are held all the while.

    What happens under the same `gates`, if only one can hold them, happens in turn.
    """

    outer: str
    inner: str
    gates: frozenset[str]
    owner: TemplateOwner
    pointer: str
    way: str


def nested_in(graph: Graph, held: HeldAbove, budget: Budget = UNBOUNDED) -> tuple[list[Nested], bool]:
    """Return every pair of a lock and one that is taken below it, once, and whether these are all."""
    found: dict[tuple[int, int], tuple[TemplateNode, int]] = {}
    for node in paced(graph.nodes, budget, Part.DEADLOCKS):
        if not held.own[node] or not held.some[node]:
            continue
        for inner in bits(held.own[node]):
            budget.check(Part.DEADLOCKS)
            for outer in bits(held.some[node] & ~held.own[node]):
                if len(found) >= _MAX_NESTED:
                    return _named(held, found, budget), False
                first, gates = found.get((outer, inner), (node, held.always[node]))
                found[outer, inner] = (first, gates & held.always[node])
    return _named(held, found, budget), True


def _named(
    held: HeldAbove, found: Mapping[tuple[int, int], tuple[TemplateNode, int]], budget: Budget
) -> list[Nested]:
    nested = []
    sets: dict[int, frozenset[str]] = {}
    places: dict[TemplateNode, Mapping[str, str]] = {}
    for (outer, inner), (node, gates) in paced(found.items(), budget, Part.DEADLOCKS):
        if gates not in sets:
            sets[gates] = frozenset(held.named(gates))
        if node not in places:
            places[node] = {lock.name: lock.pointer for lock in node.locks}
        within, name = sets[gates] - {held.names[outer]}, held.names[inner]
        nested.append(
            Nested(held.names[outer], name, within, node.owner, places[node][name], called_as(node))
        )
    return nested


def circles(
    nested: Iterable[Nested], scarce: Callable[[str], bool], budget: Budget = UNBOUNDED
) -> Iterator[list[Nested]]:
    """Yield a shortest circle for each set of scarce locks of one object that are nested in each other."""
    inside: dict[str, dict[str, Nested]] = {}
    for each in nested:
        if scarce(each.outer) and scarce(each.inner):
            inside.setdefault(each.outer, {})[each.inner] = each

    def after(lock: str) -> Iterable[str]:
        return inside.get(lock, {})

    for part in components(list(inside), after):
        if len(part) > 1:
            budget.check(Part.DEADLOCKS)
            first = min(part)
            way = shortest_path(first, first.__eq__, after) or []
            yield [inside[outer][inner] for outer, inner in pairwise(way)]


def in_turn(circle: Sequence[Nested], single: Callable[[str], bool]) -> bool:
    """Tell whether a circle cannot close, because two of its places lie behind the same lock of limit 1."""
    seen: set[str] = set()
    for each in circle:
        gates = {gate for gate in each.gates if single(gate)}
        if gates & seen:
            return True
        seen |= gates
    return False
