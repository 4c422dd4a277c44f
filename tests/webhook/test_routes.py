"""The two admission routes: what is answered to what (admission-webhooks 1.11)."""

import json

import msgspec
import pytest

from policy.core.policies.snapshot import Snapshot
from tests.webhook.calling import Webhook
from tests.webhook.reviews import UID, admission_review, encoded, lock_policy, quota, workflow
from webhook.http_errors import MAX_BODY, BadRequest
from webhook.routes import uid_of
from webhook.serving.http_messages import JSON, Head
from webhook.turns import ALONE, IN_LOOP, NotHereError

PATHS = ("/mutate", "/validate")
GOOD = encoded(admission_review(workflow()))
DENY = quota("Deny", limits={"workflows": 5})


def padded(size: int) -> bytes:
    """Return a review that is right and exactly `size` bytes long."""
    review = admission_review(workflow(), options={"padding": ""})
    review["request"]["options"]["padding"] = "x" * (size - len(encoded(review)))
    return encoded(review)


@pytest.mark.parametrize("path", PATHS)
def test_a_review_is_answered_with_json(path: str, webhook: Webhook) -> None:
    """A create that no policy speaks about is allowed, unchanged, under its uid."""
    reply = webhook.post(GOOD, path)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.body)["response"] == {"uid": UID, "allowed": True}


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_body_is_a_bad_request(path: str, webhook: Webhook) -> None:
    """Nothing to judge is 400."""
    reply = webhook.post(b"", path)
    assert (reply.status, reply.body) == (400, b"the body is empty; send an AdmissionReview\n")


@pytest.mark.parametrize("size", [MAX_BODY - 1, MAX_BODY])
def test_a_body_of_seven_mebibytes_is_read(size: int, webhook: Webhook) -> None:
    """The limit itself is allowed: two objects of 3 MiB have to fit."""
    body = padded(size)
    assert (len(body), webhook.post(body).status) == (size, 200)


def test_a_byte_more_than_seven_mebibytes_is_too_large(webhook: Webhook) -> None:
    """Even a right review is refused with 413 above the limit, by its head alone."""
    head = Head("POST", "/mutate", "", JSON, MAX_BODY + 1)
    answer = webhook.app.answer_head(head, "", ALONE)
    assert answer is not None
    assert answer.status.startswith("413 ")
    assert answer.body == b"the body is larger than 7340032 bytes\n"
    assert webhook.decisions == []


def test_what_could_not_be_read_is_logged_and_counted(webhook: Webhook) -> None:
    """The server says why a body did not arrive, and people find it where other refused requests are."""
    answer = webhook.app.refuse(BadRequest("the body ended after 5 of 7 bytes"))
    assert answer.status == "400 Bad Request"
    [line] = webhook.logged()
    assert (line["event"], line["message"]) == ("refused", "the body ended after 5 of 7 bytes")
    assert webhook.metric("lockkeeper_errors_total", status="400") == 1


@pytest.mark.parametrize(
    ("policies", "path", "large"),
    [
        (DENY, "/mutate", False),
        ("", "/mutate", True),
        ("", "/policies", False),
    ],
)
def test_what_may_wait_or_takes_long_is_not_for_the_loop(policies: str, path: str, large: bool) -> None:  # noqa: FBT001 - a case
    """A slot to reserve, a megabyte, a policy: nothing has happened, and a thread does it anew."""
    webhook = Webhook(policies)
    body = padded(1_000_000) if large else GOOD
    with pytest.raises(NotHereError):
        webhook.post(body, path, turn=IN_LOOP)
    assert (webhook.reserved(), webhook.decisions, webhook.lines) == ({}, [], [])
    assert webhook.post(body, path).status == 200
    assert len(webhook.decisions) == 1


def test_probes_are_not_for_the_loop(webhook: Webhook) -> None:
    """Nobody knows how long Flask takes for all metrics."""
    with pytest.raises(NotHereError):
        webhook.call("GET", "/metrics", turn=IN_LOOP)


