"""Deadlocks that a template graph shows: a lock taken again below itself, and locks nested in both orders.

Argo's locks are not re-entrant: each template that runs is a holder of its own, so a lock of limit 1 that is
taken again below its holder waits for ever (argo-workflows D.1). Certain is what every run comes to whose
work succeeds; possible is what takes a condition, other holders of the same lock, or an unlucky order.

Certain is, too, what no single call makes so but all branches of a condition do together: where one task
waits for `check.Succeeded` and its brother for `check.Skipped`, one of the two always runs; if both take a
lock that is held above them, no run can end.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.certain_tasks import always_one_of
from policy.core.lock_graph.deadlock_messages import DeadlockDescriber, TakenAgain, describe_circle
from policy.core.lock_graph.held_above import HeldAbove, bits, held_in, most_on_a_sure_way
from policy.core.lock_graph.lock_order import Nested, circles, nested_in
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Graph, TemplateNode
from policy.core.lock_model.lock_names import LockName
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_Causes: TypeAlias = frozenset[tuple[int, str]]
"""Places of locks: the identity of an object, and a pointer."""
ENDLESS: Final = 10_000
"""A limit that is never used up; the key that conditional locks fall back to has such a one."""
_MAX_FOUND: Final = 20
"""Deadlocks that are reported of one object; a message shows ten."""
_MOST_STEPS: Final = 5_000
"""Bodies that are looked at for that, once for every set of locks above; beyond it there is no answer."""
_MOST_WORK: Final = 100_000
"""Locks that are gone through for all of them together."""
_DEEPEST: Final = 100
"""Calls below each other that Argo follows; it ends a run that goes deeper."""

_Counts: TypeAlias = tuple[tuple[str, int], ...]
_Cause: TypeAlias = tuple[TemplateNode, str]
"""A body, and the lock that it can never take."""


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
    if again and not any(each.certain for each in again) and _branches_exist(graph):
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
        for node, name in _causes_in_all_branches(graph, limit_of, budget)
        for lock in node.locks
        if lock.name == name
    )


def _never_enough(graph: Graph, held: HeldAbove, number: int, limit: int, budget: Budget) -> bool:
    """Tell whether the limit of a lock is below what one sure way takes of it."""
    if limit == 1:
        return True
    most = most_on_a_sure_way(graph, held, number, budget)
    return most is None or most > limit


def _branches_exist(graph: Graph) -> bool:
    """Tell whether some DAG has tasks that run in some runs only, so that branches are worth comparing."""
    return any(edge.reference.task is not None for node in graph.nodes for edge in node.calls)


def _causes_in_all_branches(graph: Graph, limit_of: LimitOf, budget: Budget = UNBOUNDED) -> set[_Cause]:
    """Return what hangs every run, a different one perhaps in each branch; nothing where some run ends."""
    search = _DeadlockSearch(limit_of, budget)
    return search.causes if search.hangs(graph.root, ()) else set()


class _DeadlockSearch:
    """Looks at each body with the locks held above it, once."""

    def __init__(self, limit_of: LimitOf, budget: Budget) -> None:
        self._budget = budget
        self.causes: set[_Cause] = set()
        self._limit_of = limit_of
        self._known: dict[tuple[TemplateNode, _Counts], bool] = {}
        self._depth = self._work = 0

    def hangs(self, node: TemplateNode, above: _Counts) -> bool:
        """Tell whether a body never ends while these locks are held above it."""
        key = (node, above)
        known = self._known.get(key)
        if known is not None or self._depth > _DEEPEST or self._worn_out():
            return bool(known)
        self._work += len(above)
        self._budget.check(Part.DEADLOCKS)
        self._known[key] = False  # A call that comes back here with no more locks is no deadlock.
        held = dict(above)
        for lock in node.locks:
            if lock.sure:
                held[lock.name] = held.get(lock.name, 0) + 1
                limit = self._limit_of(lock.name)
                if limit is not None and held[lock.name] > limit:
                    self.causes.add((node, lock.name))
                    self._known[key] = True
        if not self._known[key]:
            self._depth += 1
            self._known[key] = self._calls_hang(node, tuple(sorted(held.items())))
            self._depth -= 1
        return self._known[key]

    def _worn_out(self) -> bool:
        return len(self._known) > _MOST_STEPS or self._work > _MOST_WORK

    def _calls_hang(self, node: TemplateNode, held: _Counts) -> bool:
        branches: set[int] = set()
        for edge in node.calls:
            if edge.target is None or not self.hangs(edge.target, held):
                continue
            if edge.certain:
                return True
            if edge.reference.task is not None and edge.reference.follows:
                branches.add(edge.reference.task)
        return node.template.dag is not None and always_one_of(node.template.dag, branches, self._budget)
