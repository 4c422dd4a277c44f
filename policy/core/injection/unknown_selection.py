"""Which templates a rule may or may not select, known only when they run: the user is warned.

An image from an output, or a patch that cannot be read here, may be what a rule selects. The lock is not
injected (it may not be needed), and the warning names the rule.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from policy.core.injection.injection_result import skipped, template_name
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody, calls
from policy.core.lock_model.template_pods import pod_differs
from policy.core.lock_model.template_selectors import Match
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import Template, WorkflowSpec

MOST_WARNINGS: Final = 20
"""Warnings of one review."""


def hidden_from_rules(
    spec: WorkflowSpec,
    found: Sequence[TemplateBody],
    rulebook: Rulebook,
    reviewed: ReviewedObject,
) -> tuple[str, ...]:
    """Return a warning for each template where it is unknown whether a rule selects it."""
    locks = rulebook.locks
    if not locks.by_pod:
        return ()
    sets_pods, all_fields = reviewed.view.sets_pods, locks.selects_pod_fields

    def look() -> Sequence[TemplateBody]:
        return [
            each
            for each in found
            if each.has_complex_calls or sets_pods or pod_differs(each.template, all_fields=all_fields)
        ]

    looked: Sequence[TemplateBody]
    if isinstance(spec.templates, SharedTemplates) and not sets_pods:
        looked = spec.templates.once((hidden_from_rules, locks.caches.version, reviewed.at), look)
    else:
        looked = look()
    if not looked:
        return ()  # Nearly always.
    return tuple(dict.fromkeys(islice(_hidden(looked, rulebook, reviewed), MOST_WARNINGS)))


def _hidden(found: Sequence[TemplateBody], rulebook: Rulebook, reviewed: ReviewedObject) -> Iterator[str]:
    locks, active, view = rulebook.locks, rulebook.policies, reviewed.view

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
    """Return the warning that it is unknown whether a rule selects a template."""
    parts = rule.selector.pod_fields_in_words
    why = (
        f'because its {parts} is not known before it runs, so rule "{rule.name}" of {rule.policy.source} '
        "could not be applied; write it out, or take the lock in the template"
    )
    return skipped(name, rule, why)
