"""What only the template graph of an object shows: deadlocks, unknown references, names with parameters.

Most objects hold no lock above another and call only templates that exist and take no lock; they need no
graph. Injected locks count as if they were there already. A lock whose name has parameters is checked by its
whole name where that is known, else by what policies allow.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.lock_checks.reference_faults import ref_faults
from policy.core.lock_checks.reference_messages import MAX_UNKNOWN, broken_references
from policy.core.lock_checks.rulebook import MAX_FAULTS, NO_FINDINGS, LockFindings, Rulebook
from policy.core.lock_checks.unfilled_names import unfilled_names
from policy.core.lock_graph.deadlocks import TemplateDeadlock, analyse, deadlock_of_cycle
from policy.core.lock_graph.fast_path import needs_no_graph
from policy.core.lock_graph.lock_order import Nested
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import AddedLocks, Graph, build_graph
from policy.core.lock_graph.template_library import Library
from policy.core.lock_graph.unknown_references import UnknownReference, unknown_names, unknown_references
from policy.core.lock_model.block_locks import Lock, locks_in
from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.parameters import as_written, replaced
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_model.semaphore_definitions import limit_lookup
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.json_patch import PatchOp, field_path
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import MutexRef, SemaphoreRef, Synchronization
from policy.core.policy_kinds.kinds import Parameterised, Severity
from policy.core.values.budget import STEPS, Budget, Part, paced

_OF_BLOCK: Final = re.compile(r"(.+)/synchronization(?:/(semaphores|mutexes)(/-)?)?")
_BLOCK: Final = "/synchronization"
_STAND_IN: Final = "x"
"""The text in place of an unknown part of a name, where a naming rule is checked."""
_STRICTNESS: Final = (Severity.IGNORE, Severity.WARN, Severity.DENY)


class GraphFinding(msgspec.Struct, frozen=True):
    """One fault that the graph shows: code, field, message, and whether every run has it (`certain`).

    With `absent`, it is about another object that is not known, and that may be there when this one runs.
    `severity` and `policy` are those of the strictest policy that has a rule for it.
    """

    code: Code
    field: str
    message: str
    severity: Severity
    policy: str
    certain: bool = True
    absent: bool = False

    @property
    def refused(self) -> bool:
        """Whether an object is refused for it."""
        return self.certain and self.severity is Severity.DENY


def review_graph(
    owner: TemplateOwner,
    found: Sequence[TemplateBody],
    rulebook: Rulebook,
    library: Library,
    patch: Sequence[PatchOp] = (),
) -> LockFindings:
    """Return the reasons and warnings that the graph of an object gives after a patch of its locks."""
    changed = [operation.path.partition(_BLOCK)[0] for operation in patch]
    index = library.index(rulebook.locks.namespace, rulebook.budget)
    if needs_no_graph(owner, found, index, changed, rulebook.budget):
        # Then all templates that it names exist, and only tasks and containers may not.
        unknown = _unknown_names(owner, found, rulebook.budget)
        if not unknown:
            return NO_FINDINGS
        shown, reasons = list(_broken(unknown, rulebook, library)), list[Reason]()
    else:
        shown, reasons = graph_findings(owner, found, rulebook, library, patch)
    refused = [Reason(each.code, each.field, each.message, each.policy) for each in shown if each.refused]
    warned = [f"lockkeeper: {each.field}: {each.message}" for each in shown if not each.refused]
    return LockFindings((*refused, *reasons), tuple(warned))


def _unknown_names(
    owner: TemplateOwner, found: Sequence[TemplateBody], budget: Budget
) -> Sequence[UnknownReference]:
    """Return the tasks that DAGs lack; `found` has all DAGs, so that it follows from the templates alone."""
    templates = owner.spec.templates

    def look() -> tuple[UnknownReference, ...]:
        return tuple(islice(unknown_names(owner, found, budget), MAX_UNKNOWN))

    return (
        templates.once((unknown_names, owner.at), look) if isinstance(templates, SharedTemplates) else look()
    )


def graph_findings(
    owner: TemplateOwner,
    found: Sequence[TemplateBody],
    rulebook: Rulebook,
    library: Library,
    patch: Sequence[PatchOp] = (),
) -> tuple[list[GraphFinding], list[Reason]]:
    """Return what the graph of an object shows, and what is wrong with names that parameters give.

    References are looked at as they are written. A patch that changes more than locks makes another graph: of
    such an object the locks that it has itself are looked at here, and all by the validating side, which sees
    what the patch made.
    """
    namespace, budget = rulebook.locks.namespace, rulebook.budget
    find = library.find_beside(owner, namespace)
    unknown = unknown_references(owner, found, find, namespace, budget)
    shown = list(_broken(unknown, rulebook, library))
    added = added_by(patch, namespace) or {}
    graphs = [build_graph(owner, find, namespace, added=added, budget=budget)]
    if owner.is_template and owner.locks_runs:
        whole = build_graph(owner, find, namespace, added=added, whole=True, budget=budget)
        graphs.append(whole)
    shown += _unfilled(owner, rulebook, library)
    severity, policy = _strictest(rulebook, "deadlocks")
    if severity is not Severity.IGNORE:
        for field, message, certain in _deadlocks(graphs, owner, rulebook, library):
            shown.append(GraphFinding(Code.DEADLOCK, field, message, severity, policy, certain=certain))
    return shown, _filled_faults(graphs, owner, found, rulebook)


def _broken(
    found: Iterable[UnknownReference], rulebook: Rulebook, library: Library
) -> Iterator[GraphFinding]:
    """Yield references that lead nowhere, by the strictest policy; what only files show refuses nothing."""
    severity, policy = _strictest(rulebook, "unknown_references")
    if severity is Severity.IGNORE:
        return
    extent = rulebook.locks.definitions.extent
    for each in broken_references(found, library, extent):
        message = each.message
        certain = not (each.absent and extent.files)
        if severity is Severity.DENY and not certain:
            message = f"{message}, and the policy refuses it"
        yield GraphFinding(
            code=Code.UNKNOWN_REFERENCE,
            field=each.field,
            message=message,
            severity=severity,
            policy=policy,
            certain=certain,
            absent=each.absent,
        )


def added_by(patch: Sequence[PatchOp], namespace: str) -> AddedLocks | None:
    """Return the names of the locks that a patch adds, by the body; None where it changes more than locks."""
    added: dict[str, tuple[str, ...]] = {}
    for operation in patch:
        match = _OF_BLOCK.fullmatch(operation.path)
        if match is None or isinstance(operation.value, msgspec.UnsetType):
            if operation.path.endswith(("/synchronization/semaphore", "/synchronization/mutex")):
                continue  # The single form is a list now, which another operation adds.
            return None
        body, kind, one = match.groups()
        value = operation.value
        block = value if kind is None else {kind: [value] if one else value}
        names = [lock.name for lock in locks_in(msgspec.convert(block, Synchronization), "", namespace, {})]
        added[body] = (*added.get(body, ()), *names)
    return added


def _strictest(rulebook: Rulebook, field: str) -> tuple[Severity, str]:
    """Return the strictest severity that policies give in a field of `validate`, and the policy."""
    policies: Sequence[CompiledLockPolicy] = rulebook.policies
    first = max(policies, key=lambda each: _STRICTNESS.index(getattr(each.validation, field)))
    return getattr(first.validation, field), first.source


def _unfilled(owner: TemplateOwner, rulebook: Rulebook, library: Library) -> Iterator[GraphFinding]:
    """Yield the names of the whole run's locks with a tag that stays as text; what fails is refused."""
    for each in unfilled_names(owner, library.find(rulebook.locks.namespace), rulebook.marks):
        severity = Severity.DENY if each.fatal else Severity.WARN
        yield GraphFinding(Code.LOCK_NAME, each.field, each.message, severity, rulebook.source)


