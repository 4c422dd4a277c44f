"""What the lock policies of a namespace say of a spec: the locks to put in, what is wrong, and warnings."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.decision import NO_OBJECT, Injection, Reason
from policy.core.kinds import MatchedKind
from policy.core.locks.beyond import beyond_reach, lacking_in
from policy.core.locks.convert import any_single, applied, convert, converts
from policy.core.locks.inject import inject
from policy.core.locks.inspect import NOTHING, inspect
from policy.core.locks.policies import LockPolicies
from policy.core.locks.rules import CompiledLockPolicy
from policy.core.locks.runs import home_of
from policy.core.locks.scene import Find, Foreign, Lacking, LackingIn, Scene
from policy.core.locks.validate import Rulebook, lock_faults, lock_warnings
from policy.core.patches import PatchOp
from policy.core.selectors import Labels
from policy.core.snapshot import NamespacePolicies, Snapshot
from policy.core.workflow import TemplateRef, WorkflowSpec

MAX_FAULTS: Final = 100
"""Faults of locks that are looked for; a message shows ten, and looking for thousands would take seconds."""


class LockPart(msgspec.Struct, frozen=True):
    """The locks' part of a decision.

    `injected` tells people what `patch` puts in, and `note` what the object has then.
    """

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    injected: tuple[Injection, ...] = ()
    note: str = ""


NO_LOCKS: Final = LockPart()
"""Of a Workflow that no lock policy speaks about."""


def judge_locks(
    spec: WorkflowSpec,
    labels: Labels,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    *,
    raw: msgspec.Raw = NO_OBJECT,
) -> LockPart:
    """Return what the policies that are active for these labels say of a Workflow's spec.

    `raw` is the whole object, which layers around templates are made from.
    """
    locks = policies.locks
    active = locks.active(labels) if locks is not None else ()
    if locks is None or not active:
        return NO_LOCKS
    scene = Scene(
        raw=raw,
        find=finder(locks, snapshot),
        library=snapshot.library,
        lacking=missing_finder(locks, snapshot),
    )
    return judge_spec(spec, locks, active, scene)


def judge_spec(
    spec: WorkflowSpec, locks: LockPolicies, active: Sequence[CompiledLockPolicy], scene: Scene
) -> LockPart:
    """Return what policies say of the WorkflowSpec of an object of any kind."""
    rulebook = Rulebook(locks, active)
    found = locks.concerned(spec, scene.at)
    conversion: tuple[PatchOp, ...] = ()
    if converts(locks, active) and any_single(spec, found):
        spec, conversion = convert(spec, scene.at)
        found = locks.concerned(spec, scene.at)
        if locks.structural:  # Copies of templates are made from the text.
            scene = msgspec.structs.replace(scene, raw=applied(scene.raw, conversion))
    faults = tuple(islice(lock_faults(spec, found, rulebook), MAX_FAULTS))
    injected = inject(spec, found, locks, active, scene)
    home = home_of(scene.kind, scene.name, spec, scene.at)
    full = len(faults) == MAX_FAULTS  # There is enough to mend before the whole is looked at.
    shown = NOTHING if full else inspect(home, found, rulebook, scene.library, injected.patch)
    beyond = beyond_reach(spec, found, locks, active, scene)
    return LockPart(
        reasons=faults + injected.faults + shown.reasons + tuple(beyond.reasons),
        warnings=(
            *lock_warnings(spec, found, rulebook),
            *injected.warnings,
            *beyond.warnings,
            *shown.warnings,
        ),
        patch=conversion + injected.patch,
        policies=tuple(policy.source for policy in active),
        injected=injected.locks,
        note=injected.note,
    )


def missing_finder(locks: LockPolicies, snapshot: Snapshot) -> LackingIn:
    """Return how locks are found that other objects lack; they are remembered."""

    def lacking(ref: TemplateRef) -> tuple[Lacking, ...]:
        key = ("" if ref.cluster_scope else locks.namespace, ref.name or "", ref.template or "")
        if key not in locks.lacking:
            locks.lacking[key] = lacking_in(ref, locks, snapshot)
        return locks.lacking[key]

    return lacking


def finder(locks: LockPolicies, snapshot: Snapshot) -> Find:
    """Return how templates of other objects are looked up that rules may select; they are remembered."""

    def find(ref: TemplateRef) -> Foreign | None:
        scope = "" if ref.cluster_scope else locks.namespace
        if not (ref.cluster_scope or scope):
            return None  # A template of the cluster is used in many namespaces: which, is not known here.
        key = (scope, ref.name or "", ref.template or "")
        if key not in locks.foreign:
            locks.foreign[key] = look_up(key)
        return locks.foreign[key]

    def look_up(key: tuple[str, str, str]) -> Foreign | None:
        scope, name, wanted = key
        spec = snapshot.templates.get((scope, name))
        templates = (spec.templates if spec is not None else None) or ()
        template = next((each for each in templates if each.name == wanted), None)
        if template is None or not locks.rules_for(template):
            return None
        kind = MatchedKind.WORKFLOW_TEMPLATE if scope else MatchedKind.CLUSTER_WORKFLOW_TEMPLATE
        return Foreign(kind, template, snapshot.texts.get((scope, name), ""))

    return find
