"""The admission routes as a WSGI application, without Flask because every create waits for them.

Flask's routing and context cost more than the whole review (docs/adr/0004); everything else is Flask's.
"""

import time
from collections.abc import Iterable
from typing import BinaryIO, Final, TypeAlias, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import msgspec
from gunicorn.http.errors import ParseException

from policy.core.decision.decision import Side
from policy.core.values.prepared import prepare
from webhook.callers import Callers, UnknownCallers, WebhookCall, call_of
from webhook.http_errors import (
    MAX_BODY,
    BadRequest,
    NotAllowed,
    OutOfTime,
    ReviewError,
    TooLarge,
    UnknownCaller,
    WrongMediaType,
)
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.policy_review import review_policy
from webhook.review import Reviewing, review
from webhook.serving.timed_socket import without_permit
from webhook.time_left import budget_of, long_reviews_of

MAX_DISCARDED: Final = 16 * 1024 * 1024
"""Bytes of a body that is too large which are still read, so that its sender gets the answer."""
_MAX_DIGITS: Final = 18
_UNKNOWN: Final = (
    "this path is not in the webhook configurations of Lockkeeper: only the API server is answered, "
    "which knows it from there"
)
_CHUNK: Final = 64 * 1024
_JSON: Final = ("Content-Type", "application/json")
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_Headers: TypeAlias = list[tuple[str, str]]


class _UidOnly(msgspec.Struct):
    """Just enough of a review to name it in a log line about our own fault."""

    request: dict[str, msgspec.Raw] = {}


prepare(_UidOnly)


class Admission:
    """Answers POST /mutate, /validate and /policies of callers that are known.

    Hands every other path to `other`. Without `callers` every caller that reaches the port is known; a former
    secret that is still in a configuration does no harm then.
    """

    def __init__(
        self,
        *,
        parts: Reviewing,
        log: Log,
        metrics: Metrics,
        other: WSGIApplication,
        callers: Callers | None = None,
        unknown: UnknownCallers | None = None,
    ) -> None:
        self._parts = parts
        self._log = log
        self._metrics = metrics
        self._other = other
        self._callers = callers
        self._unknown = unknown or UnknownCallers(warn=lambda _: None, stopwatch=time.monotonic)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        call = call_of(environ["PATH_INFO"])
        if call is None:
            return self._other(environ, start_response)
        callers, side = self._callers, call.side
        body = b""
        headers: _Headers = [_TEXT]
        try:
            if callers is not None and not callers.accepts(call):
                self._check_caller(callers, call, environ)
            body = _read_body(environ)
            budget = budget_of(environ.get("QUERY_STRING", ""))
            answer_to = review_policy if side is Side.POLICIES else review
            answer = answer_to(body, side, budget, self._parts, long_reviews_of(environ))
            status, headers = "200 OK", [_JSON]
        except ReviewError as error:
            status, answer = error.status, f"{error.message}\n".encode()
            if not isinstance(error, UnknownCaller):
                self._log.refused(uid_of(body), status, error.message)
            self._metrics.failed(status)
            if isinstance(error, OutOfTime):
                self._metrics.out_of_time(error.part)
            if isinstance(error, NotAllowed):
                headers.append(("Allow", "POST"))
        except Exception as error:  # noqa: BLE001 - our bug must be a 500 with its uid in the log
            status = "500 Internal Server Error"
            answer = b"an error of lockkeeper's own; its log has the details under the review's uid\n"
            self._log.bug(uid_of(body), error)
            self._metrics.failed(status)
        headers.append(("Content-Length", str(len(answer))))
        start_response(status, headers)
        return (answer,)

    def _check_caller(self, callers: Callers, call: WebhookCall, environ: WSGIEnvironment) -> None:
        """Check the caller before anything of the request is read. Raises UnknownCaller, NotSynced."""
        with without_permit(environ.get("gunicorn.socket")):  # Others compute while this one waits.
            known = callers.accepts_after_read(call)
        if known:
            return
        self._unknown.record(call, environ.get("REMOTE_ADDR", ""))
        self._metrics.unknown_caller(call.side)
        raise UnknownCaller(_UNKNOWN)


def nothing_here(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer an unknown path: probes and metrics are on a port of their own."""
    answer = b"there is nothing here; probes and metrics are on the health port\n"
    start_response("404 Not Found", [_TEXT, ("Content-Length", str(len(answer)))])
    return (answer,)


def _read_body(environ: WSGIEnvironment) -> bytes:
    """Return the body of a POST of JSON, at most MAX_BODY bytes, with a length or in chunks.

    Raises:
        BadRequest: the method, the media type, the size or the length is wrong.
    """
    if environ["REQUEST_METHOD"] != "POST":
        raise NotAllowed(f"{environ['REQUEST_METHOD']} is not allowed here; POST an AdmissionReview")
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise WrongMediaType(f"Content-Type is {media_type or 'missing'}; it must be application/json")
    stream = cast("BinaryIO", environ["wsgi.input"])
    declared = environ.get("CONTENT_LENGTH", "")
    if declared and not (declared.isascii() and declared.isdigit()):
        raise BadRequest("Content-Length is no length")
    if len(declared) > _MAX_DIGITS or (declared and int(declared) > MAX_BODY):
        _discard(stream, MAX_DISCARDED)
        raise TooLarge
    try:
        body = stream.read(int(declared)) if declared else stream.read(MAX_BODY + 1)
    except (OSError, ParseException) as error:  # The client went away, was too slow, or sent no chunks.
        raise BadRequest(f"the body could not be read: {error}") from error
    if len(body) > MAX_BODY:
        _discard(stream, MAX_DISCARDED)
        raise TooLarge
    if declared and len(body) < int(declared):
        raise BadRequest(f"the body ended after {len(body)} of {declared} bytes")
    if not body:
        raise BadRequest("the body is empty; send an AdmissionReview")
    return body


def _discard(stream: BinaryIO, most: int) -> None:
    """Read on to the end of the body, or for `most` bytes, so that its sender listens to the answer."""
    try:
        while most > 0 and (chunk := stream.read(min(_CHUNK, most))):
            most -= len(chunk)
    except (OSError, ParseException):
        return  # Its sender is gone, or sends no chunks any more.


def uid_of(body: bytes) -> str:
    """Return the uid of the review in a body, or "" where none can be read."""
    try:
        raw = msgspec.json.decode(body, type=_UidOnly).request.get("uid")
        return msgspec.json.decode(raw, type=str) if raw is not None else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
