"""How a single `semaphore` or `mutex` becomes a list, where the installed Argo would drop it.

From 4.0 on Argo acquires no lock for it and runs unlocked (argo-workflows C.2), so it is always converted.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from policy.core.injection.in_place import holds_one
from policy.core.lock_model.rules import item_of
from policy.core.lock_model.template_bodies import TemplateBody
from policy.core.objects.json_patch import Op, PatchOp, patched
from policy.core.objects.workflow import (
    Call,
    Dag,
    MutexRef,
    SemaphoreRef,
    Synchronization,
    Template,
    WorkflowSpec,
)

_Ref = TypeVar("_Ref", bound=SemaphoreRef | MutexRef)


def any_single(spec: WorkflowSpec, found: Sequence[TemplateBody]) -> bool:
    """Return whether there is a single lock; `found` has all bodies that hold locks."""
    blocks = [each.template.synchronization for each in found if each.template.synchronization is not None]
    if spec.synchronization is not None:
        blocks.append(spec.synchronization)
    if spec.template_defaults is not None and spec.template_defaults.synchronization is not None:
        blocks.append(spec.template_defaults.synchronization)
    return any(map(holds_one, blocks))  # Most objects have no block.


def convert(spec: WorkflowSpec, at: str = "/spec") -> tuple[WorkflowSpec, tuple[PatchOp, ...]]:
    """Return a spec with every single lock as a list, and the operations that make the object so."""
    writer = _Writer()
    defaults = spec.template_defaults
    changed = msgspec.structs.replace(
        spec,
        synchronization=writer.block(spec.synchronization, f"{at}/synchronization"),
        template_defaults=writer.template(defaults, f"{at}/templateDefaults")
        if defaults is not None
        else None,
        templates=tuple(
            writer.template(each, f"{at}/templates/{index}")
            for index, each in enumerate(spec.templates or ())
        ),
    )
    return changed, tuple(writer.patch)


def converted_text(raw: msgspec.Raw, patch: Sequence[PatchOp]) -> msgspec.Raw:
    """Return the text of an object after operations of `convert`, from which templates are copied."""
    try:
        obj: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw  # Decoders read the parts that they need; the whole cannot be written again.
    if not isinstance(obj, dict):
        return raw
    return msgspec.Raw(msgspec.json.encode(patched(obj, patch)))


class _Writer:
    """Rewrites bodies and collects the operations."""

    def __init__(self) -> None:
        self.patch: list[PatchOp] = []

    def template(self, template: Template, pointer: str) -> Template:
        """Return a body with its own block and those of inline bodies rewritten."""
        before = len(self.patch)
        changed = msgspec.structs.replace(
            template,
            synchronization=self.block(template.synchronization, f"{pointer}/synchronization"),
            dag=self._dag(template.dag, f"{pointer}/dag"),
            steps=self._steps(template.steps, f"{pointer}/steps"),
        )
        return changed if len(self.patch) > before else template

    def block(self, block: Synchronization | None, where: str) -> Synchronization | None:
        """Return a block with its single locks in the lists."""
        if block is None or not holds_one(block):
            return block
        return Synchronization(
            semaphores=self._listed(block.semaphore, block.semaphores, where, ("semaphore", "semaphores")),
            mutexes=self._listed(block.mutex, block.mutexes, where, ("mutex", "mutexes")),
        )

    def _listed(
        self, one: _Ref | None, listed: tuple[_Ref, ...] | None, where: str, fields: tuple[str, str]
    ) -> tuple[_Ref, ...] | None:
        if one is None:
            return listed
        single, plural = fields
        before = listed or ()
        if not before:
            self.patch.append(PatchOp(Op.ADD, f"{where}/{plural}", [item_of(one)]))
        elif one not in before:
            self.patch.append(PatchOp(Op.ADD, f"{where}/{plural}/-", item_of(one)))
        self.patch.append(PatchOp(Op.REMOVE, f"{where}/{single}"))
        return tuple(dict.fromkeys((*before, one)))

    def _dag(self, dag: Dag | None, where: str) -> Dag | None:
        if dag is None or not any(task.inline is not None for task in dag.tasks or ()):
            return dag
        tasks = [self._call(task, f"{where}/tasks/{index}") for index, task in enumerate(dag.tasks or ())]
        return msgspec.structs.replace(dag, tasks=tuple(tasks))

    def _steps(
        self, steps: tuple[tuple[Call, ...], ...] | None, where: str
    ) -> tuple[tuple[Call, ...], ...] | None:
        if not any(step.inline is not None for group in steps or () for step in group):
            return steps
        return tuple(
            tuple(self._call(step, f"{where}/{number}/{index}") for index, step in enumerate(group))
            for number, group in enumerate(steps or ())
        )

    def _call(self, call: Call, where: str) -> Call:
        if call.inline is None:
            return call
        return msgspec.structs.replace(call, inline=self.template(call.inline, f"{where}/inline"))
