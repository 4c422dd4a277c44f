"""Guards a Workflow's metadata: the hold, our marks, and the labels by which controllers select it."""

from collections.abc import Iterator, Mapping
from typing import Final

from policy.core.decision.decision import Code, Reason
from policy.core.objects import hold, well_known
from policy.core.objects.hold import is_completed
from policy.core.objects.label_selectors import Labels, LabelSelector
from policy.core.objects.workflow import Metadata, WorkflowMetadata, WorkflowSpec
from policy.core.policies.governing_quotas import governing
from policy.core.policies.snapshot import NamespacePolicies, Snapshot

TERMINAL: Final = frozenset({"Succeeded", "Failed", "Error"})
"""Phases of a Workflow that is over."""
_LABELS: Final = "metadata.labels"
_ANNOTATIONS: Final = "metadata.annotations"
_FIELD: Final = "spec.workflowMetadata"
_ON_HOLD_VALUES: Final = (None, "true", "false")
_ARGOS_LABELS: Final = frozenset({well_known.INSTANCE_ID, well_known.COMPLETED, well_known.PHASE})


def mark_faults(old: Metadata, new: Metadata, due: Mapping[str, str]) -> Iterator[Reason]:
    """Yield the marks of ours that an update removes, changes or adds.

    `due` are the annotations that we write ourselves because of this update. Whoever may edit a Workflow that
    waits may put it on hold: it only waits longer by that.
    """
    free = {well_known.ON_HOLD} if hold.is_held(old.labels) else frozenset()
    for field, before, after in (
        (_LABELS, old.labels or {}, new.labels or {}),
        (_ANNOTATIONS, old.annotations or {}, new.annotations or {}),
    ):
        for key in sorted(differing(before, after)):
            if key in free and after.get(key) in _ON_HOLD_VALUES:
                continue
            if key.startswith(well_known.PREFIX) and (key not in due or after.get(key) != due[key]):
                verb = "removes" if key not in after else "changes" if key in before else "adds"
                message = f"is written by Lockkeeper alone, and this update {verb} it: leave it as it is"
                yield Reason(Code.GUARDED_MARK, f"{field}[{key}]", message)


def visibility_faults(old: Metadata, new: Metadata, phase: str) -> Iterator[Reason]:
    """Yield what would remove a Workflow from the queue, or make a running one invisible to controllers."""
    before, after = old.labels or {}, new.labels or {}
    field = f"{_LABELS}[{well_known.INSTANCE_ID}]"
    if before.get(well_known.INSTANCE_ID) != after.get(well_known.INSTANCE_ID) and not (
        is_completed(old) and is_completed(new) and not hold.is_held(after)
    ):
        if hold.is_held(before):
            message = (
                "holds the Workflow in the queue, and only Lockkeeper removes it: wait, or delete "
                "the Workflow"
            )
            yield Reason(Code.HOLD_REMOVED, field, message)
        else:
            message = (
                "may not change while the Workflow is not completed: the controller would not see its end"
            )
            yield Reason(Code.OUT_OF_SIGHT, field, message)
    if is_completed(new) and not is_completed(old) and phase not in TERMINAL:
        message = "says that the Workflow is over and it is not: stop it with spec.shutdown, or delete it"
        yield Reason(Code.OUT_OF_SIGHT, f"{_LABELS}[{well_known.COMPLETED}]", message)


def relabel_faults(old: Metadata, new: Metadata, policies: NamespacePolicies) -> Iterator[Reason]:
    """Yield the labels by which a running Workflow would leave the policies that it was admitted under."""
    message = (
        "decides which policies govern the Workflow, and may not change before it is over: delete the "
        "Workflow and create it anew"
    )
    for key in sorted(moving_keys(policies, old, new)):
        yield Reason(Code.OUT_OF_SIGHT, f"{_LABELS}[{key}]", message)


def moving_keys(policies: NamespacePolicies, old: Metadata, new: Metadata) -> frozenset[str]:
    """Return the labels by which an update would move a Workflow to other policies."""
    before, after = hold.original_labels(old), hold.original_labels(new)
    if governing_names(policies, before) == governing_names(policies, after):
        return frozenset()
    return differing(before, after) & _selecting_keys(policies)


def governing_names(policies: NamespacePolicies, labels: Labels) -> tuple[str, ...]:
    """Return the names of the policies of a namespace that govern a Workflow with these labels."""
    quotas = tuple(quota.source for quota in governing(policies.quotas, labels))
    locks = policies.locks.active(labels) if policies.locks is not None else ()
    return quotas + tuple(policy.source for policy in locks)


def _selecting_keys(policies: NamespacePolicies) -> frozenset[str]:
    """Return the labels that the policies of a namespace select by."""
    selectors: list[LabelSelector] = [quota.selector for quota in policies.quotas]
    if policies.locks is not None:
        selectors += [policy.workflows for policy in policies.locks.policies]
    keys = [key for each in selectors for key in each.match_labels]
    keys += [requirement.key for each in selectors for requirement in each.match_expressions]
    return frozenset(keys)


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> frozenset[str]:
    """Return the keys whose values differ between two maps."""
    return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def metadata_faults(
    spec: WorkflowSpec, metadata: Metadata, policies: NamespacePolicies, snapshot: Snapshot
) -> Iterator[Reason]:
    """Yield what is wrong with the metadata that Argo is to write, the Workflow's own and its template's."""
    if spec.workflow_metadata is not None:
        yield from _written_faults(spec.workflow_metadata, metadata, policies, "")
    ref = spec.workflow_template_ref
    template = snapshot.template(policies.namespace, ref)
    if ref is not None and template is not None and template.workflow_metadata is not None:
        yield from _written_faults(
            template.workflow_metadata, metadata, policies, f" in the template {ref.name}"
        )


def _written_faults(
    written: WorkflowMetadata, metadata: Metadata, policies: NamespacePolicies, where: str
) -> Iterator[Reason]:
    labels = written.labels or {}
    original = hold.original_instance_id(metadata)
    for kind, keys in (
        ("labels", labels),
        ("labelsFrom", written.labels_from or {}),
        ("annotations", written.annotations or {}),
    ):
        for key in sorted(keys):
            if kind == "labels" and key == well_known.INSTANCE_ID and labels[key] == original:
                continue
            if key.startswith(well_known.PREFIX) or (kind != "annotations" and key in _ARGOS_LABELS):
                message = f"is not for Workflows to set{where}: leave it out"
                yield Reason(Code.HOSTILE_METADATA, f"{_FIELD}.{kind}[{key}]", message)
    yield from _moving_faults(written, metadata, policies, where)


def _moving_faults(
    written: WorkflowMetadata, metadata: Metadata, policies: NamespacePolicies, where: str
) -> Iterator[Reason]:
    """Yield the labels by which the Workflow would move to other policies than it is admitted under."""
    before = hold.original_labels(metadata)
    after = {**before, **(written.labels or {})}
    computed = frozenset(written.labels_from or {})
    moves = governing_names(policies, before) != governing_names(policies, after)
    moving = {*computed, *after} if moves else computed
    message = f"decides which policies govern the Workflow: set it in metadata.labels, not{where or ' here'}"
    for key in sorted(_selecting_keys(policies).intersection(moving)):
        if key in computed or before.get(key) != after.get(key):
            kind = "labelsFrom" if key in computed else "labels"
            yield Reason(Code.HOSTILE_METADATA, f"{_FIELD}.{kind}[{key}]", message)
