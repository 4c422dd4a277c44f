"""Which locks are taken below which others, and which of these pairs can wait for each other for ever.

Two that take the same locks in different orders can wait for each other for ever. Locks of one block are
taken together and have no order (argo-workflows D.2).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from policy.core.lock_graph.cycles import components, shortest_path
from policy.core.lock_graph.held_above import HeldAbove, bits
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Graph, TemplateNode, called_as
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_UNLIMITED: Final = 10_000
"""A limit that is never used up; the key that conditional locks fall back to has such a one."""
MAX_NESTED: Final = 5_000
"""Pairs of nested locks that are looked at in one object; with more, the analysis is not complete."""


class Nested(msgspec.Struct, frozen=True):
    """That a template, `taker`, takes a lock below another, and which locks are held all the while (`gates`).

    Only one can hold a gate of limit 1, so what is behind such a gate happens one after the other.
    """

    outer: str
    inner: str
    gates: frozenset[str]
    owner: TemplateOwner
    pointer: str
    taker: str


def limited(lock: str, limit_of: LimitOf) -> bool:
    """Return whether all permits of a lock may be taken; so it may be where its limit is not known."""
    return (limit_of(lock) or 0) < _UNLIMITED


def nested_in(graph: Graph, held: HeldAbove, budget: Budget = UNBOUNDED) -> tuple[list[Nested], bool]:
    """Return every pair of a lock and one that is taken below it, once, and whether these are all."""
    found: dict[tuple[int, int], tuple[TemplateNode, int]] = {}
    for node in paced(graph.nodes, budget, Part.DEADLOCKS):
        if not held.own[node] or not held.some[node]:
            continue
        for inner in bits(held.own[node]):
            budget.check(Part.DEADLOCKS)
            for outer in bits(held.some[node] & ~held.own[node]):
                if len(found) >= MAX_NESTED:
                    return _named(held, found, budget), False
                first, gates = found.get((outer, inner), (node, held.always[node]))
                found[outer, inner] = (first, gates & held.always[node])
    return _named(held, found, budget), True


def _named(
    held: HeldAbove, found: Mapping[tuple[int, int], tuple[TemplateNode, int]], budget: Budget
) -> list[Nested]:
    nested = []
    names: dict[int, frozenset[str]] = {}
    pointers: dict[TemplateNode, Mapping[str, str]] = {}
    for (outer, inner), (node, gates) in paced(found.items(), budget, Part.DEADLOCKS):
        if gates not in names:
            names[gates] = frozenset(held.names[number] for number in bits(gates))
        if node not in pointers:
            pointers[node] = {lock.name: lock.pointer for lock in node.locks}
        above, name = held.names[outer], held.names[inner]
        pointer = pointers[node][name]
        nested.append(Nested(above, name, names[gates] - {above}, node.owner, pointer, called_as(node)))
    return nested


def cycles(nested: Iterable[Nested], limit_of: LimitOf, budget: Budget = UNBOUNDED) -> Iterator[list[Nested]]:
    """Yield a shortest cycle for each set of locks with a limit that one object nests in each other."""
    inside: dict[str, dict[str, Nested]] = {}
    for each in nested:
        if limited(each.outer, limit_of) and limited(each.inner, limit_of):
            inside.setdefault(each.outer, {})[each.inner] = each

    def after(lock: str) -> Iterable[str]:
        return inside.get(lock, {})

    for part in components(list(inside), after):
        if len(part) > 1:
            budget.check(Part.DEADLOCKS)
            first = min(part)
            path = shortest_path(first, first.__eq__, after) or []
            yield [inside[outer][inner] for outer, inner in pairwise(path)]


def cannot_close(cycle: Sequence[Nested], limit_of: LimitOf) -> bool:
    """Return whether two places of a cycle are behind the same lock of limit 1, so that it cannot close."""
    seen: set[str] = set()
    for each in cycle:
        gates = {gate for gate in each.gates if limit_of(gate) == 1}
        if gates & seen:
            return True
        seen |= gates
    return False
