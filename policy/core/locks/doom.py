"""Deadlocks that no single call makes certain, but all branches of a condition together.

Where one task waits for `check.Succeeded` and its brother for `check.Skipped`, one of the two always runs; if
both take a lock that is held above them, no run can end.
"""

from typing import Final, TypeAlias

from policy.core.budget import UNBOUNDED, Budget, Part
from policy.core.locks.certainty import always_one_of
from policy.core.locks.definitions import LimitOf
from policy.core.locks.graph import Graph, TemplateNode

_MOST_STEPS: Final = 5_000
"""Bodies that are looked at, each once for every set of locks held above it; then there is no answer."""
_MOST_WORK: Final = 100_000
"""Locks that are gone through for all of them together."""
_DEEPEST: Final = 100
"""Calls below each other that Argo follows; it ends a run that goes deeper."""

_Counts: TypeAlias = tuple[tuple[str, int], ...]
_Cause: TypeAlias = tuple[TemplateNode, str]
"""A body, and the lock that it can never take."""


def branches_exist(graph: Graph) -> bool:
    """Tell whether some DAG has tasks that run in some runs only, so that branches are worth comparing."""
    return any(edge.reference.task is not None for node in graph.nodes for edge in node.calls)


def causes_in_all_branches(graph: Graph, limit_of: LimitOf, budget: Budget = UNBOUNDED) -> set[_Cause]:
    """Return what hangs every run, a different one perhaps in each branch; nothing where some run ends."""
    search = _Search(limit_of, budget)
    return search.causes if search.hangs(graph.root, ()) else set()


class _Search:
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
