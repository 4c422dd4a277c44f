"""Every place of an object that calls one of its templates, or one of another object (argo-workflows E)."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from policy.core.lock_model.generated_names import is_layer
from policy.core.lock_model.template_bodies import TemplateBody, calls, calls_none
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.json_patch import pointer as escaped
from policy.core.objects.workflow import Call, Hook, TemplateRef, WorkflowSpec

SPEC_ITSELF: int = -1
"""The caller of a site that stands in the spec itself."""


class CallSite(msgspec.Struct, frozen=True):
    """One call: its pointer, the number of the body that makes it, and what it names.

    `task` is the name of a DAG task or step that somebody wrote, None for hooks, handlers and layers.
    `is_name` tells that the pointer leads to the name itself. A site without a pointer stands for callers
    that are not known here.
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
        """Whether the call can be given another template."""
        return bool(self.pointer)

    def leads_to(self, name: str) -> list[PatchOp]:
        """Return the operations that make it call a template of its own object."""
        if self.is_name:
            return [PatchOp(Op.REPLACE, self.pointer, name)]
        if self.ref is not None:
            return [
                PatchOp(Op.REMOVE, f"{self.pointer}/templateRef"),
                PatchOp(Op.ADD, f"{self.pointer}/template", name),
            ]
        return [PatchOp(Op.REPLACE, f"{self.pointer}/template", name)]


def sites_of(spec: WorkflowSpec, bodies: Sequence[TemplateBody], at: str) -> Iterator[CallSite]:
    """Yield all calls of a spec and its bodies; inline templates are not called but stand where they run."""
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
