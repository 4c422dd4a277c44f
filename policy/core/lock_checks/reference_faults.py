"""Which references to locks are wrong, each with its field path and the fix. Argo itself checks nothing.

For what Argo does with each fault see argo-workflows C.1-C.6: an undefined or zero limit fails the Workflow,
a wrong name ends it with an error, and from 4.0 the singular form runs it unlocked.

A user who may create Workflows can name any key of any ConfigMap, and reads our answer. So no limit is looked
up in a namespace that is closed to them; of an open one only whether Argo would run the Workflow is shown;
and of their own no value is shown that is not a number.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.lock_checks.rulebook import MAX_FAULTS, NO_FINDINGS, LockFindings, Rulebook
from policy.core.lock_model.lock_names import (
    NO_BLOCK,
    empty_problems,
    name_problems,
    parameterised,
    read_limit,
)
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody, calls
from policy.core.objects.json_patch import field_path
from policy.core.objects.workflow import (
    ConfigMapKeyRef,
    MutexRef,
    SemaphoreRef,
    Synchronization,
    WorkflowSpec,
)
from policy.core.values.budget import STEPS, Part, paced
from policy.core.values.problems import Problem

_DROPPED: Final = (
    "holds no lock; if it had a single semaphore or mutex, Argo's CRD has dropped it: "
    "write semaphores or mutexes"
)
_LISTS_SINCE: Final = "3.6"
_SHOWN_KEYS: Final = 10


def written_locks(spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook) -> LockFindings:
    """Return what is wrong with the locks that an object has, with its faults up to MAX_FAULTS."""
    looked = [
        place for place in found if place.has_complex_calls or place.template.synchronization is not None
    ]
    if not looked and spec.synchronization is None and spec.template_defaults is None:
        return NO_FINDINGS  # Most objects have only the locks that rules put in.
    faults = tuple(islice(lock_faults(spec, looked, rulebook), MAX_FAULTS))
    return LockFindings(faults, tuple(lock_warnings(spec, looked, rulebook)))


def injected_faults(place: TemplateBody, rules: Sequence[CompiledRule], rulebook: Rulebook) -> list[Reason]:
    """Return what is wrong with semaphores that rules inject: a fault of the author of their policy."""
    found = []
    for rule in rules:
        for fault in faults_of_rule(rule, rulebook):
            where = f"{field_path(place.pointer)}.synchronization"
            text = f"{rule.policy.source} injects {rule.lock_name}, but {fault.message}"
            found.append(msgspec.structs.replace(fault, field=where, message=text))
    return found


def faults_of_rule(rule: CompiledRule, rulebook: Rulebook) -> tuple[Reason, ...]:
    """Return what is wrong with the lock that a rule injects; remembered while all policies apply."""
    locks = rulebook.locks
    whole = len(rulebook.policies) == len(locks.policies) and not rulebook.discreet
    known = locks.caches.faults if whole else rulebook.faults
    faults = known.get(rule.lock_name)
    if faults is None:
        faults = known.keep(rule.lock_name, tuple(ref_faults(rule.lock, "", rulebook)))
    return faults


def lock_faults(spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook) -> Iterator[Reason]:
    """Yield every fault of the locks of a Workflow: its own, its templates', and misplaced ones."""
    for block, where in _blocks_of_whole(spec):
        if block is not None:
            yield from _block(block, where, rulebook)
    for place in paced(found, rulebook.budget, Part.LOCKS):
        template = place.template
        if template.synchronization is not None:
            where = f"{field_path(place.pointer)}.synchronization"
            yield from _block(template.synchronization, where, rulebook)
        if place.has_complex_calls:
            yield from _misplaced(place, rulebook)


def lock_warnings(spec: WorkflowSpec, found: Sequence[TemplateBody], rulebook: Rulebook) -> Iterator[str]:
    """Yield a warning for each block that holds nothing, where it may have held a single lock.

    The full CRDs of Argo 4 drop `semaphore` and `mutex` before admission.
    """
    if not rulebook.converts_singular:
        return
    for block, where in _blocks_of_whole(spec):
        if block == NO_BLOCK:
            yield f"lockkeeper: {where}: {_DROPPED}"
    for place in paced(found, rulebook.budget, Part.LOCKS):
        if place.template.synchronization == NO_BLOCK:
            yield f"lockkeeper: {field_path(place.pointer)}.synchronization: {_DROPPED}"


def _blocks_of_whole(spec: WorkflowSpec) -> tuple[tuple[Synchronization | None, str], ...]:
    defaults = spec.template_defaults
    of_defaults = defaults.synchronization if defaults is not None else None
    where = "spec.templateDefaults.synchronization"
    return (spec.synchronization, "spec.synchronization"), (of_defaults, where)


