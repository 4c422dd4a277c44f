"""Where no lock is put, because a hook would wait for it for ever.

A rule may select a DAG task and its hook alike, or what is only the exit hook of items. With the lock on
both, or on the latter, Argo would never get on (`lock_graph.hook_waits`, `lock_graph.left_locks`). So the
hook is left without it; where its lock is the user's own, the task is. The graph of what would be injected
shows it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from policy.core.injection.injection_result import Injected, skipped_as
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.graph_findings import added_by
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_graph.held_above import HeldAbove, bits, callees_of, held_in
from policy.core.lock_graph.hook_waits import HookWaits, Wait, items_in
from policy.core.lock_graph.loop_items import loops
from policy.core.lock_graph.references import EXIT_EVENT
from policy.core.lock_graph.run_sources import TemplateOwner, template_owner
from policy.core.lock_graph.template_graph import Edge, Graph, TemplateNode, build_graph
from policy.core.lock_model.generated_names import base_name
from policy.core.lock_model.semaphore_definitions import LimitOf, limit_lookup
from policy.core.lock_model.when_conditions import without_condition
from policy.core.objects.json_patch import PatchOp, field_path, patched
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import Call, Template, WorkflowSpec
from policy.core.values.budget import STEPS, Budget, Part

_MOST_ROUNDS: Final = 5
"""Times that injection is tried; each time more hooks are left without a lock."""


def inject_sparing_hooks(
    put: Callable[[ReviewedObject], Injected],
    spec: WorkflowSpec,
    rulebook: Rulebook,
    reviewed: ReviewedObject,
) -> Injected:
    """Return what `put` injects, without the locks that hooks would wait for for ever."""
    injected = put(reviewed)
    if not injected.locks or not _any_hook_waits(spec, rulebook.budget):
        return injected
    spared: dict[tuple[str, str], str] = {}
    for _ in range(_MOST_ROUNDS):
        found = _conflicts(injected, spec, rulebook, reviewed)
        if not found:
            break
        spared.update(found)
        injected = put(msgspec.structs.replace(reviewed, spared=spared))
    told = [skipped_as(name, lock, why) for (name, lock), why in spared.items()]
    return msgspec.structs.replace(injected, warnings=(*injected.warnings, *told))


def _any_hook_waits(spec: WorkflowSpec, budget: Budget) -> bool:
    """Return whether a DAG has a hook, or an exit hook of items: nearly none has."""
    templates = spec.templates or ()
    if isinstance(templates, SharedTemplates):
        return templates.once(_any_of, lambda: _any_of(templates, budget))
    return _any_of(templates, budget)


def _any_of(templates: Iterable[Template], budget: Budget) -> bool:
    for number, template in enumerate(templates):
        if not number % STEPS:
            budget.check(Part.INJECTION)
        if _hook_waits(template):
            return True
    return False


def _hook_waits(template: Template) -> bool:
    tasks: Iterable[Call] = (template.dag.tasks if template.dag is not None else None) or ()
    steps = (step for group in template.steps or () for step in group)
    for task in tasks:
        if task.hooks and (loops(task) or any(event != EXIT_EVENT for event in task.hooks)):
            return True
        if task.on_exit and loops(task):
            return True
    return any(call.inline is not None and _hook_waits(call.inline) for call in (*tasks, *steps))


def _conflicts(
    injected: Injected, spec: WorkflowSpec, rulebook: Rulebook, reviewed: ReviewedObject
) -> dict[tuple[str, str], str]:
    """Return the injected locks of hooks that would wait for them, or of what these hooks would wait for."""
    graph = _graph_after(injected.patch, spec, rulebook, reviewed)
    if graph is None:
        return {}
    namespace, budget = rulebook.locks.namespace, rulebook.budget
    limit_of = limit_lookup(rulebook.locks.definitions, only=namespace if rulebook.closed_by else None)
    held = held_in(graph, budget)
    waits = HookWaits(graph, held, limit_of, budget)
    placed = {(each.template, without_condition(each.lock)) for each in injected.locks}
    found: dict[tuple[str, str], str] = {}
    for number, edge, others, reason in _waiting(waits, held, limit_of, rulebook):
        name = held.names[number]
        takers = {(key, name) for key in _takers((edge,), number, held, budget)} & placed
        holders = {(key, name) for key in _takers(others, number, held, budget)} & placed
        found.update(dict.fromkeys(sorted(takers), reason))
        if not takers:
            found.update(dict.fromkeys(sorted(holders), f"the {_hook(edge)} would wait for it for ever"))
    return found


def _graph_after(
    patch: Sequence[PatchOp], spec: WorkflowSpec, rulebook: Rulebook, reviewed: ReviewedObject
) -> Graph | None:
    """Return the graph of an object after a patch of its locks, or of its templates."""
    namespace, budget = rulebook.locks.namespace, rulebook.budget
    find = reviewed.library.find(namespace)
    added = added_by(patch, namespace)
    if added is not None:
        return build_graph(_owner(spec, reviewed), find, namespace, added=added, budget=budget)
    changed = _spec_after(patch, reviewed)
    return None if changed is None else build_graph(_owner(changed, reviewed), find, namespace, budget=budget)


def _owner(spec: WorkflowSpec, reviewed: ReviewedObject) -> TemplateOwner:
    return template_owner(reviewed.kind, reviewed.name, spec, reviewed.at)


def _spec_after(patch: Sequence[PatchOp], reviewed: ReviewedObject) -> WorkflowSpec | None:
    try:
        whole: Any = patched(msgspec.json.decode(reviewed.raw), patch)
        for part in reviewed.at.strip("/").split("/"):
            whole = whole[part]
        return msgspec.convert(whole, WorkflowSpec)
    except (LookupError, TypeError, ValueError):
        return None  # The text is not known, or it is no Workflow: nothing is shown.


def _waiting(
    waits: HookWaits, held: HeldAbove, limit_of: LimitOf, rulebook: Rulebook
) -> Iterator[tuple[int, Edge, Sequence[Edge], str]]:
    """Yield each lock that a hook would wait for: its number, the hook, who holds it then, and why not."""
    for wait in waits.waits:
        for number in bits(wait.held & waits.taken(wait.edge)):
            if wait.wait is Wait.TASK or (
                wait.wait is Wait.ITEMS and limit_of(held.names[number]) in (None, 1)
            ):
                yield (
                    number,
                    wait.edge,
                    tuple(wait.holders()),
                    f"as the {_hook(wait.edge)} it would wait for it for ever",
                )
    for _, edge in waits.item_hooks() if rulebook.locks.argo.may_leave_exit_hooks else ():
        loop = edge.reference.loop
        items = items_in(loop) if loop is not None else None
        for number in bits(waits.taken(edge)):
            limit = limit_of(held.names[number])
            if limit is None or items is None or items >= limit:
                why = f"as the {_hook(edge)}, which has items, it would never give it back"
                yield number, edge, (), why


def _hook(edge: Edge) -> str:
    reference = edge.reference
    kind = "exit hook" if reference.name in (EXIT_EVENT, "onExit") else f'hook "{reference.name}"'
    return f'{kind} of the task "{reference.of}"'


def _takers(edges: Iterable[Edge], number: int, held: HeldAbove, budget: Budget) -> Iterator[str]:
    """Yield the templates behind calls that take a lock."""
    work = [edge.target for edge in edges if edge.target is not None]
    seen: set[TemplateNode] = set(work)
    while work:
        node = work.pop()
        budget.check(Part.INJECTION)
        if held.own[node] & 1 << number:
            yield base_name(node.template.name or "") or field_path(node.pointer)
        for other in callees_of(node, certain=False):
            if other not in seen:
                seen.add(other)
                work.append(other)
