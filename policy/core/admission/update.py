"""Judging the UPDATE of a Workflow: nobody undoes by an edit what was decided at the create.

Argo's controller writes every Workflow again and again, so its writes come first and are only looked at for
what `spec.workflowMetadata` could have made it write. Everybody else's are judged for what is new in them.
Stopping, deleting, finalizers and labels that mean nothing to us are never held up. One that is being deleted
is judged like any other: while a finalizer keeps it, Argo goes on with it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.update_metadata import (
    TERMINAL,
    differing,
    mark_faults,
    relabel_faults,
    selected,
    selecting_keys,
    sight_faults,
)
from policy.core.admission.update_spec import UNCHANGED, judge_edit, spec_changes
from policy.core.admission.update_status import phase_of, retry_faults, status_faults
from policy.core.decision.decision import (
    IGNORED,
    UNGOVERNED,
    Decision,
    Outcome,
    Reason,
    Review,
    for_side,
)
from policy.core.objects import hold, well_known
from policy.core.objects.hold import ANNOTATIONS, LABELS, is_completed
from policy.core.objects.json_patch import Op, PatchOp, pointer, set_entries
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, Workflow
from policy.core.policies.snapshot import NamespacePolicies, Snapshot

SUBRESOURCES: Final = frozenset({"", "status"})
"""What an update of a Workflow may go through; Argo's own kind has no subresource, others' might."""


class Update(msgspec.Struct, frozen=True):
    """An update of a Workflow, both versions of which are there."""

    review: Review
    old: Workflow
    new: Workflow

    @property
    def before(self) -> Metadata:
        """The metadata as it was."""
        return self.old.metadata or EMPTY_METADATA

    @property
    def after(self) -> Metadata:
        """The metadata as it would be."""
        return self.new.metadata or EMPTY_METADATA


def update_of(review: Review) -> Update | None:
    """Return the update that a review is about, or None where it is about something else."""
    if review.old is None or review.workflow is None or review.sub_resource not in SUBRESOURCES:
        return None
    return Update(review, review.old, review.workflow)


def reactivates(update: Update) -> bool:
    """Tell whether an update makes a Workflow that is over run again, as `argo retry` does.

    It takes the completed label away and clears the phase (argo-verified 11).
    """
    if is_completed(update.after):
        return False
    if is_completed(update.before):
        return True
    return phase_of(update.old.status) in TERMINAL and phase_of(update.new.status) not in TERMINAL


def guard(update: Update, snapshot: Snapshot, now: datetime) -> Decision:
    """Decide about an update that does not make a Workflow run again."""
    policies = snapshot.policies(update.review.namespace)
    if not (
        _marked(update.before)
        or _marked(update.after)
        or (policies.governed and selected(policies, hold.original_labels(update.before)))
    ):
        return UNGOVERNED
    if update.review.user in snapshot.identities.argo_controllers:
        return _restore(update, policies)
    return _judge(update, policies, snapshot, now)


def origin_of(update: Update) -> hold.HoldOrigin:
    """Return where a Workflow comes from that is made to run again."""
    return hold.HoldOrigin(hold.holds_of(update.before), retried=hold.ran_before(update.new))


def guard_retry(update: Update, snapshot: Snapshot) -> tuple[Reason, ...]:
    """Return what is wrong with a Workflow that is made to run again, besides what a create is judged by."""
    review = update.review
    server = review.user in snapshot.identities.argo_servers
    return tuple(retry_faults(update.old.status, update.new.status, review.budget, server=server))


def _judge(update: Update, policies: NamespacePolicies, snapshot: Snapshot, now: datetime) -> Decision:
    old, new, before, after = update.old, update.new, update.before, update.after
    over = is_completed(before)  # A spec that nobody runs is judged when it is made to run again.
    edit = UNCHANGED
    if not over and spec_changes(update.review):
        edit = judge_edit(old, new, policies, snapshot, now, budget=update.review.budget)
    server = update.review.user in snapshot.identities.argo_servers
    reasons = (
        *mark_faults(before, after, edit.due),
        *sight_faults(before, after, phase_of(new.status)),
        *(() if over else relabel_faults(before, after, policies)),
        *status_faults(
            old.status, new.status, update.review.user, server=server, budget=update.review.budget
        ),
        *edit.reasons,
    )
    patch = (*edit.patch, *set_entries(ANNOTATIONS, after.annotations, edit.due.items()))
    if not reasons and not patch and not edit.warnings:
        return IGNORED
    decision = Decision(
        outcome=Outcome.ALLOWED,
        warnings=edit.warnings,
        patch=patch,
        injected=edit.injected,
        policies=selected(policies, hold.original_labels(before)),
    )
    return for_side(decision, update.review.side, reasons)


def _restore(update: Update, policies: NamespacePolicies) -> Decision:
    """Put back what Argo's controller changed because a Workflow or its template told it to.

    To refuse would leave the Workflow as it was in the cluster and its Pods running, for ever.
    """
    before, after = update.before, update.after
    labels, annotations = (
        differing(before.labels or {}, after.labels or {}),
        differing(before.annotations or {}, after.annotations or {}),
    )
    wrong = {key for key in labels if key.startswith(well_known.PREFIX) or key == well_known.INSTANCE_ID}
    if well_known.COMPLETED in labels and is_completed(after) and phase_of(update.new.status) not in TERMINAL:
        wrong.add(well_known.COMPLETED)
    if labels and _moves(policies, before, after):
        wrong |= labels & selecting_keys(policies)
    foreign = {key for key in annotations if key.startswith(well_known.PREFIX)}
    patch = (
        *_put_back(LABELS, before.labels, after.labels, wrong),
        *_put_back(ANNOTATIONS, before.annotations, after.annotations, foreign),
    )
    return for_side(Decision(Outcome.ALLOWED, patch=patch), update.review.side, ()) if patch else IGNORED


def _moves(policies: NamespacePolicies, before: Metadata, after: Metadata) -> bool:
    return selected(policies, hold.original_labels(before)) != selected(policies, hold.original_labels(after))


def _put_back(
    path: str, before: dict[str, str] | None, after: dict[str, str] | None, keys: set[str]
) -> Iterator[PatchOp]:
    had, has = before or {}, after or {}
    yield from set_entries(path, after, [(key, had[key]) for key in sorted(keys & had.keys())])
    for key in sorted(keys & has.keys() - had.keys()):
        yield PatchOp(Op.REMOVE, path + pointer(key))


def _marked(metadata: Metadata) -> bool:
    """Tell whether a Workflow carries our hold or a mark of ours."""
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    return hold.is_held(labels) or any(key.startswith(well_known.PREFIX) for key in (*labels, *annotations))
