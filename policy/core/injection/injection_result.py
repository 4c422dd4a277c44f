"""What injection gives, the words for it, and the annotation that names what runs under which locks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from policy.core.decision.decision import Injection, Reason
from policy.core.lock_checks.reference_faults import faults_of_rule
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.generated_names import base_name
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.lock_model.when_conditions import without_condition
from policy.core.objects.json_patch import Op, PatchOp, field_path, pointer, with_entries
from policy.core.objects.well_known import INJECTED
from policy.core.objects.workflow import Metadata, Template

_MAX_NOTE: Final = 1000
"""Characters of the annotation that names what is locked; there may be hundreds of templates."""
_INLINE: Final = "(inline)"


class Injected(msgspec.Struct, frozen=True):
    """What injection gives: operations, the locks it put, warnings, and reasons why it cannot.

    `note` names the rules and the templates that hold their locks afterwards. It depends only on what the
    object is then, so that it is the same for whoever looks at the result.
    """

    patch: tuple[PatchOp, ...] = ()
    locks: tuple[Injection, ...] = ()
    warnings: tuple[str, ...] = ()
    faults: tuple[Reason, ...] = ()
    note: str = ""


NOTHING: Final = Injected()
_ANNOTATIONS: Final = pointer("metadata", "annotations")


class Notes:
    """Gathers which templates hold the locks of which rules, whoever put them there."""

    def __init__(self) -> None:
        self._found: dict[str, set[str]] = {}

    def add(self, rules: Iterable[CompiledRule], held: frozenset[str], template: Template) -> None:
        """Note a template that holds these locks, of which some are those of rules that select it."""
        names = {without_condition(each) for each in held}
        for rule in rules:
            if rule.plain_name in names:
                made_of = base_name(template.name or "") or _INLINE
                self._found.setdefault(rule.name, set()).add(made_of)

    def text(self) -> str:
        """Return everything in one line: `database: load-a, load-b; gpu: train`."""
        written = "; ".join(f"{rule}: {', '.join(sorted(self._found[rule]))}" for rule in sorted(self._found))
        return written if len(written) <= _MAX_NOTE else f"{written[: _MAX_NOTE - 1]}…"


def template_name(place: TemplateBody) -> str:
    """Return the name of a template, its path where it has none."""
    return place.template.name or field_path(place.pointer)


def skipped(name: str, rule: CompiledRule, why: str) -> str:
    """Return the warning that a lock is not put on the template of a name."""
    return f"lockkeeper: {name}: lock {rule.lock_name} is not injected, {why}"


def put_on(name: str, rules: Iterable[CompiledRule]) -> Iterator[Injection]:
    """Yield what people are told of locks that are put on the template of a name."""
    return (Injection(name, rule.lock_name, rule.name, rule.policy.source) for rule in rules)


def faults_of(place: TemplateBody, missing: Sequence[CompiledRule], rulebook: Rulebook) -> list[Reason]:
    """Return what is wrong with the injected semaphores themselves: the fault of the policy's author."""
    found = []
    for rule in missing:
        for fault in faults_of_rule(rule, rulebook):
            where = f"{field_path(place.pointer)}.synchronization"
            text = f"{rule.policy.source} injects {rule.lock_name}, but {fault.message}"
            found.append(msgspec.structs.replace(fault, field=where, message=text))
    return found


def with_note(patch: tuple[PatchOp, ...], metadata: Metadata | None, note: str) -> tuple[PatchOp, ...]:
    """Return the patch with what it takes for the annotation to say `note`, or not to be there.

    The patch may write other annotations; where it makes the map, the note goes into that.
    """
    present = metadata.annotations if metadata is not None else None
    said = (present or {}).get(INJECTED)
    if metadata is None or (said or "") == note:
        return patch
    if not note:
        return (*patch, PatchOp(Op.REMOVE, _ANNOTATIONS + pointer(INJECTED)))
    return with_entries(patch, _ANNOTATIONS, present, [(INJECTED, note)])
