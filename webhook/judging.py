"""The decision about what was received: that of the policies, and whether Argo can decode the object at all.

The types are looked at by the validating side, which sees the object as it will be stored; so a create pays
for that once. The mutating side looks where it could not read the object itself, and before it holds one: a
hold with our marks says that the types were looked at, and who is let go later is not read again.
"""

from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from policy.core.argo_types.checking import Examined, examine
from policy.core.decide import apply_policies
from policy.core.decision import Code, Decision, ObjectKind, Operation, Outcome, Reason, Review, Side, denied
from policy.core.schedule_checks import schedule_problems
from policy.core.snapshot import Snapshot
from policy.core.updates import SUBRESOURCES
from webhook.failure import BadRequest
from webhook.wire import Received

MAX_DOUBTS: Final = 5
"""Warnings about fields that Argo drops, so that those of the policies are still read."""
CONSEQUENCES: Final = {
    ObjectKind.WORKFLOW: "Argo cannot decode such a Workflow, and its controller would stop for everybody",
    ObjectKind.WORKFLOW_TEMPLATE: "Argo cannot decode such a template, and what uses it would fail",
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE: "Argo cannot decode such a template, and what uses it would fail",
    ObjectKind.CRON_WORKFLOW: "Argo cannot decode such a CronWorkflow, and would never run it",
}


def judge(received: Received, snapshot: Snapshot, now: datetime, *, thorough: bool = False) -> Decision:
    """Decide about a review; `thorough` looks at the types on the mutating side, too.

    Raises:
        BadRequest: the object is not JSON that can be read.
    """
    review = received.review
    decision = apply_policies(review, snapshot, now)
    if _written_by_argo(review, snapshot):
        return decision
    whole = thorough or received.fault is not None or review.side is Side.VALIDATE
    if whole and review.cron is not None and decision.allowed:
        decision = _with_schedules(decision, review, snapshot)
    if whole or decision.outcome is Outcome.QUEUED:
        decision = _with_types(decision, review, doubts=whole)
    if received.fault is not None and decision.allowed:
        return received.fault
    return decision


def _written_by_argo(review: Review, snapshot: Snapshot) -> bool:
    """Tell whether Argo's controller updates: it writes what it has decoded, a megabyte again and again."""
    return review.operation is Operation.UPDATE and review.user in snapshot.identities.argo_controllers


def _with_schedules(decision: Decision, review: Review, snapshot: Snapshot) -> Decision:
    """Add what keeps a CronWorkflow from ever running: Argo stores it all the same, and says so to nobody."""
    if review.cron is None or review.sub_resource:
        return decision
    found = islice(schedule_problems(review.cron, snapshot.argo), MAX_DOUBTS)
    told = tuple(f"lockkeeper: {each.path}: {each.message}" for each in found)
    return msgspec.structs.replace(decision, warnings=(*decision.warnings, *told)) if told else decision


def _with_types(decision: Decision, review: Review, *, doubts: bool) -> Decision:
    if review.kind is ObjectKind.OTHER or review.sub_resource not in SUBRESOURCES:
        return decision
    examined = _examined(review)
    if examined.misfits:
        return denied(decision, (*_reasons(examined, review.kind), *decision.reasons))
    if doubts and examined.doubts:
        told = tuple(f"lockkeeper: {each.path}: {each.message}" for each in examined.doubts[:MAX_DOUBTS])
        return msgspec.structs.replace(decision, warnings=(*decision.warnings, *told))
    return decision


def _examined(review: Review) -> Examined:
    try:
        return examine(review.kind.value, review.raw, review.old_raw, review.budget)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the object is not JSON that can be read: {error}") from error


def _reasons(examined: Examined, kind: ObjectKind) -> tuple[Reason, ...]:
    """Return a reason for every misfit; what would come of them is said once."""
    first, *others = examined.misfits
    told = [Reason(Code.WRONG_TYPE, first.path, f"{first.message}. {CONSEQUENCES[kind]}")]
    return (*told, *(Reason(Code.WRONG_TYPE, each.path, each.message) for each in others))
