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
from policy.core.lock_graph.deadlock_messages import (
    DeadlockDescriber,
    TakenAgain,
    describe_cycle,
    describe_left,
    describe_wait,
)
from policy.core.lock_graph.held_above import CertainCounts, HeldAbove, bits, certain_counts, held_in
from policy.core.lock_graph.hook_waits import HookWaits, is_item_hook, taker_below
from policy.core.lock_graph.left_locks import left_locks
from policy.core.lock_graph.lock_order import MAX_NESTED, Nested, cycles, limited, nested_in
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode
from policy.core.lock_model.lock_names import LockName
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
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
_ALL_BRANCHES: Final = "Whichever branch runs, one of these hangs"
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


def analyse(
    graph: Graph,
    limit_of: LimitOf,
    budget: Budget = UNBOUNDED,
    *,
    own: str = "",
    argo: ArgoVersion = DEFAULT_VERSION,
) -> Analysis:
    """Return the deadlocks of one object by itself, and its nested locks, for comparison with others.

    `own` is the namespace that it runs in: limits of other namespaces are used, and not shown.
    """
    if not any(node.locks for node in graph.nodes):
        return Analysis((), (), graph.complete)
    held = held_in(graph, budget)
    nested, complete = nested_in(graph, held, budget)
    again = list(islice(_taken_again(graph, held, limit_of, budget, own=own), _MAX_TAKEN_AGAIN))
    waits = HookWaits(graph, held, limit_of, budget)
    of_hooks = _of_hooks(graph, held, waits, limit_of, budget, own=own, argo=argo)
    hooks = list(islice(of_hooks, _MAX_FOUND))
    nested += islice(waits.nested(), MAX_NESTED)
    causes: _Causes = frozenset()
    certain = any(each.certain for each in again) or any(each.certain for each in hooks)
    if (again or hooks) and not certain and _branches_exist(graph):
        causes = _causes_in_all_branches(graph, limit_of, argo, budget)
    deadlocks = _described(again, causes, graph, held, budget)
    deadlocks += [_in_branches(each, causes) for each in hooks]
    deadlocks += islice(map(deadlock_of_cycle, cycles(nested, limit_of, budget)), _MAX_FOUND)
    deadlocks.sort(key=lambda each: not each.certain)
    return Analysis(tuple(deadlocks[:_MAX_FOUND]), tuple(nested), complete and graph.complete)


def _of_hooks(
    graph: Graph,
    held: HeldAbove,
    waits: HookWaits,
    limit_of: LimitOf,
    budget: Budget,
    *,
    own: str,
    argo: ArgoVersion,
) -> Iterator[TemplateDeadlock]:
    """Yield the deadlocks of hooks: what they never give back, and what is held until they are over."""
    told: set[tuple[str, int]] = set()
    for left in left_locks(graph, held, waits, limit_of, argo=argo, budget=budget):
        told.add((left.edge.reference.pointer, left.number))
        name, taker = held.names[left.number], taker_below(left.edge, left.number, held)
        shown = left.limit if _shown(name, own) else None
        message = describe_left(left, taker, name, shown, argo)
        yield TemplateDeadlock(left.certain, name, taker.owner, _pointer(taker, name), message)
    for wait in waits.waits:
        for number in bits(wait.held & waits.taken(wait.edge)):
            budget.check(Part.DEADLOCKS)
            name = held.names[number]
            if (wait.edge.reference.pointer, number) in told or not limited(name, limit_of):
                continue
            taker = taker_below(wait.edge, number, held)
            shown = limit_of(name) if _shown(name, own) else None
            message = describe_wait(wait, number, taker, shown, held)
            yield TemplateDeadlock(
                certain=False,
                lock=name,
                owner=taker.owner,
                pointer=_pointer(taker, name),
                message=message,
            )


