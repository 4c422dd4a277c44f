"""Whether a WorkflowTemplate, a ClusterWorkflowTemplate or a CronWorkflow is admitted, and with which locks.

The policies that name its kind apply. An edit outside of the spec is not reviewed, and faults from before an
edit are not refused: only those that it brings.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.decision.decision import (
    IGNORED,
    UNGOVERNED,
    Decision,
    Operation,
    Outcome,
    Reason,
    Review,
    for_side,
    new_reasons,
)
from policy.core.injection.injection_result import with_note
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.rulebook import Rulebook, marks_of
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_review.missing_locks import template_finder
from policy.core.lock_review.siblings import review_sibling
from policy.core.lock_review.unread_templates import left_out_faults
from policy.core.lock_review.workflow_locks import LockPart, review_spec_locks
from policy.core.objects.label_selectors import Labels
from policy.core.objects.template_keys import TEMPLATE_KINDS, ObjectKind
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    EMPTY_SPEC,
    CronWorkflow,
    Metadata,
    Read,
    TemplateObject,
    WorkflowSpec,
)
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import MatchedKind
from policy.core.values.budget import Budget
from policy.core.values.problems import Hints

_SPEC: Final = "/spec"
_WORKFLOW_SPEC: Final = "/spec/workflowSpec"


class ReviewedTemplate(msgspec.Struct, frozen=True):
    """The reviewed part of an object: the spec that Workflows are created from, and the pointer to it.

    `made` is the metadata of these Workflows, None where each has its own.
    """

    kind: MatchedKind
    at: str
    spec: WorkflowSpec
    metadata: Metadata
    labels: Labels
    made: Metadata | None = None


class _Unread(Read, frozen=True):
    """An object of which the spec is only compared."""

    spec: msgspec.Raw = msgspec.Raw(b"null")


_UNREAD: Final = msgspec.json.Decoder(_Unread)
_TEMPLATE: Final = msgspec.json.Decoder(TemplateObject)
_CRON: Final = msgspec.json.Decoder(CronWorkflow)


def review_template(review: Review, snapshot: Snapshot) -> Decision:
    """Decide about the create or the update of a template or a schedule."""
    subject = template_subject(review.template, review.cron, review.kind)
    written = review.operation in (Operation.CREATE, Operation.UPDATE) and not review.sub_resource
    if subject is None or not written:
        return IGNORED
    sibling = review_sibling(review, snapshot)
    if sibling is not None:
        return sibling
    if review.operation is Operation.UPDATE and not is_edited(review):
        return IGNORED
    everywhere = subject.kind is MatchedKind.CLUSTER_WORKFLOW_TEMPLATE
    locks = snapshot.policies("" if everywhere else review.namespace).locks
    active = locks.active(subject.labels, subject.kind) if locks is not None else ()
    if locks is None or not active:
        return UNGOVERNED
    hints = Hints()
    part = _review_part(subject, review.raw, locks, snapshot, hints, budget=review.budget)
    reasons = (*part.reasons, *_unknown(subject, review, snapshot))
    if reasons and review.operation is Operation.UPDATE:
        reasons = new_reasons(_before(review, locks, snapshot, hints), reasons)
    decision = Decision(
        outcome=Outcome.ALLOWED,
        warnings=part.warnings,
        patch=with_note(part.patch, subject.metadata, part.note),
        injected=part.injected,
        policies=part.policies,
    )
    return for_side(decision, review.side, reasons)


def template_subject(
    template: TemplateObject | None, cron: CronWorkflow | None, kind: ObjectKind
) -> ReviewedTemplate | None:
    """Return the part of an object to review, None where there is none."""
    if template is not None and kind in TEMPLATE_KINDS:
        labels = template.metadata.labels or {}
        return ReviewedTemplate(MatchedKind(kind.value), _SPEC, template.spec, template.metadata, labels)
    if cron is None:
        return None
    metadata = cron.spec.workflow_metadata if cron.spec is not None else None
    spec = (cron.spec.workflow_spec if cron.spec is not None else None) or EMPTY_SPEC
    labels = (metadata.labels if metadata is not None else None) or {}
    return ReviewedTemplate(
        kind=MatchedKind.CRON_WORKFLOW,
        at=_WORKFLOW_SPEC,
        spec=spec,
        metadata=cron.metadata or EMPTY_METADATA,
        labels=labels,
        made=metadata or EMPTY_METADATA,
    )


def is_edited(review: Review) -> bool:
    """Return whether an update changes the spec; Argo also runs objects whose deletion a finalizer delays."""
    return bytes(_UNREAD.decode(review.raw).spec) != bytes(_UNREAD.decode(review.old_raw).spec)


def _review_part(
    subject: ReviewedTemplate,
    raw: msgspec.Raw,
    locks: LockPolicies,
    snapshot: Snapshot,
    hints: Hints,
    *,
    budget: Budget,
) -> LockPart:
    active = locks.active(subject.labels, subject.kind)
    view = locks.view(subject.spec, open_ended=subject.kind.value in TEMPLATE_KINDS)
    reviewed = ReviewedObject(
        view=view,
        kind=ObjectKind(subject.kind.value),
        at=subject.at,
        raw=raw,
        find=template_finder(locks, snapshot, view),
        name=subject.metadata.name or "",
        library=snapshot.library,
    )
    marks = marks_of(subject.made) if subject.made is not None else None
    rulebook = Rulebook(locks, active, hints=hints, budget=budget, marks=marks)
    return review_spec_locks(subject.spec, rulebook, reviewed, snapshot)


def _unknown(subject: ReviewedTemplate, review: Review, snapshot: Snapshot) -> Iterator[Reason]:
    """Yield what leads to a template that may be left out: waiting Workflows may run it by this one."""
    if subject.kind is MatchedKind.WORKFLOW_TEMPLATE:
        yield from left_out_faults(subject.spec, review.namespace, snapshot)


def _before(review: Review, locks: LockPolicies, snapshot: Snapshot, hints: Hints) -> tuple[Reason, ...]:
    """Return what was wrong with the object before; nothing where that cannot be read."""
    cron = review.kind is ObjectKind.CRON_WORKFLOW
    try:
        old = template_subject(
            None if cron else _TEMPLATE.decode(review.old_raw),
            _CRON.decode(review.old_raw) if cron else None,
            review.kind,
        )
    except msgspec.ValidationError:
        return ()
    if old is None:
        return ()
    part = _review_part(old, review.old_raw, locks, snapshot, hints, budget=review.budget)
    return (*part.reasons, *_unknown(old, review, snapshot))
