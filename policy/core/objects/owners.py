"""Relations of a new Workflow to existing ones: a child of a running one, or a run of a CronWorkflow.

The creator of a Workflow may write any ownerReferences, so they prove nothing alone: decisions use what was
read about the owner.
"""

from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from policy.core.objects import hold, well_known
from policy.core.objects.hold import is_completed
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    EMPTY_SPEC,
    Executor,
    Metadata,
    OwnerReference,
    Read,
    Workflow,
    WorkflowSpec,
)

_ARGO_GROUP: Final = "argoproj.io/"
STORED_SPEC: Final = "storedWorkflowTemplateSpec"
STORED_TEMPLATES: Final = "storedTemplates"
_Stored = TypeVar("_Stored")


class _StoredTemplate(Read, frozen=True):
    """The account of a template that Argo has stored in a status."""

    service_account_name: str | None = None
    executor: Executor | None = None


_SPEC: Final = msgspec.json.Decoder(WorkflowSpec | None)
_TEMPLATES: Final = msgspec.json.Decoder(dict[str, _StoredTemplate] | None)


class Related(msgspec.Struct, frozen=True):
    """What was read about the owner of a new Workflow.

    `parent` is the Workflow that owns it, with only the stored templates of its status. `root` is the
    Workflow under whose slot the parent runs, which may be the parent itself, and `descendants` are all that
    run under that slot already. `policy` is the `concurrencyPolicy` of the CronWorkflow that owns it, and
    `runs` are its earlier runs that are not completed.
    """

    parent: Workflow | None = None
    root: Metadata | None = None
    descendants: tuple[Metadata, ...] = ()
    policy: str = ""
    runs: tuple[Metadata, ...] = ()


UNRELATED: Final = Related()


def owner_of(metadata: Metadata, kind: str) -> OwnerReference | None:
    """Return the reference to the controlling owner, if it is of this kind of Argo."""
    for owner in metadata.owner_references or ():
        if owner.controller and owner.kind == kind and owner.api_version.startswith(_ARGO_GROUP):
            return owner
    return None


def scheduled_by(metadata: Metadata) -> OwnerReference | None:
    """Return the CronWorkflow whose schedule started a run; what a user submits has no scheduled time."""
    if well_known.SCHEDULED_TIME not in (metadata.annotations or {}):
        return None
    return owner_of(metadata, "CronWorkflow")


def is_running(metadata: Metadata) -> bool:
    """Return whether a Workflow has its slot and is not being deleted."""
    return metadata.deletion_timestamp is None and has_slot(metadata)


def has_slot(metadata: Metadata) -> bool:
    """Return whether a Workflow is neither held nor completed; one being deleted counts until removal."""
    return not (is_completed(metadata) or hold.is_held(metadata.labels))


def root_of(metadata: Metadata) -> tuple[str, str] | None:
    """Return name and uid of the Workflow to which a child was charged; None for a Workflow that is no child.

    The name is "" if unknown. Children that were created before its mark existed have it in their owner.
    """
    uid = (metadata.labels or {}).get(well_known.CHILD_OF, "")
    if not uid:
        return None
    owner = owner_of(metadata, "Workflow")
    own = owner.name if owner is not None and owner.uid == uid else ""
    return (metadata.annotations or {}).get(well_known.ROOT, own), uid


def accounts_of(workflow: Workflow) -> frozenset[str]:
    """Return the names of the ServiceAccounts that the Pods of a Workflow use.

    A template may have its own, also a stored template of another object, and the executor, which creates the
    object of a resource template, may have another one.
    """
    spec, stored = workflow.spec or EMPTY_SPEC, _stored(workflow, STORED_SPEC, _SPEC) or EMPTY_SPEC
    own = spec.service_account_name or stored.service_account_name or "default"
    templates = [
        *(spec.templates or ()),
        *(stored.templates or ()),
        *(_stored(workflow, STORED_TEMPLATES, _TEMPLATES) or {}).values(),
        *(each.template_defaults for each in (spec, stored) if each.template_defaults is not None),
    ]
    named = [each.service_account_name for each in templates]
    named += [each.executor.service_account_name for each in (spec, stored, *templates) if each.executor]
    return frozenset({own, *(each for each in named if each)})


def _stored(workflow: Workflow, field: str, decoder: msgspec.json.Decoder[_Stored | None]) -> _Stored | None:
    """Return what Argo has stored in a status about what it runs; None where it does not decode."""
    with suppress(msgspec.ValidationError):
        return decoder.decode((workflow.status or {}).get(field) or b"null")
    return None


def metadata_of(workflow: Workflow) -> Metadata:
    """Return a Workflow's metadata."""
    return workflow.metadata or EMPTY_METADATA