_Found = tuple[str, str, bool]
"""A field, a message, and whether it is certain."""


def _deadlocks(
    graphs: Sequence[Graph], owner: TemplateOwner, rulebook: Rulebook, library: Library
) -> Iterator[_Found]:
    namespace = rulebook.locks.namespace
    limit_of = limit_lookup(rulebook.locks.definitions, only=namespace if rulebook.closed_by else None)
    seen: set[tuple[str, str]] = set()
    nested: list[Nested] = []
    for graph in graphs:
        analysis = analyse(graph, limit_of, rulebook.budget, own=namespace, argo=rulebook.locks.argo)
        nested += analysis.nested
        for each in analysis.deadlocks:
            yield from _once(each, owner, seen)
        if not analysis.complete:
            yield field_path(owner.at), "has too many templates or locks to look for all deadlocks", False
    if nested:
        index, budget = library.index(namespace, rulebook.budget), rulebook.budget
        own = owner.key(namespace) if owner.is_template else None
        for circle in index.cycles(nested, limit_of, without=own, budget=budget):
            yield from _once(deadlock_of_cycle(circle), owner, seen)


def _once(deadlock: TemplateDeadlock, owner: TemplateOwner, seen: set[tuple[str, str]]) -> Iterator[_Found]:
    place = field_path(deadlock.pointer)
    field, text = (
        (place, "") if deadlock.owner is owner else (field_path(owner.at), f"{deadlock.owner} {place}: ")
    )
    kind = "deadlock" if deadlock.certain else "possible deadlock"
    if (field, deadlock.message) not in seen:
        seen.add((field, deadlock.message))
        yield field, f"{kind}: {text}{deadlock.message}", deadlock.certain


