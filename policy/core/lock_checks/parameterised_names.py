"""Locks whose names have parameters: judged by the whole name where known, else by what policies allow."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.lock_checks.reference_faults import ref_faults
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Graph
from policy.core.lock_model.block_locks import Lock, locks_in
from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.parameters import as_written, replaced
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.json_patch import field_path
from policy.core.objects.workflow import MutexRef, SemaphoreRef, Synchronization
from policy.core.policy_kinds.kinds import Parameterised
from policy.core.values.budget import STEPS, Part, paced

_STAND_IN: Final = "x"
"""What stands for a part that is not known, where a naming rule is asked."""
_MAX_FAULTS: Final = 100


def filled_faults(
    graphs: Sequence[Graph], reviewed: TemplateOwner, found: Sequence[TemplateBody], rulebook: Rulebook
) -> list[Reason]:
    """Return what is wrong with the parameterised locks of an object, each fault once."""
    faults: dict[Reason, None] = {}
    for number, (owner, lock) in enumerate(_parameterised_locks(graphs, reviewed, found, rulebook)):
        if not number % STEPS:
            rulebook.budget.check(Part.LOCKS)
        for fault in _faults(lock, rulebook):
            faults.setdefault(fault if owner is reviewed else _elsewhere(fault, owner, reviewed))
        if len(faults) >= _MAX_FAULTS:
            break
    return list(faults)


def _elsewhere(fault: Reason, owner: TemplateOwner, reviewed: TemplateOwner) -> Reason:
    """Return a fault of a template of another object, which this one's parameters lead to."""
    message = f"{owner} {fault.field}: {fault.message}"
    return msgspec.structs.replace(fault, field=field_path(reviewed.at), message=message)


def _parameterised_locks(
    graphs: Sequence[Graph], reviewed: TemplateOwner, found: Sequence[TemplateBody], rulebook: Rulebook
) -> Iterator[tuple[TemplateOwner, Lock]]:
    """Yield each with every name that it may have in runs that we know, and as it is written elsewhere.

    Of other objects only those whose whole name is known here: the rest is for their own reviews.
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


def _faults(lock: Lock, rulebook: Rulebook) -> Iterator[Reason]:
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