def _in_branches(deadlock: TemplateDeadlock, causes: _Causes) -> TemplateDeadlock:
    """Return a deadlock as a certain one where every branch of a condition has one like it."""
    if deadlock.certain or (id(deadlock.owner), deadlock.pointer) not in causes:
        return deadlock
    return msgspec.structs.replace(deadlock, certain=True, message=f"{deadlock.message}. {_ALL_BRANCHES}")


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
    """Yield each lock that is taken below a holder of it, once for each body that takes it.

    Of a limit above 1, certain is only the one for which none is left, and so those above it are not told.
    """
    counted: dict[int, CertainCounts | None] = {}
    for node in paced(graph.nodes, budget, Part.DEADLOCKS):
        for number in bits(held.own[node] & held.some[node]):
            name = held.names[number]
            limit, bit = limit_of(name), 1 << number
            certain = bool(held.own_certain[node] & held.certain.get(node, 0) & bit) and limit is not None
            shown = limit if _shown(name, own) else None
            if certain and limit is not None and limit > 1:
                if number not in counted:
                    counted[number] = certain_counts(graph, held, number, budget)
                counts = counted[number]
                if counts is not None:
                    taken = counts.counts.get(node, 0)
                    certain = taken > limit
                    if not certain and max(counts.counts.values()) > limit:
                        continue
                    if certain:
                        path = tuple(counts.path_to(node))
                        yield TakenAgain(node, number, shown, certain=True, path=path)
                        continue
            if certain or limited(name, limit_of):
                yield TakenAgain(node, number, shown, certain=certain)


def _shown(name: str, own: str) -> bool:
    """Return whether messages may tell the limit of a lock: that of another namespace is not shown."""
    return not own or LockName.parse(name).namespace == own


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
            message = f"{message}. {_ALL_BRANCHES}"
        lock, owner = held.names[taken.number], taken.node.owner
        found.append(TemplateDeadlock(certain[index], lock, owner, pointers[index], message))
    return found


def _pointer(node: TemplateNode, name: str) -> str:
    return next(each.pointer for each in node.locks if each.name == name)


def _branches_exist(graph: Graph) -> bool:
    """Return whether a DAG has tasks that run in some runs only, so that branches are worth comparing."""
    return any(edge.reference.task is not None for node in graph.nodes for edge in node.calls)


def _causes_in_all_branches(graph: Graph, limit_of: LimitOf, argo: ArgoVersion, budget: Budget) -> _Causes:
    """Return the places of the locks that together hang every branch of a condition, none if a run ends."""
    search = _DeadlockSearch(limit_of, argo, budget)
    return frozenset(search.causes) if search.hangs(graph.root, ()) else frozenset()


class _DeadlockSearch:
    """Looks at each body with the locks held above it, once."""

    def __init__(self, limit_of: LimitOf, argo: ArgoVersion, budget: Budget) -> None:
        self.causes: set[tuple[int, str]] = set()
        self._limit_of, self._argo, self._budget = limit_of, argo, budget
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

    def _keeps(self, node: TemplateNode, edge: Edge) -> bool:
        """Return whether a call is the exit hook of items that never gives back a lock of limit 1."""
        if node.template.dag is None or not is_item_hook(edge) or not self._argo.leaves_exit_hooks:
            return False
        locks = edge.target.locks if edge.target is not None else ()
        kept = [lock for lock in locks if lock.certain and self._limit_of(lock.name) == 1]
        self.causes.update((id(edge.target.owner), lock.pointer) for lock in kept if edge.target is not None)
        return bool(kept)

    def _calls_hang(self, node: TemplateNode, held: _Counts) -> bool:
        branches: set[int] = set()
        for edge in node.calls:
            if edge.target is None or not (self._keeps(node, edge) or self.hangs(edge.target, held)):
                continue
            if edge.reference.certain:
                return True
            if edge.reference.task is not None and edge.reference.follows:
                branches.add(edge.reference.task)
        return node.template.dag is not None and always_one_of(node.template.dag, branches, self._budget)
