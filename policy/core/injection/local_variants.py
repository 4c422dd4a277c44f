"""Which variants of one template its calls need: copies with more locks, and layers in front of them."""

from collections.abc import Sequence

import msgspec

from policy.core.injection.effective_rules import locks_of
from policy.core.injection.in_place import holds_one
from policy.core.injection.needs_per_call import CallSite, Rules
from policy.core.injection.template_writer import LockPlacement, Refused, TemplateWriter
from policy.core.injection.wrapper_templates import choice
from policy.core.lock_model.generated_names import can_name, generated_name, is_generated
from policy.core.lock_model.lock_names import NO_LOCKS
from policy.core.objects.workflow import RawTemplate
from policy.core.policy_kinds.kinds import Strategy
from policy.core.values.budget import Part, paced


def inject_variants(
    writer: TemplateWriter, number: int, base: LockPlacement, apart: Sequence[tuple[CallSite, LockPlacement]]
) -> list[str]:
    """Put `base` on a template of the object, and redirect the calls of `apart` to ones with their locks.

    Return remarks on what could not be done as the policy wants it.

    Raises:
        Refused: it cannot be done at all.
    """
    remarks: list[str] = []
    redirected = {id(site) for site, _ in apart}
    sites = [site for site in writer.outline.inbound[number] if id(site) not in redirected]
    base = _allowed(writer, number, base, sites, remarks=remarks)
    placements = [
        (site, _allowed(writer, number, placement, [site], remarks=remarks))
        for site, placement in paced(apart, writer.budget, Part.INJECTION)
    ]
    if (placements or base.layered) and not can_name(writer.outline.bodies[number].template.name or ""):
        raise Refused("a template with locks cannot be named after it: its name is too long, or none")
    variants = _Variants(writer, number, base)
    for site, placement in paced(placements, writer.budget, Part.INJECTION):
        writer.redirect(site, variants.named(placement))
    variants.put_base()
    return list(dict.fromkeys(remarks))


def _allowed(
    writer: TemplateWriter,
    number: int,
    placement: LockPlacement,
    sites: Sequence[CallSite],
    *,
    remarks: list[str],
) -> LockPlacement:
    """Return the placement with layers only where they change nothing but the waiting."""
    placement = _one_lock_each(writer, number, placement)
    if not placement.layered:
        return placement
    why = writer.why_not(writer.body(number), sites) if number in writer.outline.tops else "it stands inline"
    if not why:
        return placement
    if placement.choices:
        raise Refused(
            f"it can only be taken by a choice in front of it: {why}. Let the rule take a ConfigMap "
            "semaphore of limit 1 instead: its key holds the condition, and needs nothing in front"
        )
    if any(rule.strategy is not Strategy.WRAPPER for rule in placement.wraps):
        raise Refused(
            f"Argo before 3.6 holds one lock a template, and there can be none around it: {why}. "
            "Split the template, or remove its own lock"
        )
    remarks.append(f"no wrapper can be put around it ({why})")
    return LockPlacement((*placement.direct, *placement.wraps), (), placement.choices)


def _one_lock_each(writer: TemplateWriter, number: int, placement: LockPlacement) -> LockPlacement:
    """Return the placement for an Argo that holds one lock a template: layers hold the others."""
    if writer.lists:
        return placement
    first = 0 if holds_one(writer.block(number)) else 1
    return LockPlacement(
        placement.direct[:first], (*placement.direct[first:], *placement.wraps), placement.choices
    )


class _Variants:
    """Writes the layers in front of one template, and its copies."""

    def __init__(self, writer: TemplateWriter, number: int, base: LockPlacement) -> None:
        self._writer, self._base = writer, base
        self._place = writer.outline.bodies[number]
        self._number = number
        self._name = self._place.template.name or ""
        # A template that was generated before, by other rules, is not to be named as its base.
        before = [self._name] if is_generated(self._name) else []
        self._bottom = generated_name(self._name, "base", *before) if base.layered else self._name

    def named(self, placement: LockPlacement) -> str:
        """Return the name of the template with these locks, which is added where it is missing."""
        return self._chain(placement.direct, placement.wraps, placement.choices, "")

    def put_base(self) -> None:
        """Put the locks of all other callers; a layer gets the template's name, so it is called instead."""
        base = self._base
        if base.layered:
            self._writer.rename(self._writer.outline.tops[self._number], self._bottom)
            self._chain(base.direct, base.wraps, base.choices, self._name)
        self._writer.put(self._place.pointer, self._place.template, base.direct)

    def _chain(self, direct: Rules, wraps: Rules, choices: Rules, last: str) -> str:
        if choices:
            return self._choice(direct, wraps, choices, last)
        inner = self._copied(direct)
        groups = [wraps] if self._writer.lists and wraps else [(each,) for each in wraps]
        for count, group in enumerate(groups, 1):
            own = generated_name(self._name, "wrap", inner, *(rule.lock_name for rule in group))
            name = last if last and count == len(groups) else own
            self._writer.add_wrapper(
                name, {"template": inner}, self._body(), group, renamed=name == self._name
            )
            inner = name
        return inner

    def _choice(self, direct: Rules, wraps: Rules, choices: Rules, last: str) -> str:
        rule = choices[-1]
        condition = rule.choice
        if condition is None:
            raise Refused("it has no condition")
        free = self._chain(direct, wraps, choices[:-1], "")
        always = msgspec.structs.replace(rule, when=None, choice=None)
        one_lock = not self._writer.lists and (direct or holds_one(self._writer.block(self._number)))
        locked = (
            self._chain(direct, (*wraps, always), choices[:-1], "")
            if one_lock or rule.strategy is Strategy.WRAPPER
            else self._chain((*direct, always), wraps, choices[:-1], "")
        )
        name = last or generated_name(self._name, "choice", locked, free, condition.expression)
        retried = self._writer.retried
        value = choice(name, locked, {"template": free}, condition, self._body(), retried=retried)
        self._writer.add(name, value, NO_LOCKS, renamed=name == self._name)
        return name

    def _body(self) -> RawTemplate:
        return self._writer.body(self._number) or {}

    def _copied(self, direct: Rules) -> str:
        names = locks_of(direct)
        if names == locks_of(self._base.direct):
            return self._bottom
        name = generated_name(self._name, "copy", *sorted(names))
        self._writer.copy(self._writer.outline.tops[self._number], name, direct, self._place.template)
        return name
