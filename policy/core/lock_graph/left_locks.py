"""Which locks the exit hooks of items keep until the Workflow ends, and whether every run then hangs.

The exit hook of a DAG task with items runs for each item, and then once more for all of them together. When
the last item is over, Argo counts the task as over and looks no more at its items: the locks of an exit hook
that is under way then are never given back. So of every such task at least one holder is left.
"""

from collections.abc import Iterator, Mapping

import msgspec

from policy.core.lock_graph.held_above import (
    HeldAbove,
    bits,
    callees_in,
    callees_of,
    certain_counts,
    in_order,
    recursive,
)
from policy.core.lock_graph.hook_waits import HookWaits, items_in
from policy.core.lock_graph.lock_order import limited
from policy.core.lock_graph.references import Via
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.objects.argo_version import ArgoVersion
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced


class LeftLock(msgspec.Struct, frozen=True):
    """A lock, by number, that the exit hook `edge` of items in the DAG `caller` never gives back."""

    caller: TemplateNode
    edge: Edge
    number: int
    limit: int | None
    certain: bool


def left_locks(
    graph: Graph,
    held: HeldAbove,
    waits: HookWaits,
    limit_of: LimitOf,
    *,
    argo: ArgoVersion,
    budget: Budget = UNBOUNDED,
) -> Iterator[LeftLock]:
    """Yield the locks with a limit that exit hooks of items keep, where the installed Argo lets them."""
    hooks = list(waits.item_hooks()) if argo.may_leave_exit_hooks else []
    if not hooks:
        return
    left = _Left(graph, held, hooks, limit_of=limit_of, budget=budget)
    for caller, edge in hooks:
        for number in bits(waits.taken(edge)):
            budget.check(Part.DEADLOCKS)
            if limited(held.names[number], limit_of):
                certain = argo.leaves_exit_hooks and left.hangs_surely(caller, edge, number)
                yield LeftLock(caller, edge, number, limit_of(held.names[number]), certain)


class _Left:
    """Counts how many holders of a lock every run leaves behind."""

    def __init__(
        self,
        graph: Graph,
        held: HeldAbove,
        hooks: list[tuple[TemplateNode, Edge]],
        *,
        limit_of: LimitOf,
        budget: Budget,
    ) -> None:
        self._graph, self._held, self._limit_of, self._budget = graph, held, limit_of, budget
        self._callees = callees_in(held.own, budget, certain=True)
        self._order = in_order(graph.root, self._callees, budget)
        self._sure = {node for part in self._order for node in part}
        self._hooks = [
            (caller, edge) for caller, edge in hooks if caller in self._sure and edge.reference.certain
        ]
        self._counted = frozenset(self._hooks)
        self._exceeded: dict[int, bool] = {}

    def hangs_surely(self, caller: TemplateNode, edge: Edge, number: int) -> bool:
        """Return whether every run whose work succeeds waits for ever for a lock that a hook keeps."""
        if (caller, edge) not in self._counted or not self._surely_takes(edge, number):
            return False
        if self._limit_of(self._held.names[number]) == 1:
            return True
        if number not in self._exceeded:
            self._exceeded[number] = self._limit_exceeded(number)
        return self._exceeded[number]

    def _surely_takes(self, edge: Edge, number: int) -> bool:
        """Return whether a hook takes a lock whenever it runs."""
        seen, work = {edge.target}, [edge.target]
        while work:
            node = work.pop()
            self._budget.check(Part.DEADLOCKS)
            if node is None:
                continue
            if self._held.own_certain[node] & 1 << number:
                return True
            new = [other for other in callees_of(node, certain=True) if other not in seen]
            seen.update(new)
            work += new
        return False

    def _limit_exceeded(self, number: int) -> bool:
        """Return whether a path holds so many, and hooks below it keep so many, that none is left."""
        limit = self._limit_of(self._held.names[number])
        counted = certain_counts(self._graph, self._held, number, self._budget)
        if limit is None or counted is None:
            return False
        kept: dict[TemplateNode, int] = {}
        for caller, edge in self._hooks:
            kept[caller] = kept.get(caller, 0) + self._surely_takes(edge, number)
        below: dict[TemplateNode, int] = {}
        for part in paced(self._order[::-1], self._budget, Part.DEADLOCKS):
            for node in part:
                once = {} if recursive(part, self._callees) else _times(node)
                below[node] = kept.get(node, 0) + sum(
                    times * below.get(other, 0) for other, times in once.items()
                )
        return any(
            kept_below and counted.counts.get(node, 0) + kept_below >= limit
            for node, kept_below in below.items()
        )


def _times(node: TemplateNode) -> Mapping[TemplateNode, int]:
    """Return what a node calls whenever it runs, and how often at least."""
    written: dict[str, int] = {}
    for edge in node.calls:
        written[edge.reference.pointer] = written.get(edge.reference.pointer, 0) + 1
    found: dict[TemplateNode, int] = {}
    for edge in node.calls:
        reference = edge.reference
        if edge.target is None or not reference.certain or reference.via is Via.ROOT:
            continue  # The templates of an object for others do not run together.
        times = 1
        if reference.loop is not None and not reference.beside and written[reference.pointer] == 1:
            times = items_in(reference.loop) or 1
        found[edge.target] = found.get(edge.target, 0) + times
    return found
