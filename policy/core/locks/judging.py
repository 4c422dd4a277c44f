"""What the lock policies of a namespace say of a spec: the locks to put in, what is wrong, and warnings."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.decision import Injection, Reason
from policy.core.locks.inject import inject
from policy.core.locks.policies import CompiledLockPolicy, LockPolicies
from policy.core.locks.validate import Rulebook, lock_faults
from policy.core.patches import PatchOp
from policy.core.selectors import Labels
from policy.core.snapshot import NamespacePolicies, Snapshot
from policy.core.workflow import WorkflowSpec

MAX_FAULTS: Final = 100
"""Faults of locks that are looked for; a message shows ten, and looking for thousands would take seconds."""


class LockPart(msgspec.Struct, frozen=True):
    """The locks' part of a decision; `injected` tells people what `patch` puts in."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    injected: tuple[Injection, ...] = ()


NO_LOCKS: Final = LockPart()
"""Of a Workflow that no lock policy speaks about."""


def judge_locks(
    spec: WorkflowSpec, labels: Labels, policies: NamespacePolicies, snapshot: Snapshot
) -> LockPart:
    """Return what the policies that are active for these labels say of a spec."""
    locks = policies.locks
    active = locks.active(labels) if locks is not None else ()
    if locks is None or not active:
        return NO_LOCKS
    found = locks.concerned(spec)
    faults = tuple(islice(lock_faults(spec, found, Rulebook(locks, active)), MAX_FAULTS))
    injected = inject(spec, found, locks, active)
    return LockPart(
        reasons=faults + injected.faults,
        warnings=injected.warnings + _beyond_reach(spec, locks, active, snapshot),
        patch=injected.patch,
        policies=tuple(policy.source for policy in active),
        injected=injected.locks,
    )


def _beyond_reach(
    spec: WorkflowSpec, locks: LockPolicies, active: Sequence[CompiledLockPolicy], snapshot: Snapshot
) -> tuple[str, ...]:
    """Return warnings for locks that rules want in a referenced template, which a Workflow cannot carry."""
    ref = spec.workflow_template_ref
    if ref is None:
        return ()
    template = snapshot.template(locks.namespace, ref)
    if template is None:
        return ()
    return tuple(
        f"lockkeeper: {each.template}: lock {each.lock} is not injected, the template comes from {ref.name}; "
        "write the lock there"
        for each in inject(template, locks.concerned(template), locks, active).locks
    )
