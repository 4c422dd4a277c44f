"""Which locks are missing in templates of other objects, and which of these templates rules may select.

A Workflow with a workflowTemplateRef has no templates of its own, and calls in a template of another object
cannot be redirected. Such templates get their locks at their own admission, where a policy names their kind.

Results are stored with the compiled policies of the namespace, which a change of policies or templates
replaces.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.injection.inject import inject
from policy.core.injection.injection_result import skipped
from policy.core.injection.reviewed_object import FindTemplate, ReviewedObject
from policy.core.injection.unknown_selection import MOST_WARNINGS, unseen
from policy.core.lock_checks.rulebook import NO_FINDINGS, LockFindings, Rulebook
from policy.core.lock_graph.references import of_hooks
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy, CompiledRule, MissingLock
from policy.core.lock_model.template_bodies import ForeignTemplate, TemplateBody, calls
from policy.core.lock_model.template_pods import PLAIN_PODS, PodView
from policy.core.lock_model.template_selectors import Match
from policy.core.objects.json_patch import field_path
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.template_keys import ObjectKind, TemplateKey, key_of, known_key
from policy.core.objects.workflow import Hook, Parameter, Parameters, Template, TemplateRef, WorkflowSpec
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import MatchedKind, Referenced
from policy.core.values.budget import Part, paced

_MOST_FOLLOWED: Final = 1000
"""Templates that are followed below one call."""
_MOST_ABOVE: Final = 10_000
"""Callers that are looked at above one call; above the next ones fewer, for each takes as long."""
_INLINE: Final = "/inline"
_OVERLAID_FIELDS: Final = ("service_account_name", "volumes", "pod_spec_patch", "pod_metadata")


def missing_lock_findings(
    spec: WorkflowSpec,
    found: Sequence[TemplateBody],
    rulebook: Rulebook,
    reviewed: ReviewedObject,
    snapshot: Snapshot,
) -> LockFindings:
    """Return the findings about locks that are missing in templates of other objects."""
    locks, active, budget = rulebook.locks, rulebook.policies, rulebook.budget
    ref = spec.workflow_template_ref
    callers = _calling_others(spec, found, reviewed.at)
    if not locks.rules or not (ref or callers or spec.hooks):
        return NO_FINDINGS
    findings: list[Reason | str] = []
    if ref is not None:
        where = f"{reviewed.at[1:].replace('/', '.')}.workflowTemplateRef"
        every = missing_locks(ref, locks, snapshot)
        whole = [each for each in every if not _is_redirected(each.rule.policy, reviewed.kind)]
        overlaid = list(_overlaid(spec, ref, locks, reviewed))
        sure = [each for each, match in overlaid if match is Match.YES]
        findings += _findings([*whole, *sure], where, active)
        unknown = [each for each, match in overlaid if match is Match.MAYBE and each.rule.policy in active]
        findings += [unseen(each.template, each.rule) for each in unknown[:MOST_WARNINGS]]
    around = _HeldAround(spec, found, locks)
    for place in paced(callers, budget, Part.LOCKS):
        called = list(calls(place.template, place.pointer))
        for call, pointer in paced(called, budget, Part.LOCKS):
            for called_ref, where in _refs_of(call.template_ref, call.hooks, pointer):
                missing = missing_locks(called_ref, locks, snapshot)
                if missing:
                    findings += _findings(_not_held(missing, around.of(place)), where, active)
    whole_run = held_locks(spec.synchronization, locks.namespace)
    for called_ref, where in _refs_of(None, spec.hooks, reviewed.at):
        findings += _findings(_not_held(missing_locks(called_ref, locks, snapshot), whole_run), where, active)
    once = dict.fromkeys(findings)
    return LockFindings(
        tuple(each for each in once if isinstance(each, Reason)),
        tuple(each for each in once if isinstance(each, str)),
    )


def _refs_of(
    ref: TemplateRef | None, hooks: Mapping[str, Hook] | None, pointer: str
) -> Iterator[tuple[TemplateRef, str]]:
    """Yield the templates of other objects that a call and its hooks run, with their fields."""
    if ref is not None and ref.template:
        yield ref, f"{field_path(pointer)}.templateRef"
    for each in of_hooks(hooks, pointer):
        if each.ref is not None and each.ref.template:
            yield each.ref, f"{field_path(each.pointer)}.templateRef"


def _not_held(missing: Sequence[MissingLock], held: AbstractSet[str]) -> list[MissingLock]:
    return [each for each in missing if held.isdisjoint(each.rule.names)]


def _calling_others(spec: WorkflowSpec, found: Sequence[TemplateBody], at: str) -> Sequence[TemplateBody]:
    """Return the bodies that may call templates of other objects; `found` has all that call any."""
    templates = spec.templates

    def look() -> Sequence[TemplateBody]:
        return [place for place in found if place.has_complex_calls or _has_hooks(place.template)]

    return templates.once((_calling_others, at), look) if isinstance(templates, SharedTemplates) else look()


def _has_hooks(template: Template) -> bool:
    return any(call.hooks is not None for call, _ in calls(template, ""))


class _HeldAround:
    """The locks that a template of an object runs under: its own, its callers', and those that rules put."""

    def __init__(self, spec: WorkflowSpec, found: Sequence[TemplateBody], locks: LockPolicies) -> None:
        self._spec, self._found, self._locks = spec, found, locks
        self._known: dict[str, frozenset[str]] = {}
        self._callers: dict[str, list[TemplateBody]] | None = None

    def of(self, place: TemplateBody) -> frozenset[str]:
        """Return the names of the locks that some way to a template takes; of the first callers only."""
        known = self._known.get(place.pointer)
        if known is None:
            known = self._known[place.pointer] = self._look(place, _MOST_ABOVE // (len(self._known) + 1))
        return known

    def _look(self, place: TemplateBody, most: int) -> frozenset[str]:
        held = held_locks(self._spec.synchronization, self._locks.namespace)
        seen = {place.pointer}
        stack = [place]
        while stack and most:
            each = stack.pop()
            most -= 1
            held |= held_locks(each.template.synchronization, self._locks.namespace)
            held = held.union(*(rule.names for rule in self._locks.rules_for(each.template)))
            outer = [caller for caller in self._callers_of(each) if caller.pointer not in seen]
            seen.update(caller.pointer for caller in outer)
            stack += outer
        return held

    def _callers_of(self, place: TemplateBody) -> list[TemplateBody]:
        if self._callers is None:
            self._callers = {}
            for each in self._found:
                for call, pointer in calls(each.template, each.pointer):
                    called = f"{pointer}{_INLINE}" if call.inline is not None else call.template or ""
                    self._callers.setdefault(called, []).append(each)
        called = place.pointer if place.pointer.endswith(_INLINE) else place.template.name or ""
        return self._callers.get(called, [])


def _is_redirected(policy: CompiledLockPolicy, kind: ObjectKind) -> bool:
    """Return whether a workflowTemplateRef is redirected to a sibling: that of a schedule when it runs."""
    if policy.referenced is not Referenced.SIBLING:
        return False
    return kind is ObjectKind.WORKFLOW or (
        kind is ObjectKind.CRON_WORKFLOW and MatchedKind.WORKFLOW in policy.kinds
    )


def _findings(
    missing: Sequence[MissingLock], where: str, active: Sequence[CompiledLockPolicy]
) -> list[Reason | str]:
    """Return a reason or a warning for each missing lock, as its policy has it."""
    return [_finding(each, where) for each in missing if each.rule.policy in active]


def _finding(missing: MissingLock, where: str) -> Reason | str:
    policy = missing.rule.policy
    stored = missing.kind in policy.kinds
    fix = "it was stored before the policy; apply it again" if stored else "write the lock there"
    if policy.referenced is not Referenced.DENY:
        why = f"the template comes from {missing.of}; {fix}"
        return skipped(missing.template, missing.rule, why)
    message = f'template "{missing.template}" of {missing.of} lacks the lock {missing.rule.lock_name}; {fix}'
    return Reason(Code.LOCK_CONFLICT, where, message, policy.source)


def missing_locks(ref: TemplateRef, locks: LockPolicies, snapshot: Snapshot) -> tuple[MissingLock, ...]:
    """Return the locks missing behind a reference: in a whole object, or below one of its templates."""
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
        return ()
    kind = MatchedKind(key.kind)
    if not ref.template:
        return tuple(MissingLock(rule, name, of, kind) for name, of, rule in _in_whole(spec, key, locks))
    missing = (*_stored_before(spec, ref, kind, locks), *_below(spec, ref, locks, snapshot))
    return tuple(MissingLock(rule, name, of, kind) for name, of, rule in missing)


def _stored_before(
    spec: WorkflowSpec, ref: TemplateRef, kind: MatchedKind, locks: LockPolicies
) -> Iterator[tuple[str, str, CompiledRule]]:
    """Yield the locks that a called template itself lacks, though policies put them into its kind.

    Its callers are not changed for these: it has them since it was last applied.
    """
    template = spec.template(ref.template)
    if template is None or template.daemon:
        return
    held = held_locks(template.synchronization, locks.namespace)
    for rule in locks.rules_for(template):
        if kind in rule.policy.kinds and rule.selector.tasks is None and held.isdisjoint(rule.names):
            yield template.name or "", ref.name or "", rule


def _in_whole(
    spec: WorkflowSpec, key: TemplateKey, locks: LockPolicies
) -> Iterator[tuple[str, str, CompiledRule]]:
    """Yield the templates of another object that lack a lock, by name, its name, and the rules."""
    rules = {(rule.name, rule.policy.source): rule for rule in locks.rules}
    reviewed = ReviewedObject(view=locks.view(spec))
    for each in inject(spec, locks.relevant_bodies(spec), Rulebook(locks, locks.policies), reviewed).locks:
        yield each.template, key.name, rules[each.rule, each.policy]


def _below(
    spec: WorkflowSpec, ref: TemplateRef, locks: LockPolicies, snapshot: Snapshot
) -> Iterator[tuple[str, str, CompiledRule]]:
    """Yield the templates below one of another object that lack a lock, their owners, and the rules."""
    first = spec.template(ref.template)
    if first is None:
        return
    held = held_locks(first.synchronization, locks.namespace)
    stack = [(spec, ref.name or "", first, held)]
    seen = {id(first)}
    while stack and len(seen) < _MOST_FOLLOWED:
        owner, of, caller, around = stack.pop()
        for call, _ in calls(caller, ""):
            target: tuple[WorkflowSpec, str, Template | None] = (owner, of, call.inline)
            if call.template_ref is not None:
                other = snapshot.template(locks.namespace, call.template_ref)
                if other is None:
                    continue
                target = (other, call.template_ref.name or "", other.template(call.template_ref.template))
            elif call.template:
                target = (owner, of, owner.template(call.template))
            its_owner, its_name, body = target
            if body is None or id(body) in seen:
                continue
            seen.add(id(body))
            own = around | held_locks(body.synchronization, locks.namespace)
            for rule in locks.rules_for(body):
                if own.isdisjoint(rule.names) and rule.selector.tasks is None and not body.daemon:
                    yield body.name or call.name or "", its_name, rule
            stack.append((its_owner, its_name, body, own))


def template_finder(locks: LockPolicies, snapshot: Snapshot, view: PodView = PLAIN_PODS) -> FindTemplate:
    """Return the look-up of templates of other objects that rules may select; its results are stored.

    `view` is that of the object under review, which may set fields of all Pods that it runs.
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


def _overlaid(
    spec: WorkflowSpec, ref: TemplateRef, locks: LockPolicies, reviewed: ReviewedObject
) -> Iterator[tuple[MissingLock, Match]]:
    """Yield the locks that only a Workflow's own fields require in the templates that it refers to.

    Argo takes each field from the Workflow where it has one (argo-workflows G). The locks of such templates
    follow from the template alone, so what only the Workflow requires is put nowhere: that is reported.
    """
    key = key_of(ref, locks.namespace)
    owner = reviewed.library.owner(key) if locks.by_pod and reviewed.kind is ObjectKind.WORKFLOW else None
    if owner is None or not _has_own_fields(spec):
        return
    alone, merged = locks.view(owner.spec), locks.view(_merged(spec, owner.spec))
    for template in owner.spec.templates or ():
        if not locks.may_select_when_called(template, sets_pods=merged.sets_pods):
            continue
        known = {rule.name for rule in locks.rules_for(template, alone)}
        held = held_locks(template.synchronization, locks.namespace)
        for rule, match in locks.matches(template, merged):
            if rule.name not in known and held.isdisjoint(rule.names):
                yield MissingLock(rule, template.name or "", key.name, MatchedKind(key.kind)), match


def _has_own_fields(spec: WorkflowSpec) -> bool:
    return (
        spec.template_defaults is not None
        or (spec.arguments is not None and bool(spec.arguments.parameters))
        or any(getattr(spec, field) for field in _OVERLAID_FIELDS)
    )


def _merged(spec: WorkflowSpec, below: WorkflowSpec) -> WorkflowSpec:
    """Return the template's spec with what rules ask about from the Workflow, where it has it."""
    given = {field: getattr(spec, field) for field in _OVERLAID_FIELDS if getattr(spec, field)}
    own, their = spec.template_defaults, below.template_defaults
    if own is not None and their is not None:
        set_here = {
            field: value for field in own.__struct_fields__ if (value := getattr(own, field)) is not None
        }
        own = msgspec.structs.replace(their, **set_here)
    return msgspec.structs.replace(
        below,
        arguments=_arguments(spec.arguments, below.arguments),
        template_defaults=own or their,
        **given,
    )


def _arguments(own: Parameters | None, below: Parameters | None) -> Parameters:
    found: dict[str | None, Parameter] = {}
    for each in (own, below):
        for parameter in (each.parameters if each is not None else None) or ():
            found.setdefault(parameter.name, parameter)
    return Parameters(tuple(found.values()))
