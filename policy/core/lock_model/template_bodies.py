"""Where locks can stand in a Workflow: every template body, inline ones included, with its JSON pointer."""

from collections.abc import Iterator

import msgspec

from policy.core.lock_model.rules import CompiledRule
from policy.core.objects.workflow import Call, RawTemplate, Template, WorkflowSpec
from policy.core.policy_kinds.kinds import MatchedKind, TemplateType


class TemplateBody(msgspec.Struct, frozen=True):
    """A template body and the JSON pointer to it.

    `remarkable` tells whether one of its tasks or steps has an inline template or a lock of its own, or calls
    a template of another object; where none does, nobody need look at them again.
    """

    template: Template
    pointer: str
    remarkable: bool


def places(spec: WorkflowSpec, at: str = "/spec") -> list[TemplateBody]:
    """Return every template body of the spec, outer ones first, inline ones where they stand."""
    found: list[TemplateBody] = []
    for index, template in enumerate(spec.templates or ()):
        collect(template, f"{at}/templates/{index}", found)
    return found


def collect(template: Template, pointer: str, found: list[TemplateBody]) -> None:
    """Append a template body at `pointer`, and the inline ones in it."""
    remarkable = _remarkable(template)
    found.append(TemplateBody(template, pointer, remarkable))
    if not remarkable:
        return
    for call, where in calls(template, pointer):
        if call.inline is not None:
            collect(call.inline, f"{where}/inline", found)


def _remarkable(template: Template) -> bool:
    if template.dag is not None:
        for task in template.dag.tasks or ():
            if task.inline is not None or task.synchronization is not None or task.template_ref is not None:
                return True
    for group in template.steps or ():
        for step in group:
            if step.inline is not None or step.synchronization is not None or step.template_ref is not None:
                return True
    return False


def calls_none(template: Template) -> bool:
    """Tell whether a template calls no other, as most do: it is no DAG and has no steps."""
    return template.dag is None and template.steps is None


def calls(template: Template, pointer: str) -> Iterator[tuple[Call, str]]:
    """Yield the tasks and steps of a template with their JSON pointers."""
    if template.dag is not None:
        for index, task in enumerate(template.dag.tasks or ()):
            yield task, f"{pointer}/dag/tasks/{index}"
    for group_index, group in enumerate(template.steps or ()):
        for index, step in enumerate(group):
            yield step, f"{pointer}/steps/{group_index}/{index}"


def type_of(template: Template) -> TemplateType | None:  # noqa: C901, PLR0911 - one line for each of ten types
    """Return the type of a template body, or None where it has none."""
    if template.container is not None:
        return TemplateType.CONTAINER
    if template.script is not None:
        return TemplateType.SCRIPT
    if template.dag is not None:
        return TemplateType.DAG
    if template.steps is not None:
        return TemplateType.STEPS
    if template.container_set is not None:
        return TemplateType.CONTAINER_SET
    if template.resource is not None:
        return TemplateType.RESOURCE
    if template.suspend is not None:
        return TemplateType.SUSPEND
    if template.http is not None:
        return TemplateType.HTTP
    if template.data is not None:
        return TemplateType.DATA
    if template.plugin is not None:
        return TemplateType.PLUGIN
    return None


def images_of(template: Template) -> tuple[str, ...]:
    """Return the images that a template's own containers run."""
    if template.container is not None:
        return (template.container.image or "",)
    if template.script is not None:
        return (template.script.image or "",)
    if template.container_set is not None:
        return tuple(each.image or "" for each in template.container_set.containers or ())
    return ()


class ForeignTemplate(msgspec.Struct, frozen=True):
    """A template of another object: as it is read, and the text of that object's spec, if it is known."""

    kind: MatchedKind
    template: Template
    text: str

    def body(self) -> RawTemplate | None:
        """Return the template as it is written, or None where its text is not known."""
        templates = (msgspec.json.decode(self.text).get("templates") or ()) if self.text else ()
        found: RawTemplate | None = next(
            (each for each in templates if each.get("name") == self.template.name), None
        )
        return found


class MissingLock(msgspec.Struct, frozen=True):
    """A lock that a rule wants on a template of another object (`of`), where it is missing."""

    rule: CompiledRule
    template: str
    of: str
    kind: MatchedKind
