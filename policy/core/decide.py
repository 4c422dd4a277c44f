"""The decision: a review, a snapshot and the time make a Decision. Nothing is read, written or remembered.

The mutating side turns a Workflow into what policies want. The validating side, which sees the final object,
decides the same again and refuses whatever the mutating side would still have to change; so the two cannot
drift apart, and a mutating webhook that was skipped is noticed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core import explain, holding
from policy.core.amounts import Usage
from policy.core.decision import (
    IGNORED,
    UNGOVERNED,
    Code,
    Decision,
    Operation,
    Outcome,
    Reason,
    ReservationRequest,
    Review,
    Side,
)
from policy.core.governing import by_effect, demands, governing, tasks_of
from policy.core.identities import requester
from policy.core.kinds import OnExceed
from policy.core.ledger import shortfalls
from policy.core.locks.judging import NO_LOCKS, LockPart, judge_locks
from policy.core.locks.noting import with_note
from policy.core.locks.templates import judge_template
from policy.core.marks import HELD_MESSAGE_PREFIX, RESERVATION, USER
from policy.core.patches import Op, PatchOp
from policy.core.settling import settled
from policy.core.snapshot import CompiledQuota, NamespacePolicies, Snapshot
from policy.core.template_metadata import metadata_faults
from policy.core.updates import Update, guard, guard_retry, origin_of, reactivates, update_of
from policy.core.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, Workflow

GENERATED: Final = 12
"""Characters of the suffix: the last of an admission uid, random enough not to be met twice."""
MAX_PREFIX: Final = 63 - GENERATED
"""What is kept of a prefix, so that the name stays within the 63 characters that the API server makes."""
PARALLELISM_POINTER: Final = "/spec/parallelism"


class Part(msgspec.Struct, frozen=True):
    """What quotas say of a Workflow."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    queued: bool = False
    reservation: ReservationRequest | None = None


SILENT: Final = Part()


def decide(review: Review, snapshot: Snapshot, now: datetime) -> Decision:
    """Decide about one admission request.

    A Workflow is judged when it is created and when it is made to run again; other updates of it are guarded.
    `now` is the time of the decision; windows will need it, and no decision may read a clock.
    """
    del now
    if review.template is not None or review.cron is not None:
        return judge_template(review, snapshot)
    if review.operation is Operation.UPDATE:
        update = update_of(review)
        if update is None or review.user in snapshot.identities.ours:
            return IGNORED
        return _admit(review, update, snapshot) if reactivates(update) else guard(update, snapshot)
    if review.workflow is None or review.operation is not Operation.CREATE or review.sub_resource:
        return IGNORED
    return _admit(review, None, snapshot)


def _admit(review: Review, again: Update | None, snapshot: Snapshot) -> Decision:
    """Decide about a Workflow that is to run: a new one, or one that is made to run `again`."""
    policies = snapshot.policies(review.namespace)
    workflow = review.workflow
    if workflow is None or not policies.governed:
        return UNGOVERNED
    spec, metadata = workflow.spec or EMPTY_SPEC, workflow.metadata or EMPTY_METADATA
    labels = holding.original_labels(metadata)
    quotas = governing(policies.quotas, labels)
    judged = judge_locks(spec, labels, policies, snapshot, raw=review.raw)
    quota_part = _quotas(review, again, quotas, policies, snapshot) if quotas else SILENT
    if not quotas and judged is NO_LOCKS:
        return UNGOVERNED
    faults = (
        *(_status_faults(workflow) if again is None else guard_retry(again)),
        *metadata_faults(spec, metadata, policies, snapshot),
    )
    return _join(review, quota_part, judged, faults)


def _join(review: Review, quotas: Part, locks: LockPart, faults: tuple[Reason, ...]) -> Decision:
    """Put both halves together with the `faults` of the object itself."""
    decision = Decision(
        outcome=Outcome.QUEUED if quotas.queued else Outcome.ALLOWED,
        warnings=quotas.warnings + locks.warnings,
        patch=_whole_patch(review, quotas, locks),
        injected=locks.injected,
        policies=tuple(dict.fromkeys(quotas.policies + locks.policies)),
        reservation=quotas.reservation,
    )
    named = tuple(msgspec.structs.replace(each, policy=decision.policies[0]) for each in faults)
    reasons = named + quotas.reasons + locks.reasons
    return settled(decision, review.side, reasons)


def _whole_patch(review: Review, quotas: Part, locks: LockPart) -> tuple[PatchOp, ...]:
    patch = locks.patch + quotas.patch
    if locks is NO_LOCKS or review.workflow is None:
        return patch
    return with_note(patch, review.workflow.metadata, locks.note)


