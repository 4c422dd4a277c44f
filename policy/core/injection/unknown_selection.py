"""Templates of which it is not known before they run whether a rule selects them: nobody locks them unseen.

An image that an output gives, or a patch that cannot be read here, may be what a rule asks for. The lock is
not put on (it may not be needed), and whoever submits is warned of it, and by which rule.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from policy.core.injection.injection_result import skipped, template_name
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy, CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody, calls
from policy.core.lock_model.template_pods import PodView, pod_differs
from policy.core.lock_model.template_selectors import Match
from policy.core.objects.workflow import Template, WorkflowSpec

MOST_WARNINGS: Final = 20
"""Warnings of one review."""


def hidden_from_rules(
    spec: WorkflowSpec,
    found: Sequence[TemplateBody],
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    reviewed: ReviewedObject,
) -> tuple[str, ...]:
    """Return a warning for each template of which it is not known whether a rule selects it."""
    if not locks.by_pod:
        return ()
    view = locks.view(spec, open_ended=reviewed.is_template) if reviewed.view is None else reviewed.view
    sets_pods, all_fields = view.sets_pods, locks.selects_pod_fields
    looked = [
        each
        for each in found
        if each.has_complex_calls or sets_pods or pod_differs(each.template, all_fields=all_fields)
    ]
    if not looked:
        return ()  # So it nearly always is.
    return tuple(dict.fromkeys(islice(_hidden(looked, locks, active, reviewed, view), MOST_WARNINGS)))


def _hidden(
    found: Sequence[TemplateBody],
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    reviewed: ReviewedObject,
    view: PodView,
) -> Iterator[str]:
    def unknown(template: Template, caller: Caller | None = None) -> Iterator[CompiledRule]:
        if not locks.may_select_when_called(template, sets_pods=view.sets_pods):
            return
        held = held_locks(template.synchronization, locks.namespace)
        for rule, match in locks.matches(template, view, caller):
            if match is Match.MAYBE and rule.policy in active and held.isdisjoint(rule.names):
                yield rule

    for place in found:
        yield from (unseen(template_name(place), rule) for rule in unknown(place.template))
        if not place.has_complex_calls:
            continue
        for call, _ in calls(place.template, place.pointer):
            foreign = reviewed.find(call.template_ref) if call.template_ref is not None else None
            if foreign is not None:
                caller = Caller(place.template, call.arguments)
                for rule in unknown(foreign.template, caller):
                    yield unseen(foreign.template.name or call.name or "", rule)


def unseen(name: str, rule: CompiledRule) -> str:
    """Return the warning that it is not known whether a rule selects a template."""
    parts = rule.selector.pod_fields_in_words
    why = (
        f'because its {parts} is not known before it runs, so rule "{rule.name}" of {rule.policy.source} '
        "could not be applied; write it out, or take the lock in the template"
    )
    return skipped(name, rule, why)
