"""From bytes to a review and from a decision to bytes."""

import base64
import json
from typing import Any

import msgspec
import pytest

from policy.core.decision.decision import Code, Decision, Operation, Outcome, Reason, Side
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.objects.workflow import Workflow
from tests.webhook.conftest import Verify
from tests.webhook.oracle import Json
from tests.webhook.reviews import UID, admission_review, encoded, workflow
from webhook import wire
from webhook.encode import encode
from webhook.http_errors import BadRequest


def decoded(obj: object, side: Side = Side.MUTATE, **request: Any) -> wire.Received:
    """Return what is received of the create of an object."""
    return wire.decode(encoded(admission_review(obj, **request)), side)


def test_every_part_of_a_request_is_read() -> None:
    """Who, what, where and whether it is a dry run arrive in the review."""
    received = decoded(workflow(parallelism=3), Side.VALIDATE, dryRun=True)
    review = received.review
    assert (received.api_version, received.kind, received.name) == (
        "admission.k8s.io/v1",
        "Workflow",
        "hello",
    )
    assert (review.uid, review.side, review.operation) == (UID, Side.VALIDATE, Operation.CREATE)
    assert (review.namespace, review.user, review.dry_run) == ("team", "ada", True)
    assert review.workflow is not None
    assert review.workflow.spec is not None
    assert review.workflow.spec.parallelism == 3
    assert received.fault is None


@pytest.mark.parametrize(
    "field", ["namespace", "name", "userInfo", "dryRun", "subResource", "options", "resource"]
)
@pytest.mark.parametrize("how", ["absent", "null"])
def test_optional_parts_may_be_missing(field: str, how: str) -> None:
    """Go leaves empty fields out or writes null; both are the zero value."""
    review = admission_review(workflow())
    review["request"].pop(field, None)
    if how == "null":
        review["request"][field] = None
    received = wire.decode(encoded(review), Side.MUTATE)
    assert received.review.workflow is not None
    assert received.review.user == ("" if field == "userInfo" else "ada")
    assert (received.review.namespace, received.name) == ("team", "hello")  # From the object.


@pytest.mark.parametrize("field", ["uid", "kind", "operation"])
@pytest.mark.parametrize("how", ["absent", "null"])
def test_required_parts_may_not_be_missing(field: str, how: str) -> None:
    """Nothing can be checked or answered without them."""
    review = admission_review(workflow())
    del review["request"][field]
    if how == "null":
        review["request"][field] = None
    with pytest.raises(BadRequest):
        wire.decode(encoded(review), Side.MUTATE)


@pytest.mark.parametrize("operation", ["create", "PATCH", "", "*"])
def test_an_unknown_operation_is_a_bad_request(operation: str) -> None:
    """What the API might add one day is not taken for something harmless."""
    with pytest.raises(BadRequest):
        decoded(workflow(), operation=operation)


def test_a_create_without_an_object_is_a_bad_request() -> None:
    """There is nothing to judge."""
    with pytest.raises(BadRequest, match=r"request\.object is missing: a CREATE carries the new object"):
        decoded(None)


def test_the_request_decides_on_name_and_namespace() -> None:
    """The object may say something else, or nothing; the request is what the API server acts on."""
    received = decoded(workflow(), name="asked", namespace="asked-namespace")
    assert (received.name, received.review.namespace) == ("asked", "asked-namespace")


@pytest.mark.parametrize("obj", [None, 5, "text", [], {"metadata": 5}, {"spec": {"templates": 1}}])
def test_objects_of_other_kinds_may_look_like_anything(obj: object) -> None:
    """Of foreign objects nothing is read."""
    received = decoded(obj, kind={"group": "", "version": "v1", "kind": "Pod"})
    assert (received.review.workflow, received.fault, received.kind) == (None, None, "Pod")


MISFITS: list[tuple[Any, str, str]] = [
    (5, "", "the integer 5"),
    ([], "", "a list"),
    ("text", "", 'the string "text"'),
    ({"metadata": 5}, "metadata", "the integer 5"),
    ({"metadata": {"labels": {"a": 1}}}, "metadata.labels.a", "the integer 1"),
    ({"metadata": {"name": True}}, "metadata.name", "the boolean true"),
    ({"metadata": {"creationTimestamp": "soon"}}, "metadata.creationTimestamp", 'the string "soon"'),
    ({"spec": "text"}, "spec", 'the string "text"'),
    ({"spec": {"parallelism": "2"}}, "spec.parallelism", 'the string "2"'),
    ({"spec": {"parallelism": 1.5}}, "spec.parallelism", "the number 1.5"),
    ({"spec": {"priority": True}}, "spec.priority", "the boolean true"),
    ({"spec": {"templates": {}}}, "spec.templates", "a map"),
    ({"spec": {"templates": [{}, {"name": 7}]}}, "spec.templates[1].name", "the integer 7"),
    (
        {"spec": {"templates": [{"steps": [[{"name": "a"}], [{"template": 1}]]}]}},
        "spec.templates[0].steps[1][0].template",
        "the integer 1",
    ),
    (
        {"spec": {"templates": [{"dag": {"tasks": [{"inline": {"script": []}}]}}]}},
        "spec.templates[0].dag.tasks[0].inline.script",
        "a list",
    ),
    (
        {"spec": {"synchronization": {"semaphores": [{"configMapKeyRef": {"key": 1}}]}}},
        "spec.synchronization.semaphores[0].configMapKeyRef.key",
        "the integer 1",
    ),
    ({"status": []}, "status", "a list"),
]


