"""The API server: what it makes of a webhook's answers, wrong ones included."""

import base64
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from random import Random
from threading import Thread

import msgspec
import pytest

from certs.files import ensure
from lockkeeper.embedded.api_server import (
    AdmissionAnswer,
    AdmissionFailed,
    ApiServer,
    RefusalStatus,
    read_answer,
)
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.core.objects.json_patch import JsonObject, JsonValue
from webhook.wire import admission_review

UID = "uid-1"


def answer(response: JsonValue, **more: JsonValue) -> bytes:
    """Return the body of an AdmissionReview with a response."""
    envelope = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response, **more}
    return json.dumps(envelope).encode()


def encoded(patch: JsonValue) -> str:
    """Return a patch as a response carries it."""
    return base64.b64encode(json.dumps(patch).encode()).decode()


PATCH: list[JsonObject] = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]


def test_a_plain_yes_is_read() -> None:
    """Nothing but the uid and the word is needed."""
    assert read_answer(answer({"uid": UID, "allowed": True}), UID) == AdmissionAnswer(allowed=True)


def test_patch_warnings_and_message_are_read() -> None:
    """All that a client or the store gets of an answer."""
    response: JsonObject = {
        "uid": UID,
        "allowed": True,
        "patch": encoded(list(PATCH)),
        "patchType": "JSONPatch",
        "warnings": ["one", "two"],
        "status": {"message": "why", "code": 429, "reason": "TooManyRequests", "details": {"name": "a"}},
    }
    assert read_answer(answer(response), UID) == AdmissionAnswer(
        allowed=True,
        message="why",
        warnings=("one", "two"),
        patch=tuple(PATCH),
        status=RefusalStatus("why", 429, "TooManyRequests", {"name": "a"}),
    )


def test_a_plain_no_is_read() -> None:
    """A denial without a message is a denial."""
    assert read_answer(answer({"uid": UID, "allowed": False}), UID) == AdmissionAnswer(allowed=False)


@pytest.mark.parametrize("allowed", ["true", 1, {}])
def test_an_answer_that_is_neither_yes_nor_no_is_a_failed_call(allowed: JsonValue) -> None:
    """What is not clearly allowed is not stored; Go does not decode it either."""
    with pytest.raises(AdmissionFailed):
        read_answer(answer({"uid": UID, "allowed": allowed}), UID)


@pytest.mark.parametrize(
    "response", [None, "yes", [], {}, {"allowed": True}, {"uid": "other", "allowed": True}]
)
def test_an_answer_to_another_request_is_a_failed_call(response: JsonValue) -> None:
    """Whatever it says, it is not about this object."""
    with pytest.raises(AdmissionFailed):
        read_answer(answer(response), UID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff",
        answer({"uid": UID, "allowed": True, "patch": "not base64!", "patchType": "JSONPatch"}),
        answer({"uid": UID, "allowed": True, "patch": encoded("x")[:-1], "patchType": "JSONPatch"}),
        answer({"uid": UID, "allowed": True, "patch": encoded({"op": "add"}), "patchType": "JSONPatch"}),
        answer({"uid": UID, "allowed": True, "patch": encoded(5), "patchType": "JSONPatch"}),
        answer({"uid": UID, "allowed": True, "patch": encoded(list(PATCH))}),
        answer({"uid": UID, "allowed": True, "patch": encoded(list(PATCH)), "patchType": "Merge"}),
        answer({"uid": UID, "allowed": True, "patchType": "JSONPatch"}),
        answer({"uid": UID, "allowed": True}, kind="Status"),
        answer({"uid": UID, "allowed": True}, apiVersion="admission.k8s.io/v2"),
    ],
    ids=[
        "nothing",
        "a page",
        "a list",
        "bytes",
        "patch without base64",
        "patch cut off",
        "patch an object",
        "patch a number",
        "patch without type",
        "patch of another type",
        "type without patch",
        "another kind",
        "another version",
    ],
)
def test_what_the_api_server_would_not_take_is_a_failed_call(body: bytes) -> None:
    """VerifyAdmissionResponse: a webhook that answers nonsense must not be believed, nor end the play."""
    with pytest.raises(AdmissionFailed):
        read_answer(body, UID)


