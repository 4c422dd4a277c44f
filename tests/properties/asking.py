"""Asking both sides of the webhook about a body, and the reviews that bad input is made from."""

import json
import sys
from datetime import timedelta
from time import thread_time
from types import FrameType
from typing import Final

from policy.core.decision.decision import Side
from policy.core.objects.workflow import Read, Workflow
from tests.properties.shapes import example as example_of
from tests.properties.shapes import nodes
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json, verify_admission_response
from tests.webhook.reviews import EVERYTHING, NAMESPACE, UID, admission_review, encoded, workflow
from webhook.http_errors import BadRequest
from webhook.review import Reviewing, review
from webhook.wire import AdmissionRequest

BUDGET: Final = timedelta(seconds=10)
SIDES: Final = (Side.MUTATE, Side.VALIDATE)


class TypedRequest(AdmissionRequest, frozen=True, kw_only=True):
    """A request as `webhook.wire` reads it in two steps, in one type."""

    object: Workflow | None = None  # type: ignore[assignment]  # What is raw in the product is typed here.


class TypedEnvelope(Read, frozen=True):
    """The same of the whole review."""

    api_version: str | None = None
    kind: str | None = None
    request: TypedRequest | None = None


class Nobody:
    """Takes note of nothing."""

    def reviewed(self, *_: object) -> None:
        """Take no note."""


def reviewing(policies: str) -> Reviewing:
    """Return what a review depends on, with these policies."""
    webhook = Webhook(policies)
    return Reviewing(
        snapshot=webhook._snapshot,
        reservations=webhook.ledgers,
        clock=webhook.clock,
        stopwatch=lambda: 0.0,
        recorder=Nobody(),
    )


WORLDS: Final = (reviewing(""), reviewing(EVERYTHING))
"""Without policies, and with policies of every kind."""


def answers(
    body: bytes, request: Json | None = None, *, worlds: tuple[Reviewing, ...] = WORLDS
) -> list[Json | None]:
    """Return the verified responses to a body from both sides and all worlds; None stands for 400.

    Anything but a BadRequest comes through and fails the test.
    """
    found: list[Json | None] = []
    for side in SIDES:
        for parts in worlds:
            try:
                answer = review(body, side, BUDGET, parts)
            except BadRequest:
                found.append(None)
                continue
            asked = request if request is not None else readable(body, answer)
            found.append(verify_admission_response(answer, request=asked, mutating=side is Side.MUTATE))
    return found


def readable(body: bytes, answer: bytes) -> Json:
    """Return the request as a lenient reader sees it; where none can, as the answer has it."""
    try:
        asked: Json = json.loads(body.decode(errors="replace"), strict=False)
    except (ValueError, RecursionError):
        said = json.loads(answer)
        asked = {**said, "request": {"uid": said["response"]["uid"]}}
    return asked


def full_review() -> Json:
    """Return a valid review that has every field that we read."""
    made: Json = example_of(TypedEnvelope)
    made |= {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    made["request"] |= {
        "uid": UID,
        "kind": {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"},
        "operation": "CREATE",
        "subResource": "",
        "namespace": NAMESPACE,
        "dryRun": False,
    }
    return made


FULL: Final = full_review()
NODES: Final = tuple(nodes(TypedEnvelope))
OBJECT: Final = ("request", "object")
INSIDE: Final = tuple(node for node in NODES if node.path[:2] == OBJECT)
OUTSIDE: Final = tuple(node for node in NODES if node.path[:2] != OBJECT)
SMALL: Final = admission_review(workflow(), namespace=NAMESPACE)


def calls(obj: Json, parts: Reviewing) -> int:
    """Return how many functions are called, ours and built in, in the mutating review of an object.

    It is the same on every machine, however busy, where time is not.
    """
    body = encoded(admission_review(obj))
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    review(body, Side.MUTATE, BUDGET, parts)  # What is worked out once, for all reviews, is not counted.
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        verified = review(body, Side.MUTATE, BUDGET, parts)
    finally:
        sys.setprofile(before)
    assert b'"uid"' in verified
    return count


def seconds(obj: Json, parts: Reviewing) -> float:
    """Return how much CPU time of this thread the mutating review of an object takes, at its best."""
    body = encoded(admission_review(obj))
    best = float("inf")
    for _ in range(5):
        started = thread_time()
        verified = review(body, Side.MUTATE, BUDGET, parts)
        best = min(best, thread_time() - started)
        assert b'"uid"' in verified
    return best
