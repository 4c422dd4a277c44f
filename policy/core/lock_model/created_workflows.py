"""Which Workflow a resource template creates and waits for, as far as its manifest is fixed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from policy.core.lock_model.parameters import TagValues, fill_tags, replaced
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    EMPTY_SPEC,
    Metadata,
    ResourceTemplate,
    Template,
    Workflow,
    WorkflowSpec,
)

ReadManifest: TypeAlias = Callable[[str], Sequence[Any]]
"""Returns the objects in the text of a manifest, none where it cannot be read."""
UNKNOWN: Final = "lockkeeper-unknown-text"
"""What stands for a tag of which the value is not known; no name that has it is looked at."""
_LONGEST: Final = 50_000
"""Characters of a manifest that is read."""
_CREATING: Final = frozenset({"create", "apply"})
_KIND: Final = "Workflow"
_GROUP: Final = "argoproj.io/"


class CreatedWorkflow(msgspec.Struct, frozen=True):
    """A Workflow that is created: `namespace` is "" for that of its creator, `owned` whether that owns it."""

    namespace: str
    labels: Mapping[str, str]
    spec: WorkflowSpec
    owned: bool


def waits_for_workflow(template: Template) -> bool:
    """Return whether a template may create a Workflow and wait for it; its manifest says it for sure."""
    resource = template.resource
    return (
        resource is not None
        and resource.action in _CREATING
        and bool(resource.success_condition or resource.failure_condition)
        and _KIND in (resource.manifest or "")
    )


def created_workflows(template: Template, read: ReadManifest, values: TagValues) -> Iterator[CreatedWorkflow]:
    """Yield the Workflows that a template creates and waits for.

    `values` are those of tags that are known; what depends on others is left out, so that a label or a name
    that only the run gives matches nothing.
    """
    resource = template.resource
    if resource is None or not waits_for_workflow(template):
        return
    text = resource.manifest or ""
    if len(text) > _LONGEST:
        return
    for each in read(replaced(fill_tags(text, values), lambda _: UNKNOWN)):
        found = _workflow(each, resource)
        if found is not None:
            yield found


def _workflow(value: Any, resource: ResourceTemplate) -> CreatedWorkflow | None:
    try:
        # A Workflow keeps bytes of its own, which only bytes give.
        workflow = msgspec.json.decode(msgspec.json.encode(value), type=Workflow)
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
        return None
    metadata = workflow.metadata or EMPTY_METADATA
    known = workflow.kind == _KIND and (workflow.api_version or "").startswith(_GROUP)
    if not known or UNKNOWN in (metadata.namespace or ""):
        return None
    labels = {key: text for key, text in (metadata.labels or {}).items() if UNKNOWN not in f"{key}{text}"}
    owned = bool(resource.set_owner_reference) or _is_owned(metadata)
    return CreatedWorkflow(metadata.namespace or "", labels, workflow.spec or EMPTY_SPEC, owned)


def _is_owned(metadata: Metadata) -> bool:
    return any(each.kind == _KIND and each.controller for each in metadata.owner_references or ())
