"""How templates of other objects, called by templateRef, get their locks: by a wrapper here, or a copy.

The other object is not edited. Where a policy puts locks into objects of its kind, it has them from its own
admission review, and its callers are not changed.
"""

from typing import Any

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.injection.effective_rules import (
    FREED_BY_DAEMON,
    conditions_clash,
    locks_of,
    one_rule_each,
    rule_on,
)
from policy.core.injection.in_place import block_of, holds_one, lists_of
from policy.core.injection.injection_result import InjectionOutcome, skipped
from policy.core.injection.needs_per_call import CallSite, Needs, Rules, selects_call
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.template_writer import Refused, TemplateWriter
from policy.core.injection.wrapper_templates import calling_other, choice
from policy.core.lock_checks.reference_faults import injected_faults
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.generated_names import can_name, generated_name, is_generated, is_layer
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.lock_names import NO_LOCKS, held_locks
from policy.core.lock_model.rules import CompiledRule, item_of, list_of
from policy.core.lock_model.template_bodies import ForeignTemplate, TemplateBody
from policy.core.objects.json_patch import JsonObject, field_path
from policy.core.objects.template_keys import described
from policy.core.objects.workflow import RawTemplate, TemplateRef, WorkflowSpec
from policy.core.policy_kinds.kinds import Strategy


