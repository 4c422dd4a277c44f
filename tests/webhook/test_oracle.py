"""The oracle itself: an oracle that lets a broken answer pass proves nothing about the others."""

import base64
import json
from typing import Any

import pytest

from tests.webhook.conftest import Verify
from tests.webhook.oracle import BrokenRuleError, Json, patch_of
from tests.webhook.reviews import UID, admission_review, workflow

REQUEST = admission_review(workflow())
MISSING = object()


def b64(value: object) -> str:
    """Return JSON in base64, as `patch` carries it."""
    return base64.b64encode(json.dumps(value).encode()).decode()


OPERATION = {"op": "add", "path": "/metadata/labels", "value": {}}
ALLOWED: Json = {"uid": UID, "allowed": True}
PATCHED: Json = {**ALLOWED, "patch": b64([OPERATION]), "patchType": "JSONPatch"}
DENIED: Json = {"uid": UID, "allowed": False, "status": {"code": 422, "message": "no"}}


def answer(response: object, **review: Any) -> bytes:
    """Return the body of an answer; MISSING takes a field away."""
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response, **review}
    return json.dumps({key: value for key, value in whole.items() if value is not MISSING}).encode()


@pytest.mark.parametrize("response", [ALLOWED, PATCHED, DENIED])
def test_a_right_answer_passes(response: Json, verify_admission_response: Verify) -> None:
    """The oracle takes answers that the API server takes, so that it can be used on every one of ours."""
    assert verify_admission_response(answer(response), request=REQUEST, mutating=True) == response


def test_the_patch_of_an_answer_is_returned_as_operations() -> None:
    """Tests that look into a patch see what the API server would apply."""
    assert patch_of(PATCHED) == [OPERATION]
    assert patch_of(ALLOWED) == []


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"{", "the body is no JSON"),
        (b"[]", "the body is no object"),
        (answer(ALLOWED, apiVersion="admission.k8s.io/v1beta1"), "apiVersion is not that of the request"),
        (answer(ALLOWED, apiVersion=MISSING), "apiVersion is not that of the request"),
        (answer(ALLOWED, kind="Status"), "kind is not that of the request"),
        (answer(MISSING), "the response is absent"),
        (answer(None), "the response is absent"),
        (answer({"allowed": True}), "response.uid is not that of the request"),
        (answer({**ALLOWED, "uid": "another"}), "response.uid is not that of the request"),
        (answer({**ALLOWED, "allowed": "yes"}), "response.allowed is no boolean"),
        (answer({**ALLOWED, "result": {}}), "response has an unknown field"),
    ],
)
def test_a_broken_envelope_is_detected(body: bytes, rule: str, verify_admission_response: Verify) -> None:
    """Each rule about version, kind, presence and uid fails by itself, with its own name."""
    with pytest.raises(BrokenRuleError, match=f"^{rule}$"):
        verify_admission_response(body, request=REQUEST, mutating=True)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"patchType": MISSING}, "patch and patchType are not together"),
        ({"patch": MISSING}, "patch and patchType are not together"),
        ({"patchType": ""}, "patchType is not JSONPatch"),
        ({"patchType": "MergePatch"}, "patchType is not JSONPatch"),
        ({"patchType": None}, "patchType is not JSONPatch"),
        ({"patch": [OPERATION]}, "patch is no base64"),
        ({"patch": "*"}, "patch is no base64"),
        ({"patch": ""}, "the patch is no JSON"),
        ({"patch": base64.b64encode(b"{").decode()}, "the patch is no JSON"),
        ({"patch": b64([])}, "the patch is no list with operations"),
        ({"patch": b64({})}, "the patch is no list with operations"),
        ({"patch": b64([{"op": "put", "path": "/a", "value": 1}])}, "the patch has no such operation"),
        ({"patch": b64([{"op": "add", "path": "a", "value": 1}])}, "the patch has no JSON pointer"),
        ({"patch": b64([{"op": "add", "path": "/a"}])}, "an operation lacks its value"),
        ({"patch": b64([{"op": "move", "path": "/a"}])}, "an operation lacks its from"),
        ({"allowed": False, "status": DENIED["status"]}, "a denial has a patch"),
    ],
)
def test_a_broken_patch_is_detected(change: Json, rule: str, verify_admission_response: Verify) -> None:
    """Each rule about patch and patchType fails by itself."""
    response = {key: value for key, value in {**PATCHED, **change}.items() if value is not MISSING}
    with pytest.raises(BrokenRuleError, match=f"^{rule}$"):
        verify_admission_response(answer(response), request=REQUEST, mutating=True)


@pytest.mark.parametrize("field", ["patch", "patchType"])
def test_a_validating_answer_with_either_half_of_a_patch_is_detected(
    field: str, verify_admission_response: Verify
) -> None:
    """A validating webhook may return neither half, not even one that is well formed."""
    response = {**ALLOWED, field: PATCHED[field]}
    with pytest.raises(BrokenRuleError, match="a validating answer has a patch or patchType"):
        verify_admission_response(answer(response), request=REQUEST, mutating=False)


@pytest.mark.parametrize(
    ("response", "rule"),
    [
        ({"uid": UID, "allowed": False}, "a denial has no status"),
        ({**DENIED, "status": {"code": 200, "message": "no"}}, "status.code is no HTTP error"),
        ({**DENIED, "status": {"message": "no"}}, "status.code is no HTTP error"),
        ({**DENIED, "status": {"code": True, "message": "no"}}, "status.code is no HTTP error"),
        ({**DENIED, "status": {"code": 422}}, "a denial has no message"),
        (
            {**DENIED, "status": {**DENIED["status"], "details": {"causes": [{"path": "spec"}]}}},
            "a cause is no metav1.StatusCause",
        ),
        ({**ALLOWED, "status": DENIED["status"]}, "an allowing answer has a status"),
        ({**ALLOWED, "warnings": "careful"}, "warnings are no list of strings"),
        ({**ALLOWED, "warnings": [1]}, "warnings are no list of strings"),
        ({**ALLOWED, "warnings": ["x" * 257]}, "a warning is empty or too long"),
        ({**ALLOWED, "warnings": [""]}, "a warning is empty or too long"),
        ({**ALLOWED, "warnings": ["Warning: careful"]}, "a warning starts with Warning:"),
        ({**ALLOWED, "warnings": ["two\nlines"]}, "a warning has control characters"),
        ({**ALLOWED, "warnings": ["x" * 256] * 17}, "the warnings are too long together"),
        ({**ALLOWED, "auditAnnotations": ["a"]}, "auditAnnotations are no object"),
        ({**ALLOWED, "auditAnnotations": {"a/b": ""}}, "an audit annotation's key is no qualified name"),
        ({**ALLOWED, "auditAnnotations": {"": ""}}, "an audit annotation's key is no qualified name"),
        ({**ALLOWED, "auditAnnotations": {"a" * 64: ""}}, "an audit annotation's key is no qualified name"),
        ({**ALLOWED, "auditAnnotations": {"a": 1}}, "an audit annotation's value is no string"),
    ],
)
def test_a_broken_status_or_note_is_detected(
    response: Json, rule: str, verify_admission_response: Verify
) -> None:
    """Each rule about denials, warnings and audit annotations fails by itself."""
    with pytest.raises(BrokenRuleError, match=f"^{rule}$"):
        verify_admission_response(answer(response), request=REQUEST, mutating=True)
