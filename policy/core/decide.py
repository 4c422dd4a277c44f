"""The decision: a review, a snapshot and the time make a Decision. Nothing is read, written or remembered.

The mutating side turns a Workflow into what policies want. The validating side, which sees the final object,
decides the same again and refuses whatever the mutating side would still have to change; so the two cannot
drift apart, and a mutating webhook that was skipped is noticed.
"""

from datetime import datetime

import msgspec

from policy.core import holding
from policy.core.beyond_bound import left_out_faults
from policy.core.decision import (
    IGNORED,
    UNGOVERNED,
    Code,
    Decision,
    Operation,
    Outcome,
    Reason,
    Review,
    denied,
)
from policy.core.governing import governing
from policy.core.guard_marks import metadata_faults
from policy.core.identities import requester
from policy.core.locks.injected import with_note
from policy.core.locks.judging import NO_LOCK_PART, LockPart, review_workflow_locks
from policy.core.locks.served import with_marks
from policy.core.locks.templates import review_template
from policy.core.marks import USER
from policy.core.patches import Op, PatchOp
from policy.core.quota_review import NO_QUOTAS, QuotaPart, Subject, judge_quotas
from policy.core.settling import settled
from policy.core.snapshot import Snapshot
from policy.core.tasks import stored_in
from policy.core.updates import Update, guard, guard_retry, origin_of, reactivates, update_of
from policy.core.weighing import cap_faults
from policy.core.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, Workflow


def decide(review: Review, snapshot: Snapshot, now: datetime) -> Decision:
    """Decide about one admission request.

    A Workflow is judged when it is created and when it is made to run again; other updates of it are guarded.
    `now` is the time of the decision: windows are open or not, and no decision may read a clock.
    """
    if review.template is not None or review.cron is not None:
        return _judge_template(review, snapshot)
    if review.operation is Operation.UPDATE:
        update = update_of(review)
        if update is None or review.user in snapshot.identities.ours:
            return IGNORED
        return _admit(review, update, snapshot, now) if reactivates(update) else guard(update, snapshot, now)
    if review.workflow is None or review.operation is not Operation.CREATE or review.sub_resource:
        return IGNORED
    return _admit(review, None, snapshot, now)


def _judge_template(review: Review, snapshot: Snapshot) -> Decision:
    """Decide about a template or a schedule: by lock policies, and by quotas where it alone sets tasks."""
    decision = review_template(review, snapshot)
    faults = tuple(cap_faults(review, snapshot))
    if not faults:
        return decision
    policies = tuple(dict.fromkeys((*decision.policies, *(each.policy for each in faults))))
    decision = msgspec.structs.replace(decision, policies=policies)
    return denied(decision, (*decision.reasons, *faults))


def _admit(review: Review, again: Update | None, snapshot: Snapshot, now: datetime) -> Decision:
    """Decide about a Workflow that is to run: a new one, or one that is made to run `again`."""
    policies = snapshot.policies(review.namespace)
    workflow = review.workflow
    if workflow is None or not policies.governed:
        return UNGOVERNED
    spec, metadata = workflow.spec or EMPTY_SPEC, workflow.metadata or EMPTY_METADATA
    labels = holding.original_labels(metadata)
    quotas = governing(policies.quotas, labels)
    judged = review_workflow_locks(
        spec,
        labels,
        policies,
        snapshot,
        raw=review.raw,
        metadata=metadata,
        again=again is not None,
        budget=review.budget,
    )
    if quotas:
        quota_part = judge_quotas(
            Subject(
                review=review,
                workflow=workflow,
                spec=spec if judged.redirect is None else judged.redirect.spec,
                user=_user(review, again, metadata, snapshot),
                origin=holding.NEW if again is None else origin_of(again),
                version="" if again is None else again.before.resource_version or "",
            ),
            quotas,
            policies=policies,
            snapshot=snapshot,
            now=now,
        )
    else:
        stale = tuple(holding.unmark_patch(metadata))
        if judged is NO_LOCK_PART:
            return (
                settled(Decision(Outcome.UNGOVERNED, patch=stale), review.side, ()) if stale else UNGOVERNED
            )
        quota_part = msgspec.structs.replace(NO_QUOTAS, patch=stale)
    faults = (
        *(_status_faults(workflow) if again is None else guard_retry(again, snapshot)),
        *metadata_faults(spec, metadata, policies, snapshot),
        *left_out_faults(
            spec,
            review.namespace,
            snapshot,
            stored=again is not None and stored_in(workflow.status) is not None,
        ),
    )
    return _join(review, quota_part, judged, faults)


def _join(review: Review, quotas: QuotaPart, locks: LockPart, faults: tuple[Reason, ...]) -> Decision:
    """Put both halves together with the `faults` of the object itself."""
    policies = tuple(dict.fromkeys(quotas.policies + locks.policies))
    named = tuple(msgspec.structs.replace(each, policy=policies[0]) for each in faults)
    reasons = named + quotas.reasons + locks.reasons
    decision = Decision(
        outcome=Outcome.QUEUED if quotas.queued else Outcome.ALLOWED,
        warnings=quotas.warnings + (() if reasons else quotas.outlook) + locks.warnings,
        patch=_whole_patch(review, quotas, locks),
        injected=locks.injected,
        policies=policies,
        reservation=quotas.reservation,
    )
    return settled(decision, review.side, reasons)


def _whole_patch(review: Review, quotas: QuotaPart, locks: LockPart) -> tuple[PatchOp, ...]:
    patch = locks.patch + quotas.patch
    if not quotas.queued and review.workflow is not None and holding.shows_hold(review.workflow.status):
        # Argo looks at what it starts only where the phase says nothing yet.
        patch = (*patch, PatchOp(Op.REMOVE, holding.STATUS))
    if locks is NO_LOCK_PART or review.workflow is None:
        return patch
    metadata = review.workflow.metadata
    if locks.redirect is not None:
        patch = with_marks(patch, metadata or EMPTY_METADATA, locks.redirect)
    return with_note(patch, metadata, locks.note)


def _user(review: Review, again: Update | None, metadata: Metadata, snapshot: Snapshot) -> str:
    """Return whom the Workflow counts for; one that runs again counts for whom it counted before."""
    before = (again.before.annotations or {}).get(USER) if again is not None else None
    if before is not None:
        return before
    labels = metadata.labels or {} if again is None else {}
    return requester(review.user, labels, snapshot.identities)


def _status_faults(workflow: Workflow) -> tuple[Reason, ...]:
    if not holding.foreign_status(workflow):
        return ()
    message = (
        "a new Workflow may not bring a status: Argo runs the templates stored there. Leave it out "
        "(argo resubmit without --memoized does)"
    )
    return (Reason(Code.FOREIGN_STATUS, "status", message),)
