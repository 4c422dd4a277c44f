"""What is put into an object of any kind: single locks as lists, then the locks of rules on its templates.

Nearly always a template is edited in place (strategy Direct): the patch adds what is missing and replaces
nothing. Where callers differ, where a lock has to stand outside of another, and where a template belongs to
another object, `per_call` does it. What is there already is left alone, so a second pass gives no operation.
 Only fields that the installed Argo knows are written.
"""

from collections.abc import Sequence

import msgspec

from policy.core.decision.decision import Code, Injection, Reason
from policy.core.injection.block_patch import additions
from policy.core.injection.effective_rules import effective_rules, locks_of, why_not_put
from policy.core.injection.injection_result import (
    NOTHING,
    Injected,
    Notes,
    faults_of,
    put_on,
    skipped,
    template_name,
)
from policy.core.injection.per_call import arranged
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.singular_to_lists import any_single, convert, converted_text, converts
from policy.core.lock_checks.rulebook import MAX_FAULTS, Rulebook
from policy.core.lock_model.block_locks import own_locks
from policy.core.lock_model.lock_names import NO_LOCKS, held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy, CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody, calls
from policy.core.objects.json_patch import PatchOp
from policy.core.objects.workflow import WorkflowSpec
from policy.core.values.budget import Part, paced


class Put(msgspec.Struct, frozen=True):
    """What is put, and the spec that locks are put into: with lists in place of single locks."""

    spec: WorkflowSpec
    found: Sequence[TemplateBody]
    conversion: tuple[PatchOp, ...]
    injected: Injected

    @property
    def patch(self) -> tuple[PatchOp, ...]:
        """Both together."""
        return self.conversion + self.injected.patch


def put_locks(
    spec: WorkflowSpec, locks: LockPolicies, active: Sequence[CompiledLockPolicy], reviewed: ReviewedObject
) -> Put:
    """Return what policies put into a spec."""
    found = locks.relevant_bodies(spec, reviewed.at, reviewed.view, reviewed.budget)
    conversion: tuple[PatchOp, ...] = ()
    if converts(locks, active) and any_single(spec, found):
        spec, conversion = convert(spec, reviewed.at)
        found = locks.relevant_bodies(spec, reviewed.at, reviewed.view, reviewed.budget)
        if locks.structural:  # Copies of templates are made from the text.
            reviewed = msgspec.structs.replace(reviewed, raw=converted_text(reviewed.raw, conversion))
    return Put(spec, found, conversion, inject(spec, found, locks, active, reviewed))


def inject(
    spec: WorkflowSpec,
    found: Sequence[TemplateBody],
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    reviewed: ReviewedObject | None = None,
) -> Injected:
    """Return how the rules of the active policies change the templates of an object."""
    if not locks.rules:
        return NOTHING
    reviewed = ReviewedObject() if reviewed is None else reviewed
    if locks.structural or _callers_matter(found, locks, reviewed):
        return arranged(spec, locks, active, reviewed)
    injected = _in_place(spec, found, locks, active, reviewed)
    if any(fault.code is Code.LOCK_CONFLICT for fault in injected.faults):
        # Argo before 3.6 holds one lock a template; the others go around it.
        return arranged(spec, locks, active, reviewed)
    return injected


def _callers_matter(found: Sequence[TemplateBody], locks: LockPolicies, reviewed: ReviewedObject) -> bool:
    """Tell whether a DAG or steps may hold a lock that a rule puts, or call templates of other objects."""
    for place in paced(found, reviewed.budget, Part.INJECTION):
        template = place.template
        if template.dag is None and template.steps is None:
            continue
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


def _in_place(
    spec: WorkflowSpec,
    found: Sequence[TemplateBody],
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    reviewed: ReviewedObject,
) -> Injected:
    patch: list[PatchOp] = []
    put: list[Injection] = []
    warnings: list[str] = []
    faults: list[Reason] = []
    notes = Notes()
    held_above = held_locks(spec.synchronization, locks.namespace) if spec.synchronization else NO_LOCKS
    defaults = spec.template_defaults.synchronization if spec.template_defaults is not None else None
    view = locks.view(spec) if reviewed.view is None else reviewed.view
    rulebook: Rulebook | None = None
    everyone = len(active) == len(locks.policies)
    for place in paced(found, reviewed.budget, Part.INJECTION):
        selecting = locks.rules_for(place.template, view)
        if not selecting:
            continue
        if not everyone:
            selecting = tuple(rule for rule in selecting if rule.policy in active)
        rules = effective_rules(selecting, place.template, spec) if locks.conditional else selecting
        own = own_locks(place.template, defaults, locks.namespace)
        missing = _missing(place, rules, own, held_above, warnings=warnings)
        notes.add(selecting, own | locks_of(missing), place.template)
        if not missing:
            continue
        rulebook = rulebook or Rulebook(locks, active, hints=reviewed.hints)
        wrong = faults_of(place, missing, rulebook)
        faults.extend(wrong)
        if len(faults) >= MAX_FAULTS:
            break  # It is refused in any case.
        if any(fault.code is Code.LOCK_FORM for fault in wrong):
            continue  # The installed Argo does not know a field that would be written.
        block = place.template.synchronization
        operations = additions(place.pointer, block, missing, locks.argo, defaults)
        if isinstance(operations, Reason):
            faults.append(operations)
            continue
        patch.extend(operations)
        put.extend(put_on(template_name(place), missing))
    return Injected(tuple(patch), tuple(put), tuple(warnings), tuple(faults), notes.text())


def _missing(
    place: TemplateBody,
    rules: Sequence[CompiledRule],
    own: frozenset[str],
    held_above: frozenset[str],
    *,
    warnings: list[str],
) -> list[CompiledRule]:
    """Return the rules whose lock the template lacks, each lock once."""
    missing: dict[str, CompiledRule] = {}
    for rule in rules:
        if rule.lock_name in missing or not own.isdisjoint(rule.names):
            continue
        if (held_above or place.template.daemon) and (why := why_not_put(rule, place.template, held_above)):
            warnings.append(skipped(template_name(place), rule, why))
        else:
            missing[rule.lock_name] = rule
    return list(missing.values())
