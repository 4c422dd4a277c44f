"""Numbers of thousands of digits: JSON has them, Python refuses to print them, and Kubernetes reads none."""

from typing import Final

import pytest

from tests.properties.asking import FULL, INSIDE, OBJECT, SMALL, WORLDS, answers
from tests.properties.shapes import Path, grown, replaced
from tests.properties.worst_policies import policy
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json
from tests.webhook.reviews import EVERYTHING, encoded, workflow
from webhook.http_errors import BadRequest

MARK: Final = "@number@"
DIGITS: Final = b"9" * 5_000
OLD: Final = ("request", "oldObject")
SPEC_PARTS: Final[tuple[Path, ...]] = (
    ("spec", "arguments"),
    ("spec", "parallelism"),
    ("spec", "priority"),
    ("spec", "templates", 0, "container", "resources"),
    ("spec", "anything"),
)
STATUS_PARTS: Final[tuple[Path, ...]] = (
    ("status", "phase"),
    ("status", "nodes"),
    ("status", "anything"),
    ("status", "storedTemplates"),
)


def numbered(review: Json) -> bytes:
    """Return the bytes of a review with the number in place of the mark."""
    return encoded(review).replace(f'"{MARK}"'.encode(), DIGITS)


def update(label: str) -> Json:
    """Return an update that changes nothing yet, of a Workflow that is over or that runs."""
    labels = {"workflows.argoproj.io/completed": label, "lockkeeper.dev/x": "y"}
    obj = {**workflow(), "status": {"message": "m"}}
    obj["metadata"] = {**obj["metadata"], "labels": labels}
    return {**SMALL, "request": {**SMALL["request"], "object": obj, "oldObject": obj, "operation": "UPDATE"}}


@pytest.mark.parametrize("label", ["true", "false"])
@pytest.mark.parametrize("version", [OBJECT, OLD])
@pytest.mark.parametrize("path", [*SPEC_PARTS, *STATUS_PARTS], ids=lambda path: ".".join(map(str, path)))
def test_an_update_with_a_very_long_number_is_no_error_of_ours(path: Path, version: Path, label: str) -> None:
    """A part that nobody can read makes a bad request or a denial, and never a 500."""
    review = grown(update(label), (*version, *path), MARK)
    webhook = Webhook(EVERYTHING)
    for side in ("/mutate", "/validate"):
        try:
            reply = webhook.call("POST", side, numbered(review))
        except ValueError:
            continue  # An answer was there to verify; the test's own reader refuses the request.
        assert reply.status == 400, reply.body
        assert b"cannot be read" in reply.body or b"can be read" in reply.body


def test_a_create_with_a_very_long_number_anywhere_is_answered_or_refused() -> None:
    """The same of the fields that are read of a new Workflow, every fifth of them."""
    assert INSIDE
    for node in INSIDE[::5]:
        body = numbered(replaced(FULL, node.path, MARK))
        try:
            answers(body, SMALL, worlds=WORLDS[1:])
        except (BadRequest, ValueError, AssertionError) as error:  # pragma: no cover - tells which field
            pytest.fail(f"{node.path}: {error!r}")


@pytest.mark.parametrize("field", ["limits", "selector", "anything"])
def test_a_policy_with_a_very_long_number_is_a_bad_request(field: str) -> None:
    """Nor does one in a policy make a 500."""
    review = policy("WorkflowQuota", **{field: {"workflows": MARK}})
    reply = Webhook().call("POST", "/policies", numbered(review))
    assert reply.status == 400
    assert b"out of range" in reply.body
