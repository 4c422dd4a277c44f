"""What a new Workflow is to others that exist: the child of a live one, or a run of a CronWorkflow.

Whoever creates a Workflow writes its ownerReferences as he likes, so nothing follows from them alone. What
does follow is decided on what was read about the owner.
"""

from contextlib import suppress
from typing import Final

import msgspec

from policy.core import holding, marks
from policy.core.holding import is_completed
from policy.core.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, OwnerReference, Workflow, WorkflowSpec

ARGO_GROUP: Final = "argoproj.io/"
STORED_SPEC: Final = "storedWorkflowTemplateSpec"
_SPEC: Final = msgspec.json.Decoder(WorkflowSpec | None)


class Related(msgspec.Struct, frozen=True):
    """What was read about the owner of a new Workflow.

    `parent` is the Workflow that owns it; of its status there is only the stored spec. `root` is the one under
    whose slot the parent runs, which may be the parent itself, and `line` are all that run under that slot
    already, on whatever level. `policy` is the `concurrencyPolicy` of the CronWorkflow that owns it, and `runs`
    are its earlier runs that are not over.
    """

    parent: Workflow | None = None
    root: Metadata | None = None
    line: tuple[Metadata, ...] = ()
    policy: str = ""
    runs: tuple[Metadata, ...] = ()


UNRELATED: Final = Related()


def owner_of(metadata: Metadata, kind: str) -> OwnerReference | None:
    """Return the reference to the controlling owner of one of Argo's kinds."""
    for owner in metadata.owner_references or ():
        if owner.controller and owner.kind == kind and owner.api_version.startswith(ARGO_GROUP):
            return owner
    return None


def scheduled_by(metadata: Metadata) -> OwnerReference | None:
    """Return the CronWorkflow whose schedule started a run; one that somebody submits from it has no time."""
    if marks.SCHEDULED_TIME not in (metadata.annotations or {}):
        return None
    return owner_of(metadata, "CronWorkflow")


def is_live(metadata: Metadata) -> bool:
    """Tell whether a Workflow runs: it has its slot, and nobody has deleted it."""
    return metadata.deletion_timestamp is None and has_slot(metadata)


def has_slot(metadata: Metadata) -> bool:
    """Tell whether a Workflow is neither held nor over: who is deleted counts until it is gone."""
    return not (is_completed(metadata) or holding.is_held(metadata.labels))


def root_of(metadata: Metadata) -> tuple[str, str] | None:
    """Return name and uid of the Workflow that a child was charged to; None for one that is no child.

    The name is "" where it is not known. Children from before there was a mark for it name their owner.
    """
    uid = (metadata.labels or {}).get(marks.CHILD_OF, "")
    if not uid:
        return None
    owner = owner_of(metadata, "Workflow")
    own = owner.name if owner is not None and owner.uid == uid else ""
    return (metadata.annotations or {}).get(marks.ROOT, own), uid


def accounts_of(workflow: Workflow) -> frozenset[str]:
    """Return the ServiceAccounts that the Pods of a Workflow run as, by their names alone."""
    spec, stored = workflow.spec or EMPTY_SPEC, _stored(workflow)
    templates = (*(spec.templates or ()), *(stored.templates or ()))
    named = {each.service_account_name for each in templates if each.service_account_name}
    return frozenset({spec.service_account_name or stored.service_account_name or "default", *named})


def _stored(workflow: Workflow) -> WorkflowSpec:
    """Return the spec that Argo made of a Workflow and the template that it refers to."""
    raw = (workflow.status or {}).get(STORED_SPEC)
    with suppress(msgspec.ValidationError):
        return _SPEC.decode(raw or b"null") or EMPTY_SPEC
    return EMPTY_SPEC


def metadata_of(workflow: Workflow) -> Metadata:
    """Return a Workflow's metadata."""
    return workflow.metadata or EMPTY_METADATA
