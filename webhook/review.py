"""THE PATH of a review: bytes, a Review, the policies, Argo's types, the ledger, an answer, bytes.

`review` is the whole of it, with the places that can deny in their order. The types of an object are checked
by the validating side, which sees the object as it will be stored; so a create pays for that once. The
mutating side checks where it could not read the object itself, and before it holds one: a hold with our marks
means that the types were checked, and a Workflow that is released later is not read again.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Protocol

import msgspec

from policy.core.admission.cron_schedules import schedule_problems
from policy.core.admission.decide import apply_policies
from policy.core.admission.update import SUBRESOURCES
from policy.core.argo_types.decodability import (
    NOTHING_WRONG,
    DecodeReport,
    decodes,
    examine,
    templates_decode,
)
from policy.core.decision.decision import Code, Decision, Operation, Outcome, Reason, Review, Side, denied
from policy.core.lock_review.ungoverned_references import ungoverned_references
from policy.core.objects.semantic_equality import UnreadableError
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Snapshot
from policy.core.values.budget import Part, TimeSpentError
from policy.core.values.problems import Problem
from webhook.encode import encode
from webhook.http_errors import BadRequest, OutOfTime
from webhook.owner_reads import NoOwners, OwnerReader, with_owner
from webhook.reservations import NothingStored, Reservations, StoredReservations, apply_ledger
from webhook.time_left import TimeLeft
from webhook.turns import ALONE, NotHereError, Turn
from webhook.wire import Received, decode

MAX_TYPE_WARNINGS: Final = 5
"""Warnings about fields that Argo drops, so that those of the policies are still read."""
_LOCK_KINDS: Final = frozenset({"SynchronizationPolicy", "ClusterSynchronizationPolicy"})
CONSEQUENCES: Final = {
    ObjectKind.WORKFLOW: "Argo cannot decode such a Workflow, and its controller would stop for everybody",
    ObjectKind.WORKFLOW_TEMPLATE: "Argo cannot decode such a template, and what uses it would fail",
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE: "Argo cannot decode such a template, and what uses it would fail",
    ObjectKind.CRON_WORKFLOW: "Argo cannot decode such a CronWorkflow, and would never run it",
}


class OutcomeRecorder(Protocol):
    """Where the outcome of a review is counted and logged."""

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Record one answered review."""


class Reviewing(msgspec.Struct, frozen=True):
    """What a review depends on: the current snapshot, the ledger, three clocks, the record, and the cluster.

    `monotonic` is what the time of a review is measured by: real time, by which the API server waits, too.
    """

    snapshot: Callable[[], Snapshot]
    reservations: Reservations
    clock: Callable[[], datetime]
    stopwatch: Callable[[], float]
    recorder: OutcomeRecorder
    relatives: OwnerReader = NoOwners()
    stored: StoredReservations = NothingStored()
    monotonic: Callable[[], float] = time.monotonic


def review(body: bytes, side: Side, budget: timedelta, parts: Reviewing, turn: Turn = ALONE) -> bytes:
    """Answer one AdmissionReview within `budget`.

    What can deny, in this order (3 to 5 are `decide_without_ledger`):

    1. `decode`: BadRequest, the body is no review.
    2. `with_owner`: LedgerUnavailable, the owner of a child or of a run could not be read.
    3. `apply_policies`: a denial, by the object itself, the quotas that govern it, or its locks.
    4. `examine`: a denial, Argo could not decode the object, or would drop a lock that a policy speaks about.
    5. `Received.fault`: a denial, we cannot read the object ourselves.
    6. `apply_ledger`: a denial, a quota with `onExceed: Deny` has no capacity; LedgerUnavailable, no answer.
    7. The time: OutOfTime, wherever it was spent.

    What may wait, or takes long, raises NotHereError where `turn` is that of the server's loop; nothing has
    happened then, and it is done anew in a thread.

    A denial is an answer. What is raised becomes an HTTP status, and the webhook's failure policy decides.
    """
    started, seconds = parts.stopwatch(), budget.total_seconds()
    now = parts.clock()
    deadline = now + budget - timedelta(seconds=turn.waited)
    time_left = TimeLeft(parts.monotonic, seconds, turn)
    try:
        received = decode(body, side, time_left)
        snapshot = parts.snapshot()
        request = with_owner(received.review, snapshot, parts.relatives, turn)
        decision = decide_without_ledger(request, received.fault, snapshot, now)
        time_left.check(Part.LEDGER)
        if decision.reservation is not None:
            with turn.waiting():
                decision = apply_ledger(decision, request, parts.reservations, deadline, parts.stored)
        if parts.clock() > deadline:
            raise OutOfTime(seconds, Part.LEDGER)
        answer = encode(received, decision)
        time_left.check(Part.ANSWER)
    except NotHereError:
        raise
    except TimeSpentError as spent:
        raise OutOfTime(seconds, spent.part) from spent
    except UnreadableError as error:
        raise BadRequest(error.message) from error
    except RecursionError as error:
        raise BadRequest("the object is nested too deep to be read") from error
    finally:
        time_left.done()
    parts.recorder.reviewed(received, decision, parts.stopwatch() - started)
    return answer


