"""What a Workflow refers to, recorded in its annotations where a quota of its namespace selects by it.

A leader reads no specs, and an edit may not move a Workflow to other quotas; so what counts is what was
recorded at admission. A reference to a sibling counts as one to its origin. That it is a run of a
CronWorkflow is believed of Argo's own accounts alone, since any user may write owner references: another
cannot use up the quota of a CronWorkflow that is not his.
"""

from collections.abc import Mapping

import msgspec

from policy.core.decision.decision import Code, Reason, Review
from policy.core.lock_review.redirect import origin_of
from policy.core.objects import hold, well_known
from policy.core.objects.owners import owner_of
from policy.core.objects.template_keys import ObjectKind, key_of
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, Workflow, WorkflowSpec
from policy.core.policies.governing_quotas import governing
from policy.core.policies.snapshot import NamespacePolicies, Snapshot

REFERENCE = "spec.workflowTemplateRef"


def with_references(
    review: Review,
    metadata: Metadata,
    spec: WorkflowSpec,
    *,
    before: Metadata | None,
    policies: NamespacePolicies,
    snapshot: Snapshot,
) -> Metadata:
    """Return the metadata of a Workflow that is to run, with what it refers to and nothing that it claims.

    `before` is the metadata of one that runs again: it stays a run of the same CronWorkflow.
    """
    annotations = metadata.annotations or {}
    if not policies.by_reference and annotations.keys().isdisjoint(well_known.REFERENCES):
        return metadata
    others = {key: value for key, value in annotations.items() if key not in well_known.REFERENCES}
    found = references(review, metadata, spec, before, snapshot) if policies.by_reference else {}
    return msgspec.structs.replace(metadata, annotations={**others, **found})


def references(
    review: Review, metadata: Metadata, spec: WorkflowSpec, before: Metadata | None, snapshot: Snapshot
) -> dict[str, str]:
    """Return the annotations that record what a Workflow refers to."""
    found = _records(_template(spec, metadata, review.namespace, snapshot), "")
    if before is not None:
        cron = (before.annotations or {}).get(well_known.STARTED_BY, "")
    else:
        cron = _cron(metadata, review.user, snapshot)
    return found | _records("", cron)


def references_of_stored(metadata: Metadata, spec: WorkflowSpec, snapshot: Snapshot) -> dict[str, str]:
    """Return the annotations that a stored Workflow lacks, which was created before a quota selected by them.

    It is a run of a CronWorkflow if it counts for one of Argo's accounts.
    """
    annotations = metadata.annotations or {}
    if not annotations.keys().isdisjoint(well_known.REFERENCES):
        return {}
    template = _template(spec, metadata, metadata.namespace or "", snapshot)
    return _records(template, _cron(metadata, annotations.get(well_known.USER, ""), snapshot))


def _records(template: str, cron: str) -> dict[str, str]:
    found = {well_known.REFERS_TO: template, well_known.STARTED_BY: cron}
    return {key: value for key, value in found.items() if value}


def _template(spec: WorkflowSpec, metadata: Metadata, namespace: str, snapshot: Snapshot) -> str:
    ref = spec.workflow_template_ref
    if ref is None or not ref.name:
        return ""
    named = key_of(ref, namespace)
    return (origin_of(named, metadata, snapshot) or named).text


def _cron(metadata: Metadata, user: str, snapshot: Snapshot) -> str:
    owner = owner_of(metadata, ObjectKind.CRON_WORKFLOW)
    identities = snapshot.identities
    if owner is None or user not in identities.argo_controllers | identities.argo_servers:
        return ""
    return f"{ObjectKind.CRON_WORKFLOW}/{owner.name}"


def moved_by_reference(
    old: Workflow, spec: WorkflowSpec, policies: NamespacePolicies, snapshot: Snapshot
) -> tuple[tuple[Reason, ...], Mapping[str, str]]:
    """Return why an edited reference is refused, or the annotation that is due by it.

    By another template the Workflow would leave the quotas that it was admitted under.
    """
    present, before = old.metadata or EMPTY_METADATA, old.spec or EMPTY_SPEC
    if not policies.by_reference or before.workflow_template_ref == spec.workflow_template_ref:
        return (), {}
    text = _template(spec, present, policies.namespace, snapshot)
    had = hold.references_of(present)
    if had.get(well_known.REFERS_TO, "") == text:
        return (), {}
    labels = hold.original_labels(present)
    others = {key: value for key, value in labels.items() if key != well_known.REFERS_TO}
    after = {**others, well_known.REFERS_TO: text}
    if governing(policies.quotas, labels) == governing(policies.quotas, after):
        return (), {well_known.REFERS_TO: text} if text and well_known.REFERS_TO in had else {}
    message = (
        "decides which quotas govern the Workflow, and may not change before it is over: delete the Workflow "
        "and create it anew"
    )
    return (Reason(Code.OUT_OF_SIGHT, REFERENCE, message),), {}
