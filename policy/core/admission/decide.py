"""THE DECISION about one review: a review, a snapshot and the time make a Decision.

Nothing is read, written or remembered. The mutating side turns a Workflow into what policies want. The
validating side, which sees the final object, decides the same again and refuses what the mutating side would
still have to change; so the two cannot drift apart, and a mutating webhook that was skipped is noticed.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.group_marks import missing_faults, subject_of, warnings_of_runs, with_group_keys
from policy.core.admission.quota_decision import (
    GovernedWorkflow,
    QuotaPart,
    apply_quotas,
    carried_reservation,
)
from policy.core.admission.reference_marks import with_references
from policy.core.admission.task_recount import cap_faults
from policy.core.admission.tasks_and_priority import stored_in
from policy.core.admission.update import Update, guard, reactivates, update_of
from policy.core.admission.update_metadata import metadata_faults
from policy.core.admission.update_status import retry_faults
from policy.core.admission.waiting_parents import WaitingParent, may_wait, waiting_parents
from policy.core.decision.decision import (
    IGNORED,
    UNGOVERNED,
    Code,
    Decision,
    Operation,
    Outcome,
    Reason,
    Review,
    Side,
    denied,
    for_side,
)
from policy.core.injection.injection_result import with_note
from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_model.semaphore_definitions import limit_lookup
from policy.core.lock_review.redirect import with_marks
from policy.core.lock_review.template_locks import review_template
from policy.core.lock_review.unread_templates import left_out_faults
from policy.core.lock_review.workflow_locks import NO_LOCK_PART, LockPart, review_workflow_locks
from policy.core.objects import hold
from policy.core.objects.identities import requester
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.label_selectors import Labels
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.well_known import GROUPS, RESERVATION, USER
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, Workflow, WorkflowSpec
from policy.core.policies.governing_quotas import governing
from policy.core.policies.snapshot import Snapshot

_BRINGS_STATUS: Final = Reason(
    Code.FOREIGN_STATUS,
    "status",
    "a new Workflow may not bring a status: Argo runs the templates stored there. Leave it out "
    "(argo resubmit without --memoized does)",
)


def apply_policies(review: Review, snapshot: Snapshot, now: datetime) -> Decision:
    """Return what the policies decide about one admission request, as far as that needs no ledger.

    What can refuse, in this order. A Workflow that is to run, because it is new or runs again (`_admit`):

    1. `retry_faults`: a retry leaves another status than `argo retry` does.
    2. `has_own_status`: a new Workflow brings a status.
    3. `metadata_faults`: Argo is to write labels or annotations that decide something.
    4. `left_out_faults`: it leads to a template that may be left out of the snapshot.
    5. `missing_faults`: a part of its key in a group is absent.
    6. `apply_quotas`: its number of tasks, its priority, a CronWorkflow that forbids it, a full queue.
    7. `review_workflow_locks`: its locks.

    Another update of a Workflow (`guard`): its metadata, status, spec and locks. A template or a CronWorkflow
    (`_decide_template`): its locks, and its number of tasks where it alone decides that. At last, for all of
    them, `for_side`: the validating side finds something that the mutating side would still change.

    A Workflow that a quota with `onExceed: Deny` governs is allowed here with the `reservation` that it
    needs; `webhook.review` asks the ledger for that, and refuses if there is no capacity. `now` is the time
    of the decision: windows are open or not, and no decision may read a clock.
    """
    if review.template is not None or review.cron is not None:
        return _decide_template(review, snapshot)
    if review.operation is Operation.UPDATE:
        update = update_of(review)
        if update is None or review.user in snapshot.identities.ours:
            return IGNORED
        if reactivates(update):
            return _admit(review, update.new, update, snapshot, now)
        return guard(update, snapshot, now)
    if review.workflow is None or review.operation is not Operation.CREATE or review.sub_resource:
        return IGNORED
    return _admit(review, review.workflow, None, snapshot, now)


def _decide_template(review: Review, snapshot: Snapshot) -> Decision:
    """Decide about a template or a CronWorkflow: by lock policies, and by quotas if it alone sets tasks."""
    decision = review_template(review, snapshot)
    if decision.outcome is not Outcome.IGNORED:
        decision = _with_waiting(decision, review, snapshot)
    faults = tuple(cap_faults(review, snapshot))
    if not faults:
        return decision
    policies = tuple(dict.fromkeys((*decision.policies, *(each.policy for each in faults))))
    decision = msgspec.structs.replace(decision, policies=policies)
    return denied(decision, (*decision.reasons, *faults))


def _with_waiting(decision: Decision, review: Review, snapshot: Snapshot) -> Decision:
    """Return the decision about a template or a CronWorkflow with what its Workflows may wait for or lack."""
    if review.template is not None:
        spec, labels, at = review.template.spec, None, "/spec"
    else:
        cron = review.cron.spec if review.cron is not None else None
        spec, at = (cron.workflow_spec if cron is not None else None) or EMPTY_SPEC, "/spec/workflowSpec"
        labels = ((cron.workflow_metadata if cron is not None else None) or EMPTY_METADATA).labels
    looks_at_locks = bool(decision.policies)
    more = _waiting(review, spec, labels or {}, snapshot, at=at, looks_at_locks=looks_at_locks)
    more += warnings_of_runs(review, snapshot)
    return msgspec.structs.replace(decision, warnings=decision.warnings + more) if more else decision


def _waiting(
    review: Review, spec: WorkflowSpec, labels: Labels, snapshot: Snapshot, *, at: str, looks_at_locks: bool
) -> tuple[str, ...]:
    """Return warnings of Workflows that an object creates, and that may wait for it as it waits for them."""
    namespace = "" if review.kind is ObjectKind.CLUSTER_WORKFLOW_TEMPLATE else review.namespace
    if review.side is not Side.MUTATE or not may_wait(
        spec, review.raw, namespace, snapshot, rest=review.rest
    ):
        return ()
    owner = template_owner(review.kind, review.name, spec, at)
    locks = snapshot.policies(namespace).locks
    limit_of = None
    if looks_at_locks and locks is not None:
        limit_of = limit_lookup(locks.definitions, only=namespace)
    parent = WaitingParent(owner, namespace, labels, limit_of)
    found = waiting_parents(parent, snapshot, review.budget)
    return tuple(f"lockkeeper: {each.path}: {each.message}" for each in found)


def _admit(
    review: Review, workflow: Workflow, again: Update | None, snapshot: Snapshot, now: datetime
) -> Decision:
    """Decide about a Workflow that is to run: a new one, or one that is made to run `again`."""
    policies = snapshot.policies(review.namespace)
    if not policies.governed:
        return UNGOVERNED
    spec, metadata = workflow.spec or EMPTY_SPEC, workflow.metadata or EMPTY_METADATA
    before = None if again is None else again.before
    judged = with_references(review, metadata, spec, before=before, policies=policies, snapshot=snapshot)
    missing: tuple[Reason, ...] = ()
    if policies.group_keys or GROUPS in (judged.annotations or {}):
        user, refers_to = _user_of(review, workflow, again, snapshot), hold.references_of(judged)
        subject = subject_of(workflow, user, refers_to, policies, snapshot)
        judged = with_group_keys(judged, subject, before=before, policies=policies)
        missing = missing_faults(policies.quotas, subject, hold.original_labels(judged))
    labels, refers_to = hold.original_labels(judged), hold.references_of(judged)
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
    if governed_by:
        governed = _governed_workflow(review, workflow, again, locks, snapshot, refers_to=refers_to)
        quotas = apply_quotas(governed, governed_by, policies=policies, snapshot=snapshot, now=now)
    else:
        reserved = None
        if RESERVATION in labels:
            governed = _governed_workflow(review, workflow, again, locks, snapshot, refers_to={})
            reserved = carried_reservation(governed, policies.root)
        quotas = QuotaPart(patch=tuple(hold.unmark_patch(metadata)), reservation=reserved)
        if locks is NO_LOCK_PART:
            unmarked = Decision(Outcome.UNGOVERNED, patch=quotas.patch, reservation=reserved)
            return for_side(unmarked, review.side, ()) if quotas.patch else UNGOVERNED
    faults = [
        *_status_faults(workflow, again, snapshot),
        *metadata_faults(spec, judged, policies, snapshot),
    ]
    if snapshot.extent.left_out:
        stored = again is not None and stored_in(workflow.status) is not None
        faults += left_out_faults(spec, review.namespace, snapshot, stored=stored)
    sources = tuple(dict.fromkeys([quota.source for quota in governed_by] + [*locks.policies]))
    reasons = missing + quotas.reasons + locks.reasons
    if faults:
        reasons = (*(msgspec.structs.replace(each, policy=sources[0]) for each in faults), *reasons)
    looks_at_locks = locks is not NO_LOCK_PART
    waiting = _waiting(review, spec, labels, snapshot, at="/spec", looks_at_locks=looks_at_locks)
    decision = Decision(
        outcome=Outcome.QUEUED if quotas.queued else Outcome.ALLOWED,
        warnings=quotas.warnings + quotas.outlook + locks.warnings + waiting,
        patch=_whole_patch(workflow, quotas, locks),
        injected=locks.injected,
        policies=sources,
        reservation=quotas.reservation,
        outlook=quotas.outlook,
        waits=bool(quotas.queue.wait_warning),
        never_starts=quotas.queue.never_starts,
    )
    return for_side(decision, review.side, reasons)


def _governed_workflow(
    review: Review,
    workflow: Workflow,
    again: Update | None,
    locks: LockPart,
    snapshot: Snapshot,
    *,
    refers_to: Mapping[str, str],
) -> GovernedWorkflow:
    """Return a Workflow as quotas review it; one that runs again counts for the same user as before.

    `refers_to` are the annotations that record what it refers to.
    """
    spec = workflow.spec or EMPTY_SPEC if locks.redirect is None else locks.redirect.spec
    user = _user_of(review, workflow, again, snapshot)
    if again is None:
        return GovernedWorkflow(review, workflow, spec, user, hold.HoldOrigin(annotations=refers_to))
    before, retried = again.before, hold.has_own_status(workflow)
    origin = hold.HoldOrigin(hold.holds_of(before), retried=retried, annotations=refers_to)
    return GovernedWorkflow(review, workflow, spec, user, origin, before.resource_version or "")


def _user_of(review: Review, workflow: Workflow, again: Update | None, snapshot: Snapshot) -> str:
    """Return the user that a Workflow that is to run counts for."""
    if again is None:
        labels = (workflow.metadata or EMPTY_METADATA).labels or {}
        return requester(review.user, labels, snapshot.identities)
    marked = (again.before.annotations or {}).get(USER)
    return requester(review.user, {}, snapshot.identities) if marked is None else marked


def _status_faults(workflow: Workflow, again: Update | None, snapshot: Snapshot) -> Iterable[Reason]:
    """Return what is wrong with the status of a Workflow that is to run."""
    if again is None:
        return (_BRINGS_STATUS,) if hold.has_own_status(workflow) else ()
    identities, user = snapshot.identities, again.review.user
    # Argo's controller may come to retry, too, when a user requests it by an object of Argo's.
    server = user in identities.argo_servers or user in identities.argo_controllers
    return retry_faults(again.old.status, workflow.status, again.review.budget, server=server)


def _whole_patch(workflow: Workflow, quotas: QuotaPart, locks: LockPart) -> tuple[PatchOp, ...]:
    """Return the patch of both parts, with the marks and the note of locks."""
    patch = locks.patch + quotas.patch
    if not quotas.queued and hold.shows_hold(workflow.status):
        # Argo starts a Workflow only while it has no phase.
        patch = (*patch, PatchOp(Op.REMOVE, hold.STATUS))
    if locks is NO_LOCK_PART:
        return patch
    if locks.redirect is not None:
        patch = with_marks(patch, workflow.metadata or EMPTY_METADATA, locks.redirect)
    return with_note(patch, workflow.metadata, locks.note)