def decide_without_ledger(
    review: Review, fault: Decision | None, snapshot: Snapshot, now: datetime, *, thorough: bool = False
) -> Decision:
    """Decide about a review as far as that needs no ledger.

    `fault` is the denial of an object that could not be read; Argo's own words go before it. `thorough`
    checks types on the mutating side, too.

    Raises:
        BadRequest: the object is not JSON that can be read.
    """
    decision = apply_policies(review, snapshot, now)
    by_argo = review.operation is Operation.UPDATE and review.user in snapshot.identities.argo_controllers
    if by_argo and decision.outcome is not Outcome.QUEUED:
        return decision  # Argo's controller writes what it has decoded, a megabyte again and again.
    whole = thorough or fault is not None or review.side is Side.VALIDATE
    if whole and review.cron is not None and not review.sub_resource and decision.allowed:
        # What keeps it from ever running: Argo stores it anyway, and reports it nowhere.
        decision = _with_warnings(decision, schedule_problems(review.cron, snapshot.argo))
    if whole and decision.allowed:
        decision = _with_warnings(decision, ungoverned_references(review, snapshot, whole=thorough))
    if whole or decision.outcome is Outcome.QUEUED:
        most = None if thorough else MAX_TYPE_WARNINGS if whole else 0
        decision = _with_types(decision, review, most)
    return fault if fault is not None and decision.allowed else decision


def _with_types(decision: Decision, review: Review, most: int | None) -> Decision:
    """Return the decision with what Argo cannot decode, and up to `most` warnings of what it drops."""
    if review.kind is ObjectKind.OTHER or review.sub_resource not in SUBRESOURCES:
        return decision
    examined = examine_types(review)
    if examined is NOTHING_WRONG:
        return decision  # As nearly always.
    by = _lock_policy(decision)
    told = {each.field for each in decision.reasons}
    lost = tuple(each for each in examined.lost_locks if each.path not in told)
    decision = _with_warnings(decision, (*(() if by else lost), *examined.warnings), most)
    reasons = _reasons(examined, review.kind) if examined.mismatches else ()
    if by and most != 0:
        reasons = (*reasons, *(Reason(Code.LOCK_PLACE, each.path, each.message, by) for each in lost))
    return denied(decision, (*reasons, *decision.reasons)) if reasons else decision


def _lock_policy(decision: Decision) -> str:
    """Return the first policy of locks that speaks about the object, "" where none does."""
    return next((each for each in decision.policies if each.partition(" ")[0] in _LOCK_KINDS), "")


def _with_warnings(
    decision: Decision, found: Iterable[Problem], most: int | None = MAX_TYPE_WARNINGS
) -> Decision:
    texts = [f"lockkeeper: {each.path}: {each.message}" for each in islice(found, most)]
    return msgspec.structs.replace(decision, warnings=(*decision.warnings, *texts)) if texts else decision


def examine_types(review: Review) -> DecodeReport:
    """Return what is wrong with the types of an object. Raises BadRequest."""
    spec = review.workflow.spec if review.workflow is not None else None
    shared = spec.templates if spec is not None else None
    if (
        review.rest is not None
        and isinstance(shared, SharedTemplates)
        and templates_decode(shared, review.budget)
        and decodes(review.kind.value, review.rest, review.budget)
    ):
        return NOTHING_WRONG
    try:
        return examine(review.kind.value, review.raw, review.old_raw, review.budget)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the object is not JSON that can be read: {error}") from error


def _reasons(examined: DecodeReport, kind: ObjectKind) -> tuple[Reason, ...]:
    """Return a reason for every type error; the consequence is in the first of them."""
    first, *others = examined.mismatches
    explained = Reason(Code.WRONG_TYPE, first.path, f"{first.message}. {CONSEQUENCES[kind]}")
    return (explained, *(Reason(Code.WRONG_TYPE, each.path, each.message) for each in others))
