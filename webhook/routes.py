"""The admission routes: what is answered to which request, without Flask because every create waits for them.

Flask's routing and context cost more than the whole review (docs/adr/0004); probes and metrics are Flask's.
"""

import time
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

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
from webhook.serving.http_messages import JSON, Head, HttpAnswer
from webhook.time_left import budget_of
from webhook.turns import NotHereError, Turn

_UNKNOWN: Final = (
    "this path is not in the webhook configurations of Lockkeeper: only the API server is answered, "
    "which knows it from there"
)
_OK: Final = "200 OK"
_LARGE: Final = 512 * 1024
"""Bytes of a body that the loop does not read: to parse it takes milliseconds, which nothing interrupts."""
AnswerOther: TypeAlias = Callable[[Head, str, Turn], HttpAnswer]
"""Answers a path that is none of admission, for a peer."""


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
        other: AnswerOther,
        callers: Callers | None = None,
        unknown: UnknownCallers | None = None,
    ) -> None:
        self._parts = parts
        self._log = log
        self._metrics = metrics
        self._other = other
        self._callers = callers
        self._unknown = unknown or UnknownCallers(warn=lambda _: None, stopwatch=time.monotonic)

    def answer_head(self, head: Head, peer: str, turn: Turn) -> HttpAnswer | None:
        """Answer what is no review of a known caller; None for one, whose body is wanted then."""
        call = call_of(head.path)
        try:
            if call is None:
                return self._other(head, peer, turn)
            callers = self._callers
            if callers is not None and not callers.accepts(call):
                self._check_caller(callers, call, peer, turn)
            _check_head(head)
        except NotHereError:
            raise
        except Exception as error:  # noqa: BLE001 - our bug must be a 500 in the log
            return self._failed(error, b"")
        return None

    def answer(self, head: Head, body: bytes, turn: Turn) -> HttpAnswer:
        """Answer a review."""
        call = call_of(head.path)
        try:
            if call is None or not body:
                raise BadRequest("the body is empty; send an AdmissionReview")  # noqa: TRY301 - one place
            if len(body) > _LARGE:
                turn.may_wait()
            answer_to = review_policy if call.side is Side.POLICIES else review
            return HttpAnswer(_OK, answer_to(body, call.side, budget_of(head.query), self._parts, turn), JSON)
        except NotHereError:
            raise
        except Exception as error:  # noqa: BLE001 - our bug must be a 500 with its uid in the log
            return self._failed(error, body)

    def refuse(self, error: BadRequest) -> HttpAnswer:
        """Answer a request whose body could not be read."""
        return self._failed(error, b"")

    def _failed(self, error: Exception, body: bytes) -> HttpAnswer:
        """Return the answer to a request that was not answered with a decision; log and count it."""
        if not isinstance(error, ReviewError):
            status = ReviewError.status
            self._log.bug(uid_of(body), error)
            self._metrics.failed(status)
            text = b"an error of lockkeeper's own; its log has the details under the review's uid\n"
            return HttpAnswer(status, text)
        if not isinstance(error, UnknownCaller):
            self._log.refused(uid_of(body), error.status, error.message)
        self._metrics.failed(error.status)
        if isinstance(error, OutOfTime):
            self._metrics.out_of_time(error.part)
        allow = (("Allow", "POST"),) if isinstance(error, NotAllowed) else ()
        return HttpAnswer(error.status, f"{error.message}\n".encode(), headers=allow)

    def _check_caller(self, callers: Callers, call: WebhookCall, peer: str, turn: Turn) -> None:
        """Check the caller before anything of the request is read. Raises UnknownCaller, NotSynced."""
        with turn.waiting():  # Others compute while this one waits.
            known = callers.accepts_after_read(call)
        if known:
            return
        self._unknown.record(call, peer)
        self._metrics.unknown_caller(call.side)
        raise UnknownCaller(_UNKNOWN)


def _check_head(head: Head) -> None:
    """Check that a head is that of a POST of JSON, of at most MAX_BODY bytes. Raises BadRequest."""
    if head.method != "POST":
        raise NotAllowed(f"{head.method} is not allowed here; POST an AdmissionReview")
    if head.media_type != JSON:
        raise WrongMediaType(f"Content-Type is {head.media_type or 'missing'}; it must be {JSON}")
    if head.length > MAX_BODY:
        raise TooLarge


def nothing_here(_head: Head, _peer: str, _turn: Turn) -> HttpAnswer:
    """Answer an unknown path: probes and metrics are on a port of their own."""
    return HttpAnswer("404 Not Found", b"there is nothing here; probes and metrics are on the health port\n")


def uid_of(body: bytes) -> str:
    """Return the uid of the review in a body, or "" where none can be read."""
    try:
        raw = msgspec.json.decode(body, type=_UidOnly).request.get("uid")
        return msgspec.json.decode(raw, type=str) if raw is not None else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
