"""Which objects need no graph: they nest no locks, and all that they call exists and takes none.

A hook may wait for what others hold, so an object with hooks needs one where anything takes a lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from policy.core.lock_graph.loop_items import loops
from policy.core.lock_graph.references import EXIT_EVENT
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_library import NamespaceIndex
from policy.core.lock_model.lock_names import held_locks, parameterised
from policy.core.lock_model.template_bodies import TemplateBody, calls_none
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.template_keys import key_of, known_key
from policy.core.objects.workflow import Call, Hook, Template, TemplateRef
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced


def needs_no_graph(
    owner: TemplateOwner,
    found: Sequence[TemplateBody],
    index: NamespaceIndex,
    changed: Collection[str] = (),
    budget: Budget = UNBOUNDED,
) -> bool:
    """Return whether the graph of an object would show nothing.

    `found` has all bodies with locks or calls, `changed` the pointers of those that locks are put on.
    """
    spec = owner.spec
    if owner.locks_runs:
        return False
    names: Mapping[str, int] = owner.numbers
    ref = spec.workflow_template_ref
    if ref is not None:
        if (
            owner.is_template
            or not index.object_takes_no_lock(key_of(ref, index.namespace))
            or spec.entrypoint
            or spec.on_exit
        ):
            return False
    elif (spec.entrypoint and spec.entrypoint not in names) or (spec.on_exit and spec.on_exit not in names):
        return False
    if spec.hooks and not _hooks_take_none(spec.hooks.values(), names, index):
        return False
    templates, plain = spec.templates, frozenset[str]()
    if isinstance(templates, SharedTemplates):
        plain = templates.once((_plain_callers, owner.at), lambda: _plain_callers(found, names))
    locked = bool(changed) or any(body.template.synchronization is not None for body in found)
    return all(
        _body_needs_none(body, names, index, changed, plain=plain, locked=locked)
        for body in paced(found, budget, Part.GRAPH)
    )


def _plain_callers(found: Iterable[TemplateBody], names: Mapping[str, int]) -> frozenset[str]:
    """Return the pointers of bodies all of whose calls are plain: it follows from the templates alone."""
    return frozenset(
        body.pointer
        for body in found
        if not calls_none(body.template) and all(_is_plain(call, names) for call in _calls(body.template))
    )


def _is_plain(call: Call, names: Mapping[str, int]) -> bool:
    """Return whether a call is as nearly all calls are: of a template of the object, by its name."""
    return call.hooks is None and call.template in names and not call.on_exit and call.template_ref is None


def _body_needs_none(
    body: TemplateBody,
    names: Mapping[str, int],
    index: NamespaceIndex,
    changed: Collection[str],
    *,
    plain: Collection[str],
    locked: bool,
) -> bool:
    template, block = body.template, body.template.synchronization
    if template.dag is None and template.steps is None:
        return block is None or not any(map(parameterised, held_locks(block, "")))
    if block is not None or body.pointer in changed:
        return False
    if body.pointer in plain:
        return True
    for call in _calls(template):
        if _is_plain(call, names):
            continue
        if (locked and _hooks_wait(call)) or not _call_takes_none(call, names, index):
            return False
    return True


def _hooks_wait(call: Call) -> bool:
    """Return whether a hook may wait for what is held until it is over: not an exit hook without items."""
    return loops(call) or any(event != EXIT_EVENT for event in call.hooks or ())


def _calls(template: Template) -> Iterable[Call]:
    if template.dag is not None:
        return template.dag.tasks or ()
    return (step for group in template.steps or () for step in group)


def _call_takes_none(call: Call, names: Mapping[str, int], index: NamespaceIndex) -> bool:
    if call.template_ref is not None:
        if not _ref_takes_none(call.template_ref, index):
            return False
    elif call.inline is None and call.template not in names:
        return False
    if call.on_exit and call.on_exit not in names:
        return False
    return call.hooks is None or _hooks_take_none(call.hooks.values(), names, index)


def _hooks_take_none(hooks: Iterable[Hook], names: Mapping[str, int], index: NamespaceIndex) -> bool:
    return all(
        _ref_takes_none(hook.template_ref, index) if hook.template_ref is not None else hook.template in names
        for hook in hooks
    )


def _ref_takes_none(ref: TemplateRef, index: NamespaceIndex) -> bool:
    key = known_key(ref, index.namespace)
    return key is not None and ref.template is not None and index.takes_no_lock(key, ref.template)
