"""What is put into an object of any kind: single locks as lists, then the locks of rules."""

from collections.abc import Sequence

import msgspec

from policy.core.locks.convert import any_single, applied, convert, converts
from policy.core.locks.inject import inject
from policy.core.locks.injected import Injected
from policy.core.locks.places import Place
from policy.core.locks.policies import LockPolicies
from policy.core.locks.rules import CompiledLockPolicy
from policy.core.locks.scene import Scene
from policy.core.patches import PatchOp
from policy.core.workflow import WorkflowSpec


class Put(msgspec.Struct, frozen=True):
    """What is put, and the spec that locks are put into: with lists in place of single locks."""

    spec: WorkflowSpec
    found: Sequence[Place]
    conversion: tuple[PatchOp, ...]
    injected: Injected

    @property
    def patch(self) -> tuple[PatchOp, ...]:
        """Both together."""
        return self.conversion + self.injected.patch


def put_locks(
    spec: WorkflowSpec, locks: LockPolicies, active: Sequence[CompiledLockPolicy], scene: Scene
) -> Put:
    """Return what policies put into a spec."""
    found = locks.concerned(spec, scene.at, scene.view, scene.budget)
    conversion: tuple[PatchOp, ...] = ()
    if converts(locks, active) and any_single(spec, found):
        spec, conversion = convert(spec, scene.at)
        found = locks.concerned(spec, scene.at, scene.view, scene.budget)
        if locks.structural:  # Copies of templates are made from the text.
            scene = msgspec.structs.replace(scene, raw=applied(scene.raw, conversion))
    return Put(spec, found, conversion, inject(spec, found, locks, active, scene))
