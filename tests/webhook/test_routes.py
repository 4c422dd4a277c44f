"""The two admission routes as a WSGI application: what is answered to what (admission-webhooks 1.11)."""

import io
import json

import pytest

from policy.core.policies.snapshot import Snapshot
from tests.webhook.calling import CountingStream, Webhook
from tests.webhook.reviews import UID, admission_review, encoded, quota, workflow
from webhook.http_errors import MAX_BODY
from webhook.routes import MAX_DISCARDED, uid_of

PATHS = ("/mutate", "/validate")
GOOD = encoded(admission_review(workflow()))


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
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert json.loads(reply.body)["response"] == {"uid": UID, "allowed": True}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("length", ["0", ""])
def test_an_empty_body_is_a_bad_request(path: str, length: str, webhook: Webhook) -> None:
    """Nothing to judge is 400, with a length of zero as well as with none."""
    reply = webhook.post(b"", path, CONTENT_LENGTH=length)
    assert (reply.status, reply.body) == (400, b"the body is empty; send an AdmissionReview\n")


@pytest.mark.parametrize("size", [MAX_BODY - 1, MAX_BODY])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_seven_mebibytes_is_read(size: int, declared: bool, webhook: Webhook) -> None:  # noqa: FBT001 - a case
    """The limit itself is allowed, with a length and in chunks: two objects of 3 MiB have to fit."""
    body = padded(size)
    reply = webhook.post(body) if declared else webhook.post(body, CONTENT_LENGTH=None)
    assert (len(body), reply.status) == (size, 200)


@pytest.mark.parametrize("declared", [True, False])
def test_a_byte_more_than_seven_mebibytes_is_too_large(declared: bool, webhook: Webhook) -> None:  # noqa: FBT001 - a case
    """Even a right review is refused with 413 above the limit."""
    body = padded(MAX_BODY + 1)
    reply = webhook.post(body) if declared else webhook.post(body, CONTENT_LENGTH=None)
    assert reply.status == 413
    assert reply.body == b"the body is larger than 7340032 bytes\n"


def test_the_declared_length_is_looked_at_before_the_body(webhook: Webhook) -> None:
    """What says that it is too large is not kept: it is read away, so that its sender hears why."""
    stream = CountingStream(GOOD)
    reply = webhook.post(GOOD, CONTENT_LENGTH=str(MAX_BODY + 1), stream=stream)
    assert (reply.status, stream.taken) == (413, len(GOOD))
    assert webhook.decisions == []


@pytest.mark.parametrize("declared", [str(10**12), None])
def test_of_an_endless_body_only_so_much_is_read(declared: str | None, webhook: Webhook) -> None:
    """A sender cannot keep a thread busy for ever by sending more and more."""

    class Endless(CountingStream):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size > 0
            self.taken += size
            return b" " * size

    stream = Endless(b"")
    reply = webhook.post(b"", CONTENT_LENGTH=declared, stream=stream)
    assert reply.status == 413
    assert stream.taken <= MAX_BODY + 1 + MAX_DISCARDED


@pytest.mark.parametrize("declared", ["-1", "+5", "1e3", "0x10", "five", " 7", "\u0667", "1,2"])
def test_a_length_that_is_no_number_is_a_bad_request(declared: str, webhook: Webhook) -> None:
    """Anything but ASCII digits is refused, so that no two readers disagree on where a body ends."""
    assert webhook.post(GOOD, CONTENT_LENGTH=declared).status == 400


def test_a_length_of_very_many_digits_is_too_large(webhook: Webhook) -> None:
    """A number that Python will not convert is a wrong request, and no fault of ours."""
    assert webhook.post(GOOD, CONTENT_LENGTH="9" * 5000).status == 413


def test_a_body_that_ends_early_is_a_bad_request(webhook: Webhook) -> None:
    """Half a review is never checked."""
    reply = webhook.post(GOOD, CONTENT_LENGTH=str(len(GOOD) + 1))
    assert (reply.status, b"the body ended after" in reply.body) == (400, True)


def test_nothing_is_read_beyond_the_declared_length(webhook: Webhook) -> None:
    """What follows on the connection is the next request."""
    stream = CountingStream(GOOD + b"POST /next")
    assert webhook.post(GOOD, stream=stream).status == 200
    assert stream.taken == len(GOOD)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "media_type", [None, "", "text/plain", "application/yaml", "application/jsonp", "application/json+x", ";"]
)
def test_another_content_type_is_unsupported(path: str, media_type: str | None, webhook: Webhook) -> None:
    """Only JSON is read; a missing type is not guessed."""
    reply = webhook.post(GOOD, path, CONTENT_TYPE=media_type)
    assert (reply.status, b"it must be application/json" in reply.body) == (415, True)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;v=1"]
)
def test_json_may_have_parameters_and_capitals(media_type: str, webhook: Webhook) -> None:
    """Media types are compared as RFC 9110 says."""
    assert webhook.post(GOOD, CONTENT_TYPE=media_type).status == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(path: str, method: str, webhook: Webhook) -> None:
    """Other methods get 405 and are told which one is right."""
    reply = webhook.call(method, path, GOOD, CONTENT_TYPE="application/json")
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


def test_the_connection_is_left_to_the_server(webhook: Webhook) -> None:
    """PEP 3333 reserves the header: gunicorn closes connections while it drains, and keeps them otherwise."""
    assert all("connection" not in reply.headers for reply in (webhook.post(GOOD), webhook.post(b"")))


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


def test_a_stream_of_chunks_is_read_to_its_end(webhook: Webhook) -> None:
    """A body without a length is read whole, as gunicorn gives chunks: one read may return them all."""
    reply = webhook.post(GOOD, CONTENT_LENGTH=None, stream=io.BytesIO(GOOD))
    assert reply.status == 200


def test_a_denial_is_an_answer_and_no_error() -> None:
    """A user's fault is a 200 with `allowed: false`, whatever the failure policy says."""
    webhook = Webhook(quota("Deny", limits={"workflows": 0}))
    reply = webhook.post(GOOD)
    response = json.loads(reply.body)["response"]
    assert (reply.status, response["allowed"], response["status"]["code"]) == (200, False, 403)
