"""What an injection returns, its warnings, and the annotation that names which templates hold which locks."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from policy.core.decision.decision import Injection, Reason
from policy.core.lock_model.generated_names import base_name
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.lock_model.when_conditions import without_condition
from policy.core.objects.json_patch import Op, PatchOp, field_path, pointer, with_entries
from policy.core.objects.well_known import INJECTED
from policy.core.objects.workflow import Metadata

_MAX_NOTE: Final = 1000
"""Characters of the annotation that names what is locked; there may be hundreds of templates."""
_ANNOTATIONS: Final = pointer("metadata", "annotations")
_INLINE: Final = "(inline)"


class Injected(msgspec.Struct, frozen=True):
    """The result: operations, the locks that they add, warnings, and reasons why it is impossible.

    `note` names the rules and the templates that hold their locks afterwards. It depends only on the object
    after the patch, so the mutating and the validating side have the same.
    """

    patch: tuple[PatchOp, ...] = ()
    locks: tuple[Injection, ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[Reason, ...] = ()
    note: str = ""


NOTHING: Final = Injected()


class InjectionOutcome(msgspec.Struct):
    """What is collected while templates get their locks: where locks are put, warnings and faults."""

    placed: list[tuple[TemplateBody, Sequence[CompiledRule]]] = []
    warnings: list[str] = []
    faults: list[Reason] = []

    def injected(self, patch: Sequence[PatchOp], note: str) -> Injected:
        """Return the result with a patch."""
        locks = [
            Injection(template_name(place), rule.lock_name, rule.name, rule.policy.source)
            for place, rules in self.placed
            for rule in rules
        ]
        return Injected(tuple(patch), tuple(locks), tuple(self.warnings), tuple(self.faults), note)


def note_of(holders: Iterable[tuple[Iterable[CompiledRule], frozenset[str], str | None]]) -> str:
    """Return one line of the templates that hold the locks of rules: `database: load-a, load-b; gpu: train`.

    Each template comes with the rules that select it, the locks that it holds, and its name; it does not
    matter whether a user or a rule wrote them.
    """
    found: dict[str, set[str]] = {}
    for rules, held, name in holders:
        plain: set[str] | None = None
        for rule in rules:
            if rule.lock_name not in held:
                plain = {without_condition(each) for each in held} if plain is None else plain
                if rule.plain_name not in plain:
                    continue
            found.setdefault(rule.name, set()).add(base_name(name or "") or _INLINE)
    written = "; ".join([f"{rule}: {', '.join(sorted(names))}" for rule, names in sorted(found.items())])
    return written if len(written) <= _MAX_NOTE else f"{written[: _MAX_NOTE - 1]}…"


def template_name(place: TemplateBody) -> str:
    """Return the name of a template, its path where it has none."""
    return place.template.name or field_path(place.pointer)


def skipped(name: str, rule: CompiledRule, why: str) -> str:
    """Return the warning that a lock is not put on the template of a name."""
    return skipped_as(name, rule.lock_name, why)


def skipped_as(name: str, lock: str, why: str) -> str:
    """Return the warning that a lock of a name is not put on a template."""
    return f"lockkeeper: {name}: lock {lock} is not injected, {why}"


def with_note(patch: tuple[PatchOp, ...], metadata: Metadata | None, note: str) -> tuple[PatchOp, ...]:
    """Return the patch with the operations that set the annotation to `note`, or remove it.

    The patch may write other annotations; where it adds the map, the note is added to that.
    """
    present = metadata.annotations if metadata is not None else None
    if metadata is None or ((present or {}).get(INJECTED) or "") == note:
        return patch
    if not note:
        return (*patch, PatchOp(Op.REMOVE, _ANNOTATIONS + pointer(INJECTED)))
    return with_entries(patch, _ANNOTATIONS, present, [(INJECTED, note)])
