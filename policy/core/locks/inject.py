"""Putting a policy's locks on templates, in place (strategy Direct).

The patch adds what is missing and replaces nothing: a template that already holds the lock is left alone, so
a second pass gives no operation. Only fields that the installed Argo knows are written.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from policy.core.decision import Code, Injection, Reason
from policy.core.locks.forms import ArgoVersion
from policy.core.locks.naming import name_of_mutex, name_of_semaphore
from policy.core.locks.places import Place, field_path
from policy.core.locks.policies import CompiledLockPolicy, CompiledRule, LockPolicies, item_of, list_of
from policy.core.locks.validate import Rulebook
from policy.core.patches import JsonObject, JsonValue, Op, PatchOp
from policy.core.workflow import MutexRef, SemaphoreRef, Synchronization, WorkflowSpec


class Injected(msgspec.Struct, frozen=True):
    """What injection gives: operations, the locks it put, warnings, and reasons why it cannot."""

    patch: tuple[PatchOp, ...] = ()
    locks: tuple[Injection, ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[Reason, ...] = ()


NOTHING = Injected()
NO_LOCKS: Final[frozenset[str]] = frozenset()


def inject(
    spec: WorkflowSpec, found: Sequence[Place], locks: LockPolicies, active: Sequence[CompiledLockPolicy]
) -> Injected:
    """Return how the rules of the active policies change the templates of a Workflow."""
    if not locks.rules:
        return NOTHING
    patch: list[PatchOp] = []
    put: list[Injection] = []
    warnings: list[str] = []
    faults: list[Reason] = []
    held_above = held_locks(spec.synchronization, locks.namespace) if spec.synchronization else NO_LOCKS
    defaults = spec.template_defaults.synchronization if spec.template_defaults is not None else None
    everyone = len(active) == len(locks.policies)
    for place in found:
        rules = locks.rules_for(place.template)
        if not rules:
            continue
        if not everyone:
            rules = tuple(rule for rule in rules if rule.policy in active)
        held = _with_defaults(place.template.synchronization, defaults)
        own = held_locks(held, locks.namespace) if held is not None else NO_LOCKS
        missing = _missing(place, rules, own, held_above, warnings)
        if not missing:
            continue
        wrong = _faults(place, missing, Rulebook(locks, active))
        faults.extend(wrong)
        if any(fault.code is Code.LOCK_FORM for fault in wrong):
            continue  # The installed Argo does not know a field that would be written.
        operations = _operations(place, missing, locks.argo, defaults)
        if isinstance(operations, Reason):
            faults.append(operations)
            continue
        patch.extend(operations)
        put.extend(Injection(_name(place), rule.lock_name, rule.name, rule.policy.source) for rule in missing)
    return Injected(tuple(patch), tuple(put), tuple(warnings), tuple(faults))


def held_locks(block: Synchronization, namespace: str) -> frozenset[str]:
    """Return Argo's names of the locks in a `synchronization` block, in either form."""
    semaphores = [*(block.semaphores or ()), *([block.semaphore] if block.semaphore else [])]
    mutexes = [*(block.mutexes or ()), *([block.mutex] if block.mutex else [])]
    return frozenset(
        [
            *(name_of_semaphore(each, namespace) for each in semaphores),
            *(name_of_mutex(each, namespace) for each in mutexes),
        ]
    )


def _with_defaults(block: Synchronization | None, defaults: Synchronization | None) -> Synchronization | None:
    """Return the locks that a template holds at run time: Argo merges templateDefaults field by field."""
    if block is None or defaults is None:
        return defaults if block is None else block
    return Synchronization(
        semaphores=block.semaphores or defaults.semaphores,  # Go leaves an empty list out of the merge.
        mutexes=block.mutexes or defaults.mutexes,
        semaphore=block.semaphore or defaults.semaphore,
        mutex=block.mutex or defaults.mutex,
    )


def _missing(
    place: Place,
    rules: Sequence[CompiledRule],
    own: frozenset[str],
    held_above: frozenset[str],
    warnings: list[str],
) -> list[CompiledRule]:
    """Return the rules whose lock the template lacks, each lock once."""
    missing: dict[str, CompiledRule] = {}
    for rule in rules:
        if rule.lock_name in own or rule.lock_name in missing:
            continue
        if rule.lock_name in held_above:
            warnings.append(_skipped(place, rule, "the whole Workflow holds it already"))
        elif place.template.daemon:
            warnings.append(_skipped(place, rule, "Argo frees a daemon's locks as soon as it is ready"))
        else:
            missing[rule.lock_name] = rule
    return list(missing.values())


def _skipped(place: Place, rule: CompiledRule, why: str) -> str:
    return f"lockkeeper: {_name(place)}: lock {rule.lock_name} is not injected, {why}"


def _faults(place: Place, missing: Sequence[CompiledRule], rulebook: Rulebook) -> list[Reason]:
    """Return what is wrong with the injected semaphores themselves: the fault of the policy's author."""
    found = []
    for rule in missing:
        for fault in rulebook.faults_of(rule):
            where = f"{field_path(place.pointer)}.synchronization"
            text = f"{rule.policy.source} injects {rule.lock_name}, but {fault.message}"
            found.append(msgspec.structs.replace(fault, field=where, message=text))
    return found


def _operations(
    place: Place, missing: Sequence[CompiledRule], argo: ArgoVersion, defaults: Synchronization | None
) -> list[PatchOp] | Reason:
    """Return the operations that add the missing locks.

    A list that the template does not have itself begins with that of templateDefaults, which it replaces.
    """
    block = place.template.synchronization
    at = f"{place.pointer}/synchronization"
    if not argo.reads_lists:
        return _singular(place, missing, at, _with_defaults(block, defaults))
    if block is None and defaults is None and len(missing) == 1:
        return [PatchOp(Op.ADD, at, missing[0].whole)]
    added: dict[str, list[JsonValue]] = {}
    for rule in missing:
        added.setdefault(list_of(rule.lock), []).append(rule.item)
    own, default = _lists(block), _lists(defaults)
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


def _lists(block: Synchronization | None) -> Mapping[str, Sequence[SemaphoreRef | MutexRef] | None]:
    return {} if block is None else {"semaphores": block.semaphores, "mutexes": block.mutexes}


def _singular(
    place: Place, missing: Sequence[CompiledRule], at: str, held: Synchronization | None
) -> list[PatchOp] | Reason:
    """Return the one lock that Argo before 3.6 can hold, or the reason why it cannot take another."""
    block = place.template.synchronization
    has_own = held is not None and (held.semaphore is not None or held.mutex is not None)
    if has_own or len(missing) > 1:
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


def _name(place: Place) -> str:
    return place.template.name or field_path(place.pointer)
