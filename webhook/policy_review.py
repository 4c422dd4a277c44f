"""The review of a policy: what its CRD cannot say is refused here, before it is stored, with every reason.

Only what the author asks for anew is judged. A policy that is being deleted, or whose spec stays as it is,
may always be written: finalizers and labels have to work on policies that were stored before these rules.
What the policy means beside the others in force is said in warnings, because others may change at any time.
"""

from datetime import timedelta
from typing import Final

import msgspec

from policy.core.decision.decision import IGNORED, Code, Decision, Operation, Outcome, Reason, Review, Side
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.well_known import GROUP
from policy.core.objects.workflow import Read
from policy.core.policies.conflicts import PolicyExaminer
from policy.core.policies.snapshot import with_policy
from policy.core.policy_kinds.kinds import POLICY_KINDS, Policy
from policy.core.values.budget import Budget, Part, TimeSpentError
from policy.core.values.prepared import prepare
from policy.sources.documents import read
from webhook import wire
from webhook.encode import encode
from webhook.failure import BadRequest, NotSynced, OutOfTime
from webhook.review import Reviewing
from webhook.time_left import UNLIMITED, LongReviews, TimeLeft

_JUDGED: Final = (Operation.CREATE, Operation.UPDATE)
_GENERATED: Final = "generated"
"""Stands for the name of an object that has only a generateName yet."""


class _PolicyRequest(wire.Head, frozen=True, kw_only=True):
    """A request about a policy, with the object as it shall be and as it is."""

    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")


class _PolicyEnvelope(Read, frozen=True):
    """An AdmissionReview about a policy."""

    api_version: str | None = None
    kind: str | None = None
    request: _PolicyRequest | None = None


prepare(_PolicyEnvelope)
_ENVELOPE: Final = msgspec.json.Decoder(_PolicyEnvelope)


def review_policy(
    body: bytes, side: Side, budget: timedelta, parts: Reviewing, long_reviews: LongReviews = UNLIMITED
) -> bytes:
    """Answer one AdmissionReview of a policy within `budget`.

    Raises:
        BadRequest: the body is no review.
        OutOfTime: no answer in time; the failure policy decides.
    """
    started, seconds = parts.stopwatch(), budget.total_seconds()
    time_left = TimeLeft(parts.monotonic, seconds, long_reviews)
    try:
        received, request = _decode(body, side)
        decision = _decide(request, parts, time_left)
        answer = encode(received, decision)
        time_left.check(Part.ANSWER)
    except TimeSpentError as spent:
        raise OutOfTime(seconds, spent.part) from spent
    except RecursionError as error:
        raise BadRequest("the policy is nested too deep to be read") from error
    finally:
        time_left.done()
    parts.recorder.reviewed(received, decision, parts.stopwatch() - started)
    return answer


def _decode(body: bytes, side: Side) -> tuple[wire.Received, _PolicyRequest]:
    wire.bounded(body)
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not an AdmissionReview: {error}") from error
    request = envelope.request
    api_version = wire.checked(envelope.api_version, envelope.kind, request)
    if request is None:
        raise BadRequest("request is missing")
    review = Review(
        uid=request.uid,
        side=side,
        operation=request.operation,
        namespace=request.namespace or "",
        user=(request.user_info.username if request.user_info else None) or "",
        dry_run=bool(request.dry_run),
        workflow=None,
    )
    kind = request.kind
    received = wire.Received(api_version, review, request.name or "", kind.kind, group=kind.group)
    return received, request


def _decide(request: _PolicyRequest, parts: Reviewing, budget: Budget) -> Decision:
    """Decide about a request: the spec of a policy that is new, or other than before."""
    ours = request.kind.group == GROUP and request.kind.kind in POLICY_KINDS and not request.sub_resource
    if not ours or request.operation not in _JUDGED:
        return IGNORED
    wanted = _decoded(request.object, "object")
    if not isinstance(wanted, dict):
        raise BadRequest(f"request.object is missing: a {request.operation} carries the object")
    before = _decoded(request.old_object, "oldObject")
    if request.operation is Operation.UPDATE and _asks_nothing(wanted, before):
        return IGNORED
    budget.check(Part.POLICY)
    contents = read(_typed(wanted, request.kind), most=wire.MAX_MISFITS, budget=budget)
    budget.check(Part.POLICY)
    if contents.problems:
        reasons = tuple(Reason(Code.WRONG_POLICY, each.path, each.message) for each in contents.problems)
        return Decision(Outcome.DENIED, reasons)
    policies = [each.document for each in contents.documents if isinstance(each.document, Policy)]
    warnings = tuple(text for policy in policies for text in _warnings(policy, parts, budget))
    return Decision(Outcome.ALLOWED, warnings=warnings)


def _decoded(raw: msgspec.Raw, field: str) -> JsonValue:
    try:
        found: JsonValue = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"request.{field} is not JSON that can be read: {error}") from error
    return found


def _asks_nothing(wanted: JsonObject, before: JsonValue) -> bool:
    """Tell whether an update leaves the spec as it is, or only lets the object go."""
    metadata = wanted.get("metadata")
    if isinstance(metadata, dict) and metadata.get("deletionTimestamp"):
        return True
    return isinstance(before, dict) and wanted.get("spec") == before.get("spec")


def _typed(obj: JsonObject, kind: wire.Kind) -> JsonObject:
    """Return the object as one of the kind that the request names, with some name where it has none yet."""
    typed: JsonObject = {**obj, "apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind}
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and not metadata.get("name") and metadata.get("generateName"):
        typed["metadata"] = {**metadata, "name": _GENERATED}
    return typed


def _warnings(policy: Policy, parts: Reviewing, budget: Budget) -> tuple[str, ...]:
    """Return what the policy means beside those in force; nothing while those are not known."""
    try:
        snapshot = with_policy(parts.snapshot(), policy)
    except NotSynced:
        return ()
    return tuple(f"lockkeeper: {finding}" for finding in PolicyExaminer(snapshot, budget).findings(policy))
