"""Deadlocks that a template graph shows: a lock taken again below itself, and locks nested in both orders.

Argo's locks are not re-entrant: each template that runs is a holder of its own, so a lock of limit 1 that is
taken again below its holder waits for ever (argo-workflows D.1). Certain is what every run comes to whose
work succeeds; possible is what takes a condition, other holders of the same lock, or an unlucky order.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from policy.core.budget import UNBOUNDED, Budget, Part, paced
from policy.core.locks.deadlock_words import DeadlockDescriber, TakenAgain, describe_circle
from policy.core.locks.definitions import LimitOf
from policy.core.locks.doom import branches_exist, causes_in_all_branches
from policy.core.locks.graph import Graph, TemplateNode
from policy.core.locks.held import HeldAbove, bits, held_in, most_on_a_sure_way
from policy.core.locks.naming import LockName
from policy.core.locks.nesting import Nested, circles, nested_in
from policy.core.locks.runs import TemplateOwner

_Causes: TypeAlias = frozenset[tuple[int, str]]
"""Places of locks: the identity of an object, and a pointer."""
ENDLESS: Final = 10_000
"""A limit that is never used up; the key that conditional locks fall back to has such a one."""
_MAX_FOUND: Final = 20
"""Deadlocks that are reported of one object; a message shows ten."""


class TemplateDeadlock(msgspec.Struct, frozen=True):
    """One deadlock: whether every run comes to it, on which lock, where it is taken, and how to read it."""

    certain: bool
    lock: str
    owner: TemplateOwner
    pointer: str
    message: str


class Analysis(msgspec.Struct, frozen=True):
    """What a graph shows; `whole` is False where it was too large to look at all of it."""

    deadlocks: tuple[TemplateDeadlock, ...]
    nested: tuple[Nested, ...]
    whole: bool


_NOTHING: Final = Analysis((), (), whole=True)


def analyse(graph: Graph, limit_of: LimitOf, budget: Budget = UNBOUNDED, *, own: str = "") -> Analysis:
    """Return the deadlocks of one object by itself, and its nested locks, for comparison with others.

    `own` is the namespace that it runs in: limits of others are judged by, and not shown.
    """
    if not any(node.locks for node in graph.nodes):
        return _NOTHING if graph.whole else Analysis((), (), whole=False)
    held = held_in(graph, budget)
    nested, whole = nested_in(graph, held, budget)
    again = list(_taken_again(graph, held, limit_of, budget, own=own))
    causes: _Causes = frozenset()
    if again and not any(each.certain for each in again) and branches_exist(graph):
        causes = _causes(graph, limit_of, budget)
    deadlocks = _described(again, causes, graph, held, budget)
    deadlocks += islice(_both_orders(nested, limit_of, budget), _MAX_FOUND)
    deadlocks.sort(key=lambda each: not each.certain)
    return Analysis(tuple(deadlocks[:_MAX_FOUND]), tuple(nested), whole and graph.whole)


def _both_orders(nested: Sequence[Nested], limit_of: LimitOf, budget: Budget) -> Iterator[TemplateDeadlock]:
    """Yield a deadlock for each set of locks that are nested in a circle within one object."""
    for circle in circles(nested, lambda name: (limit_of(name) or 0) < ENDLESS, budget):
        yield of_circle(circle)


def of_circle(circle: Sequence[Nested]) -> TemplateDeadlock:
    """Return the deadlock of locks that are nested in a circle, reported where its first is taken."""
    first = circle[0]
    return TemplateDeadlock(False, first.inner, first.owner, first.pointer, describe_circle(circle))  # noqa: FBT003 - possible


def _taken_again(
    graph: Graph, held: HeldAbove, limit_of: LimitOf, budget: Budget, *, own: str
) -> Iterator[TakenAgain]:
    """Yield each lock that is taken below a holder of it, once for each body that takes it."""
    yielded = 0
    enough: dict[int, bool] = {}
    for node in paced(graph.nodes, budget, Part.DEADLOCKS):
        for number in bits(held.own[node] & held.some[node]):
            if yielded >= _MAX_FOUND * 10:
                return
            limit = limit_of(held.names[number])
            bit = 1 << number
            certain = bool(held.own_sure[node] & held.sure.get(node, 0) & bit) and limit is not None
            if certain and limit is not None:
                if number not in enough:
                    enough[number] = not _never_enough(graph, held, number, limit, budget)
                certain = not enough[number]
            if certain or limit is None or limit < ENDLESS:
                yielded += 1
                shown = limit if not own or LockName.parse(held.names[number]).namespace == own else None
                yield TakenAgain(node, number, shown, certain=certain)


def _described(
    again: Sequence[TakenAgain], causes: _Causes, graph: Graph, held: HeldAbove, budget: Budget
) -> list[TemplateDeadlock]:
    """Return the first of the locks that are taken again as deadlocks, the certain ones before the others.

    The ways in their sentences take the time, so only what is shown gets one.
    """
    placed = [(each, _pointer(each.node, held.names[each.number])) for each in again]
    sure = [each.certain or (id(each.node.owner), where) in causes for each, where in placed]
    order = sorted(range(len(placed)), key=lambda index: not sure[index])
    describing = DeadlockDescriber(graph, held)
    found = []
    for index in order[:_MAX_FOUND]:
        budget.check(Part.DEADLOCKS)
        taken, where = placed[index]
        message = describing.sentence(taken)
        if sure[index] and not taken.certain:
            message = f"{message}. Whichever branch runs, one of these hangs"
        found.append(
            TemplateDeadlock(sure[index], held.names[taken.number], taken.node.owner, where, message)
        )
    return found


def _pointer(node: TemplateNode, name: str) -> str:
    return next(each.pointer for each in node.locks if each.name == name)


def _causes(graph: Graph, limit_of: LimitOf, budget: Budget) -> _Causes:
    """Return the places of the locks that together hang every branch of a condition."""
    return frozenset(
        (id(node.owner), lock.pointer)
        for node, name in causes_in_all_branches(graph, limit_of, budget)
        for lock in node.locks
        if lock.name == name
    )


def _never_enough(graph: Graph, held: HeldAbove, number: int, limit: int, budget: Budget) -> bool:
    """Tell whether the limit of a lock is below what one sure way takes of it."""
    if limit == 1:
        return True
    most = most_on_a_sure_way(graph, held, number, budget)
    return most is None or most > limit
