"""Decides about the UPDATE of a Workflow: no edit undoes what was decided at the create.

Argo's controller writes every Workflow again and again, so its writes come first and are checked only for
what `spec.workflowMetadata` could have made it write. Those of every other client are checked for what is new
in them. Stopping, deleting, finalizers and labels that mean nothing to us are never refused. A Workflow that
is being deleted is checked like any other: while a finalizer holds it, Argo continues with it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.group_marks import moved_keys
from policy.core.admission.update_metadata import (
    TERMINAL,
    differing,
    governing_names,
    mark_faults,
    moving_keys,
    relabel_faults,
    visibility_faults,
)
from policy.core.admission.update_spec import UNCHANGED, review_edit, spec_changes
from policy.core.admission.update_status import phase_of, status_faults
from policy.core.decision.decision import IGNORED, UNGOVERNED, Decision, Outcome, Review, for_side
from policy.core.objects import hold, well_known
from policy.core.objects.hold import ANNOTATIONS, LABELS, is_completed
from policy.core.objects.json_patch import Op, PatchOp, pointer, set_entries
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, Workflow
from policy.core.policies.snapshot import NamespacePolicies, Snapshot

SUBRESOURCES: Final = frozenset({"", "status"})
"""Subresources that a Workflow is updated by; Argo's own kind has none, a CRD of others might."""


class Update(msgspec.Struct, frozen=True):
    """An update of a Workflow, with both versions."""

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
    """Return whether an update makes a Workflow that is over run again, as `argo retry` does.

    It removes the completed label and clears the phase (argo-verified 11).
    """
    if is_completed(update.after):
        return False
    if is_completed(update.before):
        return True
    return phase_of(update.old.status) in TERMINAL and phase_of(update.new.status) not in TERMINAL


def guard(update: Update, snapshot: Snapshot, now: datetime) -> Decision:
    """Decide about an update that does not make a Workflow run again, by what is new in it.

    What refuses it, in this order: our marks, what hides it from controllers, labels by which policies select
    it, its status, its spec (`review_edit`). What Argo's controller sends is restored instead.
    """
    policies, review = snapshot.policies(update.review.namespace), update.review
    old, new, before, after = update.old, update.new, update.before, update.after
    if not (
        _marked(before)
        or _marked(after)
        or (policies.governed and governing_names(policies, hold.original_labels(before)))
    ):
        return UNGOVERNED
    user, budget = review.user, review.budget
    if user in snapshot.identities.argo_controllers:
        return _restore(update, policies)
    over = is_completed(before)  # Its spec is reviewed when it is made to run again.
    edit = UNCHANGED
    if not over and spec_changes(review):
        edit = review_edit(old, new, policies, snapshot, now, budget=budget)
    server = user in snapshot.identities.argo_servers
    reasons = (
        *mark_faults(before, after, edit.due),
        *visibility_faults(before, after, phase_of(new.status)),
        *(() if over else relabel_faults(before, after, policies)),
        *status_faults(old.status, new.status, user, server=server, budget=budget),
        *(() if over else moved_keys(old, new, _counts_for(before), policies, snapshot)),
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
        policies=governing_names(policies, hold.original_labels(before)),
    )
    return for_side(decision, review.side, reasons)


def _restore(update: Update, policies: NamespacePolicies) -> Decision:
    """Restore what Argo's controller changed because the spec of a Workflow or its template made it.

    A refusal would leave the Workflow as it was in the cluster and its Pods running, for ever.
    """
    before, after = update.before, update.after
    labels = differing(before.labels or {}, after.labels or {})
    annotations = differing(before.annotations or {}, after.annotations or {})
    wrong = {key for key in labels if key.startswith(well_known.PREFIX) or key == well_known.INSTANCE_ID}
    if well_known.COMPLETED in labels and is_completed(after) and phase_of(update.new.status) not in TERMINAL:
        wrong.add(well_known.COMPLETED)
    if labels:
        wrong |= labels & moving_keys(policies, before, after)
    foreign = {key for key in annotations if key.startswith(well_known.PREFIX)}
    patch = (
        *_restored(LABELS, before.labels, after.labels, wrong),
        *_restored(ANNOTATIONS, before.annotations, after.annotations, foreign),
    )
    return for_side(Decision(Outcome.ALLOWED, patch=patch), update.review.side, ()) if patch else IGNORED


def _restored(
    path: str, before: dict[str, str] | None, after: dict[str, str] | None, keys: set[str]
) -> Iterator[PatchOp]:
    had, has = before or {}, after or {}
    yield from set_entries(path, after, [(key, had[key]) for key in sorted(keys & had.keys())])
    for key in sorted(keys & has.keys() - had.keys()):
        yield PatchOp(Op.REMOVE, path + pointer(key))


def _marked(metadata: Metadata) -> bool:
    """Return whether a Workflow carries our hold or a mark of ours."""
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    return hold.is_held(labels) or any(key.startswith(well_known.PREFIX) for key in (*labels, *annotations))


def _counts_for(metadata: Metadata) -> str:
    """Return the user that a Workflow counts for."""
    return (metadata.annotations or {}).get(well_known.USER, "")
