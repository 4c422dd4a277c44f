"""Objects that need no graph: no lock is held above another, and all that they call exists and takes none."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from policy.core.lock_graph.namespace_index import NamespaceIndex
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_model.block_locks import texts_of
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.template_keys import key_of, known_key
from policy.core.objects.workflow import Call, Hook, Synchronization, Template, TemplateRef
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced


def is_plain(
    owner: TemplateOwner,
    found: Sequence[TemplateBody],
    index: NamespaceIndex,
    changed: Collection[str] = (),
    budget: Budget = UNBOUNDED,
) -> bool:
    """Tell whether the graph of an object would show nothing.

    `found` has all bodies with locks or calls, `changed` the pointers of those that locks are put on.
    """
    spec = owner.spec
    if owner.locks_runs:
        return False
    names: Mapping[str, int] = owner.numbers
    ref = spec.workflow_template_ref
    if ref is not None and not owner.is_template:
        if not index.is_all_quiet(key_of(ref, index.namespace)) or spec.entrypoint or spec.on_exit:
            return False
    elif (spec.entrypoint and spec.entrypoint not in names) or (spec.on_exit and spec.on_exit not in names):
        return False
    if spec.hooks and not _hooks_plain(spec.hooks.values(), names, index):
        return False
    return all(_body_plain(place, names, index, changed) for place in paced(found, budget, Part.GRAPH))


def _body_plain(
    place: TemplateBody, names: Mapping[str, int], index: NamespaceIndex, changed: Collection[str]
) -> bool:
    template = place.template
    calls = template.dag is not None or template.steps is not None
    if template.synchronization is not None and (calls or _parameterised(template.synchronization)):
        return False
    if not calls:
        return True
    if place.pointer in changed:
        return False
    for call in _calls(template):
        if call.hooks is None and call.template in names and not call.on_exit and call.template_ref is None:
            continue  # Nearly all calls are of this kind.
        if not _call_plain(call, names, index):
            return False
    return True


def _calls(template: Template) -> Iterable[Call]:
    if template.dag is not None:
        return template.dag.tasks or ()
    return (step for group in template.steps or () for step in group)


def _call_plain(call: Call, names: Mapping[str, int], index: NamespaceIndex) -> bool:
    if call.template_ref is not None:
        if not _ref_plain(call.template_ref, index):
            return False
    elif call.inline is None and call.template not in names:
        return False
    if call.on_exit and call.on_exit not in names:
        return False
    return call.hooks is None or _hooks_plain(call.hooks.values(), names, index)


def _hooks_plain(hooks: Iterable[Hook], names: Mapping[str, int], index: NamespaceIndex) -> bool:
    return all(
        _ref_plain(hook.template_ref, index) if hook.template_ref is not None else hook.template in names
        for hook in hooks
    )


def _ref_plain(ref: TemplateRef, index: NamespaceIndex) -> bool:
    key = known_key(ref, index.namespace)
    return key is not None and ref.template is not None and index.is_quiet(key, ref.template)


def _parameterised(block: Synchronization) -> bool:
    return any("{{" in text for text in texts_of(block))
