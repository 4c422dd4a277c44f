"""The template bodies of an object, inline ones included, with JSON pointers: what each calls and runs."""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.objects.workflow import Call, Container, RawTemplate, Template, Volume, WorkflowSpec
from policy.core.policy_kinds.kinds import MatchedKind, TemplateType

_DEFAULT_SERVICE_ACCOUNT: Final = "default"


class TemplateBody(msgspec.Struct, frozen=True):
    """A template body and the JSON pointer to it.

    With `has_complex_calls`, one of its tasks or steps has an inline template or a lock of its own, or calls
    a template of another object; else they need not be looked at again.
    """

    template: Template
    pointer: str
    has_complex_calls: bool


def all_bodies(spec: WorkflowSpec, at: str = "/spec") -> list[TemplateBody]:
    """Return every template body of the spec, outer ones first, inline ones where they are written."""
    found: list[TemplateBody] = []
    for index, template in enumerate(spec.templates or ()):
        collect_bodies(template, f"{at}/templates/{index}", found)
    return found


def collect_bodies(template: Template, pointer: str, found: list[TemplateBody]) -> None:
    """Append a template body at `pointer`, and the inline ones in it."""
    complex_calls = _has_complex_calls(template)
    found.append(TemplateBody(template, pointer, complex_calls))
    if not complex_calls:
        return
    for call, where in calls(template, pointer):
        if call.inline is not None:
            collect_bodies(call.inline, f"{where}/inline", found)


def _has_complex_calls(template: Template) -> bool:
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
    """Return whether a template calls no other, as most do: it is no DAG and has no steps."""
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


def main_containers(
    template: Template, defaults: Template | None
) -> Iterator[tuple[Container, Container | None]]:
    """Yield the container, script or containers of a set, each with its default."""
    if template.container is not None:
        yield template.container, defaults.container if defaults is not None else None
    if template.script is not None:
        yield template.script, defaults.script if defaults is not None else None
    if template.container_set is not None:
        yield from ((each, None) for each in template.container_set.containers or ())


def side_containers(template: Template, defaults: Template | None) -> tuple[Container, ...]:
    """Return the init containers and sidecars; those of the defaults are merged in by name."""
    if defaults is None:
        return (template.init_containers or ()) + (template.sidecars or ())
    inits = _merged_by_name(template.init_containers or (), defaults.init_containers or ())
    return inits + _merged_by_name(template.sidecars or (), defaults.sidecars or ())


def _merged_by_name(own: tuple[Container, ...], below: tuple[Container, ...]) -> tuple[Container, ...]:
    complete = {each.name for each in own if each.image}
    return (*own, *(each for each in below if each.name not in complete))


def service_account_of(template: Template, spec: WorkflowSpec) -> str:
    """Return the ServiceAccount that a template's Pods run as."""
    defaults = spec.template_defaults
    return (
        template.service_account_name
        or (defaults.service_account_name if defaults is not None else None)
        or spec.service_account_name
        or _DEFAULT_SERVICE_ACCOUNT
    )


def claims_of(template: Template, spec: WorkflowSpec) -> Iterator[str]:
    """Yield the claims that a template's containers mount."""
    defaults = spec.template_defaults
    below: tuple[Volume, ...] = (defaults.volumes if defaults is not None else None) or ()
    volumes = (*(template.volumes or ()), *below, *(spec.volumes or ()))
    if not volumes:
        return
    containers: list[Container | None] = [*side_containers(template, defaults)]
    for pair in main_containers(template, defaults):
        containers += pair
    mounted = {mount.name for each in containers if each is not None for mount in each.volume_mounts or ()}
    if template.container_set is not None:
        mounted.update(mount.name for mount in template.container_set.volume_mounts or ())
    for volume in volumes:
        claim = volume.persistent_volume_claim
        if claim is not None and volume.name in mounted:
            yield claim.claim_name or ""


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
