"""Templates of other objects: what rules may select there, and the locks that lack there.

A Workflow with a workflowTemplateRef carries no templates, and what a template of another object calls cannot
be led elsewhere. Such templates get their locks at their own admission, where a policy names their kind.

What was looked up is remembered with the policies of the namespace, which a change of policies or templates
makes anew.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from policy.core.decision.decision import Code, Reason
from policy.core.injection.inject import inject
from policy.core.injection.injection_result import skipped
from policy.core.injection.reviewed_object import FindTemplate, ReviewedObject
from policy.core.injection.unknown_selection import MOST_WARNINGS, unseen
from policy.core.lock_checks.graph_findings import NOTHING, Inspection
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy, CompiledRule, MissingLock
from policy.core.lock_model.template_bodies import ForeignTemplate, TemplateBody, calls
from policy.core.lock_model.template_pods import PLAIN_PODS, PodView
from policy.core.lock_review.workflow_overlay import overlaid
from policy.core.objects.json_patch import field_path
from policy.core.objects.template_keys import ObjectKind, TemplateKey, known_key
from policy.core.objects.workflow import Template, TemplateRef, WorkflowSpec
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import MatchedKind, Referenced
from policy.core.values.budget import Part, paced

_MOST_FOLLOWED: Final = 1000
"""Templates that are followed below one call."""


def missing_lock_findings(
    spec: WorkflowSpec,
    found: Sequence[TemplateBody],
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    reviewed: ReviewedObject,
    *,
    snapshot: Snapshot,
) -> Inspection:
    """Return what is said of locks that cannot be put where an object leads to."""
    if not locks.rules:
        return NOTHING
    said: list[Reason | str] = []

    def say(missing: Iterator[MissingLock] | Sequence[MissingLock], where: str) -> None:
        said.extend(_said(each, where) for each in missing if each.rule.policy in active)

    if spec.workflow_template_ref is not None:
        where = f"{reviewed.at[1:].replace('/', '.')}.workflowTemplateRef"
        added = overlaid(spec, locks, reviewed)
        missing = missing_locks(spec.workflow_template_ref, locks, snapshot)
        say((each for each in missing if not _is_redirected(each.rule.policy, reviewed.kind)), where)
        say(added.lacking, where)
        unknown = [(each.name or "", rule) for each, rule in added.unknown if rule.policy in active]
        said += [unseen(name, rule) for name, rule in unknown[:MOST_WARNINGS]]
    for place in paced(found, reviewed.budget, Part.LOCKS):
        if place.has_complex_calls:
            every = list(calls(place.template, place.pointer))
            for call, pointer in paced(every, reviewed.budget, Part.LOCKS):
                if call.template_ref is not None and call.template_ref.template:
                    missing = missing_locks(call.template_ref, locks, snapshot)
                    say(missing, f"{field_path(pointer)}.templateRef")
    if not said:
        return NOTHING
    return Inspection(
        tuple(each for each in said if isinstance(each, Reason)),
        tuple(each for each in said if isinstance(each, str)),
    )


def _is_redirected(policy: CompiledLockPolicy, kind: ObjectKind) -> bool:
    """Tell whether a workflowTemplateRef of an object is led to a sibling: a schedule's, when it runs."""
    if policy.referenced is not Referenced.SIBLING:
        return False
    return kind is ObjectKind.WORKFLOW or (
        kind is ObjectKind.CRON_WORKFLOW and MatchedKind.WORKFLOW in policy.kinds
    )


def _said(missing: MissingLock, where: str) -> Reason | str:
    """Return the reason or the warning that a lock is missing, as its policy has it."""
    policy = missing.rule.policy
    stored = missing.kind in policy.kinds
    mend = "it was stored before the policy; apply it again" if stored else "write the lock there"
    if policy.referenced is not Referenced.DENY:
        why = f"the template comes from {missing.of}; {mend}"
        return skipped(missing.template, missing.rule, why)
    message = f'template "{missing.template}" of {missing.of} lacks the lock {missing.rule.lock_name}; {mend}'
    return Reason(Code.LOCK_CONFLICT, where, message, policy.source)


