"""The deadlocks of one object: a lock taken again below itself, and locks nested in both orders.

Argo's locks are not re-entrant: each template that runs is a holder of its own, so a lock of limit 1 that is
taken again below its holder waits for ever (argo-workflows D.1). A deadlock is certain where every run hangs
whose work succeeds; it is possible where it takes a condition, other holders, or an unlucky order.

It is certain, too, where each branch of a condition hangs: if one task waits for `check.Succeeded` and
another for `check.Skipped`, one of the two always runs; if both take a lock that is held above them, no run
can end.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.certain_tasks import always_one_of
from policy.core.lock_graph.deadlock_messages import DeadlockDescriber, TakenAgain, describe_cycle
from policy.core.lock_graph.held_above import HeldAbove, bits, held_in, most_on_a_certain_path
from policy.core.lock_graph.lock_order import Nested, cycles, limited, nested_in
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Graph, TemplateNode
from policy.core.lock_model.lock_names import LockName
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_Causes: TypeAlias = frozenset[tuple[int, str]]
"""Places of locks: the identity of an object, and a pointer."""
_Counts: TypeAlias = tuple[tuple[str, int], ...]
"""How many permits of each lock are held."""
_MAX_FOUND: Final = 20
"""Deadlocks that are reported of one object; a message shows ten."""
_MAX_TAKEN_AGAIN: Final = 200
"""Locks taken again that are collected; the certain ones among them are reported first."""
_MAX_STEPS: Final = 5_000
"""Bodies that are looked at in branches, once for every set of locks above; beyond it there is no answer."""
_MAX_WORK: Final = 100_000
"""Locks that are looked at for all of these bodies together."""
_MAX_DEPTH: Final = 100
"""Calls below each other that Argo follows; it ends a run that goes deeper."""


class TemplateDeadlock(msgspec.Struct, frozen=True):
    """One deadlock: whether every run hangs, on which lock, where it is taken, and the sentence about it."""

    certain: bool
    lock: str
    owner: TemplateOwner
    pointer: str
    message: str


class Analysis(msgspec.Struct, frozen=True):
    """What a graph shows; `complete` is False where it was too large to look at all of it."""

    deadlocks: tuple[TemplateDeadlock, ...]
    nested: tuple[Nested, ...]
    complete: bool


def analyse(graph: Graph, limit_of: LimitOf, budget: Budget = UNBOUNDED, *, own: str = "") -> Analysis:
    """Return the deadlocks of one object by itself, and its nested locks, for comparison with others.

    `own` is the namespace that it runs in: limits of other namespaces are used, and not shown.
    """
    if not any(node.locks for node in graph.nodes):
        return Analysis((), (), graph.complete)
    held = held_in(graph, budget)
    nested, complete = nested_in(graph, held, budget)
    again = list(islice(_taken_again(graph, held, limit_of, budget, own=own), _MAX_TAKEN_AGAIN))
    causes: _Causes = frozenset()
    if again and not any(each.certain for each in again) and _branches_exist(graph):
        causes = _causes_in_all_branches(graph, limit_of, budget)
    deadlocks = _described(again, causes, graph, held, budget)
    deadlocks += islice(map(deadlock_of_cycle, cycles(nested, limit_of, budget)), _MAX_FOUND)
    deadlocks.sort(key=lambda each: not each.certain)
    return Analysis(tuple(deadlocks[:_MAX_FOUND]), tuple(nested), complete and graph.complete)


def deadlock_of_cycle(cycle: Sequence[Nested]) -> TemplateDeadlock:
    """Return the possible deadlock of locks nested in a cycle, reported where its first is taken."""
    first = cycle[0]
    return TemplateDeadlock(
        certain=False,
        lock=first.inner,
        owner=first.owner,
        pointer=first.pointer,
        message=describe_cycle(cycle),
    )


def _taken_again(
    graph: Graph, held: HeldAbove, limit_of: LimitOf, budget: Budget, *, own: str
) -> Iterator[TakenAgain]:
    """Yield each lock that is taken below a holder of it, once for each body that takes it."""
    exceeded: dict[int, bool] = {}
    for node in paced(graph.nodes, budget, Part.DEADLOCKS):
        for number in bits(held.own[node] & held.some[node]):
            name = held.names[number]
            limit, bit = limit_of(name), 1 << number
            certain = bool(held.own_certain[node] & held.certain.get(node, 0) & bit) and limit is not None
            if certain and limit is not None:
                if number not in exceeded:
                    exceeded[number] = _limit_exceeded(graph, held, number, limit, budget)
                certain = exceeded[number]
            if certain or limited(name, limit_of):
                shown = limit if not own or LockName.parse(name).namespace == own else None
                yield TakenAgain(node, number, shown, certain=certain)


def _limit_exceeded(graph: Graph, held: HeldAbove, number: int, limit: int, budget: Budget) -> bool:
    """Return whether one certain path takes a lock more often than its limit allows."""
    if limit == 1:
        return True
    most = most_on_a_certain_path(graph, held, number, budget)
    return most is None or most > limit


def _described(
    again: Sequence[TakenAgain], causes: _Causes, graph: Graph, held: HeldAbove, budget: Budget
) -> list[TemplateDeadlock]:
    """Return the first of the locks that are taken again as deadlocks, the certain ones before the others.

    The paths in their sentences take the time, so only what is shown gets one.
    """
    pointers = [_pointer(each.node, held.names[each.number]) for each in again]
    certain = [
        each.certain or (id(each.node.owner), pointer) in causes
        for each, pointer in zip(again, pointers, strict=True)
    ]
    describer = DeadlockDescriber(graph, held)
    found = []
    for index in sorted(range(len(again)), key=lambda index: not certain[index])[:_MAX_FOUND]:
        budget.check(Part.DEADLOCKS)
        taken = again[index]
        message = describer.sentence(taken)
        if certain[index] and not taken.certain:
            message = f"{message}. Whichever branch runs, one of these hangs"
        lock, owner = held.names[taken.number], taken.node.owner
        found.append(TemplateDeadlock(certain[index], lock, owner, pointers[index], message))
    return found


def _pointer(node: TemplateNode, name: str) -> str:
    return next(each.pointer for each in node.locks if each.name == name)


def _branches_exist(graph: Graph) -> bool:
    """Return whether a DAG has tasks that run in some runs only, so that branches are worth comparing."""
    return any(edge.reference.task is not None for node in graph.nodes for edge in node.calls)


def _causes_in_all_branches(graph: Graph, limit_of: LimitOf, budget: Budget) -> _Causes:
    """Return the places of the locks that together hang every branch of a condition, none if a run ends."""
    search = _DeadlockSearch(limit_of, budget)
    return frozenset(search.causes) if search.hangs(graph.root, ()) else frozenset()


class _DeadlockSearch:
    """Looks at each body with the locks held above it, once."""

    def __init__(self, limit_of: LimitOf, budget: Budget) -> None:
        self.causes: set[tuple[int, str]] = set()
        self._limit_of, self._budget = limit_of, budget
        self._known: dict[tuple[TemplateNode, _Counts], bool] = {}
        self._depth = self._work = 0

    def hangs(self, node: TemplateNode, above: _Counts) -> bool:
        """Return whether a body never ends while these locks are held above it."""
        key = (node, above)
        known = self._known.get(key)
        if known is not None or self._depth > _MAX_DEPTH or self._too_large():
            return bool(known)
        self._work += len(above)
        self._budget.check(Part.DEADLOCKS)
        self._known[key] = False  # A call that comes back here with no more locks is no deadlock.
        held = dict(above)
        for lock in node.locks:
            if lock.certain:
                held[lock.name] = held.get(lock.name, 0) + 1
                limit = self._limit_of(lock.name)
                if limit is not None and held[lock.name] > limit:
                    self.causes.add((id(node.owner), lock.pointer))
                    self._known[key] = True
        if not self._known[key]:
            self._depth += 1
            self._known[key] = self._calls_hang(node, tuple(sorted(held.items())))
            self._depth -= 1
        return self._known[key]

    def _too_large(self) -> bool:
        return len(self._known) > _MAX_STEPS or self._work > _MAX_WORK

    def _calls_hang(self, node: TemplateNode, held: _Counts) -> bool:
        branches: set[int] = set()
        for edge in node.calls:
            if edge.target is None or not self.hangs(edge.target, held):
                continue
            if edge.reference.certain:
                return True
            if edge.reference.task is not None and edge.reference.follows:
                branches.add(edge.reference.task)
        return node.template.dag is not None and always_one_of(node.template.dag, branches, self._budget)
