"""Which call of each template needs which locks, when some run under a lock already (argo-workflows E)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from policy.core.injection.effective_rules import conditions_clash, one_rule_each
from policy.core.lock_model.generated_names import FREE_TASK, LOCKED_TASK, base_name, is_generated, is_layer
from policy.core.lock_model.lock_names import NO_LOCKS
from policy.core.lock_model.rules import CompiledRule, chosen_name
from policy.core.lock_model.template_bodies import TemplateBody, calls, calls_none
from policy.core.lock_model.when_conditions import depends_on_inputs, negated, without_condition
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.json_patch import pointer as escaped
from policy.core.objects.workflow import Call, Hook, Template, TemplateRef, WorkflowSpec
from policy.core.policy_kinds.kinds import Strategy
from policy.core.values.budget import STEPS, Budget, Part, paced

Rules: TypeAlias = tuple[CompiledRule, ...]
_DEEPEST: Final = 20
"""Layers in front of each other that are looked through."""
_CHOICES: Final = frozenset({LOCKED_TASK, FREE_TASK})
SPEC_ITSELF: Final = -1
"""The caller of a site that is in the spec itself."""


class CallSite(msgspec.Struct, frozen=True):
    """One call: its pointer, the number of the body that makes it, and what it names.

    `task` is the name of a DAG task or step that a user wrote, None for hooks, handlers and layers. With
    `is_name`, the pointer leads to the name itself. A site without a pointer means callers that are not known
    here.
    """

    pointer: str
    caller: int
    template: str | None
    ref: TemplateRef | None = None
    task: str | None = None
    call: Call | None = None
    is_name: bool = False

    @property
    def changeable(self) -> bool:
        """Whether the call can be redirected to another template."""
        return bool(self.pointer)

    def redirected_to(self, name: str) -> list[PatchOp]:
        """Return the operations that make it call a template of its own object."""
        if self.is_name:
            return [PatchOp(Op.REPLACE, self.pointer, name)]
        if self.ref is not None:
            return [
                PatchOp(Op.REMOVE, f"{self.pointer}/templateRef"),
                PatchOp(Op.ADD, f"{self.pointer}/template", name),
            ]
        return [PatchOp(Op.REPLACE, f"{self.pointer}/template", name)]


def _sites_of(spec: WorkflowSpec, bodies: Sequence[TemplateBody], at: str) -> Iterator[CallSite]:
    """Yield all calls of a spec and its bodies; inline templates are not called, they are where they run."""
    for field, name in (("entrypoint", spec.entrypoint), ("onExit", spec.on_exit)):
        if name:
            yield CallSite(f"{at}/{field}", SPEC_ITSELF, name, is_name=True)
    yield from _hooks(spec.hooks, at, SPEC_ITSELF)
    for number, body in enumerate(bodies):
        if calls_none(body.template):
            continue
        in_layer = is_layer(body.template)
        for call, pointer in calls(body.template, body.pointer):
            if call.template or call.template_ref is not None:
                task = None if in_layer else call.name or ""
                yield CallSite(pointer, number, call.template, call.template_ref, task, call)
            if call.on_exit:
                yield CallSite(f"{pointer}/onExit", number, call.on_exit, is_name=True)
            if call.hooks:
                yield from _hooks(call.hooks, pointer, number)


def _hooks(hooks: Mapping[str, Hook] | None, pointer: str, caller: int) -> Iterator[CallSite]:
    for event, hook in (hooks or {}).items():
        if hook.template or hook.template_ref is not None:
            yield CallSite(f"{pointer}/hooks{escaped(event)}", caller, hook.template, hook.template_ref)


class HeldAround(msgspec.Struct, frozen=True):
    """The locks that are held around something: on every way to it, and on some way."""

    always: frozenset[str] = NO_LOCKS
    sometimes: frozenset[str] = NO_LOCKS

    def under(self, locks: frozenset[str], *, sure: frozenset[str], is_layer: bool) -> "HeldAround":
        """Return what is held below a body that holds these locks, of which `sure` in any case.

        A condition over inputs means something else in another template, except behind a layer, which passes
        its inputs on unchanged.
        """
        always = self.always | sure
        if not is_layer:
            always = frozenset(each for each in always if not depends_on_inputs(each))
        return HeldAround(always, self.sometimes | locks | {without_condition(each) for each in locks})


class Outline(msgspec.Struct, frozen=True):
    """The bodies of an object and who calls them, bodies by number.

    `inbound` has the calls of each body, and `order` the numbers of bodies, callers first. `tops` gives the
    place of a body in spec.templates; inline ones have none. `names` gives its number by its name; the first
    of two with one name counts. `foreign` are the calls of templates of other objects. With `names_unknown`,
    a call names its template only when it runs.
    """

    bodies: Sequence[TemplateBody]
    inbound: Sequence[Sequence[CallSite]]
    tops: Mapping[int, int]
    names: Mapping[str, int]
    foreign: Sequence[CallSite]
    order: Sequence[int]
    names_unknown: bool


def outline(spec: WorkflowSpec, at: str, budget: Budget, *, is_template: bool) -> Outline:
    """Return which body calls which in an object, callers before what they call.

    Other objects may call the templates of a template object, but for those that were generated for calls in
    it: who calls one of these from outside puts the locks there (`foreign_calls`).
    """
    bodies: list[TemplateBody] = []
    inbound: list[list[CallSite]] = []
    tops: dict[int, int] = {}
    for index, template in enumerate(paced(spec.templates or (), budget, Part.INJECTION)):
        tops[len(bodies)] = index
        _collect(template, f"{at}/templates/{index}", bodies, inbound, None)
    names: dict[str, int] = {}
    for number in tops:
        names.setdefault(bodies[number].template.name or "", number)
    foreign: list[CallSite] = []
    names_unknown = False
    for count, site in enumerate(_sites_of(spec, bodies, at)):
        if not count % STEPS:
            budget.check(Part.INJECTION)
        if site.ref is not None:
            foreign.append(site)
        elif "{{" in (site.template or ""):
            names_unknown = True  # It may be any of them.
        elif (number := names.get(site.template or "", SPEC_ITSELF)) != SPEC_ITSELF:
            inbound[number].append(site)
    for number in tops:
        entered = is_template and not is_generated(bodies[number].template.name or "")
        if entered or names_unknown or not inbound[number]:
            inbound[number].append(CallSite("", SPEC_ITSELF, None))
    return Outline(bodies, inbound, tops, names, foreign, _callers_first(inbound), names_unknown)


def _collect(
    template: Template,
    pointer: str,
    bodies: list[TemplateBody],
    inbound: list[list[CallSite]],
    site: CallSite | None,
) -> None:
    number = len(bodies)
    bodies.append(TemplateBody(template, pointer, has_complex_calls=True))
    inbound.append([] if site is None else [site])
    if calls_none(template):
        return
    for call, where in calls(template, pointer):
        if call.inline is not None:
            one = CallSite("", number, None, task=call.name or "")
            _collect(call.inline, f"{where}/inline", bodies, inbound, one)


def _callers_first(inbound: Sequence[Sequence[CallSite]]) -> list[int]:
    """Return the numbers of bodies, each after its callers, except in a circle."""
    order: list[int] = []
    seen: set[int] = set()
    for start in range(len(inbound)):
        if start in seen:
            continue
        stack = [(start, False)]
        while stack:
            number, done = stack.pop()
            if done:
                order.append(number)
            elif number not in seen:
                seen.add(number)
                stack.append((number, True))
                stack += [
                    (site.caller, False)
                    for site in inbound[number]
                    if site.caller != SPEC_ITSELF and site.caller not in seen
                ]
    return order


class Needs:
    """What each call of each body needs; `wanted` are the rules of a body, by number.

    A body's locks are known when those of its callers are; in a circle, a call whose caller is not evaluated
    yet counts like the others.
    """

    def __init__(
        self,
        found: Outline,
        wanted: Sequence[Rules],
        own: Sequence[frozenset[str]],
        whole: frozenset[str],
        budget: Budget,
    ) -> None:
        self._budget = budget
        self._found, self._wanted, self._own = found, wanted, own
        self._whole = HeldAround(whole, whole)
        self._below: dict[int, HeldAround] = {}
        self._copies = frozenset(base for each in found.names if (base := base_name(each)) != each)
        self.by_site: list[list[Rules]] = [[] for _ in wanted]
        for number in found.order:
            self._evaluate(number)

    def above(self, site: CallSite) -> HeldAround | None:
        """Return what is held around a call, or None where its caller is not evaluated yet."""
        return self._whole if site.caller == SPEC_ITSELF else self._below.get(site.caller)

    def called_both_ways(self, number: int, rule: CompiledRule) -> CallSite | None:
        """Return a call that runs both with and without the lock of a rule held around it."""
        for site in paced(self._found.inbound[number], self._budget, Part.INJECTION):
            above = self.above(site)
            if above is not None and rule.plain_name in above.sometimes - above.always:
                return site
        return None

    def _evaluate(self, number: int) -> None:
        template = self._found.bodies[number].template
        if not self._wanted[number] and calls_none(template):
            self.by_site[number] = [() for _ in self._found.inbound[number]]
            return  # Most templates call nothing and have no rule.
        self._budget.check(Part.INJECTION)
        sites = self._found.inbound[number]
        around = [(site, self._around(site)) for site in sites]
        known = [above for _, above in around if above is not None]
        above = HeldAround(
            frozenset.intersection(*(each.always for each in known)) if known else NO_LOCKS,
            frozenset().union(*(each.sometimes for each in known)),
        )
        needs = [
            tuple(
                rule
                for rule in self._called(number, site)
                if self._needs(rule, number, site, above=each or above)
            )
            for site, each in paced(around, self._budget, Part.INJECTION)
        ]
        self.by_site[number] = needs
        put = [frozenset(name for rule in each for name in _sure_names(rule)) for each in needs]
        own = self._own[number]
        self._below[number] = above.under(
            own | frozenset(rule.lock_name for each in needs for rule in each),
            sure=own | (frozenset.intersection(*put) if put else NO_LOCKS),
            is_layer=is_layer(self._found.bodies[number].template),
        )

    def _around(self, site: CallSite) -> HeldAround | None:
        """Return what is held around a call, and what choices in front of it have decided."""
        above = self.above(site)
        if above is None or site.call is None or site.call.name not in _CHOICES:
            return above
        return HeldAround(above.always | self._chosen(site.caller), above.sometimes)

    def _chosen(self, number: int) -> frozenset[str]:
        """Return the names that a choice gives to what it decides for all that runs behind it."""
        template = self._found.bodies[number].template
        tasks = {task.name: task for task in (template.dag.tasks if template.dag is not None else None) or ()}
        locked, free = tasks.get(LOCKED_TASK), tasks.get(FREE_TASK)
        if locked is None or free is None or not is_layer(template) or not locked.when:
            return NO_LOCKS
        if free.when != negated(locked.when):
            return NO_LOCKS
        acquired = self._acquired(locked.template) - self._acquired(free.template)
        return frozenset(chosen_name(each, locked.when) for each in acquired)

    def _acquired(self, name: str | None, deep: int = 0) -> frozenset[str]:
        """Return the locks that a template acquires, with those of the templates behind a layer."""
        number = self._found.names.get(name or "", SPEC_ITSELF)
        if number == SPEC_ITSELF or deep > _DEEPEST:
            return NO_LOCKS
        template = self._found.bodies[number].template
        if not is_layer(template) or template.dag is None:
            return self._own[number]
        behind = (self._acquired(task.template, deep + 1) for task in template.dag.tasks or ())
        return self._own[number].union(*behind)

    def _called(self, number: int, site: CallSite) -> Rules:
        """Return the rules that act on a call of a body."""
        called = [rule for rule in self._wanted[number] if selects_call(rule, site)]
        return one_rule_each(called) if len(called) > 1 else tuple(called)

    def clashing(self, number: int) -> CompiledRule | None:
        """Return a rule whose condition another one contradicts for a call of a body."""
        for site in paced(self._found.inbound[number], self._budget, Part.INJECTION):
            called = [rule for rule in self._wanted[number] if selects_call(rule, site)]
            for rule in called:
                if any(conditions_clash(rule, other) for other in called):
                    return rule
        return None

    def _needs(self, rule: CompiledRule, number: int, site: CallSite, *, above: HeldAround) -> bool:
        if not (self._own[number] | above.always).isdisjoint(rule.names):
            return False
        if rule.strategy is Strategy.CLONE and not site.pointer:
            # The original stays as it is for callers in other objects.
            return not (any(each.pointer for each in self._found.inbound[number]) or self._has_copy(number))
        return True

    def _has_copy(self, number: int) -> bool:
        """Return whether the object has a template that was generated from a body."""
        return (self._found.bodies[number].template.name or "") in self._copies

    def around(self, site: CallSite) -> HeldAround:
        """Return what is held around a call of a template of another object."""
        return self._around(site) or HeldAround()


def selects_call(rule: CompiledRule, site: CallSite) -> bool:
    """Return whether a rule selects a call by the name of its task or step."""
    tasks = rule.selector.tasks
    return tasks is None or (site.task is not None and tasks.fits(site.task))


def _sure_names(rule: CompiledRule) -> tuple[str, ...]:
    """Return the names that are sure for all that runs behind a rule's lock, or behind its choice."""
    if rule.choice is None:
        return (rule.lock_name,)
    return (chosen_name(rule.lock_name, rule.choice.holds),)
