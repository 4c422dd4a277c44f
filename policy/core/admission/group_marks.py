"""Which keys a Workflow has in the groups of quotas, recorded in an annotation when it is admitted.

A leader reads no specs, so what counts is what was recorded. It stays for the life of the Workflow: an edit
that would give another key is refused, and one that runs again keeps the keys that it has.
"""

from collections.abc import Mapping, Sequence

import msgspec

from policy.core.decision.decision import Code, Reason, Review, Side
from policy.core.objects import hold, well_known
from policy.core.objects.label_selectors import Labels
from policy.core.objects.template_keys import ObjectKind, key_of
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, CronWorkflow, Metadata, Workflow
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.policy_kinds.quota_parts import MissingPart, OnExceed
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.group_keys import (
    GroupKey,
    KeySubject,
    differing_parts,
    key_value,
    missing_parts,
)


def with_group_keys(
    metadata: Metadata,
    subject: KeySubject,
    *,
    before: Metadata | None,
    policies: NamespacePolicies,
) -> Metadata:
    """Return the metadata of a Workflow that is to run, with its keys in groups and none that it claims.

    `before` is the metadata of one that runs again.
    """
    annotations = metadata.annotations or {}
    if not policies.group_keys and well_known.GROUPS not in annotations:
        return metadata
    others = {key: value for key, value in annotations.items() if key != well_known.GROUPS}
    found = _keys_of(subject, policies)
    if before is not None:
        found |= _recorded(before)
    if found:
        others[well_known.GROUPS] = hold.written_group_keys(found)
    return msgspec.structs.replace(metadata, annotations=others)


def missing_faults(
    quotas: Sequence[CompiledQuota], subject: KeySubject, labels: Labels
) -> tuple[Reason, ...]:
    """Return the parts of keys that a Workflow lacks, in those groups that select it and refuse that."""
    return tuple(
        Reason(Code.GROUP_KEY_MISSING, part.field, _missing(quota.group.key), quota.source)
        for quota in quotas
        if quota.group is not None
        and quota.group.missing is MissingPart.DENY
        and quota.selector.matches(labels)
        and quota.on_exceed is not OnExceed.WARN
        for part in missing_parts(quota.group.key, subject)
    )


def _missing(key: GroupKey) -> str:
    return (
        f"is absent or empty, and a part of the key {key.text} that each Workflow needs here: give it a value"
    )


def moved_keys(
    old: Workflow, new: Workflow, user: str, policies: NamespacePolicies, snapshot: Snapshot
) -> tuple[Reason, ...]:
    """Return why an edit is refused that would give a Workflow another key in a group that it is in."""
    before = old.metadata or EMPTY_METADATA
    recorded = _recorded(before)
    if not policies.group_keys or not recorded:
        return ()
    refers_to, labels = hold.references_of(before), hold.original_labels(before)
    had = subject_of(old, user, refers_to, policies, snapshot)
    has = subject_of(new, user, refers_to, policies, snapshot)
    return tuple(
        Reason(Code.OUT_OF_SIGHT, part.field, _moved(key, had, has), quota.source)
        for quota in policies.quotas
        if quota.group is not None and quota.selector.matches(labels)
        for key in (quota.group.key,)
        if key.text in recorded and key_value(key, had) != key_value(key, has)
        for part in differing_parts(key, had, has)
    )


def refused_runs(cron: CronWorkflow, namespace: str, snapshot: Snapshot) -> tuple[Reason, ...]:
    """Return why the runs of a CronWorkflow would be refused: the parts of keys that they lack."""
    policies, made = snapshot.policies(namespace), cron.spec
    if made is None or not policies.group_keys:
        return ()
    own, spec = cron.metadata or EMPTY_METADATA, made.workflow_spec or EMPTY_SPEC
    name, metadata = own.name or own.generate_name or "", made.workflow_metadata or EMPTY_METADATA
    recorded = {well_known.STARTED_BY: f"{ObjectKind.CRON_WORKFLOW}/{name}"}
    template = snapshot.template(policies.namespace, spec.workflow_template_ref)
    if spec.workflow_template_ref is not None:
        if template is None:
            return ()  # What it gives is not known here.
        recorded[well_known.REFERS_TO] = key_of(spec.workflow_template_ref, namespace).text
    subject = KeySubject(
        namespace=policies.namespace,
        metadata=metadata,
        spec=spec,
        user=next(iter(snapshot.identities.argo_controllers), name),
        template=template,
        recorded=recorded,
    )
    labels = {**(metadata.labels or {}), well_known.CRON_WORKFLOW: name, **recorded}
    return tuple(
        msgspec.structs.replace(
            each, field=_in_cron(each.field), message=f"{each.message}, or every run is refused"
        )
        for each in missing_faults(policies.quotas, subject, labels)
    )


def warnings_of_runs(review: Review, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the same as warnings of the review of a CronWorkflow."""
    if review.cron is None or review.side is not Side.MUTATE:
        return ()
    found = refused_runs(review.cron, review.namespace, snapshot)
    return tuple(f"lockkeeper: {each.field}: {each.message} ({each.policy})" for each in found)


def _in_cron(field: str) -> str:
    """Return the field of a CronWorkflow that gives its runs a field."""
    if field.startswith("metadata."):
        return f"spec.workflowMetadata{field.removeprefix('metadata')}"
    return f"spec.workflowSpec{field.removeprefix('spec')}"


def subject_of(
    workflow: Workflow,
    user: str,
    recorded: dict[str, str],
    policies: NamespacePolicies,
    snapshot: Snapshot,
) -> KeySubject:
    """Return what the keys of a Workflow are made of.

    `user` is the one that it counts for, and `recorded` are the annotations that say what it refers to.
    """
    spec = workflow.spec or EMPTY_SPEC
    return KeySubject(
        namespace=policies.namespace,
        metadata=workflow.metadata or EMPTY_METADATA,
        spec=spec,
        user=user,
        template=snapshot.template(policies.namespace, spec.workflow_template_ref),
        recorded=recorded,
    )


def _keys_of(subject: KeySubject, policies: NamespacePolicies) -> dict[str, str]:
    values = {text: key_value(key, subject) for text, key in policies.group_keys.items()}
    return {text: value for text, value in values.items() if value is not None}


def _recorded(metadata: Metadata) -> Mapping[str, str]:
    return hold.read_group_keys((metadata.annotations or {}).get(well_known.GROUPS, ""))


def _moved(key: GroupKey, had: KeySubject, has: KeySubject) -> str:
    change = key_value(key, has)
    then = (
        "it would have no key" if change is None else f"its key {key_value(key, had)} would become {change}"
    )
    return (
        f"is a part of the key {key.text}, which may not change before the Workflow is over ({then}): delete "
        "the Workflow and create it anew"
    )