def _misplaced(place: TemplateBody, rulebook: Rulebook) -> Iterator[Reason]:
    """Yield the tasks and steps that carry a lock: Argo drops it there and runs them unlocked."""
    for number, (call, pointer) in enumerate(calls(place.template, place.pointer)):
        if not number % STEPS:
            rulebook.budget.check(Part.LOCKS)
        if call.synchronization is None:
            continue
        kind = "DAG task" if place.template.dag is not None else "step"
        if call.template:
            belongs = f'the template "{call.template}" (spec.templates[name={call.template}].synchronization)'
        elif call.inline is not None:
            belongs = f"its inline template ({field_path(pointer)}.inline.synchronization)"
        else:
            belongs = "the template that it refers to"
        message = (
            f'a {kind} ("{call.name}") cannot hold a lock: Argo drops it and runs unlocked. '
            f"Move it to {belongs}"
        )
        yield Reason(Code.LOCK_PLACE, f"{field_path(pointer)}.synchronization", message, rulebook.source)


def _block(block: Synchronization, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    yield from _forms(block, where, rulebook)
    semaphores, mutexes = block.semaphores or (), block.mutexes or ()
    if len(semaphores) > 1:
        yield from _repeated(semaphores, f"{where}.semaphores", rulebook)
    if len(mutexes) > 1:
        yield from _repeated(mutexes, f"{where}.mutexes", rulebook)
    for index, semaphore in enumerate(paced(semaphores, rulebook.budget, Part.LOCKS)):
        yield from _semaphore_faults(semaphore, f"{where}.semaphores[{index}]", rulebook)
    for index, mutex in enumerate(paced(mutexes, rulebook.budget, Part.LOCKS)):
        yield from _mutex_faults(mutex, f"{where}.mutexes[{index}]", rulebook)
    if block.semaphore is not None:
        yield from _semaphore_faults(block.semaphore, f"{where}.semaphore", rulebook)
    if block.mutex is not None:
        yield from _mutex_faults(block.mutex, f"{where}.mutex", rulebook)


def _forms(block: Synchronization, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    """Yield the fields that the installed Argo does not read (argo-workflows C.1)."""
    argo = rulebook.locks.argo
    if block == NO_BLOCK and not argo.reads_singular and rulebook.refuses_singular:
        yield Reason(Code.LOCK_FORM, where, _DROPPED, rulebook.source)
    forms = (
        ("semaphore", "semaphores", block.semaphore is not None, block.semaphores is not None),
        ("mutex", "mutexes", block.mutex is not None, block.mutexes is not None),
    )
    if not argo.reads_lists and block.semaphore is not None and block.mutex is not None:
        message = f"Argo {argo} takes one lock and ignores the mutex beside a semaphore; remove one of them"
        yield Reason(Code.LOCK_FORM, f"{where}.mutex", message, rulebook.source)
    for singular, plural, has_singular, has_plural in forms:
        if has_singular and not argo.reads_singular:
            message = (
                f'Argo {argo} drops "{singular}" and would run this unlocked; '
                f'write it as a list: "{plural}: [...]"'
            )
            yield Reason(Code.LOCK_FORM, f"{where}.{singular}", message, rulebook.source)
        if has_plural and not argo.reads_lists:
            message = (
                f'Argo {argo} does not know "{plural}" (it came with {_LISTS_SINCE}) and would fail this; '
                f'write a single "{singular}"'
            )
            yield Reason(Code.LOCK_FORM, f"{where}.{plural}", message, rulebook.source)


def _repeated(refs: Sequence[SemaphoreRef | MutexRef], where: str, rulebook: Rulebook) -> Iterator[Reason]:
    """Yield the items that are in a list twice: Argo ends such a Workflow with an error."""
    first: dict[SemaphoreRef | MutexRef, int] = {}
    for index, ref in enumerate(paced(refs, rulebook.budget, Part.LOCKS)):
        if first.setdefault(ref, index) != index:
            message = f"is the same lock as {where}[{first[ref]}]; Argo would end the Workflow: remove one"
            yield Reason(Code.LOCK_NAME, f"{where}[{index}]", message, rulebook.source)


def ref_faults(ref: SemaphoreRef | MutexRef, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    """Return what is wrong with one reference to a lock."""
    if isinstance(ref, MutexRef):
        return _mutex_faults(ref, where, rulebook)
    return _semaphore_faults(ref, where, rulebook)


def _semaphore_faults(ref: SemaphoreRef, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    yield from _namespace(ref.namespace, where, rulebook)
    if ref.database is not None:
        yield from _database(f"{where}.database", rulebook)
    if (ref.config_map_key_ref is None) == (ref.database is None):
        message = "needs exactly one of configMapKeyRef and database: Argo ends the Workflow with an error"
        yield Reason(Code.LOCK_NAME, where, message, rulebook.source)
    elif ref.database is not None:
        yield from _named(empty_problems(ref.database.key, f"{where}.database.key"), rulebook)
    elif ref.config_map_key_ref is not None:
        yield from _config_map_key(
            ref.config_map_key_ref, ref.namespace, f"{where}.configMapKeyRef", rulebook
        )


def _mutex_faults(ref: MutexRef, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    yield from _namespace(ref.namespace, where, rulebook)
    if ref.database:
        yield from _database(f"{where}.database", rulebook)
    yield from _named(empty_problems(ref.name, f"{where}.name"), rulebook)


def _named(problems: Iterable[Problem], rulebook: Rulebook) -> Iterator[Reason]:
    for problem in problems:
        yield Reason(Code.LOCK_NAME, problem.path, problem.message, rulebook.source)


def _database(where: str, rulebook: Rulebook) -> Iterator[Reason]:
    argo = rulebook.locks.argo
    if not argo.reads_databases:
        message = f"Argo {argo} knows no locks in a database (they came with 3.7); use a ConfigMap or a mutex"
        yield Reason(Code.LOCK_FORM, where, message, rulebook.source)


def _namespace(namespace: str | None, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    """Yield what is wrong with the namespace of a lock: its form, or that it is closed to this one."""
    own, argo = rulebook.locks.namespace, rulebook.locks.argo
    if not namespace:
        return
    yield from _named(name_problems(namespace, f"{where}.namespace"), rulebook)
    if not argo.reads_namespaces:
        message = f"Argo {argo} drops it (it came with 3.5) and takes a lock of the Workflow's own namespace"
        yield Reason(Code.LOCK_FORM, f"{where}.namespace", message, rulebook.source)
    if namespace == own:
        return
    policy = rulebook.closed_by
    if policy is not None:
        message = f'locks of namespace "{namespace}" are not open to "{own}"; use one of your own namespace'
        yield Reason(Code.LOCK_NAMESPACE, f"{where}.namespace", message, policy.source)


def _config_map_key(
    ref: ConfigMapKeyRef, namespace: str | None, where: str, rulebook: Rulebook
) -> Iterator[Reason]:
    problems = [*name_problems(ref.name, f"{where}.name"), *name_problems(ref.key, f"{where}.key")]
    if problems:
        yield from _named(problems, rulebook)
        return
    if parameterised(ref.name) or parameterised(ref.key) or parameterised(namespace):
        return  # Values that Argo fills in at run time are unknown.
    yield from _key_pattern(ref.key or "", where, rulebook)
    found_in = namespace or rulebook.locks.namespace
    yield from _limit_faults(found_in, ref.name or "", ref.key or "", where, rulebook)


def _key_pattern(key: str, where: str, rulebook: Rulebook) -> Iterator[Reason]:
    for policy in rulebook.policies:
        if policy.key_rule is not None and not policy.key_rule.allows(key):
            message = f'key "{key}" does not follow the naming rule {policy.key_rule.text}; rename it'
            yield Reason(Code.LOCK_NAME, f"{where}.key", message, policy.source)


def _limit_faults(
    namespace: str, config_map: str, key: str, where: str, rulebook: Rulebook
) -> Iterator[Reason]:
    """Yield that a semaphore is undefined, or has no limit that Argo can use."""
    demanding = next((policy for policy in rulebook.policies if policy.validation.require_defined), None)
    if demanding is None or not namespace:  # A template of the cluster is used in many namespaces.
        return
    own = namespace == rulebook.locks.namespace
    if not own and rulebook.closed_by is not None:
        return  # That the namespace is closed is reported already, and its limits are not looked up.
    definitions = rulebook.locks.definitions
    value = definitions.limit(namespace, config_map, key)
    limit = read_limit(value) if value is not None else None
    if limit is not None and limit >= 1:
        return
    unread = rulebook.lenient or not definitions.extent.reads(namespace, config_map)
    if value is None and unread and not definitions.knows(namespace, config_map):
        return  # It may be there: its ConfigMap is not read.
    if not own or rulebook.discreet:
        message = (
            f'semaphore "{key}" of ConfigMap {namespace}/{config_map} is not defined, or no number of 1 or '
            "more; Argo would fail the Workflow. Have it defined there, or use another"
        )
        yield Reason(Code.LOCK_UNDEFINED, f"{where}.key", message, demanding.source)
    elif value is None:
        message = (
            f'semaphore "{key}" is not defined in ConfigMap {namespace}/{config_map}; Argo would fail the '
            f"Workflow. {_advice(config_map, key, rulebook)}"
        )
        yield Reason(Code.LOCK_UNDEFINED, f"{where}.key", message, demanding.source)
    else:
        found = "a value that is no number" if limit is None else f"the number {limit}"
        message = (
            f"ConfigMap {namespace}/{config_map} has {found} for {key}; Argo needs an integer of 1 or more, "
            "digits only. Correct the ConfigMap"
        )
        yield Reason(Code.LOCK_LIMIT, f"{where}.key", message, demanding.source)


def _advice(config_map: str, key: str, rulebook: Rulebook) -> str:
    """Return which key of the own namespace was probably meant, or where to define this one."""
    definitions, namespace = rulebook.locks.definitions, rulebook.locks.namespace
    if (beyond := definitions.extent.beyond_config_maps(namespace)) is not None:
        return f"It may be among those left out: {beyond}. Delete ConfigMaps that are not needed"
    known = definitions.keys_beside(namespace, config_map)
    near = rulebook.hints.near(config_map, key, known)
    if near:
        return f'did you mean "{near}"?'
    if not known:
        return "Define it there, or in a SynchronizationPolicy under spec.semaphores"
    return f"Known keys: {', '.join(known[:_SHOWN_KEYS])}"