def _quotas(
    review: Review,
    again: Update | None,
    quotas: Sequence[CompiledQuota],
    policies: NamespacePolicies,
    snapshot: Snapshot,
) -> Part:
    workflow = review.workflow or Workflow()
    spec, metadata = workflow.spec or EMPTY_SPEC, workflow.metadata or EMPTY_METADATA
    tasks = tasks_of(spec, review.namespace, quotas, snapshot)
    weight = Usage.of(tasks.amount)
    weighed = holding.Weighed(tasks.amount, spec.priority or 0, _user(review, again, metadata, snapshot))
    queueing = by_effect(quotas, OnExceed.QUEUE)
    denying = by_effect(quotas, OnExceed.DENY)
    reservation_id = _reservation_id(review, metadata) if denying else ""
    patch = holding.mark_patch(
        workflow.metadata,
        weighed,
        reservation=reservation_id,
        hold=bool(queueing),
        origin=holding.NEW if again is None else origin_of(again),
    )
    if tasks.injected is not None:
        if workflow.spec is None:
            patch.append(PatchOp(Op.ADD, "/spec", {}))
        patch.append(PatchOp(Op.ADD, PARALLELISM_POINTER, tasks.injected))
    warnings = _warn(weighed.user, quotas, weight, snapshot)
    if queueing:
        message, told = _queue_place(review, weighed, weight, queueing, snapshot)
        patch += holding.hold_status_patch(workflow, message)
        warnings += told
    reservation = None
    name = metadata.name or ""
    if denying and not name and metadata.generate_name and review.side is Side.MUTATE:
        # The reservation is bound to the name, which the API server would make only after this call.
        name = generated_name(metadata.generate_name, review.uid)
        patch.append(PatchOp(Op.ADD, "/metadata/name", name))
    claimed = (metadata.labels or {}).get(RESERVATION, "")
    if denying or (claimed and review.side is Side.VALIDATE):
        reservation = ReservationRequest(
            root=policies.root,
            id=reservation_id or claimed,
            namespace=review.namespace,
            workflow=name,
            weight=weight,
            demands=demands(denying, weighed.user),
        )
    return Part(
        reasons=tasks.faults,
        warnings=tuple(warnings),
        patch=tuple(patch),
        policies=tuple(quota.source for quota in quotas),
        queued=bool(queueing),
        reservation=reservation,
    )


def generated_name(prefix: str, uid: str) -> str:
    """Return a name as the API server makes it: the prefix, cut to fit, and a suffix of its own."""
    return f"{prefix[:MAX_PREFIX]}{uid.replace('-', '')[-GENERATED:]}"


def _reservation_id(review: Review, metadata: Metadata) -> str:
    """Return the id of the reservation that the object must carry (docs/adr/0003).

    The mutating side names it after its own request, over whatever came with the object. The API server
    gives each webhook call a uid of its own, so the validating side takes the id as it stands; the ledger
    knows which ones are real.
    """
    if review.side is Side.MUTATE:
        return review.uid
    return (metadata.labels or {}).get(RESERVATION) or review.uid


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


def _warn(user: str, quotas: Sequence[CompiledQuota], weight: Usage, snapshot: Snapshot) -> list[str]:
    """Return the warnings of quotas that only warn, by the latest view of usage."""
    warning = by_effect(quotas, OnExceed.WARN)
    if not warning:
        return []
    wanted = demands(warning, user)
    return [
        f"lockkeeper: {explain.exceeded(short, OnExceed.WARN)}; it runs all the same (onExceed: Warn)"
        for short in shortfalls(snapshot.usage.taken, weight, wanted)
    ]


def _queue_place(
    review: Review,
    weighed: holding.Weighed,
    weight: Usage,
    queueing: Sequence[CompiledQuota],
    snapshot: Snapshot,
) -> tuple[str, list[str]]:
    """Return the message that the held Workflow shows, and the warnings for whoever created it.

    Nobody is warned of a wait that the view does not foresee.
    """
    view = snapshot.usage
    wanted = demands(queueing, weighed.user)
    position, depth = explain.newcomer_place(review.namespace, weighed.priority, view)
    place = (
        explain.queue_message(review.namespace, queueing, view, position=position, depth=depth)
        if view.known
        else f"waiting for a slot in {review.namespace}"
    )
    never = shortfalls({}, weight, wanted)
    warnings = []
    if never:
        warnings.append(f"lockkeeper: queued, but {explain.never_fits(never[0])}")
    elif view.known and (depth > 1 or shortfalls(view.taken, weight, wanted)):
        warnings.append(f"lockkeeper: queued, {place}")
    return f"{HELD_MESSAGE_PREFIX}: {place}", warnings
