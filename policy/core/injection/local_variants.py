"""Variants of one template of an object: copies with more locks, and layers in front of them."""

from collections.abc import Sequence

import msgspec

from policy.core.injection.effective_rules import locks_of
from policy.core.injection.in_place import block_of, holds_one
from policy.core.injection.layers import calling, choice, wrapper
from policy.core.injection.needs_per_call import CallSite, Rules
from policy.core.injection.template_writer import LockPlacement, Refused, TemplateWriter
from policy.core.lock_model.generated_names import can_name, generated_name
from policy.core.lock_model.lock_names import NO_LOCKS
from policy.core.policy_kinds.kinds import Strategy
from policy.core.values.budget import Part, paced


def put_locally(
    writer: TemplateWriter, number: int, base: LockPlacement, apart: Sequence[tuple[CallSite, LockPlacement]]
) -> list[str]:
    """Put `base` on a template of the object, and lead the calls of `apart` to templates with their locks.

    Return what could not be done as the policy has it.

    Raises:
        Refused: it cannot be done at all.
    """
    remarks: list[str] = []
    led = {id(site) for site, _ in apart}
    sites = [site for site in writer.outline.inbound[number] if id(site) not in led]
    base = _allowed(writer, number, base, sites, remarks=remarks)
    shapes = [
        (site, _allowed(writer, number, shape, [site], remarks=remarks))
        for site, shape in paced(apart, writer.budget, Part.INJECTION)
    ]
    if (shapes or base.layered) and not can_name(writer.outline.bodies[number].template.name or ""):
        raise Refused("a template with locks cannot be named after it: its name is too long, or none")
    variants = _Variants(writer, number, base)
    for site, shape in paced(shapes, writer.budget, Part.INJECTION):
        writer.lead(site, variants.named(shape))
    variants.put_base()
    return list(dict.fromkeys(remarks))


def _allowed(
    writer: TemplateWriter,
    number: int,
    shape: LockPlacement,
    sites: Sequence[CallSite],
    *,
    remarks: list[str],
) -> LockPlacement:
    """Return the shape with layers only where they change nothing but who waits."""
    shape = _one_lock_each(writer, number, shape)
    if not shape.layered:
        return shape
    why = writer.why_not(writer.body(number), sites) if number in writer.outline.tops else "it stands inline"
    if not why:
        return shape
    if shape.choices:
        raise Refused(f"it can only be taken by a choice in front of it: {why}")
    if any(rule.strategy is not Strategy.WRAPPER for rule in shape.wraps):
        raise Refused(
            f"Argo before 3.6 holds one lock a template, and there can be none around it: {why}. "
            "Split the template, or remove its own lock"
        )
    remarks.append(f"nothing can stand around it ({why})")
    return LockPlacement((*shape.direct, *shape.wraps), (), shape.choices)


def _one_lock_each(writer: TemplateWriter, number: int, shape: LockPlacement) -> LockPlacement:
    """Return the shape for an Argo that holds one lock a template: the others go around it."""
    if writer.lists:
        return shape
    free = 0 if holds_one(writer.block(number)) else 1
    return LockPlacement(shape.direct[:free], (*shape.direct[free:], *shape.wraps), shape.choices)


class _Variants:
    """Makes what stands in front of one template, and copies of it."""

    def __init__(self, writer: TemplateWriter, number: int, base: LockPlacement) -> None:
        self._writer, self._base = writer, base
        self._place = writer.outline.bodies[number]
        self._number = number
        self._name = self._place.template.name or ""
        self._bottom = generated_name(self._name, "base") if base.layered else self._name

    def named(self, shape: LockPlacement) -> str:
        """Return the name of the template with these locks."""
        return self._chain(shape.direct, shape.wraps, shape.choices, "")

    def put_base(self) -> None:
        """Put the locks of all other callers; a layer takes the template's name, so it is called instead."""
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
            made = generated_name(self._name, "wrap", inner, *(rule.lock_name for rule in group))
            name = last if last and count == len(groups) else made
            block, target = block_of(group, lists=self._writer.lists), calling(inner)
            value = wrapper(
                name, target, self._writer.body(self._number) or {}, block, retried=self._writer.retried
            )
            self._writer.replace_or_add(name, value, locks_of(group), renamed=name == self._name)
            inner = name
        return inner

    def _choice(self, direct: Rules, wraps: Rules, choices: Rules, last: str) -> str:
        rule = choices[-1]
        condition = rule.choice
        if condition is None:
            raise Refused("it has no condition")
        free = self._chain(direct, wraps, choices[:-1], "")
        taken = msgspec.structs.replace(rule, when=None, choice=None)
        one_lock = not self._writer.lists and (direct or holds_one(self._writer.block(self._number)))
        locked = (
            self._chain(direct, (*wraps, taken), choices[:-1], "")
            if one_lock or rule.strategy is Strategy.WRAPPER
            else self._chain((*direct, taken), wraps, choices[:-1], "")
        )
        name = last or generated_name(self._name, "choice", locked, free, condition.expression)
        ways = calling(locked), calling(free)
        value = choice(
            name, *ways, condition, self._writer.body(self._number) or {}, retried=self._writer.retried
        )
        self._writer.replace_or_add(name, value, NO_LOCKS, renamed=name == self._name)
        return name

    def _copied(self, direct: Rules) -> str:
        names = locks_of(direct)
        if names == locks_of(self._base.direct):
            return self._bottom
        name = generated_name(self._name, "copy", *sorted(names))
        self._writer.copy(self._writer.outline.tops[self._number], name, direct, self._place.template)
        return name
