"""Locks for templates of other objects, which calls run through templateRef: a wrapper here, or a copy.

The object itself is not ours to edit. Where a policy puts locks into objects of its kind, it has them from
its own admission, and its callers are left alone.
"""

from typing import Any

import msgspec

from policy.core.decision.decision import Code, Injection, Reason
from policy.core.injection.block_patch import block_of, holds_one, lists_of
from policy.core.injection.call_sites import CallSite
from policy.core.injection.effective_rules import (
    FREED_BY_DAEMON,
    conditions_clash,
    locks_of,
    one_rule_each,
    rule_on,
)
from policy.core.injection.injection_result import faults_of, put_on, skipped
from policy.core.injection.layer_templates import calling, calling_other, choice, wrapper
from policy.core.injection.needs_per_call import Needs, Rules, selects_call
from policy.core.injection.reviewed_object import FindTemplate
from policy.core.injection.template_writer import Refused, TemplateWriter
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.generated_names import can_name, generated_name, is_layer
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.lock_names import NO_LOCKS, held_locks
from policy.core.lock_model.rules import CompiledRule, item_of, list_of
from policy.core.lock_model.template_bodies import ForeignTemplate, TemplateBody
from policy.core.lock_model.template_pods import PodView
from policy.core.objects.json_patch import JsonObject, field_path
from policy.core.objects.template_keys import described
from policy.core.objects.workflow import RawTemplate, TemplateRef, WorkflowSpec
from policy.core.policy_kinds.kinds import Strategy


class ForeignCall(msgspec.Struct):
    """What became of one call of a template of another object, which `caller` makes."""

    caller: TemplateBody | None = None
    put: list[Injection] = []
    warnings: list[str] = []
    faults: list[Reason] = []


