"""The review of a policy: what its CRD cannot check is refused here, before it is stored, with every reason.

Only a spec that is new or changed is checked. A policy that is being deleted, or whose spec stays as it is,
may always be written: finalizers and labels have to work on policies that were stored before these rules.
How the policy interacts with the others in force is a warning, because others may change at any time.
"""

from datetime import timedelta
from typing import Final

from policy.core.decision.decision import IGNORED, Code, Decision, Operation, Outcome, Reason, Side
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.well_known import GROUP
from policy.core.policies.conflicts import PolicyExaminer
from policy.core.policies.snapshot import with_policy
from policy.core.policy_kinds.kinds import POLICY_KINDS, Policy
from policy.core.values.budget import Budget, Part, TimeSpentError
from policy.sources.documents import read
from webhook import wire
from webhook.encode import encode
from webhook.http_errors import BadRequest, NotSynced, OutOfTime
from webhook.review import Reviewing
from webhook.time_left import TimeLeft
from webhook.turns import ALONE, Turn

_CHECKED: Final = (Operation.CREATE, Operation.UPDATE)
_GENERATED: Final = "generated"
"""The name in place of that of an object that has only a generateName yet."""


def review_policy(body: bytes, side: Side, budget: timedelta, parts: Reviewing, turn: Turn = ALONE) -> bytes:
    """Answer one AdmissionReview of a policy within `budget`.

    Raises:
        BadRequest: the body is no review.
        OutOfTime: no answer in time; the failure policy decides.
    """
    turn.may_wait()  # Policies are few, and all others that are in force may have to be looked at.
    started, seconds = parts.stopwatch(), budget.total_seconds()
    time_left = TimeLeft(parts.monotonic, seconds, turn)
    try:
        api_version, request = wire.open_envelope(body, unreadable="the body is not an AdmissionReview")
        received = wire.received(api_version, request, side)
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


def _decide(request: wire.AdmissionRequest, parts: Reviewing, budget: Budget) -> Decision:
    """Decide about a request: the spec of a policy that is new, or other than before."""
    ours = request.kind.group == GROUP and request.kind.kind in POLICY_KINDS and not request.sub_resource
    if not ours or request.operation not in _CHECKED:
        return IGNORED
    wanted = wire.read_json(request.object, "object")
    if not isinstance(wanted, dict):
        raise BadRequest(f"request.object is missing: a {request.operation} carries the object")
    before = wire.read_json(request.old_object, "oldObject")
    if request.operation is Operation.UPDATE and _changes_nothing(wanted, before):
        return IGNORED
    budget.check(Part.POLICY)
    contents = read(_typed(wanted, request.kind), most=wire.MAX_TYPE_ERRORS, budget=budget)
    budget.check(Part.POLICY)
    if contents.problems:
        reasons = tuple(Reason(Code.WRONG_POLICY, each.path, each.message) for each in contents.problems)
        return Decision(Outcome.DENIED, reasons)
    policies = [each.document for each in contents.documents if isinstance(each.document, Policy)]
    warnings = tuple(text for policy in policies for text in _warnings(policy, parts, budget))
    return Decision(Outcome.ALLOWED, warnings=warnings)


def _changes_nothing(wanted: JsonObject, before: JsonValue) -> bool:
    """Return whether an update leaves the spec as it is, or only removes a finalizer of a deleted object."""
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
    """Return how the policy interacts with those in force; nothing while those are not known."""
    try:
        snapshot = with_policy(parts.snapshot(), policy)
    except NotSynced:
        return ()
    return tuple(f"lockkeeper: {finding}" for finding in PolicyExaminer(snapshot, budget).findings(policy))
