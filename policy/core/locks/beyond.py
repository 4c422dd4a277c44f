"""Locks that rules want where an object cannot put them: in templates of other objects that others call.

A Workflow with a workflowTemplateRef carries no templates, and what a template of another object calls cannot
be led elsewhere. Such templates get their locks at their own admission, where a policy names their kind.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from policy.core.budget import Part, paced
from policy.core.decision import Code, ObjectKind, Reason
from policy.core.kinds import MatchedKind, Referenced
from policy.core.locks.inject import inject
from policy.core.locks.overlaid import overlaid
from policy.core.locks.places import Place, calls, field_path
from policy.core.locks.policies import LockPolicies
from policy.core.locks.rules import CompiledLockPolicy, CompiledRule
from policy.core.locks.scene import Lacking, Scene
from policy.core.locks.unseen import MOST_TOLD, unseen
from policy.core.locks.wanted import held_locks
from policy.core.snapshot import Snapshot
from policy.core.workflow import Template, TemplateRef, WorkflowSpec

MOST_FOLLOWED: Final = 1000
"""Templates that are followed below one call."""


class Told(msgspec.Struct):
    """What is said of them."""

    reasons: list[Reason] = []
    warnings: list[str] = []


def beyond_reach(
    spec: WorkflowSpec,
    found: Sequence[Place],
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    scene: Scene,
) -> Told:
    """Return what is said of locks that cannot be put where an object leads to."""
    told = Told()
    if not locks.rules:
        return told
    if spec.workflow_template_ref is not None:
        where = f"{scene.at[1:].replace('/', '.')}.workflowTemplateRef"
        added = overlaid(spec, locks, scene)
        served = (
            each
            for each in scene.lacking(spec.workflow_template_ref)
            if not _is_served(each.rule.policy, scene.kind)
        )
        for each in (*served, *added.lacking):
            _tell(told, each, where, active)
        unknown = [(each.name or "", rule) for each, rule in added.unknown if rule.policy in active]
        told.warnings += [unseen(name, rule) for name, rule in unknown[:MOST_TOLD]]
    for place in paced(found, scene.budget, Part.LOCKS):
        if place.remarkable:
            every = list(calls(place.template, place.pointer))
            for call, pointer in paced(every, scene.budget, Part.LOCKS):
                if call.template_ref is not None and call.template_ref.template:
                    for each in scene.lacking(call.template_ref):
                        _tell(told, each, f"{field_path(pointer)}.templateRef", active)
    return told


def _is_served(policy: CompiledLockPolicy, kind: ObjectKind) -> bool:
    """Tell whether a workflowTemplateRef of an object is led to a sibling: a schedule's, when it runs."""
    if policy.referenced is not Referenced.SIBLING:
        return False
    return kind is ObjectKind.WORKFLOW or (
        kind is ObjectKind.CRON_WORKFLOW and MatchedKind.WORKFLOW in policy.kinds
    )


def _tell(told: Told, lacking: Lacking, where: str, active: Sequence[CompiledLockPolicy]) -> None:
    policy = lacking.rule.policy
    if policy not in active:
        return
    stored = lacking.kind in policy.kinds
    mend = "it was stored before the policy; apply it again" if stored else "write the lock there"
    lock = lacking.rule.lock_name
    if policy.referenced is Referenced.DENY:
        message = f'template "{lacking.template}" of {lacking.of} lacks the lock {lock}; {mend}'
        told.reasons.append(Reason(Code.LOCK_CONFLICT, where, message, policy.source))
    else:
        told.warnings.append(
            f"lockkeeper: {lacking.template}: lock {lock} is not injected, the template comes from "
            f"{lacking.of}; {mend}"
        )


def lacking_in(ref: TemplateRef, locks: LockPolicies, snapshot: Snapshot) -> tuple[Lacking, ...]:
    """Return the locks that lack behind a reference: in a whole object, or below one of its templates."""
    scope = "" if ref.cluster_scope else locks.namespace
    if not (ref.cluster_scope or scope):
        return ()  # A template of the cluster is used in many namespaces: which, is not known here.
    spec = snapshot.templates.get((scope, ref.name or ""))
    if spec is None:
        return ()
    kind = MatchedKind.WORKFLOW_TEMPLATE if scope else MatchedKind.CLUSTER_WORKFLOW_TEMPLATE
    if ref.template:
        found = _below(spec, ref, locks, snapshot)
        return tuple(Lacking(rule, name, of, kind) for name, of, rule in found)
    rules = {(rule.name, rule.policy.source): rule for rule in locks.rules}
    whole = inject(spec, locks.concerned(spec), locks, locks.policies).locks
    return tuple(
        Lacking(rules[each.rule, each.policy], each.template, ref.name or "", kind) for each in whole
    )


def _below(
    spec: WorkflowSpec, ref: TemplateRef, locks: LockPolicies, snapshot: Snapshot
) -> Iterator[tuple[str, str, CompiledRule]]:
    """Yield the names of templates below one of another object, whose they are, and the rules they lack."""
    first = _named(spec, ref.template)
    if first is None:
        return
    held = held_locks(first.synchronization, locks.namespace)
    waiting = [(spec, ref.name or "", first, held)]
    seen = {id(first)}
    while waiting and len(seen) < MOST_FOLLOWED:
        home, of, caller, around = waiting.pop()
        for call, _ in calls(caller, ""):
            target: tuple[WorkflowSpec, str, Template | None] = (home, of, call.inline)
            if call.template_ref is not None:
                other = snapshot.template(locks.namespace, call.template_ref)
                if other is None:
                    continue
                target = (other, call.template_ref.name or "", _named(other, call.template_ref.template))
            elif call.template:
                target = (home, of, _named(home, call.template))
            its_home, its_of, body = target
            if body is None or id(body) in seen:
                continue
            seen.add(id(body))
            own = around | held_locks(body.synchronization, locks.namespace)
            for rule in locks.rules_for(body):
                if own.isdisjoint(rule.names) and rule.selector.tasks is None and not body.daemon:
                    yield body.name or call.name or "", its_of, rule
            waiting.append((its_home, its_of, body, own))


def _named(spec: WorkflowSpec, name: str | None) -> Template | None:
    return next((each for each in spec.templates or () if each.name == name), None)