class ForeignCalls:
    """Judges the calls of other objects' templates, one at a time."""

    def __init__(
        self,
        spec: WorkflowSpec,
        *,
        find: FindTemplate,
        rulebook: Rulebook,
        view: PodView,
        needs: Needs,
        writer: TemplateWriter,
    ) -> None:
        self._spec, self._find, self._book = spec, find, rulebook
        self._view = view
        self._locks, self._active = rulebook.locks, rulebook.policies
        self._needs, self._writer = needs, writer
        self._led: dict[tuple[str, str, tuple[tuple[str, ...], ...]], str] = {}

    def arrange(self, site: CallSite, caller: TemplateBody | None) -> ForeignCall:
        """Lead one call to what holds the locks that it needs."""
        outcome = ForeignCall(caller)
        ref = site.ref
        found = self._find(ref) if ref is not None else None
        if ref is None or found is None:
            return outcome
        needed = self._needed(site, found, caller, outcome)
        if not needed:
            return outcome
        place = TemplateBody(found.template, site.pointer, has_complex_calls=False)
        wrong = faults_of(place, needed, self._book)
        outcome.faults.extend(wrong)
        if any(fault.code is Code.LOCK_FORM for fault in wrong):
            return outcome
        try:
            name = self._made(site, ref, found, needed, outcome)
        except Refused as refused:
            outcome.faults.append(self._fault(site, found, needed, str(refused)))
            return outcome
        self._writer.lead(site, name)
        outcome.put.extend(put_on(ref.template or "", needed))
        return outcome

    def _needed(
        self, site: CallSite, found: ForeignTemplate, caller: TemplateBody | None, outcome: ForeignCall
    ) -> Rules:
        called = self._called(site, found, caller)
        clashing = next(
            (each for each in called if any(conditions_clash(each, other) for other in called)), None
        )
        if clashing is not None:
            why = "rules take it by different conditions for this call. Say it in one rule"
            outcome.faults.append(self._fault(site, found, (clashing,), why))
            return ()
        above = self._needs.around(site)
        held = above.always | held_locks(found.template.synchronization, self._locks.namespace)
        needed = [rule for rule in one_rule_each(called) if held.isdisjoint(rule.names)]
        for rule in needed:
            if rule.plain_name in above.sometimes - above.always:
                why = "its caller runs both with and without that lock held around it"
                outcome.faults.append(self._fault(site, found, (rule,), why))
        if needed and found.template.daemon:
            name = found.template.name or ""
            outcome.warnings.extend(skipped(name, rule, FREED_BY_DAEMON) for rule in needed)
            return ()
        return () if outcome.faults else tuple(needed)

    def _called(
        self, site: CallSite, found: ForeignTemplate, caller: TemplateBody | None
    ) -> list[CompiledRule]:
        """Return the rules that act on a call; a layer was made for those that select its own callers."""
        rules = self._rules(found, _passing(site, caller))
        if caller is None or not is_layer(caller.template):
            return [rule for rule in rules if selects_call(rule, site)]
        return [rule for rule in rules if rule.selector.tasks is None]

    def _rules(
        self, found: ForeignTemplate, passed: Caller, *, elsewhere: bool = False
    ) -> list[CompiledRule]:
        """Return the rules that act on a template here; with `elsewhere`, those of its own admission."""
        return [
            rule_on(rule, found.template, self._spec)
            for rule in self._locks.rules_for(found.template, self._view, passed)
            if rule.policy in self._active and elsewhere == (found.kind in rule.policy.kinds)
        ]

    def _made(
        self, site: CallSite, ref: TemplateRef, found: ForeignTemplate, needed: Rules, outcome: ForeignCall
    ) -> str:
        """Return the name of the template that holds the locks, made where it is not there."""
        if not can_name(ref.template or ""):
            raise Refused("a template with locks cannot be named after it: its name is too long, or none")
        body = found.body()
        clone = any(rule.strategy is Strategy.CLONE for rule in needed)
        why = self._writer.why_not(body, [site])
        choices = tuple(rule for rule in needed if rule.choice is not None)
        if (why or (clone and not choices)) and body is not None:
            copied = self._copied(
                site, ref, found, body, needed=needed, passed=_passing(site, outcome.caller)
            )
            if copied:
                if why and not clone:
                    outcome.warnings.append(
                        f"lockkeeper: {ref.template}: nothing can stand around it ({why}), so it is copied"
                    )
                return copied
        if why or body is None:
            raise Refused(f"it is a template of {described(ref)}, and nothing can stand around it: {why}")
        key = (described(ref), ref.template or "", tuple(rule.names for rule in needed))
        if key not in self._led:
            plain = tuple(rule for rule in needed if rule.choice is None)
            self._led[key] = self._chain(ref, body, plain, choices)
        return self._led[key]

    def _chain(self, ref: TemplateRef, body: RawTemplate, wraps: Rules, choices: Rules) -> str:
        base = ref.template or ""
        where = (described(ref), base)
        retried = self._writer.retried
        if choices:
            rule = choices[-1]
            condition = rule.choice
            if condition is None:
                raise Refused("it has no condition")
            taken = msgspec.structs.replace(rule, when=None, choice=None)
            rest = wraps or choices[:-1]
            free = calling(self._chain(ref, body, wraps, choices[:-1])) if rest else calling_other(ref)
            locked = self._chain(ref, body, (*wraps, taken), choices[:-1])
            name = generated_name(base, "choice", *where, locked, str(free), condition.expression)
            value = choice(name, calling(locked), free, condition, body, retried=retried)
            self._writer.add(name, value, NO_LOCKS)
            return name
        target, name = calling_other(ref), ""
        groups = [wraps] if self._locks.argo.reads_lists else [(each,) for each in wraps]
        for group in groups:
            name = generated_name(base, "wrap", *where, name, *(rule.lock_name for rule in group))
            block = block_of(group, self._locks.argo)
            self._writer.add(name, wrapper(name, target, body, block, retried=retried), locks_of(group))
            target = calling(name)
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
        """Return the name of a copy with the locks, or nothing where a copy would not do the same."""
        own = held_locks(found.template.synchronization, self._locks.namespace)
        others = [rule for rule in self._rules(found, passed, elsewhere=True) if selects_call(rule, site)]
        around = self._needs.around(site).always | own
        # The copy is a template of this object, so the rules for others' own templates speak about it, too.
        put = one_rule_each([*needed, *(rule for rule in others if around.isdisjoint(rule.names))])
        calls = found.template.dag is not None or found.template.steps is not None
        singular = not self._locks.argo.reads_lists
        full = singular and (holds_one(found.template.synchronization) or len(put) > 1)
        if calls or full or any(rule.choice is not None for rule in put):
            return ""  # Its own calls are looked up in its own object; or the locks find no place.
        base = ref.template or ""
        name = generated_name(base, "copy", described(ref), *sorted(locks_of(put)))
        block: dict[str, Any] = dict(body.get("synchronization") or {})
        if singular:
            block |= block_of(put, self._locks.argo)
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
