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
_SPEC: Final = msgspec.json.Decoder(WorkflowSpec | None)


class Related(msgspec.Struct, frozen=True):
    """What was read about the owner of a new Workflow.

    `parent` is the Workflow that owns it and `children` the others that run under the parent's slot already;
    `policy` is the `concurrencyPolicy` of the CronWorkflow that owns it and `runs` are its earlier runs that
    are not over.
    """

    parent: Workflow | None = None
    children: tuple[Metadata, ...] = ()
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
    """Tell whether a Workflow runs: it is not held, not over, and nobody has deleted it."""
    going = metadata.deletion_timestamp is not None
    return not (going or is_completed(metadata) or holding.is_held(metadata.labels))


def accounts_of(workflow: Workflow) -> frozenset[str]:
    """Return the ServiceAccounts that the Pods of a Workflow run as, by their names alone."""
    spec, stored = workflow.spec or EMPTY_SPEC, _stored(workflow)
    templates = (*(spec.templates or ()), *(stored.templates or ()))
    named = {each.service_account_name for each in templates if each.service_account_name}
    return frozenset({spec.service_account_name or stored.service_account_name or "default", *named})


def _stored(workflow: Workflow) -> WorkflowSpec:
    """Return the spec that Argo made of a Workflow and the template that it refers to."""
    raw = (workflow.status or {}).get("storedWorkflowTemplateSpec")
    with suppress(msgspec.ValidationError):
        return _SPEC.decode(raw or b"null") or EMPTY_SPEC
    return EMPTY_SPEC


def metadata_of(workflow: Workflow) -> Metadata:
    """Return a Workflow's metadata."""
    return workflow.metadata or EMPTY_METADATA