def test_what_only_computes_is_done_in_the_loop() -> None:
    """Nearly every review: held, allowed or refused."""
    for policies in ("", quota("Queue"), quota("Warn"), lock_policy()):
        webhook = Webhook(policies)
        webhook.app._parts = msgspec.structs.replace(webhook.app._parts, monotonic=lambda: 0.0)
        assert webhook.post(GOOD, turn=IN_LOOP).status == 200
        assert webhook.post(GOOD, "/validate", turn=IN_LOOP).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/yaml", "application/jsonp", "application/json+x", ";"]
)
def test_another_content_type_is_unsupported(path: str, media_type: str, webhook: Webhook) -> None:
    """Only JSON is read; a missing type is not guessed."""
    reply = webhook.post(GOOD, path, media_type)
    assert (reply.status, b"it must be application/json" in reply.body) == (415, True)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;v=1"]
)
def test_json_may_have_parameters_and_capitals(media_type: str, webhook: Webhook) -> None:
    """Media types are compared as RFC 9110 says."""
    assert webhook.post(GOOD, "/mutate", media_type).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(path: str, method: str, webhook: Webhook) -> None:
    """Other methods get 405 and are told which one is right."""
    reply = webhook.call(method, path, GOOD)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [b"{", b"nothing", b"\xff\xfe", b"{}x", b"[1,2", b"\xef\xbb\xbf" + GOOD, GOOD.decode().encode("utf-16")],
)
def test_what_is_no_json_is_a_bad_request(path: str, body: bytes, webhook: Webhook) -> None:
    """A body that cannot be parsed is 400, and it is logged as refused and not as our bug."""
    assert webhook.post(body, path).status == 400
    [line] = webhook.logged()
    assert (line["event"], line["level"]) == ("refused", "warning")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"request": None}, "request is missing"),
        ({"request": {**admission_review(workflow())["request"], "uid": ""}}, "request.uid is empty"),
        ({"request": {"kind": {}, "operation": "CREATE"}}, "missing required field `uid`"),
        ({"apiVersion": "admission.k8s.io/v2"}, "apiVersion is 'admission.k8s.io/v2'"),
        ({"apiVersion": None}, "apiVersion is None"),
        ({"apiVersion": "v1"}, "apiVersion is 'v1'"),
        ({"apiVersion": "admission.k8s.io/V1"}, "apiVersion is 'admission.k8s.io/V1'"),
        ({"kind": "Review"}, "kind is 'Review'; it must be AdmissionReview"),
        ({"kind": None}, "kind is None; it must be AdmissionReview"),
        ({"kind": ["AdmissionReview"]}, "Expected `str | null`, got `array`"),
    ],
)
def test_what_is_no_review_is_a_bad_request(
    path: str, change: dict[str, object], said: str, webhook: Webhook
) -> None:
    """A wrong envelope is 400 and says what is wrong; "allow" is never guessed."""
    reply = webhook.post(encoded({**admission_review(workflow()), **change}), path)
    assert (reply.status, said in reply.body.decode()) == (400, True)
    assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("version", ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])
def test_the_version_of_the_request_is_echoed(path: str, version: str, webhook: Webhook) -> None:
    """Both versions that API servers speak are answered in kind."""
    reply = webhook.post(encoded(admission_review(workflow(), version=version)), path)
    assert json.loads(reply.body)["apiVersion"] == version


def failing() -> Snapshot:
    """Fail as a bug of ours would, with a secret in its text."""
    raise LookupError("the secret of line 42")


@pytest.mark.parametrize("path", PATHS)
def test_a_bug_of_ours_is_a_500_with_the_uid_in_the_log(path: str) -> None:
    """A bug is a failed call and no denial, and people find its traceback by the review's uid."""
    webhook = Webhook(snapshot=failing)
    reply = webhook.post(GOOD, path)
    assert reply.status == 500
    [line] = webhook.logged()
    assert (line["event"], line["level"], line["uid"]) == ("bug", "error", UID)
    assert line["message"] == "LookupError: the secret of line 42"
    assert "in failing" in line["trace"]


def test_nothing_of_a_bug_is_reported_to_the_sender() -> None:
    """The answer to a bug shows neither its text, nor its type, nor a file."""
    reply = Webhook(snapshot=failing).post(GOOD)
    for shown in (b"secret", b"LookupError", b"Traceback", b"File", b".py", b"42"):
        assert shown not in reply.body
    assert reply.headers["content-type"].startswith("text/plain")


def test_the_webhook_continues_after_a_bug() -> None:
    """One failure is one failure: the next review is answered."""
    broken = [True]
    good = Webhook()

    def sometimes() -> Snapshot:
        if broken:
            broken.pop()
            raise LookupError
        return good._snapshot()

    webhook = Webhook(snapshot=sometimes)
    assert [webhook.post(GOOD).status, webhook.post(GOOD).status] == [500, 200]


def test_other_paths_are_handed_on(webhook: Webhook) -> None:
    """Probes and unknown paths are answered by the other application, slashes counting."""
    statuses = [webhook.call("GET", path).status for path in ("/livez", "/mutate/", "/nothing", "/")]
    assert statuses == [200, 404, 404, 404]


@pytest.mark.parametrize(
    ("body", "uid"),
    [
        (GOOD, UID),
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'{"request": null}', ""),
        (b'{"request": {}}', ""),
        (b'{"request": {"uid": 5}}', ""),
        (b'{"request": {"uid": "\xff"}}', ""),
        (b'{"request": {"uid": "u", "object": ' + b"[" * 100_000, ""),
        (b'{"request": {"uid": "u", "object": {"spec": 1}}}', "u"),
    ],
)
def test_the_uid_is_found_where_there_is_one(body: bytes, uid: str) -> None:
    """Looking for the uid of a failed request never fails itself."""
    assert uid_of(body) == uid


def test_a_denial_is_an_answer_and_no_error() -> None:
    """A user's fault is a 200 with `allowed: false`, whatever the failure policy says."""
    webhook = Webhook(quota("Deny", limits={"workflows": 0}))
    reply = webhook.post(GOOD)
    response = json.loads(reply.body)["response"]
    assert (reply.status, response["allowed"], response["status"]["code"]) == (200, False, 403)
