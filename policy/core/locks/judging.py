"""What the lock policies of a namespace say of a spec: the locks to put in, what is wrong, and warnings."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.budget import UNBOUNDED, Budget, Part
from policy.core.decision import NO_OBJECT, Injection, Reason
from policy.core.locks.beyond import beyond_reach, finder
from policy.core.locks.inject import put_locks
from policy.core.locks.inspect import NOTHING, inspect
from policy.core.locks.policies import LockPolicies
from policy.core.locks.rulebook import MAX_FAULTS, Rulebook
from policy.core.locks.rules import CompiledLockPolicy
from policy.core.locks.runs import home_of
from policy.core.locks.scene import Scene
from policy.core.locks.served import Served, concerned, serve
from policy.core.locks.unseen import hidden_from_rules
from policy.core.locks.validate import lock_faults, lock_warnings
from policy.core.patches import PatchOp
from policy.core.selectors import Labels
from policy.core.snapshot import NamespacePolicies, Snapshot
from policy.core.workflow import Metadata, WorkflowSpec


class LockPart(msgspec.Struct, frozen=True):
    """The locks' part of a decision.

    `injected` tells people what `patch` puts in, and `note` what the object has then. `served` is where a
    Workflow is led whose templates are another object's, None where that is not looked at.
    """

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    injected: tuple[Injection, ...] = ()
    note: str = ""
    served: Served | None = None

    @property
    def says_anything(self) -> bool:
        """Whether there is anything to tell or to change."""
        return bool(self.reasons or self.warnings or self.patch or self.injected)


NO_LOCKS: Final = LockPart()
"""Of a Workflow that no lock policy speaks about."""


def judge_locks(
    spec: WorkflowSpec,
    labels: Labels,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    *,
    raw: msgspec.Raw = NO_OBJECT,
    metadata: Metadata | None = None,
    again: bool = False,
    budget: Budget = UNBOUNDED,
) -> LockPart:
    """Return what the policies that are active for these labels say of a Workflow's spec.

    `raw` is the whole object, which layers around templates are made from. With its `metadata`, a Workflow
    that is to run, perhaps `again`, is led to the sibling of its template where it needs one.
    """
    locks = policies.locks
    active = locks.active(labels) if locks is not None else ()
    if locks is None or not active:
        return NO_LOCKS
    view = locks.view(spec)
    scene = Scene(
        raw=raw,
        view=view,
        find=finder(locks, snapshot, view),
        library=snapshot.library,
        budget=budget,
    )
    if metadata is None or not concerned(spec, metadata):
        return judge_spec(spec, locks, active, scene, snapshot)
    served = serve(spec, metadata, active, locks, snapshot, again=again)
    part = judge_spec(served.spec, locks, active, scene, snapshot)
    return msgspec.structs.replace(
        part,
        reasons=served.reasons + part.reasons,
        patch=part.patch + served.patch,
        injected=part.injected + (served.injected if served.patch else ()),
        note=served.note or part.note,
        served=served,
    )


def judge_spec(
    spec: WorkflowSpec,
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    scene: Scene,
    snapshot: Snapshot,
) -> LockPart:
    """Return what policies say of the WorkflowSpec of an object of any kind."""
    budget = scene.budget
    rulebook = Rulebook(locks, active, hints=scene.hints, budget=budget)
    put = put_locks(spec, locks, active, scene)
    spec, found, injected = put.spec, put.found, put.injected
    faults = tuple(islice(lock_faults(spec, found, rulebook), MAX_FAULTS))
    home = home_of(scene.kind, scene.name, spec, scene.at)
    budget.check(Part.GRAPH)
    full = len(faults) == MAX_FAULTS  # There is enough to mend before the whole is looked at.
    shown = NOTHING if full else inspect(home, found, rulebook, scene.library, injected.patch)
    beyond = beyond_reach(spec, found, locks, active, scene, snapshot=snapshot)
    return LockPart(
        reasons=faults + injected.faults + shown.reasons + beyond.reasons,
        warnings=(
            *lock_warnings(spec, found, rulebook),
            *injected.warnings,
            *hidden_from_rules(spec, found, locks, active, scene),
            *beyond.warnings,
            *shown.warnings,
        ),
        patch=put.patch,
        policies=tuple(policy.source for policy in active),
        injected=injected.locks,
        note=injected.note,
    )