class ForeignCalls:
    """Redirects the calls of other objects' templates, one at a time."""

    def __init__(
        self,
        spec: WorkflowSpec,
        *,
        rulebook: Rulebook,
        reviewed: ReviewedObject,
        needs: Needs,
        writer: TemplateWriter,
        outcome: InjectionOutcome,
    ) -> None:
        self._spec, self._rulebook = spec, rulebook
        self._reviewed, self._find, self._view = reviewed, reviewed.find, reviewed.view
        self._locks, self._active = rulebook.locks, rulebook.policies
        self._needs, self._writer, self._outcome = needs, writer, outcome
        self._layers: dict[tuple[str, str, tuple[tuple[str, ...], ...]], str] = {}

    def redirect(self, site: CallSite, caller: TemplateBody | None) -> None:
        """Redirect one call to a template with the locks that it needs."""
        outcome, ref = self._outcome, site.ref
        found = self._find(ref) if ref is not None else None
        if ref is None or found is None:
            return
        needed = self._needed(site, found, caller)
        if not needed:
            return
        place = TemplateBody(found.template, site.pointer, has_complex_calls=False)
        faults = injected_faults(place, needed, self._rulebook)
        outcome.faults.extend(faults)
        if any(fault.code is Code.LOCK_FORM for fault in faults):
            return
        try:
            name = self._holder(site, ref, found, needed, _passing(site, caller))
        except Refused as refused:
            outcome.faults.append(self._fault(site, found, needed, str(refused)))
            return
        self._writer.redirect(site, name)
        outcome.placed.append((place, needed))

    def _needed(self, site: CallSite, found: ForeignTemplate, caller: TemplateBody | None) -> Rules:
        called = self._called(site, found, caller)
        for rule in called:
            if any(conditions_clash(rule, other) for other in called):
                why = "rules take it by different conditions for this call. Say it in one rule"
                self._outcome.faults.append(self._fault(site, found, (rule,), why))
                return ()
        above = self._needs.around(site)
        held = above.always | held_locks(found.template.synchronization, self._locks.namespace)
        needed = tuple(rule for rule in one_rule_each(called) if held.isdisjoint(rule.names))
        mixed = [rule for rule in needed if rule.plain_name in above.sometimes - above.always]
        why = "its caller runs both with and without that lock held around it"
        self._outcome.faults += [self._fault(site, found, (rule,), why) for rule in mixed]
        if needed and found.template.daemon:
            name = found.template.name or ""
            self._outcome.warnings += [skipped(name, rule, FREED_BY_DAEMON) for rule in needed]
            return ()
        return () if mixed else needed

    def _called(
        self, site: CallSite, found: ForeignTemplate, caller: TemplateBody | None
    ) -> list[CompiledRule]:
        """Return the rules that act on a call; a layer has the locks of those that select its own callers."""
        rules = self._rules(found, _passing(site, caller))
        if caller is None or not is_layer(caller.template):
            return [rule for rule in rules if selects_call(rule, site)]
        return [rule for rule in rules if rule.selector.tasks is None]

    def _rules(
        self, found: ForeignTemplate, passed: Caller, *, elsewhere: bool = False
    ) -> list[CompiledRule]:
        """Return the rules that act on a template here; with `elsewhere`, its own review's.

        A template that was generated has its locks for calls in its own object alone.
        """
        kind = found.kind if not is_generated(found.template.name or "") else None
        return [
            rule_on(rule, found.template, self._spec)
            for rule in self._locks.rules_for(found.template, self._view, passed)
            if rule.policy in self._active
            and elsewhere == (kind in rule.policy.kinds)
            and not self._reviewed.spares(found.template.name or "", rule)
        ]

    def _holder(
        self, site: CallSite, ref: TemplateRef, found: ForeignTemplate, needed: Rules, passed: Caller
    ) -> str:
        """Return the name of the template that holds the locks, which is added where it is missing."""
        if not can_name(ref.template or ""):
            raise Refused("a template with locks cannot be named after it: its name is too long, or none")
        body = found.body()
        clone = any(rule.strategy is Strategy.CLONE for rule in needed)
        why = self._writer.why_not(body, [site])
        choices = tuple(rule for rule in needed if rule.choice is not None)
        if (why or (clone and not choices)) and body is not None:
            copied = self._copied(site, ref, found, body, needed=needed, passed=passed)
            if copied:
                if why and not clone:
                    self._outcome.warnings.append(
                        f"lockkeeper: {ref.template}: no wrapper can be put around it ({why}), so it is "
                        "copied"
                    )
                return copied
        if why or body is None:
            raise Refused(f"it is a template of {described(ref)}, and no wrapper can be put around it: {why}")
        key = (described(ref), ref.template or "", tuple(rule.names for rule in needed))
        if key not in self._layers:
            plain = tuple(rule for rule in needed if rule.choice is None)
            self._layers[key] = self._chain(ref, body, plain, choices)
        return self._layers[key]

    def _chain(self, ref: TemplateRef, body: RawTemplate, wraps: Rules, choices: Rules) -> str:
        base = ref.template or ""
        where = (described(ref), base)
        if choices:
            rule = choices[-1]
            condition = rule.choice
            if condition is None:
                raise Refused("it has no condition")
            always = msgspec.structs.replace(rule, when=None, choice=None)
            free = calling_other(ref)
            if wraps or choices[:-1]:
                free = {"template": self._chain(ref, body, wraps, choices[:-1])}
            locked = self._chain(ref, body, (*wraps, always), choices[:-1])
            name = generated_name(base, "choice", *where, locked, str(free), condition.expression)
            value = choice(name, locked, free, condition, body, retried=self._writer.retried)
            self._writer.add(name, value, NO_LOCKS)
            return name
        target, name = calling_other(ref), ""
        groups = [wraps] if self._locks.writes_lists else [(each,) for each in wraps]
        for group in groups:
            name = generated_name(base, "wrap", *where, name, *(rule.lock_name for rule in group))
            self._writer.add_wrapper(name, target, body, group)
            target = {"template": name}
        return name

    def _copied(
        self,
        site: CallSite,
        ref: TemplateRef,
        found: ForeignTemplate,
        body: RawTemplate,
        *,
        needed: Rules,
        passed: Caller,
    ) -> str:
        """Return the name of a copy with the locks, "" where a copy would not behave the same."""
        own = held_locks(found.template.synchronization, self._locks.namespace)
        others = [rule for rule in self._rules(found, passed, elsewhere=True) if selects_call(rule, site)]
        around = self._needs.around(site).always | own
        # The copy is a template of this object, so the rules for others' own templates apply to it, too.
        put = one_rule_each([*needed, *(rule for rule in others if around.isdisjoint(rule.names))])
        calls = found.template.dag is not None or found.template.steps is not None
        singular = not self._locks.writes_lists
        full = singular and (holds_one(found.template.synchronization) or len(put) > 1)
        if calls or full or any(rule.choice is not None for rule in put):
            return ""  # Its calls would be looked up in this object; or the block cannot hold the locks.
        base = ref.template or ""
        name = generated_name(base, "copy", described(ref), *sorted(locks_of(put)))
        block: dict[str, Any] = dict(body.get("synchronization") or {})
        if singular:
            block |= block_of(put, lists=False)
        else:
            defaults = lists_of(self._writer.defaults)
            for rule in put:
                field = list_of(rule.lock)
                block[field] = [*(block.get(field) or map(item_of, defaults.get(field) or ())), rule.item]
        value: JsonObject = {**body, "name": name, "synchronization": block}
        self._writer.add(name, value, locks_of(put), holder=found.template, passed=passed)
        return name

    def _fault(self, site: CallSite, found: ForeignTemplate, rules: Rules, why: str) -> Reason:
        names = ", ".join(rule.lock_name for rule in rules)
        message = f'"{found.template.name}" needs the lock {names}, but {why}'
        return Reason(Code.LOCK_CONFLICT, field_path(site.pointer), message, rules[0].policy.source)


def _passing(site: CallSite, caller: TemplateBody | None) -> Caller:
    """Return what a call passes to the template that it runs."""
    arguments = site.call.arguments if site.call is not None else None
    return Caller(caller.template if caller is not None else None, arguments)
