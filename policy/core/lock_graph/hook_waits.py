"""Which locks are held while a hook waits, and given back only when it is over; and those never given back.

Argo gives locks back while it goes through tasks, steps and items in order, and a hook that is not over ends
that early (seen on Argo 4.1.2). The locks of a DAG task and of all below it stay held until its hooks are
over, so do those of later items until the exit hook of an item is, and those of later steps' hooks until the
hooks of earlier steps are. The exit hook of a DAG task is run for its items and then for all of them
together, and Argo looks no more at the last item's then: its locks stay held until the Workflow ends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import islice

import msgspec

from policy.core.lock_graph.cycles import shortest_path
from policy.core.lock_graph.held_above import HeldAbove, bits, callees_in, callees_of, in_order
from policy.core.lock_graph.lock_order import Nested
from policy.core.lock_graph.loop_items import MAX_ITEMS, items_of
from policy.core.lock_graph.references import Via
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode, called_as
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.objects.workflow import Call
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced


class Wait(Enum):
    """Who holds what a hook waits for."""

    TASK = auto()
    ITEMS = auto()
    STEPS = auto()


class HookWait(msgspec.Struct, frozen=True):
    """That the hook `edge` of `caller` waits while the locks `held` are not given back.

    They are held behind the calls `own` and the first `count` of `others`, which several waits share.
    """

    wait: Wait
    caller: TemplateNode
    edge: Edge
    held: int
    own: tuple[Edge, ...]
    others: Sequence[Edge] = ()
    count: int = 0

    def holders(self) -> Iterator[Edge]:
        """Yield the calls behind which the locks are held."""
        yield from self.own
        yield from islice(self.others, self.count)


class HookWaits:
    """The hooks of one graph that wait while others hold locks, and what is taken below each node."""

    def __init__(self, graph: Graph, held: HeldAbove, limit_of: LimitOf, budget: Budget = UNBOUNDED) -> None:
        self._graph, self._held, self._limit_of, self._budget = graph, held, limit_of, budget
        self._callers = [
            node
            for node in paced(graph.nodes, budget, Part.DEADLOCKS)
            if any(edge.reference.beside for edge in node.calls)
        ]
        self._below = self._taken_below() if self._callers else {}
        self.waits: Sequence[HookWait] = [wait for node in self._callers for wait in self._of(node)]

    def taken(self, edge: Edge) -> int:
        """Return the locks that are taken by what a call runs, and by all below it."""
        return self._below.get(edge.target, 0) if edge.target is not None else 0

    def item_hooks(self) -> Iterator[tuple[TemplateNode, Edge]]:
        """Yield the exit hooks of DAG tasks with items, each once, with the DAG."""
        for node in self._callers:
            seen: set[str] = set()
            for edge in node.calls if node.template.dag is not None else ():
                if is_item_hook(edge) and edge.reference.pointer not in seen:
                    seen.add(edge.reference.pointer)
                    yield node, edge

    def nested(self) -> Iterator[Nested]:
        """Yield the pairs of a lock that is held while a hook waits, and one that the hook may wait for."""
        names = self._held.names
        for wait in self.waits:
            above = frozenset(names[each] for each in bits(self._held.always.get(wait.caller, 0)))
            taken = self.taken(wait.edge)
            outer = wait.held & ~taken  # The hook waits for those themselves.
            for inner in bits(taken if outer else 0):
                self._budget.check(Part.DEADLOCKS)
                taker = taker_below(wait.edge, inner, self._held)
                for each in bits(outer):
                    pointer = next(lock.pointer for lock in taker.locks if lock.name == names[inner])
                    yield Nested(names[each], names[inner], above, taker.owner, pointer, called_as(taker))

    def _taken_below(self) -> Mapping[TemplateNode, int]:
        """Return the locks that each node takes, with those of all below it."""
        callees = callees_in(self._held.own, self._budget, certain=False)
        found: dict[TemplateNode, int] = {}
        order = in_order(self._graph.root, callees, self._budget)
        for part in paced(order[::-1], self._budget, Part.DEADLOCKS):
            mask = 0
            for node in part:
                mask |= self._held.own[node]
                for other in callees[node]:
                    mask |= found.get(other, 0)
            found.update(dict.fromkeys(part, mask))
        return found

    def _of(self, node: TemplateNode) -> Iterator[HookWait]:
        calls: dict[str, list[Edge]] = {}
        hooks: dict[str, list[Edge]] = {}
        for edge in paced(node.calls, self._budget, Part.DEADLOCKS):
            if edge.reference.via in (Via.TASK, Via.STEP):
                calls.setdefault(edge.reference.pointer, []).append(edge)
            elif edge.reference.beside and self.taken(edge):
                hooks.setdefault(edge.reference.beside, []).append(edge)
        if node.template.dag is None:
            yield from self._of_steps(node, hooks)
            return
        for beside, those in hooks.items():
            own = calls.get(beside, [])
            for edge in those:
                if edge.reference.via is Via.HOOK:
                    yield from self._of_task(node, edge, own, those)
                elif edge.reference.loop is not None and items_in(edge.reference.loop) != 1:
                    yield from self._of_items(node, edge, own)

    def _of_task(
        self, node: TemplateNode, edge: Edge, own: Sequence[Edge], hooks: Sequence[Edge]
    ) -> Iterator[HookWait]:
        """Yield the hook of a DAG task: it is over before Argo looks at what the task runs."""
        reference, mask = edge.reference, 0
        holders = [each for each in own if each.target is not None and not each.target.template.daemon]
        if not reference.late:
            if reference.loop is not None:  # The exit hooks of its items run while it does.
                holders += [each for each in hooks if each.reference.via is Via.EXIT]
            mask = self._taken_by(holders)
        elif reference.loop is None:
            for each in holders:
                mask |= self._held.own[each.target] if each.target and _held_when_over(each.target) else 0
        if mask:
            yield HookWait(Wait.TASK, node, edge, mask, tuple(holders))

    def _of_items(self, node: TemplateNode, edge: Edge, own: Sequence[Edge]) -> Iterator[HookWait]:
        """Yield the exit hook of an item: it is over before Argo looks at the items after it."""
        mask = self._taken_by(own)
        if len(own) == 1 and own[0].target is not None:
            # All items take the same locks, so a mutex one after the other.
            mask &= ~self._single(self._held.own[own[0].target])
        yield HookWait(Wait.ITEMS, node, edge, mask | self.taken(edge), (edge, *own))

    def _single(self, mask: int) -> int:
        """Return the locks of a set that one alone can hold."""
        found = 0
        for number in bits(mask):
            if self._limit_of(self._held.names[number]) == 1:
                found |= 1 << number
        return found

    def _of_steps(self, node: TemplateNode, hooks: Mapping[str, list[Edge]]) -> Iterator[HookWait]:
        """Yield the hooks of steps: each is over before Argo looks at those of the steps after it."""
        group, later, mask = "", list[Edge](), 0
        for beside, own in reversed(list(hooks.items())):
            if beside.rpartition("/")[0] != group:
                group, later, mask = beside.rpartition("/")[0], [], 0
            loop, taken = own[0].reference.loop, self._taken_by(own)
            many = loop is not None and items_in(loop) != 1
            held, same = (mask | taken, tuple(own)) if many else (mask, ())
            for edge in own if held else ():
                if edge.reference.via is Via.HOOK:
                    yield HookWait(Wait.STEPS, node, edge, held, same, later, len(later))
            later += own
            mask |= taken

    def _taken_by(self, edges: Iterable[Edge]) -> int:
        mask = 0
        for edge in edges:
            mask |= self.taken(edge)
        return mask


def is_item_hook(edge: Edge) -> bool:
    """Return whether a call is the exit hook of a task or step with items."""
    return edge.reference.via is Via.EXIT and edge.reference.loop is not None and bool(edge.reference.beside)


def items_in(loop: Call) -> int | None:
    """Return how many items a loop has, None where it is not known, or they are very many."""
    if isinstance(loop.with_items, list):
        return len(loop.with_items)
    items = items_of(loop, {})
    count = None if items is None else sum(1 for _ in islice(items, MAX_ITEMS + 1))
    return count if count is None or count <= MAX_ITEMS else None


def taker_below(edge: Edge, number: int, held: HeldAbove) -> TemplateNode:
    """Return the nearest node behind a call that takes a lock.

    Raises:
        LookupError: there is none.
    """
    found = path_to_taker(edge, number, held)
    if not found:
        raise LookupError(held.names[number])
    return found[-1]


def path_to_taker(edge: Edge, number: int, held: HeldAbove) -> list[TemplateNode]:
    """Return the shortest path from what a call runs to a node that takes a lock; empty if none does."""
    bit, first = 1 << number, edge.target
    if first is None:
        return []
    if held.own[first] & bit:
        return [first]
    path = shortest_path(
        first, lambda each: bool(held.own[each] & bit), lambda each: callees_of(each, certain=False)
    )
    return path or []


def _held_when_over(node: TemplateNode) -> bool:
    """Return whether the locks of a body that is over are held until Argo looks at its task: those of a Pod.

    What Argo itself ends gives them back at once: DAGs, steps, suspensions, and whatever it would retry.
    """
    template, defaults = node.template, node.owner.spec.template_defaults
    retried = template.retry_strategy is not None or (
        defaults is not None and defaults.retry_strategy is not None
    )
    return template.dag is None and template.steps is None and template.suspend is None and not retried
