"""How locks are injected for some callers only, around another lock, or by a condition.

Each call of a template needs a set of locks (`needs_per_call`). What all calls need is put on the template
itself. A call that needs more is redirected to a generated template: a copy with the locks, or a layer in
front. Where a layer would change what the Workflow means, a copy is made instead, and where nothing helps,
the fault gives the reason.
"""

from collections.abc import Sequence

from policy.core.decision.decision import Code, Reason
from policy.core.injection.effective_rules import rule_on, why_not_put
from policy.core.injection.foreign_calls import ForeignCalls
from policy.core.injection.injection_result import Injected, InjectionOutcome, note_of, skipped, template_name
from policy.core.injection.local_variants import inject_variants
from policy.core.injection.needs_per_call import SPEC_ITSELF, CallSite, Needs, Outline, Rules, outline
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.template_writer import LockPlacement, Refused, TemplateWriter
from policy.core.lock_checks.reference_faults import injected_faults
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.block_locks import own_locks
from policy.core.lock_model.generated_names import is_layer
from policy.core.lock_model.input_values import Caller
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.json_patch import field_path
from policy.core.objects.workflow import Template, WorkflowSpec
from policy.core.policy_kinds.kinds import Strategy
from policy.core.values.budget import Part, paced


def inject_per_call(spec: WorkflowSpec, rulebook: Rulebook, reviewed: ReviewedObject) -> Injected:
    """Return how the rules of the active policies change the templates of an object, and their calls."""
    return _PerCall(spec, rulebook, reviewed).result()


