"""What goes out on the wire: a Decision to the bytes of an AdmissionReview (k8s.io/api/admission/v1)."""

import base64
import re
from typing import Final

import msgspec

from policy.core.decision import quota_messages
from policy.core.decision.decision import Code, Decision, Outcome
from webhook.wire import KIND, Received

_MAX_WARNING: Final = 256
"""Runes of one warning that the API server always passes on (apiserver `pkg/warning`)."""
_MAX_WARNINGS: Final = 16
_MAX_NAME: Final = 253
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""The API server drops a warning with such characters (apimachinery `NewWarningHeader`)."""
_RETRYABLE: Final = frozenset({Code.EXCEEDED_QUOTA, Code.GROUP_BUSY, Code.NOT_MUTATED})
_SOON: Final = frozenset({Code.NOT_MUTATED, Code.SIBLING_AWAITED, Code.TOO_MANY_CREATES})
_RETRY_SECONDS: Final = 1
"""Until a create may be tried again that the mutating side missed, or that waits for a new template."""
_ENCODER: Final = msgspec.json.Encoder()


class _Cause(msgspec.Struct, frozen=True):
    """One reason, as `metav1.StatusCause` carries it."""

    reason: str
    message: str
    field: str


class _Details(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`metav1.StatusDetails` of a denial; the API server makes a Retry-After header of the seconds."""

    name: str
    group: str
    kind: str
    causes: tuple[_Cause, ...]
    retry_after_seconds: int | msgspec.UnsetType = msgspec.UNSET


class _DenialStatus(msgspec.Struct, frozen=True):
    """`metav1.Status` of a denial."""

    status: str
    code: int
    reason: str
    message: str
    details: _Details


class _AdmissionResponse(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`AdmissionResponse`. patch and patchType are both set or both unset (VerifyAdmissionResponse)."""

    uid: str
    allowed: bool
    status: _DenialStatus | msgspec.UnsetType = msgspec.UNSET
    patch: str | msgspec.UnsetType = msgspec.UNSET
    patch_type: str | msgspec.UnsetType = msgspec.UNSET
    warnings: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    audit_annotations: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class _AnsweredReview(msgspec.Struct, frozen=True, rename="camel"):
    """The AdmissionReview of the answer."""

    api_version: str
    response: _AdmissionResponse
    kind: str = KIND


def encode(received: Received, decision: Decision) -> bytes:
    """Return the AdmissionReview body that answers a review with a decision."""
    unset, allowed = msgspec.UNSET, decision.outcome is not Outcome.DENIED
    patch = _ENCODER.encode(decision.patch) if decision.patch else None
    response = _AdmissionResponse(
        uid=received.review.uid,
        allowed=allowed,
        status=unset if allowed else _status(received, decision),
        patch=unset if patch is None else base64.b64encode(patch).decode("ascii"),
        patch_type=unset if patch is None else "JSONPatch",
        warnings=_warnings(decision.warnings) if decision.warnings else unset,
        audit_annotations={"outcome": decision.outcome.value, "policies": ", ".join(decision.policies)}
        if decision.policies
        else unset,
    )
    return _ENCODER.encode(_AnsweredReview(received.api_version, response))


def _status(received: Received, decision: Decision) -> _DenialStatus:
    """Return the Status: 422 for what its user has to correct, 403 or 429 where trying again may help.

    Argo takes 403 for transient. 429 with seconds is what kubectl and every other client of Kubernetes' own
    library obey by themselves: right where the next attempt succeeds, wrong for a limit that stays full.
    """
    found = {reason.code for reason in decision.reasons}
    retry: int | msgspec.UnsetType = msgspec.UNSET
    if found <= _SOON:
        code, reason, retry = 429, "TooManyRequests", _RETRY_SECONDS
    elif found == {Code.QUEUE_FULL}:
        code, reason = 429, "TooManyRequests"  # Without seconds: that takes longer than a client waits.
    elif found & _RETRYABLE:
        code, reason = 403, "Forbidden"
    else:
        code, reason = 422, "Invalid"
    causes = tuple(
        _Cause(each.code.value, each.message, each.field)
        for each in decision.reasons[: quota_messages.MAX_REASONS]
    )
    return _DenialStatus(
        status="Failure",
        code=code,
        reason=reason,
        message=quota_messages.denial(decision.reasons),
        details=_Details(
            received.name[:_MAX_NAME], received.group[:_MAX_NAME], received.kind[:_MAX_NAME], causes, retry
        ),
    )


def _warnings(warnings: tuple[str, ...]) -> tuple[str, ...]:
    cleaned = [_CONTROL.sub(" ", text) for text in warnings[:_MAX_WARNINGS]]
    return tuple(text if len(text) <= _MAX_WARNING else f"{text[: _MAX_WARNING - 1]}…" for text in cleaned)
