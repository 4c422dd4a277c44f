"""The sentence about a deadlock: what holds the lock, what takes it again, on which path, and what to do."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.cycles import shortest_path
from policy.core.lock_graph.held_above import HeldAbove, callees_of
from policy.core.lock_graph.hook_waits import HookWait, Wait, path_to_taker
from policy.core.lock_graph.left_locks import LeftLock
from policy.core.lock_graph.lock_order import Nested
from policy.core.lock_graph.references import Via
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode, called_as
from policy.core.lock_model.parameters import as_written
from policy.core.objects.argo_version import ArgoVersion

_Callers: TypeAlias = Mapping[TemplateNode, Sequence[TemplateNode]]
_MOST_CALLS: Final = 30
"""Calls of a path that are written out; of a longer one the first and the last."""

_MOST_NAMES: Final = 10
_OF_TASK: Final = "Argo gives back the locks of a DAG task and of all below it only after its hooks are over"
_OF_ITEMS: Final = (
    "Argo gives back the locks of later items only after the exit hook of an earlier one is over"
)
_OF_STEPS: Final = (
    "Argo gives back the locks of later steps' hooks only after the hooks of earlier steps are over"
)


class TakenAgain(msgspec.Struct, frozen=True):
    """A lock, by number, that a node takes below a holder of it; its limit, None where that is not shown.

    Of a limit above 1, `path` leads over as many holders as there may be, and one more.
    """

    node: TemplateNode
    number: int
    limit: int | None
    certain: bool
    path: tuple[TemplateNode, ...] = ()


class DeadlockDescriber:
    """Describes the deadlocks of one graph; the callers of its nodes are found out once."""

    def __init__(self, graph: Graph, held: HeldAbove) -> None:
        self._graph, self._held = graph, held
        self._callers: dict[bool, _Callers] = {}

    def sentence(self, taken: TakenAgain) -> str:
        """Return the sentence about a lock that is taken again below its holder."""
        node, bit, held = taken.node, 1 << taken.number, self._held
        if taken.path:
            return _used_up(taken, held)
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


def _used_up(taken: TakenAgain, held: HeldAbove) -> str:
    """Return the sentence about a semaphore of which the path to a node takes more than there is."""
    bit, name = 1 << taken.number, as_written(held.names[taken.number])
    holders = list(dict.fromkeys(called_as(each) for each in taken.path[:-1] if held.own[each] & bit))
    limit = "" if taken.limit is None else f" {taken.limit}"
    return (
        f"{called_as(taken.node)} takes {name}, of which {_listed(holders)} above it hold all{limit}: "
        f"it waits for itself for ever ({_written(taken.path, bit, held)}). "
        f"Take it once on this path: at {_listed([*holders, called_as(taken.node)], 'or')}"
    )


def _listed(names: Sequence[str], word: str = "and") -> str:
    """Return names in words; of many the first, and how many more there are."""
    if len(names) > _MOST_NAMES:
        names = [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


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


def describe_wait(
    wait: HookWait, number: int, taker: TemplateNode, limit: int | None, held: HeldAbove
) -> str:
    """Return the sentence about a hook that waits for a lock which is held until the hook is over."""
    holder, edge = next(
        (path[-1], each) for each in wait.holders() if (path := path_to_taker(each, number, held))
    )
    what = f"{called_as(taker)} takes {as_written(held.names[number])} {_as_hook(wait.edge, taker)}"
    who, fix = called_as(holder), _either(holder, taker)
    if wait.wait is Wait.TASK:
        where = "" if holder is edge.target else ", below that task,"
        why, more = f"{what}, which {who}{where} may hold: {_OF_TASK}", _exit_instead(wait.edge)
    elif wait.wait is Wait.ITEMS:
        why, more = f"{what}, which {who} may hold for another item: {_OF_ITEMS}", ", or loop in steps"
    else:
        why = f"{what}, which {who} ({_hook_of(edge)}) may hold: {_OF_STEPS}"
        fix, more = "Put the steps into different groups", ", or take the lock in one of their hooks only"
    return f"{why}, so {_hook_outcome(limit)}. {fix}{more}"


def describe_left(
    left: LeftLock, taker: TemplateNode, name: str, limit: int | None, argo: ArgoVersion
) -> str:
    """Return the sentence about a lock that the exit hook of a task with items keeps."""
    since = "" if argo.leaves_exit_hooks else " from 3.7.17 and 4.0.8 on"
    if left.limit == 1:
        then = "that waits for it for ever"
    elif limit is None:
        then = "with a limit of 1, or with enough runs at once, that waits for it for ever"
    elif left.certain:
        then = f"as every run keeps all {limit} in this way, that waits for ever"
    else:
        then = f"once {limit} are kept in this way, that waits for ever"
    return (
        f"{called_as(taker)} takes {as_written(name)} {_as_hook(left.edge, taker)}, which has items: "
        f"Argo{since} never gives back the lock of the last item's exit hook, and runs the hook once more "
        f"for all items together; {then}. Take no lock in this hook, loop in steps instead of a DAG, or let "
        "the task call a template of steps that has the work and the exit hook"
    )


def _as_hook(edge: Edge, taker: TemplateNode) -> str:
    """Return which hook it is that takes a lock, or below which."""
    return f"{'as' if edge.target is taker else 'below'} the {_hook_of(edge)}"


def _hook_of(edge: Edge) -> str:
    kind = "exit hook" if edge.reference.via is Via.EXIT else f'hook "{edge.reference.name}"'
    owner = "task" if edge.reference.beside.rsplit("/", 2)[-2] == "tasks" else "step"
    return f'{kind} of the {owner} "{edge.reference.of}"'


def _exit_instead(edge: Edge) -> str:
    name = edge.reference.of if edge.reference.loop is None else ""
    return name and f', or use the exit hook of "{name}", which starts after the lock is given back'


def _either(holder: TemplateNode, taker: TemplateNode) -> str:
    if holder is taker:
        return "Let the hook call a template without this lock"
    return f"Take it at {called_as(holder)} or at {called_as(taker)}, not at both"


def _hook_outcome(limit: int | None) -> str:
    if limit == 1:
        return "where the hook starts while it is held, they wait for each other for ever"
    if limit is None:
        return "with a limit of 1, or with enough runs at once, they wait for each other for ever"
    return f"once {limit} are held and each waits for one more, all wait for ever"
