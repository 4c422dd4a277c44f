"""The API server's own check of a webhook's answer, written from its rules and not from our encoder.

It follows `VerifyAdmissionResponse` (apiserver `admission/plugin/webhook/request/admissionreview.go`) for v1,
applied to v1beta1 as well, and what becomes of warnings and audit annotations afterwards.
"""

import base64
import binascii
import json
import re
import unicodedata
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

KNOWN_FIELDS: Final = frozenset(
    {"uid", "allowed", "status", "patch", "patchType", "warnings", "auditAnnotations"}
)
_QUALIFIED_NAME_PART: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
MOST_RUNES: Final = 256
"""Runes of one warning that are kept when all of them together are too long (apiserver `pkg/warning`)."""
MOST_RUNES_TOGETHER: Final = 4096
_NEEDS: Final = {
    "add": "value",
    "replace": "value",
    "test": "value",
    "remove": None,
    "move": "from",
    "copy": "from",
}


class BrokenRuleError(AssertionError):
    """An answer that the API server would refuse, change or drop a part of; the text names the rule."""


def verify_admission_response(body: bytes, *, request: Json, mutating: bool) -> Json:
    """Return the `response` of an answer to the AdmissionReview `request`.

    Raises:
        BrokenRuleError: a rule is broken.
    """
    review = _json(body, "the body")
    _demand(isinstance(review, dict), "the body is no object")
    for field in ("apiVersion", "kind"):
        _demand(review.get(field) == request[field], f"{field} is not that of the request")
    response = review.get("response")
    if not isinstance(response, dict):
        raise BrokenRuleError("the response is absent")
    _demand(response.get("uid") == request["request"]["uid"], "response.uid is not that of the request")
    _demand(isinstance(response.get("allowed"), bool), "response.allowed is no boolean")
    _demand(response.keys() <= KNOWN_FIELDS, "response has an unknown field")
    _verify_patch(response, mutating=mutating)
    _verify_status(response)
    _verify_warnings(response.get("warnings", []))
    _verify_annotations(response.get("auditAnnotations", {}))
    return response


def patch_of(response: Json) -> list[Json]:
    """Return the operations of a verified response, none where it has no patch."""
    operations: list[Json] = json.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    return operations


def _verify_patch(response: Json, *, mutating: bool) -> None:
    present = {"patch", "patchType"} & response.keys()
    if not mutating:
        _demand(not present, "a validating answer has a patch or patchType")
    if not present:
        return
    _demand(len(present) == 2, "patch and patchType are not together")
    _demand(response["patchType"] == "JSONPatch", "patchType is not JSONPatch")
    _demand(isinstance(response["patch"], str), "patch is no base64")
    try:
        decoded = base64.b64decode(response["patch"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BrokenRuleError("patch is no base64") from error
    operations = _json(decoded, "the patch")
    _demand(isinstance(operations, list) and bool(operations), "the patch is no list with operations")
    for operation in operations:
        _demand(
            isinstance(operation, dict) and operation.get("op") in _NEEDS, "the patch has no such operation"
        )
        path = operation.get("path")
        _demand(isinstance(path, str) and (not path or path.startswith("/")), "the patch has no JSON pointer")
        needed = _NEEDS[operation["op"]]
        _demand(needed is None or needed in operation, f"an operation lacks its {needed}")
    _demand(response["allowed"], "a denial has a patch")


def _verify_status(response: Json) -> None:
    status = response.get("status")
    if response["allowed"]:
        _demand(status is None, "an allowing answer has a status")
        return
    if not isinstance(status, dict):
        raise BrokenRuleError("a denial has no status")
    code = status.get("code")
    _demand(type(code) is int and 400 <= code <= 599, "status.code is no HTTP error")
    _demand(isinstance(status.get("message"), str) and bool(status["message"]), "a denial has no message")
    for cause in status.get("details", {}).get("causes", ()):
        _demand(
            cause.keys() <= {"reason", "message", "field"}
            and all(isinstance(v, str) for v in cause.values()),
            "a cause is no metav1.StatusCause",
        )


def _verify_warnings(warnings: object) -> None:
    if not isinstance(warnings, list) or not all(isinstance(each, str) for each in warnings):
        raise BrokenRuleError("warnings are no list of strings")
    for each in warnings:
        _demand(0 < len(each) <= MOST_RUNES, "a warning is empty or too long")
        _demand(not each.startswith("Warning:"), "a warning starts with Warning:")
        _demand(
            not any(unicodedata.category(rune) == "Cc" for rune in each), "a warning has control characters"
        )
    _demand(sum(map(len, warnings)) <= MOST_RUNES_TOGETHER, "the warnings are too long together")


def _verify_annotations(annotations: object) -> None:
    if not isinstance(annotations, dict):
        raise BrokenRuleError("auditAnnotations are no object")
    for key, value in annotations.items():
        _demand(
            _QUALIFIED_NAME_PART.fullmatch(key) is not None, "an audit annotation's key is no qualified name"
        )
        _demand(isinstance(value, str), "an audit annotation's value is no string")


def _json(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BrokenRuleError(f"{what} is no JSON") from error


def _demand(holds: bool, rule: str) -> None:  # noqa: FBT001 - an assertion with its rule
    if not holds:
        raise BrokenRuleError(rule)