def test_a_review_has_what_the_api_server_sends() -> None:
    """Names, kinds and user are where a webhook looks for them."""
    obj: JsonObject = {"metadata": {"name": "a"}}
    sent = admission_review(obj, namespace="here", uid=UID, user="ann")
    request = sent["request"]
    assert isinstance(request, dict)
    assert (sent["apiVersion"], sent["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert (request["uid"], request["name"], request["namespace"]) == (UID, "a", "here")
    assert (request["operation"], request["oldObject"], request["dryRun"]) == ("CREATE", None, False)
    assert request["kind"] == {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}
    assert request["object"] is obj


@pytest.mark.parametrize("metadata", [None, "text", [], {}])
def test_a_review_of_an_object_without_a_name_has_an_empty_one(metadata: JsonValue) -> None:
    """A wrong object is the webhook's to judge; the envelope is right all the same."""
    request = admission_review({"metadata": metadata}, namespace="here", uid=UID, user="ann")["request"]
    assert isinstance(request, dict)
    assert request["name"] == ""


class Scripted(msgspec.Struct):
    """What a webhook is to say to its next calls, and what it was asked: path and request."""

    say: list[tuple[int, bytes]]
    asked: list[tuple[str, JsonObject]] = msgspec.field(default_factory=list)
    hangs_up: bool = False


class Webhook:
    """An HTTPS server on loopback that says what it was told to say."""

    def __init__(self, folder: Path) -> None:
        script = self.script = Scripted([])

        class Handler(BaseHTTPRequestHandler):
            """Answers as scripted; without a script it hangs up."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                script.asked.append((self.path, json.loads(body)["request"]))
                if not script.say:
                    self.close_connection = True
                    return
                status, text = script.say.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                self.close_connection = script.hangs_up

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        paths = ensure(folder, names=("127.0.0.1",), now=datetime.now(UTC)).paths
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.cert, paths.key)
        self.authority = paths.authority_cert
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = int(self.server.server_address[1])

    def says(self, *responses: JsonObject) -> None:
        """Answer the next calls, which have the uids call-1, call-2 and so on, with these responses."""
        for number, response in enumerate(responses, start=1):
            self.script.say.append((200, answer({"uid": f"call-{number}", **response})))


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    """Serve until the end of the test."""
    made = Webhook(tmp_path / "certs")
    thread = Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def store() -> MemoryCluster:
    """Return an empty cluster."""
    return MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(1))


@pytest.fixture
def api_server(webhook: Webhook, store: MemoryCluster) -> Iterator[ApiServer]:
    """Return the API server before the webhook."""
    numbers = count(1)
    made = ApiServer(
        cluster=store,
        host="127.0.0.1",
        port=webhook.port,
        tls=ssl.create_default_context(cafile=str(webhook.authority)),
        new_uid=lambda: f"call-{next(numbers)}",
    )
    yield made
    made.close()


def workflow() -> JsonObject:
    """Return a Workflow."""
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "a"}, "spec": {}}


def test_what_both_sides_allow_is_stored_as_patched(
    webhook: Webhook, api_server: ApiServer, store: MemoryCluster
) -> None:
    """The validating side sees the patched object, under a uid of its own."""
    webhook.says(
        {"allowed": True, "patch": encoded(list(PATCH)), "patchType": "JSONPatch", "warnings": ["w1"]},
        {"allowed": True, "warnings": ["w2"]},
    )
    admitted = api_server.create(workflow(), namespace="here")
    assert admitted.stored == store.get(WORKFLOWS, "a", namespace="here")
    assert (admitted.patch, admitted.warnings, admitted.denial) == (tuple(PATCH), ("w1", "w2"), "")
    (mutate, first), (validate, second) = webhook.script.asked
    assert (mutate, validate) == ("/mutate?timeout=10s", "/validate?timeout=10s")
    assert (first["uid"], second["uid"]) == ("call-1", "call-2")
    changed = second["object"]
    assert isinstance(changed, dict)
    assert changed["metadata"] == {"name": "a", "labels": {"a": "b"}}


def test_a_connection_that_the_webhook_has_ended_is_opened_again(
    webhook: Webhook, api_server: ApiServer, store: MemoryCluster
) -> None:
    """It ends what has been idle, and a user may come back after hours."""
    webhook.says({"allowed": True}, {"allowed": True})
    webhook.script.hangs_up = True
    api_server.create(workflow(), namespace="here")
    assert store.get(WORKFLOWS, "a", namespace="here")


@pytest.mark.parametrize("side", [0, 1], ids=["mutating", "validating"])
def test_what_one_side_denies_is_not_stored(
    webhook: Webhook, api_server: ApiServer, store: MemoryCluster, side: int
) -> None:
    """A denial is an outcome with its message, not an error."""
    yes: JsonObject = {"allowed": True}
    no: JsonObject = {"allowed": False, "status": {"message": "too many"}}
    webhook.says(*[yes] * side, no)
    admitted = api_server.create(workflow(), namespace="here")
    assert (admitted.stored, admitted.denial) == (None, "too many")
    assert len(webhook.script.asked) == side + 1
    assert store.list(WORKFLOWS).items == ()


def test_an_answer_that_is_not_200_is_a_failed_call(
    webhook: Webhook, api_server: ApiServer, store: MemoryCluster
) -> None:
    """FailurePolicy Fail: nothing is stored, and the status and text are told."""
    webhook.script.say.append((503, b"the ledger did not answer"))
    with pytest.raises(AdmissionFailed, match="failed calling /mutate: 503 the ledger did not answer"):
        api_server.create(workflow(), namespace="here")
    assert store.list(WORKFLOWS).items == ()


def test_a_broken_connection_is_a_failed_call_and_the_next_one_works(
    webhook: Webhook, api_server: ApiServer, store: MemoryCluster
) -> None:
    """One lost worker must not fail every later Workflow."""
    with pytest.raises(AdmissionFailed, match="failed calling /mutate: "):
        api_server.create(workflow(), namespace="here")
    for uid in ("call-2", "call-3"):
        webhook.script.say.append((200, answer({"uid": uid, "allowed": True})))
    assert api_server.create(workflow(), namespace="here").stored is not None
    assert len(store.list(WORKFLOWS).items) == 1


def test_a_certificate_of_another_authority_is_a_failed_call(webhook: Webhook, store: MemoryCluster) -> None:
    """The certificate is verified, as the API server does with its caBundle."""
    stranger = ApiServer(
        cluster=store,
        host="127.0.0.1",
        port=webhook.port,
        tls=ssl.create_default_context(),
        new_uid=lambda: UID,
    )
    with pytest.raises(AdmissionFailed, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.create(workflow(), namespace="here")
    assert webhook.script.asked == []


def test_a_patch_that_does_not_apply_is_a_failed_call(webhook: Webhook, api_server: ApiServer) -> None:
    """The API server answers 500 for it; the play goes on."""
    operations: JsonValue = [{"op": "remove", "path": "/spec/nothing"}]
    webhook.says({"allowed": True, "patch": encoded(operations), "patchType": "JSONPatch"})
    with pytest.raises(AdmissionFailed):
        api_server.create(workflow(), namespace="here")
