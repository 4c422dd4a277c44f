"""What `spec.workflowMetadata` may not do: Argo writes it onto the Workflow itself when it starts it.

That comes after admission and from Argo's own account, so a label there could take a running Workflow out
of sight, say that it is over, change our marks, or move it to other policies. The template that a Workflow
refers to brings it along just as well.
"""

from collections.abc import Iterator
from typing import Final

from policy.core import holding, marks
from policy.core.decision import Code, Reason
from policy.core.guard_marks import selected, selecting_keys
from policy.core.snapshot import NamespacePolicies, Snapshot
from policy.core.workflow import Metadata, WorkflowMetadata, WorkflowSpec

_FIELD: Final = "spec.workflowMetadata"
_ARGOS: Final = frozenset({marks.INSTANCE_ID, marks.COMPLETED, marks.PHASE})


def metadata_faults(
    spec: WorkflowSpec, metadata: Metadata, policies: NamespacePolicies, snapshot: Snapshot
) -> Iterator[Reason]:
    """Yield what is wrong with the metadata that Argo is to write, the Workflow's own and its template's."""
    if spec.workflow_metadata is not None:
        yield from _faults(spec.workflow_metadata, metadata, policies, "")
    ref = spec.workflow_template_ref
    template = snapshot.template(policies.namespace, ref) if ref is not None else None
    if ref is not None and template is not None and template.workflow_metadata is not None:
        yield from _faults(template.workflow_metadata, metadata, policies, f" in the template {ref.name}")


def _faults(
    written: WorkflowMetadata, metadata: Metadata, policies: NamespacePolicies, where: str
) -> Iterator[Reason]:
    labels = written.labels or {}
    original = holding.original_instance_id(metadata)
    for kind, keys in (
        ("labels", labels),
        ("labelsFrom", written.labels_from or {}),
        ("annotations", written.annotations or {}),
    ):
        for key in sorted(keys):
            if kind == "labels" and key == marks.INSTANCE_ID and labels[key] == original:
                continue
            if key.startswith(marks.PREFIX) or (kind != "annotations" and key in _ARGOS):
                message = f"is not for Workflows to set{where}: leave it out"
                yield Reason(Code.HOSTILE_METADATA, f"{_FIELD}.{kind}[{key}]", message)
    yield from _moves(written, metadata, policies, where)


def _moves(
    written: WorkflowMetadata, metadata: Metadata, policies: NamespacePolicies, where: str
) -> Iterator[Reason]:
    """Yield the labels by which the Workflow would move to other policies than it is admitted under."""
    before = holding.original_labels(metadata)
    after = {**before, **(written.labels or {})}
    computed = frozenset(written.labels_from or {})
    moving = computed if selected(policies, before) == selected(policies, after) else {*computed, *after}
    message = f"decides which policies govern the Workflow: set it in metadata.labels, not{where or ' here'}"
    for key in sorted(selecting_keys(policies).intersection(moving)):
        if key in computed or before.get(key) != after.get(key):
            kind = "labelsFrom" if key in computed else "labels"
            yield Reason(Code.HOSTILE_METADATA, f"{_FIELD}.{kind}[{key}]", message)
