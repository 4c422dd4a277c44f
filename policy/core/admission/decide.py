"""The decision: a review, a snapshot and the time make a Decision. Nothing is read, written or remembered.

The mutating side turns a Workflow into what policies want. The validating side, which sees the final object,
decides the same again and refuses whatever the mutating side would still have to change; so the two cannot
drift apart, and a mutating webhook that was skipped is noticed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.quota import NO_QUOTAS, QuotaPart, Subject, apply_quotas
from policy.core.admission.task_bounds import stored_in
from policy.core.admission.task_reweighing import cap_faults
from policy.core.admission.update import Update, guard, guard_retry, origin_of, reactivates, update_of
from policy.core.admission.update_metadata import metadata_faults
from policy.core.decision.decision import (
    IGNORED,
    UNGOVERNED,
    Code,
    Decision,
    Operation,
    Outcome,
    Reason,
    Review,
    denied,
    for_side,
)
from policy.core.injection.injection_result import with_note
from policy.core.lock_review.left_out import left_out_faults
from policy.core.lock_review.redirect import with_marks
from policy.core.lock_review.template_locks import review_template
from policy.core.lock_review.workflow_locks import NO_LOCK_PART, LockPart, review_workflow_locks
from policy.core.objects import hold
from policy.core.objects.identities import requester
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.well_known import USER
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC
from policy.core.policies.governing import governing
from policy.core.policies.snapshot import Snapshot

_BRINGS_STATUS: Final = (
    Reason(
        Code.FOREIGN_STATUS,
        "status",
        "a new Workflow may not bring a status: Argo runs the templates stored there. Leave it out "
        "(argo resubmit without --memoized does)",
    ),
)


def apply_policies(review: Review, snapshot: Snapshot, now: datetime) -> Decision:
    """Return what the policies say of one admission request, as far as that can be known without the ledger.

    A Workflow is judged when it is created and when it is made to run again; other updates of it are guarded.
    One that a quota with `onExceed: Deny` governs is allowed here with the `reservation` that it needs, and
    who asks the ledger for that (`webhook.review`) refuses it where there is no room. `now` is the time of
    the decision: windows are open or not, and no decision may read a clock.
    """
    if review.template is not None or review.cron is not None:
        return _of_template(review, snapshot)
    if review.operation is Operation.UPDATE:
        update = update_of(review)
        if update is None or review.user in snapshot.identities.ours:
            return IGNORED
        return _admit(review, update, snapshot, now) if reactivates(update) else guard(update, snapshot, now)
    if review.workflow is None or review.operation is not Operation.CREATE or review.sub_resource:
        return IGNORED
    return _admit(review, None, snapshot, now)


def _of_template(review: Review, snapshot: Snapshot) -> Decision:
    """Decide about a template or a schedule: by lock policies, and by quotas where it alone sets tasks."""
    decision = review_template(review, snapshot)
    faults = tuple(cap_faults(review, snapshot))
    if not faults:
        return decision
    policies = tuple(dict.fromkeys((*decision.policies, *(each.policy for each in faults))))
    decision = msgspec.structs.replace(decision, policies=policies)
    return denied(decision, (*decision.reasons, *faults))


def _admit(review: Review, again: Update | None, snapshot: Snapshot, now: datetime) -> Decision:
    """Decide about a Workflow that is to run: a new one, or one that is made to run `again`.

    What says no, in the order of the answer: the object itself, the quotas that govern it, its locks.
    """
    policies, workflow = snapshot.policies(review.namespace), review.workflow
    if workflow is None or not policies.governed:
        return UNGOVERNED
    spec, metadata = workflow.spec or EMPTY_SPEC, workflow.metadata or EMPTY_METADATA
    labels = hold.original_labels(metadata)
    own = _BRINGS_STATUS if again is None and hold.foreign_status(workflow) else ()
    governed_by = governing(policies.quotas, labels)
    locks = review_workflow_locks(
        spec,
        labels,
        policies,
        snapshot,
        raw=review.raw,
        metadata=metadata,
        again=again is not None,
        budget=review.budget,
    )
    if not governed_by:
        quotas = msgspec.structs.replace(NO_QUOTAS, patch=tuple(hold.unmark_patch(metadata)))
        if locks is NO_LOCK_PART:
            unmarked = Decision(Outcome.UNGOVERNED, patch=quotas.patch)
            return for_side(unmarked, review.side, ()) if quotas.patch else UNGOVERNED
    else:
        subject = Subject(
            review=review,
            workflow=workflow,
            spec=spec if locks.redirect is None else locks.redirect.spec,
            user=(
                requester(review.user, metadata.labels or {}, snapshot.identities)
                if again is None
                else _user_again(again, snapshot)
            ),
            origin=hold.NEW if again is None else origin_of(again),
            version="" if again is None else again.before.resource_version or "",
        )
        quotas = apply_quotas(subject, governed_by, policies=policies, snapshot=snapshot, now=now)
    faults = [*own, *metadata_faults(spec, metadata, policies, snapshot)]
    if again is not None:
        faults = [*guard_retry(again, snapshot), *faults]
    if snapshot.extent.left_out:
        stored = again is not None and stored_in(workflow.status) is not None
        faults += left_out_faults(spec, review.namespace, snapshot, stored=stored)
    return _joined(review, quotas, locks, faults)


def _joined(review: Review, quotas: QuotaPart, locks: LockPart, faults: Sequence[Reason]) -> Decision:
    """Put both halves together with the `faults` of the object itself."""
    policies = tuple(dict.fromkeys(quotas.policies + locks.policies))
    reasons = quotas.reasons + locks.reasons
    if faults:
        reasons = (*(msgspec.structs.replace(each, policy=policies[0]) for each in faults), *reasons)
    decision = Decision(
        outcome=Outcome.QUEUED if quotas.queued else Outcome.ALLOWED,
        warnings=quotas.warnings + (() if reasons else quotas.outlook) + locks.warnings,
        patch=_whole_patch(review, quotas, locks),
        injected=locks.injected,
        policies=policies,
        reservation=quotas.reservation,
    )
    return for_side(decision, review.side, reasons)


def _whole_patch(review: Review, quotas: QuotaPart, locks: LockPart) -> tuple[PatchOp, ...]:
    patch = locks.patch + quotas.patch
    if not quotas.queued and review.workflow is not None and hold.shows_hold(review.workflow.status):
        # Argo looks at what it starts only where the phase says nothing yet.
        patch = (*patch, PatchOp(Op.REMOVE, hold.STATUS))
    if locks is NO_LOCK_PART or review.workflow is None:
        return patch
    metadata = review.workflow.metadata
    if locks.redirect is not None:
        patch = with_marks(patch, metadata or EMPTY_METADATA, locks.redirect)
    return with_note(patch, metadata, locks.note)


def _user_again(again: Update, snapshot: Snapshot) -> str:
    """Return whom a Workflow counts for that runs again: for whom it counted before."""
    before = (again.before.annotations or {}).get(USER)
    return requester(again.review.user, {}, snapshot.identities) if before is None else before
