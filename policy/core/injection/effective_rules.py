"""Which locks rules want on one template: each once, with the conditions that can be evaluated there."""

from collections.abc import Sequence
from typing import Final

import msgspec

from policy.core.lock_model.rules import CompiledRule, conditioned
from policy.core.objects.workflow import Parameters, Template, WorkflowSpec

FREED_BY_DAEMON: Final = "Argo frees a daemon's locks as soon as it is ready"


def effective_rules(
    rules: Sequence[CompiledRule], template: Template, spec: WorkflowSpec
) -> tuple[CompiledRule, ...]:
    """Return the rules that select a template as they act on it, each lock once.

    A condition over missing parameters could not be evaluated, and Argo would end the Workflow: the lock is
    then always acquired. The same where another rule wants it always; of two conditions either is enough.
    """
    return one_rule_each([rule_on(rule, template, spec) for rule in rules])


def why_not_put(rule: CompiledRule, template: Template, held_by_whole: frozenset[str]) -> str:
    """Return why a lock that a template lacks is not put on it, "" where it is."""
    if not held_by_whole.isdisjoint(rule.names):
        return "the whole Workflow holds it already"
    return FREED_BY_DAEMON if template.daemon else ""


def one_rule_each(rules: Sequence[CompiledRule]) -> tuple[CompiledRule, ...]:
    """Return the rules that act on one call, each lock once.

    Two conditions of rules that select calls differently are not joined: a layer in front of the template
    does not know which call it was generated for (`conditions_clash`).
    """
    always = {rule.lock_name for rule in rules if rule.when is None}
    found: dict[str, CompiledRule] = {}
    for rule in rules:
        plain = rule.plain_name
        if plain in always and rule.when is not None:
            continue
        first = found.get(plain)
        if first is None:
            found[plain] = rule
        elif first.when is not None and rule.when is not None and not conditions_clash(first, rule):
            found[plain] = conditioned(first, first.when.or_else(rule.when))
    return tuple(found.values())


def conditions_clash(one: CompiledRule, other: CompiledRule) -> bool:
    """Return whether two rules want the same lock by different conditions for different calls."""
    same_lock, same_calls = one.plain_name == other.plain_name, one.selector.tasks == other.selector.tasks
    return same_lock and not same_calls and None not in (one.when, other.when)


def rule_on(rule: CompiledRule, template: Template, spec: WorkflowSpec) -> CompiledRule:
    """Return a rule as it acts on a template: without a condition that could not be evaluated there."""
    condition = rule.when
    if condition is None:
        return rule
    if condition.workflow_parameters <= _named(spec.arguments) and condition.inputs <= _named(
        template.inputs
    ):
        return rule
    return rule.always if rule.always is not None else msgspec.structs.replace(rule, when=None, choice=None)


def _named(parameters: Parameters | None) -> frozenset[str]:
    given = parameters.parameters if parameters is not None else None
    return frozenset(each.name or "" for each in given or ())


def locks_of(rules: Sequence[CompiledRule]) -> frozenset[str]:
    """Return the names of the locks of these rules."""
    return frozenset(rule.lock_name for rule in rules)
