"""The errors of a review and the HTTP status of each."""

import inspect

import pytest

from policy.core.values.budget import Part
from tests.webhook.calling import Webhook
from tests.webhook.reviews import admission_review, encoded, workflow
from webhook import http_errors
from webhook.http_errors import (
    BadRequest,
    LedgerUnavailable,
    OutOfTime,
    ReviewError,
    WrongMediaType,
)

EVERY = [
    each
    for _, each in inspect.getmembers(http_errors, inspect.isclass)
    if issubclass(each, ReviewError) and each is not ReviewError
]


@pytest.mark.parametrize("error", EVERY)
def test_no_error_looks_like_an_answer(error: type[ReviewError]) -> None:
    """Whatever is not a decision is not 200, so that the API server asks the failure policy."""
    assert 400 <= int(error.status[:3]) < 600


@pytest.mark.parametrize("error", EVERY)
def test_the_status_shows_who_has_to_correct_it(error: type[ReviewError]) -> None:
    """Wrong requests are 4xx, and whatever is not their sender's fault is 5xx, new errors included."""
    assert error.status.startswith("4" if issubclass(error, BadRequest) else "5")


def test_the_limit_is_two_objects_and_an_envelope() -> None:
    """The API server sends objects of 3 MiB at most, the old one beside the new one."""
    assert http_errors.MAX_BODY == (2 * 3 + 1) * 1024 * 1024


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BadRequest("it is bad"), "400 Bad Request"),
        (OutOfTime(1.7, Part.GRAPH), "504 Gateway Timeout"),
        (LedgerUnavailable("it is away"), "503 Service Unavailable"),
        (WrongMediaType("it is XML"), "415 Unsupported Media Type"),
    ],
)
def test_an_error_is_answered_with_its_status_and_text(error: ReviewError, line: str) -> None:
    """The sender reads the error's own sentence, as plain text."""

    def fails() -> None:
        raise error

    webhook = Webhook(snapshot=fails)  # type: ignore[arg-type]  # it never returns
    reply = webhook.post(encoded(admission_review(workflow())))
    assert (reply.line, reply.body.decode()) == (line, f"{error.message}\n")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert webhook.metric("lockkeeper_errors_total", status=line[:3]) == 1
