"""The wire format: AdmissionReview bytes to a Review, a Decision to bytes (k8s.io/api/admission/v1).

Bytes are decoded once, into narrow structs. Only where an object does not fit Argo's types is the envelope
decoded again without it, to tell a wrong request (400) from a user's wrong object (a denial with its path).
"""

import base64
import re
from typing import Final

import msgspec

from policy.core import explain
from policy.core.decision import Code, Decision, Operation, Outcome, Reason, Review, Side
from policy.core.workflow import Metadata, Read, Workflow
from policy.sources.schema import walk
from webhook.failure import BadRequest

KIND: Final = "AdmissionReview"
VERSIONS: Final = frozenset({"admission.k8s.io/v1", "admission.k8s.io/v1beta1"})
ARGO_GROUP: Final = "argoproj.io"
MAX_WARNING: Final = 256
"""Runes of one warning that the API server is sure to keep (apiserver `pkg/warning`)."""
MAX_WARNINGS: Final = 16
MAX_MISFITS: Final = 100
"""Wrong types that are looked for; a message shows ten."""
CRASHES: Final = "Argo cannot decode such a Workflow, and its controller would stop for everybody"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""The API server drops a warning with such characters (apimachinery `NewWarningHeader`)."""
_RETRYABLE: Final = frozenset({Code.EXCEEDED_QUOTA, Code.NOT_MUTATED})


class Kind(Read, frozen=True):
    """Group, version and kind of the object."""

    group: str = ""
    version: str = ""
    kind: str = ""


class UserInfo(Read, frozen=True):
    """Who sent the request."""

    username: str | None = None


class Head(Read, frozen=True, kw_only=True):
    """The request without its object."""

    uid: str
    kind: Kind
    operation: Operation
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    user_info: UserInfo | None = None
    dry_run: bool | None = None


class TypedRequest(Head, frozen=True, kw_only=True):
    """A request whose object fits what we read of a Workflow."""

    object: Workflow | None = None


class UntypedRequest(Head, frozen=True, kw_only=True):
    """A request whose object is left as it came."""

    object: msgspec.Raw = msgspec.Raw(b"null")


class TypedEnvelope(Read, frozen=True):
    """An AdmissionReview with a typed object."""

    api_version: str | None = None
    kind: str | None = None
    request: TypedRequest | None = None


class UntypedEnvelope(Read, frozen=True):
    """An AdmissionReview with its object left raw."""

    api_version: str | None = None
    kind: str | None = None
    request: UntypedRequest | None = None


class Received(msgspec.Struct, frozen=True):
    """A review with what its answer needs; `fault` is the decision where the object does not fit."""

    api_version: str
    review: Review
    name: str
    kind: str
    fault: Decision | None = None
    group: str = ARGO_GROUP


_TYPED: Final = msgspec.json.Decoder(TypedEnvelope)
_UNTYPED: Final = msgspec.json.Decoder(UntypedEnvelope)
_ENCODER: Final = msgspec.json.Encoder()


def decode(body: bytes, side: Side) -> Received:
    """Return the review in an AdmissionReview body.

    Raises:
        BadRequest: the body is not JSON, not an AdmissionReview v1 or v1beta1, or lacks what one must have.
    """
    try:
        envelope = _TYPED.decode(body)
    except msgspec.ValidationError:
        return _decode_misfit(body, side)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON that can be read: {error}") from error
    request = envelope.request
    api_version = checked(envelope.api_version, envelope.kind, request)
    if request is None or not _is_workflow(request):
        return _received(api_version, request, side, None)
    if request.operation is Operation.CREATE and request.object is None:
        raise BadRequest("request.object is missing: a CREATE carries the new object")
    return _received(api_version, request, side, request.object)


def _decode_misfit(body: bytes, side: Side) -> Received:
    """Decode an envelope whose object does not fit: another kind, or a Workflow of wrong types."""
    try:
        envelope = _UNTYPED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not an AdmissionReview: {error}") from error
    request = envelope.request
    api_version = checked(envelope.api_version, envelope.kind, request)
    received = _received(api_version, request, side, None)
    if request is None or not _is_workflow(request) or request.operation is not Operation.CREATE:
        return received
    return msgspec.structs.replace(received, fault=_misfit(request.object))


def checked(api_version: str | None, kind: str | None, request: Head | None) -> str:
    """Return the version to answer in. Raises BadRequest for an envelope that is no AdmissionReview."""
    if kind != KIND:
        raise BadRequest(f"kind is {kind!r}; it must be {KIND}")
    if api_version not in VERSIONS:
        raise BadRequest(f"apiVersion is {api_version!r}; known are {', '.join(sorted(VERSIONS))}")
    if request is None:
        raise BadRequest("request is missing")
    if not request.uid:
        raise BadRequest("request.uid is empty")
    return api_version


def _is_workflow(request: Head) -> bool:
    return request.kind.kind == "Workflow" and request.kind.group == ARGO_GROUP and not request.sub_resource


def _received(api_version: str, request: Head | None, side: Side, workflow: Workflow | None) -> Received:
    if request is None:
        raise BadRequest("request is missing")
    metadata = (workflow.metadata if workflow else None) or Metadata()
    review = Review(
        uid=request.uid,
        side=side,
        operation=request.operation,
        namespace=request.namespace or metadata.namespace or "",
        user=(request.user_info.username if request.user_info else None) or "",
        dry_run=bool(request.dry_run),
        workflow=workflow,
    )
    name = request.name or metadata.name or metadata.generate_name or ""
    return Received(api_version, review, name, request.kind.kind)


def _misfit(raw: msgspec.Raw) -> Decision:
    """Return the denial of a Workflow that Argo could not decode, with every field that is wrong."""
    try:
        problems = walk(msgspec.json.decode(raw), Workflow, most=MAX_MISFITS)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"request.object is not JSON that can be read: {error}") from error
    found = [Reason(Code.WRONG_TYPE, each.path, f"{each.message}. {CRASHES}") for each in problems]
    return Decision(
        Outcome.DENIED, tuple(found) or (Reason(Code.WRONG_TYPE, "", f"does not fit. {CRASHES}"),)
    )


class Cause(msgspec.Struct, frozen=True):
    """One reason, as `metav1.StatusCause` carries it."""

    reason: str
    message: str
    field: str


class Details(msgspec.Struct, frozen=True):
    """`metav1.StatusDetails` of a denial."""

    name: str
    group: str
    kind: str
    causes: tuple[Cause, ...]


class Status(msgspec.Struct, frozen=True):
    """`metav1.Status` of a denial."""

    status: str
    code: int
    reason: str
    message: str
    details: Details


class Response(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`AdmissionResponse`. patch and patchType come together or not at all (VerifyAdmissionResponse)."""

    uid: str
    allowed: bool
    status: Status | msgspec.UnsetType = msgspec.UNSET
    patch: str | msgspec.UnsetType = msgspec.UNSET
    patch_type: str | msgspec.UnsetType = msgspec.UNSET
    warnings: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    audit_annotations: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class ReviewAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The AdmissionReview that goes back."""

    api_version: str
    response: Response
    kind: str = KIND


def encode(received: Received, decision: Decision) -> bytes:
    """Return the AdmissionReview body that answers a review with a decision."""
    unset = msgspec.UNSET
    patch = _ENCODER.encode(decision.patch) if decision.patch else None
    response = Response(
        uid=received.review.uid,
        allowed=decision.allowed,
        status=unset if decision.allowed else _status(received, decision),
        patch=unset if patch is None else base64.b64encode(patch).decode("ascii"),
        patch_type=unset if patch is None else "JSONPatch",
        warnings=_warnings(decision.warnings) or unset,
        audit_annotations={"outcome": decision.outcome.value, "policies": ", ".join(decision.policies)}
        if decision.policies
        else unset,
    )
    return _ENCODER.encode(ReviewAnswer(received.api_version, response))


def _status(received: Received, decision: Decision) -> Status:
    """Return the Status: 403 where trying again may help, which Argo takes as transient, else 422."""
    retryable = any(reason.code in _RETRYABLE for reason in decision.reasons)
    causes = tuple(
        Cause(reason.code.value, reason.message, reason.field)
        for reason in decision.reasons[: explain.MAX_REASONS]
    )
    return Status(
        status="Failure",
        code=403 if retryable else 422,
        reason="Forbidden" if retryable else "Invalid",
        message=explain.denial(decision.reasons),
        details=Details(received.name, received.group, received.kind, causes),
    )


def _warnings(warnings: tuple[str, ...]) -> tuple[str, ...]:
    kept = [_CONTROL.sub(" ", text) for text in warnings[:MAX_WARNINGS]]
    return tuple(text if len(text) <= MAX_WARNING else f"{text[: MAX_WARNING - 1]}…" for text in kept)