def _filled_faults(
    graphs: Sequence[Graph], reviewed: TemplateOwner, found: Sequence[TemplateBody], rulebook: Rulebook
) -> list[Reason]:
    """Return what is wrong with the parameterised locks of an object, each fault once."""
    faults: dict[Reason, None] = {}
    for number, (owner, lock) in enumerate(_parameterised_locks(graphs, reviewed, found, rulebook)):
        if not number % STEPS:
            rulebook.budget.check(Part.LOCKS)
        for fault in _name_faults(lock, rulebook):
            faults.setdefault(fault if owner is reviewed else _elsewhere(fault, owner, reviewed))
        if len(faults) >= MAX_FAULTS:
            break
    return list(faults)


def _elsewhere(fault: Reason, owner: TemplateOwner, reviewed: TemplateOwner) -> Reason:
    """Return a fault of a template of another object as one of the object that passes the parameters."""
    message = f"{owner} {fault.field}: {fault.message}"
    return msgspec.structs.replace(fault, field=field_path(reviewed.at), message=message)


def _parameterised_locks(
    graphs: Sequence[Graph], reviewed: TemplateOwner, found: Sequence[TemplateBody], rulebook: Rulebook
) -> Iterator[tuple[TemplateOwner, Lock]]:
    """Yield each lock with all names that it may have in known runs, and as written where no run is known.

    Of other objects only locks whose whole name is known here: their own reviews check the rest.
    """
    seen: set[str] = set()
    for graph in graphs:
        for node in paced((graph.root, *graph.nodes), rulebook.budget, Part.LOCKS):
            for lock in node.locks:
                if lock.filled is not None and (node.owner is reviewed or lock.known):
                    if node.owner is reviewed:
                        seen.add(lock.pointer)
                    yield node.owner, lock
    blocks: list[tuple[str, Synchronization | None]] = [
        (f"{reviewed.at}/synchronization", reviewed.spec.synchronization),
        (f"{reviewed.at}/templateDefaults/synchronization", reviewed.spec.default_locks),
        *((f"{place.pointer}/synchronization", place.template.synchronization) for place in found),
    ]
    for where, block in paced(blocks, rulebook.budget, Part.LOCKS):
        for lock in locks_in(block, where, rulebook.locks.namespace, {}):
            if lock.filled is not None and lock.pointer not in seen:
                yield reviewed, lock


def _name_faults(lock: Lock, rulebook: Rulebook) -> Iterator[Reason]:
    ref, where = lock.filled, field_path(lock.pointer)
    if ref is None:
        return
    if lock.known:
        yield from ref_faults(ref, where, rulebook)
        return
    for policy in rulebook.policies:
        if (fault := _refused(lock, ref, where, policy)) is not None:
            yield fault
            return


def _refused(
    lock: Lock, ref: SemaphoreRef | MutexRef, where: str, policy: CompiledLockPolicy
) -> Reason | None:
    """Return why a policy refuses a name that is not known."""
    rule = policy.validation.allow_parameterised
    if rule is Parameterised.DENY:
        message = (
            f"the name {as_written(lock.name)} is known only at run time, and the policy refuses such names; "
            "give the parameter a fixed value, or write the name out"
        )
        return Reason(Code.LOCK_NAME, where, message, policy.source)
    key = None
    if isinstance(ref, SemaphoreRef) and ref.config_map_key_ref is not None:
        key = ref.config_map_key_ref.key
    if rule is Parameterised.ALLOW or policy.key_rule is None or key is None or not parameterised(key):
        return None
    if policy.key_rule.allows(replaced(key, lambda _: _STAND_IN)):
        return None
    message = (
        f'key "{as_written(key)}" cannot follow the naming rule {policy.key_rule.text}, whatever its '
        "parameter is; rename it"
    )
    return Reason(Code.LOCK_NAME, f"{where}.configMapKeyRef.key", message, policy.source)
