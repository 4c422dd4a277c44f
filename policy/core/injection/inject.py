"""How locks get into an object of any kind: single locks become lists, then the locks of rules are added.

Nearly always a template is edited in place (`in_place`, strategy Direct). Where callers differ, where a lock
has to be outside of another, and where a template belongs to another object, `per_call` does it. Only fields
that the installed Argo knows are written.
"""

from collections.abc import Sequence

import msgspec

from policy.core.decision.decision import Code
from policy.core.injection.in_place import inject_in_place
from policy.core.injection.injection_result import NOTHING, Injected
from policy.core.injection.per_call import inject_per_call
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.singular_to_lists import any_single, convert, converted_text
from policy.core.injection.spared_hooks import inject_sparing_hooks
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.template_bodies import TemplateBody, calls
from policy.core.lock_model.template_pods import pod_differs
from policy.core.objects.json_patch import PatchOp
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import WorkflowSpec
from policy.core.values.budget import Part, paced


class InjectedSpec(msgspec.Struct, frozen=True):
    """What is injected, and the spec that it is injected into: with lists in place of single locks.

    `patch` has the operations of both.
    """

    spec: WorkflowSpec
    found: Sequence[TemplateBody]
    patch: tuple[PatchOp, ...]
    injected: Injected


def convert_and_inject(spec: WorkflowSpec, rulebook: Rulebook, reviewed: ReviewedObject) -> InjectedSpec:
    """Return what policies put into a spec."""
    locks = rulebook.locks
    found = locks.relevant_bodies(spec, reviewed.at, reviewed.view, rulebook.budget)
    conversion: tuple[PatchOp, ...] = ()
    if any_single(spec, found) and rulebook.converts_singular:
        spec, conversion = convert(spec, reviewed.at)
        found = locks.relevant_bodies(spec, reviewed.at, reviewed.view, rulebook.budget)
        if locks.structural:  # Copies of templates are made from the text.
            reviewed = msgspec.structs.replace(reviewed, raw=converted_text(reviewed.raw, conversion))
    injected = inject(spec, found, rulebook, reviewed)
    return InjectedSpec(spec, found, conversion + injected.patch, injected)


def inject(
    spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook, reviewed: ReviewedObject
) -> Injected:
    """Return how the rules of the active policies change the templates of an object."""
    if not rulebook.locks.rules:
        return NOTHING
    return inject_sparing_hooks(lambda each: _put(spec, found, rulebook, each), spec, rulebook, reviewed)


def _put(
    spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook, reviewed: ReviewedObject
) -> Injected:
    locks = rulebook.locks
    if locks.structural or _callers_matter(found, rulebook, reviewed):
        return inject_per_call(spec, rulebook, reviewed)
    injected = _inject_in_place(spec, found, rulebook, reviewed)
    if injected.faults and any(fault.code is Code.LOCK_CONFLICT for fault in injected.faults):
        # Argo before 3.6 holds one lock a template; the others go around it.
        return inject_per_call(spec, rulebook, reviewed)
    return injected


def _inject_in_place(
    spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook, reviewed: ReviewedObject
) -> Injected:
    """Return what is injected in place: found out once, where it follows from shared templates alone."""
    templates, locks = spec.templates, rulebook.locks
    if (
        not isinstance(templates, SharedTemplates)
        or spec.synchronization is not None
        or spec.template_defaults is not None
        or locks.conditional
        or locks.selects_pod_fields
        or reviewed.view.sets_pods
        or len(rulebook.policies) != len(locks.policies)
        or rulebook.discreet
        or rulebook.lenient
        or reviewed.spared
        # The Pods of such templates may depend on arguments.
        or templates.once((pod_differs, reviewed.at), lambda: _any_pod_differs(found))
    ):
        return inject_in_place(spec, found, rulebook, reviewed)
    key = (inject_in_place, locks.caches.version, reviewed.at)
    return templates.once(key, lambda: inject_in_place(spec, found, rulebook, reviewed))


def _any_pod_differs(found: Sequence[TemplateBody]) -> bool:
    return any(pod_differs(place.template, all_fields=True) for place in found)


def _callers_matter(found: Sequence[TemplateBody], rulebook: Rulebook, reviewed: ReviewedObject) -> bool:
    """Return whether a DAG or steps may hold a lock of a rule, or call templates of other objects."""
    locks = rulebook.locks
    callers = [
        place
        for place in found
        if (place.template.dag is not None or place.template.steps is not None)
        and (locks.on_callers or place.has_complex_calls or place.template.synchronization is not None)
    ]
    for place in paced(callers, rulebook.budget, Part.INJECTION) if callers else ():
        template = place.template
        if locks.on_callers and locks.rules_for(template):
            return True
        if template.synchronization is not None and locks.lock_names & held_locks(
            template.synchronization, locks.namespace
        ):
            return True
        if place.has_complex_calls and any(
            call.template_ref is not None and reviewed.find(call.template_ref) is not None
            for call, _ in calls(template, place.pointer)
        ):
            return True
    return False