@pytest.mark.parametrize(("obj", "field", "found"), MISFITS)
def test_a_workflow_of_wrong_types_is_denied_with_its_path(obj: Any, field: str, found: str) -> None:
    """What we cannot read is told with what stands there, where Argo's own types have nothing to say."""
    received = decoded(obj, name="")
    assert received.fault is not None
    [reason] = received.fault.reasons
    assert (received.fault.outcome, reason.code, reason.field) == (Outcome.DENIED, Code.WRONG_TYPE, field)
    assert f"found {found}" in reason.message


def test_every_wrong_type_is_reported_at_once() -> None:
    """Nobody has to correct a Workflow one field and one create at a time."""
    received = decoded({"metadata": {"labels": {"a": 1}}, "spec": {"entrypoint": 2, "priority": "high"}})
    assert received.fault is not None
    fields = [reason.field for reason in received.fault.reasons]
    assert fields == ["metadata.labels.a", "spec.entrypoint", "spec.priority"]


@pytest.mark.parametrize(
    ("operation", "before", "is_fault"),
    [("UPDATE", workflow(), True), ("UPDATE", {"spec": [5]}, False), ("DELETE", workflow(), False)],
)
def test_wrong_types_matter_where_they_are_new(operation: str, before: Json, is_fault: bool) -> None:  # noqa: FBT001 - a row
    """What is stored already, and what goes, is not for us to refuse."""
    received = decoded({"spec": 5}, operation=operation, oldObject=before)
    assert (received.fault is not None) == is_fault
    assert received.review.workflow in (None, Workflow())  # Of an update, what else it changes is checked.


@pytest.mark.parametrize(
    ("field", "most"), [("parallelism", 2**63), ("parallelism", -(2**63) - 1), ("priority", 2**31)]
)
def test_a_number_that_argo_cannot_hold_is_denied(field: str, most: int) -> None:
    """An integer beyond Go's type is as bad as a string there."""
    assert decoded(workflow(**{field: most})).fault is not None


@pytest.mark.parametrize(("field", "most"), [("parallelism", 2**63 - 1), ("priority", 2**31 - 1)])
def test_the_largest_numbers_of_argo_are_read(field: str, most: int) -> None:
    """The bounds themselves are right."""
    assert decoded(workflow(**{field: most})).fault is None


def test_of_a_field_given_twice_the_last_one_counts() -> None:
    """Go decodes so as well; both sides have to judge what Argo will see."""
    body = encoded(admission_review(workflow(parallelism=1)))
    twice = body.replace(b'"parallelism": 1', b'"parallelism": 1, "parallelism": 9')
    received = wire.decode(twice, Side.MUTATE)
    assert received.review.workflow is not None
    assert received.review.workflow.spec is not None
    assert received.review.workflow.spec.parallelism == 9


RECEIVED = decoded(workflow())
REQUEST = admission_review(workflow())
ADD = PatchOp(Op.ADD, "/spec/parallelism", 4)


def answered(decision: Decision, verify: Verify) -> Json:
    """Return the verified response that a decision is encoded as."""
    return verify(encode(RECEIVED, decision), request=REQUEST, mutating=True)


def test_a_patch_is_base64_of_its_operations(verify_admission_response: Verify) -> None:
    """Operations go out in their order, a removal without a value."""
    decision = Decision(
        Outcome.ALLOWED, patch=(ADD, PatchOp(Op.REMOVE, "/status"), PatchOp(Op.ADD, "/x", None))
    )
    response = answered(decision, verify_admission_response)
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == [
        {"op": "add", "path": "/spec/parallelism", "value": 4},
        {"op": "remove", "path": "/status"},
        {"op": "add", "path": "/x", "value": None},
    ]


@pytest.mark.parametrize("outcome", [Outcome.ALLOWED, Outcome.IGNORED, Outcome.UNGOVERNED, Outcome.QUEUED])
def test_without_operations_there_is_neither_patch_nor_type(
    outcome: Outcome, verify_admission_response: Verify
) -> None:
    """The API server refuses one without the other, and an empty patch is no patch."""
    assert answered(Decision(outcome), verify_admission_response) == {"uid": UID, "allowed": True}


