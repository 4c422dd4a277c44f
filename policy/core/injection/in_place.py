"""Locks put on a template where it is: which of them it lacks, and the operations that add them.

They are added to its `synchronization`, in the form that the installed Argo reads. Nothing that is there is
replaced, so a second pass gives no operation.
"""

from collections.abc import Mapping, Sequence

from policy.core.decision.decision import Code, Reason
from policy.core.injection.effective_rules import effective_rules, why_not_put
from policy.core.injection.injection_result import Injected, InjectionOutcome, note_of, skipped, template_name
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.reference_faults import injected_faults
from policy.core.lock_checks.rulebook import MAX_FAULTS, Rulebook
from policy.core.lock_model.block_locks import merged, own_locks
from policy.core.lock_model.lock_names import NO_LOCKS, held_locks
from policy.core.lock_model.rules import CompiledRule, item_of, list_of
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp, field_path
from policy.core.objects.workflow import MutexRef, SemaphoreRef, Synchronization, WorkflowSpec
from policy.core.values.budget import Part, paced


def inject_in_place(
    spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook, reviewed: ReviewedObject
) -> Injected:
    """Return how the rules of the active policies add locks to the templates that they select."""
    locks, active = rulebook.locks, rulebook.policies
    patch: list[PatchOp] = []
    holders: list[tuple[Sequence[CompiledRule], frozenset[str], str | None]] = []
    outcome = InjectionOutcome()
    faults = outcome.faults
    held_above = held_locks(spec.synchronization, locks.namespace) if spec.synchronization else NO_LOCKS
    defaults = spec.template_defaults.synchronization if spec.template_defaults is not None else None
    everyone = len(active) == len(locks.policies)
    for place in paced(found, rulebook.budget, Part.INJECTION):
        template = place.template
        selecting = locks.rules_for(template, reviewed.view)
        if not selecting:
            continue
        if not everyone:
            selecting = tuple(rule for rule in selecting if rule.policy in active)
        rules = effective_rules(selecting, template, spec) if locks.conditional else selecting
        if reviewed.spared:
            rules = tuple(rule for rule in rules if not reviewed.spares(template_name(place), rule))
        block = template.synchronization
        own = NO_LOCKS
        if block is not None or defaults is not None:
            own = own_locks(template, defaults, locks.namespace)
        missing = _missing(place, rules, own, held_above, warnings=outcome.warnings)
        holders.append((selecting, own.union([rule.lock_name for rule in missing]), template.name))
        if not missing:
            continue
        rule_faults = injected_faults(place, missing, rulebook)
        faults.extend(rule_faults)
        if len(faults) >= MAX_FAULTS:
            break  # It is refused in any case.
        if rule_faults and any(fault.code is Code.LOCK_FORM for fault in rule_faults):
            continue  # The installed Argo does not know a field that would be written.
        operations = additions(place.pointer, block, missing, defaults, lists=locks.writes_lists)
        if isinstance(operations, Reason):
            faults.append(operations)
            continue
        patch.extend(operations)
        outcome.placed.append((place, missing))
    return outcome.injected(patch, note_of(holders))


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
        if rule.lock_name in missing or (own and not own.isdisjoint(rule.names)):
            continue
        if (held_above or place.template.daemon) and (why := why_not_put(rule, place.template, held_above)):
            warnings.append(skipped(template_name(place), rule, why))
        else:
            missing[rule.lock_name] = rule
    return list(missing.values())


def block_of(rules: Sequence[CompiledRule], *, lists: bool) -> JsonObject:
    """Return a block of these locks alone; without `lists`, before Argo 3.6, there may be only one."""
    if not lists:
        [rule] = rules
        return {"mutex" if isinstance(rule.lock, MutexRef) else "semaphore": rule.item}
    block: dict[str, list[JsonValue]] = {}
    for rule in rules:
        block.setdefault(list_of(rule.lock), []).append(rule.item)
    return {**block}


def additions(
    pointer: str,
    block: Synchronization | None,
    missing: Sequence[CompiledRule],
    defaults: Synchronization | None,
    *,
    lists: bool,
) -> list[PatchOp] | Reason:
    """Return the operations that add the missing locks to the block of the template at `pointer`.

    A list that the template does not have itself begins with that of templateDefaults, which it replaces.
    """
    at = f"{pointer}/synchronization"
    if not lists:
        return _singular(block, missing, at, merged(block, defaults))
    if block is None and defaults is None and len(missing) == 1:
        return [PatchOp(Op.ADD, at, missing[0].whole)]
    added: dict[str, list[JsonValue]] = {}
    for rule in missing:
        added.setdefault(list_of(rule.lock), []).append(rule.item)
    own, default = lists_of(block), lists_of(defaults)
    whole: JsonObject = {}
    patch: list[PatchOp] = []
    for name, items in added.items():
        if own.get(name):
            patch.extend(PatchOp(Op.ADD, f"{at}/{name}/-", item) for item in items)
        else:
            whole[name] = [*(item_of(each) for each in default.get(name) or ()), *items]
    if block is None:
        return [PatchOp(Op.ADD, at, whole)]
    return patch + [PatchOp(Op.ADD, f"{at}/{name}", items) for name, items in whole.items()]


def holds_one(block: Synchronization | None) -> bool:
    """Return whether a block has a lock in the single form: the only one that it holds before Argo 3.6."""
    return block is not None and (block.semaphore is not None or block.mutex is not None)


def lists_of(block: Synchronization | None) -> Mapping[str, Sequence[SemaphoreRef | MutexRef] | None]:
    """Return the lists of a block by name."""
    return {} if block is None else {"semaphores": block.semaphores, "mutexes": block.mutexes}


def _singular(
    block: Synchronization | None,
    missing: Sequence[CompiledRule],
    at: str,
    held: Synchronization | None,
) -> list[PatchOp] | Reason:
    """Return the one lock that Argo before 3.6 can hold, or the reason why it can hold no other."""
    if holds_one(held) or len(missing) > 1:
        names = ", ".join(rule.lock_name for rule in missing)
        message = (
            f"needs the lock {names}, but Argo before 3.6 holds one lock a template. "
            "Split the template, or remove its own lock"
        )
        return Reason(Code.LOCK_CONFLICT, field_path(at), message, missing[0].policy.source)
    name = "mutex" if isinstance(missing[0].lock, MutexRef) else "semaphore"
    item = missing[0].item
    if block is None:
        return [PatchOp(Op.ADD, at, {name: item})]
    return [PatchOp(Op.ADD, f"{at}/{name}", item)]