class _PerCall:
    """Goes through the bodies of one object, callers before what they call."""

    def __init__(self, spec: WorkflowSpec, rulebook: Rulebook, reviewed: ReviewedObject) -> None:
        self._spec, self._rulebook, self._reviewed = spec, rulebook, reviewed
        self._locks = locks = rulebook.locks
        self._active, self._view = rulebook.policies, reviewed.view
        self._budget = budget = rulebook.budget
        self._outcome = InjectionOutcome()
        self._found = outline(spec, reviewed.at, budget, is_template=reviewed.is_template)
        self._whole = held_locks(spec.synchronization, locks.namespace)
        defaults = spec.default_locks
        self._own = [
            own_locks(body.template, defaults, locks.namespace)
            for body in paced(self._found.bodies, budget, Part.INJECTION)
        ]
        self._wanted = [
            self._rules(number) for number in paced(range(len(self._found.bodies)), budget, Part.INJECTION)
        ]
        self._needs = Needs(self._found, self._wanted, self._own, self._whole, budget)
        self._writer = TemplateWriter(spec, self._found, rulebook, reviewed)

    def result(self) -> Injected:
        for number in self._found.order:
            if self._wanted[number]:
                self._budget.check(Part.INJECTION)
                self._inject(number)
        self._foreign()
        patch = self._writer.finish()
        if isinstance(patch, Reason):
            return Injected(warnings=tuple(self._outcome.warnings), faults=(*self._outcome.faults, patch))
        return self._outcome.injected(patch, self._note())

    def _foreign(self) -> None:
        """Redirect calls of templates of other objects to templates with the locks that rules want there."""
        foreign = ForeignCalls(
            self._spec,
            rulebook=self._rulebook,
            reviewed=self._reviewed,
            needs=self._needs,
            writer=self._writer,
            outcome=self._outcome,
        )
        for site in self._found.foreign:
            self._budget.check(Part.INJECTION)
            caller = self._found.bodies[site.caller] if site.caller != SPEC_ITSELF else None
            foreign.redirect(site, caller)

    def _rules(self, number: int) -> Rules:
        """Return the rules that act on a body, without those whose lock cannot be put on it."""
        place = self._found.bodies[number]
        rules = self._locks.rules_for(place.template, self._view)
        if not rules:
            return ()
        wanted = []
        name = template_name(place)
        active = tuple(
            rule for rule in rules if rule.policy in self._active and not self._reviewed.spares(name, rule)
        )
        for rule in (rule_on(each, place.template, self._spec) for each in active):
            lacks = self._own[number].isdisjoint(rule.names)
            if lacks and (why := why_not_put(rule, place.template, self._whole)):
                self._outcome.warnings.append(skipped(template_name(place), rule, why))
            else:
                wanted.append(rule)
        return tuple(wanted)

    def _inject(self, number: int) -> None:
        place = self._found.bodies[number]
        sites, needs = self._found.inbound[number], self._needs.by_site[number]
        needed = tuple({rule.lock_name: rule for each in needs for rule in each}.values())
        if not needed:
            return
        faults = self._faults_of(number, needed)
        self._outcome.faults.extend(faults)
        if any(fault.code in (Code.LOCK_FORM, Code.LOCK_CONFLICT) for fault in faults):
            return  # The installed Argo does not know a field that would be written, or there is no way.
        base = _for_all(sites, needs)
        apart = [(site, each) for site, each in zip(sites, needs, strict=True) if each != base]
        fault = self._impossible(place, base, apart, number)
        if fault is not None:
            self._outcome.faults.append(fault)
            return
        try:
            placements = [(site, LockPlacement.of(each)) for site, each in apart]
            remarks = inject_variants(self._writer, number, LockPlacement.of(base), placements)
        except Refused as refused:
            self._outcome.faults.append(_fault(place, needed, str(refused)))
            return
        self._outcome.warnings.extend(
            f"lockkeeper: {template_name(place)}: {each}, so the lock is put another way" for each in remarks
        )
        self._outcome.placed.append((place, needed))

    def _faults_of(self, number: int, needed: Rules) -> list[Reason]:
        """Return what is wrong with locks, or with the place where they would have to be put."""
        place = self._found.bodies[number]
        faults = injected_faults(place, needed, self._rulebook)
        clashing = self._needs.clashing(number)
        if clashing is not None:
            why = "rules take it by different conditions for some of its callers. Say it in one rule"
            faults.append(_fault(place, (clashing,), why))
        for rule in needed:
            mixed = self._needs.called_both_ways(number, rule)
            if mixed is not None:
                faults.append(_called_both_ways(place, rule, mixed, self._found))
                break
        return faults

    def _note(self) -> str:
        """Return which locks the object holds afterwards: those that it had, and those injected."""
        holders = []
        for number, body in enumerate(paced(self._found.bodies, self._budget, Part.INJECTION)):
            held = self._own[number] | self._writer.put_on(body.pointer)
            if held:
                holders.append((self._selecting(body.template), held, body.template.name))
        for template, held, passed in paced(self._writer.holders, self._budget, Part.INJECTION):
            holders.append((self._selecting(template, passed), held, template.name))
        return note_of(holders)

    def _selecting(self, template: Template, passed: Caller | None = None) -> list[CompiledRule]:
        """Return the rules that a template may hold the locks of; a layer holds what its base needs."""
        layer = is_layer(template)
        rules = self._locks.rules if layer else self._locks.rules_for(template, self._view, passed)
        return [rule for rule in rules if rule.policy in self._active]

    def _impossible(
        self, place: TemplateBody, base: Rules, apart: Sequence[tuple[CallSite, Rules]], number: int
    ) -> Reason | None:
        """Return why some callers cannot get other locks than the rest."""
        if not apart:
            return None
        needed = tuple({rule.lock_name: rule for _, rules in apart for rule in rules}.values()) or base
        direct = [rule for rule in needed if rule.strategy is Strategy.DIRECT and rule not in base]
        if direct:
            return _fault(
                place, direct, "it has callers that must stay unlocked; strategy Direct locks them all"
            )
        if number not in self._found.tops or any(not site.changeable for site, _ in apart):
            return _fault(
                place, needed, "its callers need different locks, and not all of them can be changed"
            )
        if self._found.names_unknown and any(rule not in each for rule in base for _, each in apart):
            why = "some of its callers hold it, and another call in this object names its template by a tag"
            return _fault(place, base, f"{why}. Write out that name")
        return None


def _for_all(sites: Sequence[CallSite], needs: Sequence[Rules]) -> Rules:
    """Return what is put on the template itself, in place or in front of it: the least that a call needs.

    So it still has a caller. Callers that are not known here cannot be redirected, so their needs decide.
    """
    fixed = [each for site, each in zip(sites, needs, strict=True) if not site.changeable]
    if fixed:
        return fixed[0]
    return min(needs, key=len)


def _fault(place: TemplateBody, rules: Sequence[CompiledRule], why: str) -> Reason:
    names = ", ".join(rule.lock_name for rule in rules)
    where = f"{field_path(place.pointer)}.synchronization"
    return Reason(Code.LOCK_CONFLICT, where, f"needs the lock {names}, but {why}", rules[0].policy.source)


def _called_both_ways(place: TemplateBody, rule: CompiledRule, site: CallSite, found: Outline) -> Reason:
    caller = template_name(found.bodies[site.caller])
    why = (
        f'"{caller}", which calls it, runs both with and without that lock held around it. Let one template '
        "call it where the lock is held, and another one where it is not"
    )
    if any(each.caller == SPEC_ITSELF for each in found.inbound[site.caller]):
        why = (
            f'"{caller}", which calls it, runs with that lock held around it, and may be started without it. '
            f'Write "{caller}" inline in the step or task that calls it where the lock is held'
        )
    return _fault(place, [rule], why)