def missing_locks(ref: TemplateRef, locks: LockPolicies, snapshot: Snapshot) -> tuple[MissingLock, ...]:
    """Return the locks that lack behind a reference: in a whole object, or below one of its templates."""
    key = known_key(ref, locks.namespace)
    if key is None:
        return ()
    return locks.caches.missing.get_or(
        (*key, ref.template or ""), lambda: _look_up_missing(ref, key, locks, snapshot)
    )


def _look_up_missing(
    ref: TemplateRef, key: TemplateKey, locks: LockPolicies, snapshot: Snapshot
) -> tuple[MissingLock, ...]:
    spec = snapshot.templates.get(key)
    if spec is None:
        missing: Iterator[tuple[str, str, CompiledRule]] = iter(())
    else:
        missing = _below(spec, ref, locks, snapshot) if ref.template else _in_whole(spec, key, locks)
    kind = MatchedKind(key.kind)
    return tuple(MissingLock(rule, name, of, kind) for name, of, rule in missing)


def _in_whole(
    spec: WorkflowSpec, key: TemplateKey, locks: LockPolicies
) -> Iterator[tuple[str, str, CompiledRule]]:
    """Yield the names of templates of another object, its name, and the rules they lack."""
    rules = {(rule.name, rule.policy.source): rule for rule in locks.rules}
    for each in inject(spec, locks.relevant_bodies(spec), locks, locks.policies).locks:
        yield each.template, key.name, rules[each.rule, each.policy]


def _below(
    spec: WorkflowSpec, ref: TemplateRef, locks: LockPolicies, snapshot: Snapshot
) -> Iterator[tuple[str, str, CompiledRule]]:
    """Yield the names of templates below one of another object, whose they are, and the rules they lack."""
    first = spec.template(ref.template)
    if first is None:
        return
    held = held_locks(first.synchronization, locks.namespace)
    waiting = [(spec, ref.name or "", first, held)]
    seen = {id(first)}
    while waiting and len(seen) < _MOST_FOLLOWED:
        owner, of, caller, around = waiting.pop()
        for call, _ in calls(caller, ""):
            target: tuple[WorkflowSpec, str, Template | None] = (owner, of, call.inline)
            if call.template_ref is not None:
                other = snapshot.template(locks.namespace, call.template_ref)
                if other is None:
                    continue
                target = (other, call.template_ref.name or "", other.template(call.template_ref.template))
            elif call.template:
                target = (owner, of, owner.template(call.template))
            its_home, its_of, body = target
            if body is None or id(body) in seen:
                continue
            seen.add(id(body))
            own = around | held_locks(body.synchronization, locks.namespace)
            for rule in locks.rules_for(body):
                if own.isdisjoint(rule.names) and rule.selector.tasks is None and not body.daemon:
                    yield body.name or call.name or "", its_of, rule
            waiting.append((its_home, its_of, body, own))


def template_finder(locks: LockPolicies, snapshot: Snapshot, view: PodView = PLAIN_PODS) -> FindTemplate:
    """Return how templates of other objects are looked up that rules may select; they are remembered.

    `view` is that of the object under review, which may say what all that it runs has in its Pods.
    """

    def find(ref: TemplateRef) -> ForeignTemplate | None:
        key = known_key(ref, locks.namespace)
        if key is None:
            return None
        return locks.caches.foreign.get_or(
            (*key, ref.template or "", view.sets_pods),
            lambda: _selectable(ref, key, locks, snapshot, sets_pods=view.sets_pods),
        )

    return find


def _selectable(
    ref: TemplateRef, key: TemplateKey, locks: LockPolicies, snapshot: Snapshot, *, sets_pods: bool
) -> ForeignTemplate | None:
    """Return a template of another object, None where no rule may select it."""
    spec = snapshot.templates.get(key)
    template = spec.template(ref.template or "") if spec is not None else None
    if template is None or not (
        locks.rules_for(template) or locks.may_select_when_called(template, sets_pods=sets_pods)
    ):
        return None
    return ForeignTemplate(MatchedKind(key.kind), template, snapshot.texts.get(key, ""))