@pytest.mark.parametrize("code", list(Code))
def test_a_denial_says_whether_trying_again_may_help(code: Code, verify_admission_response: Verify) -> None:
    """403 is what Argo takes for transient, 429 what kubectl obeys; what the user has to mend is 422."""
    reasons = (Reason(code, "spec.x", "is wrong", "WorkflowQuota a/b"),)
    status = answered(Decision(Outcome.DENIED, reasons), verify_admission_response)["status"]
    soon = {Code.NOT_MUTATED, Code.SIBLING_AWAITED, Code.TOO_MANY_CREATES}
    later = dict.fromkeys((*soon, Code.QUEUE_FULL), (429, "TooManyRequests"))
    transient = {**dict.fromkeys((Code.EXCEEDED_QUOTA, Code.GROUP_BUSY), (403, "Forbidden")), **later}
    assert (status["code"], status["reason"]) == transient.get(code, (422, "Invalid"))
    assert status["message"] == "[WorkflowQuota a/b] spec.x: is wrong"
    assert status["details"] == {
        "name": "hello",
        "group": "argoproj.io",
        "kind": "Workflow",
        "causes": [{"reason": code.value, "message": "is wrong", "field": "spec.x"}],
        **({"retryAfterSeconds": 1} if code in soon else {}),
    }


@pytest.mark.parametrize(("other", "expected"), [(Code.EXCEEDED_QUOTA, 403), (Code.WRONG_TYPE, 403)], ids=str)
def test_no_client_is_told_to_wait_for_what_waiting_does_not_repair(
    other: Code, expected: int, verify_admission_response: Verify
) -> None:
    """A second reason beside a missed mutation stays when the first is gone."""
    reasons = (Reason(Code.NOT_MUTATED, "spec.x", "is wrong"), Reason(other, "spec.y", "is wrong"))
    status = answered(Decision(Outcome.DENIED, reasons), verify_admission_response)["status"]
    assert status["code"] == expected
    assert "retryAfterSeconds" not in status["details"]


def test_of_many_reasons_ten_are_shown(verify_admission_response: Verify) -> None:
    """A message stays readable and says how many more there are."""
    reasons = tuple(Reason(Code.LOCK_NAME, f"spec.x[{n}]", "is wrong") for n in range(25))
    status = answered(Decision(Outcome.DENIED, reasons), verify_admission_response)["status"]
    assert len(status["details"]["causes"]) == 10
    assert status["message"].splitlines()[-1] == "and 15 more"
    assert len(status["message"].splitlines()) == 11


def test_warnings_are_cut_as_the_api_server_would(verify_admission_response: Verify) -> None:
    """Whole warnings arrive, each of at most 256 runes, and no more than all of them may have."""
    decision = Decision(Outcome.ALLOWED, warnings=("é" * 256, "é" * 257, *("x" * 300 for _ in range(30))))
    warnings = answered(decision, verify_admission_response)["warnings"]
    assert warnings[:2] == ["é" * 256, "é" * 255 + "…"]
    assert len(warnings) == 16


@pytest.mark.parametrize("name", ["two\nlines", "a\tb", "\x7f"])
def test_a_warning_has_no_control_characters(name: str, verify_admission_response: Verify) -> None:
    """A template's name may hold anything, and its warning still has to arrive."""
    response = answered(Decision(Outcome.ALLOWED, warnings=(f"{name}: careful",)), verify_admission_response)
    assert len(response["warnings"]) == 1


def test_the_audit_log_shows_governed_creates(verify_admission_response: Verify) -> None:
    """Outcome and policies are annotated where there are any, and nothing else is."""
    decision = Decision(Outcome.QUEUED, policies=("WorkflowQuota a/b", "ClusterWorkflowQuota c"))
    assert answered(decision, verify_admission_response)["auditAnnotations"] == {
        "outcome": "queued",
        "policies": "WorkflowQuota a/b, ClusterWorkflowQuota c",
    }
    assert "auditAnnotations" not in answered(Decision(Outcome.ALLOWED), verify_admission_response)


@pytest.mark.parametrize("version", sorted(wire.VERSIONS))
def test_both_versions_are_answered_in_kind(version: str, verify_admission_response: Verify) -> None:
    """An API server that speaks v1beta1 gets v1beta1."""
    request = admission_review(workflow(), version=version)
    received = wire.decode(encoded(request), Side.VALIDATE)
    body = encode(received, Decision(Outcome.ALLOWED))
    assert verify_admission_response(body, request=request, mutating=False)["allowed"]
    assert msgspec.json.decode(body)["apiVersion"] == version
