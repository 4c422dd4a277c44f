"""How requests of a connection become answers: head, body, application, answer, and then the next one.

Everything happens in the loop, as far as what has arrived allows. What the application does not do there is
handed to a thread, and nothing more is read of that connection until its answer is sent.
"""

import time
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final, Protocol

from webhook.http_errors import MAX_BODY, BadRequest, TooLarge
from webhook.serving.application import Application
from webhook.serving.client_connection import RECEIVE_SECONDS, ClientConnection, Request
from webhook.serving.connections import Stage
from webhook.serving.http_messages import (
    CONTINUE,
    HEAD_END,
    LONGEST_HEAD,
    AnswerWriter,
    Head,
    HeadParser,
    HttpAnswer,
    NoRequestError,
)
from webhook.turns import IN_LOOP, NotHereError, Turn

SEND_SECONDS: Final = 5.0
"""Time in which an answer has to be taken."""
MAX_DISCARDED: Final = 16 * 1024 * 1024
"""Bytes of a body that nobody wants which are still read, so that its sender gets the answer."""
DRAIN_SECONDS: Final = 5.0
"""Time for the rest of a body that was refused unread, so that its sender gets the answer."""
_RECEIVING: Final = frozenset({Stage.HEAD, Stage.BODY, Stage.DRAIN})
_NO_HEAD: Final = Head(method="", path="", query="", keeps_alive=False)
_READS: Final = 64
"""Reads of one connection before others get their turn."""
_NO_REQUEST: Final = b"this is no HTTP request that can be read\n"


class Host(Protocol):
    """The worker, as far as requests need it."""

    @property
    def stopping(self) -> bool:
        """Whether connections are to close after an answer."""

    @property
    def keep_alive(self) -> float:
        """Seconds for which a connection is kept for its next request."""

    def wait_for(self, conn: ClientConnection, stage: Stage, until: float, events: int = EVENT_READ) -> None:
        """Have the poller wait for a client."""

    def note_review(self, conn: ClientConnection) -> None:
        """Record that a review was answered on a connection."""

    def run_in_thread(
        self,
        conn: ClientConnection,
        call: Callable[[Turn], HttpAnswer | None],
        then: Callable[[HttpAnswer | None], None],
    ) -> None:
        """Call in a thread, then continue in the loop; the connection is not watched meanwhile."""

    def drop(self, conn: ClientConnection, *, politely: bool = False) -> None:
        """Close a connection."""


class HttpFlow:
    """The requests of all connections; the `stage` of one is None while a thread has it, or it is closed."""

    def __init__(self, app: Application, host: Host) -> None:
        self._app = app
        self._host = host
        self._heads = HeadParser()
        self._writer = AnswerWriter()

    def receive(self, conn: ClientConnection) -> None:
        """Read what has arrived, and do what it allows. Raises OSError."""
        for _ in range(_READS):
            data = conn.read()
            if data is None:
                break
            if not data:
                self._ended(conn)
                return
            conn.received = conn.received + data if conn.received else data
            self._advance(conn)
            if conn.stage not in _RECEIVING:
                break  # Nearly always: the answer is sent, and nothing else is there.
        self._settle(conn)

    def resume(self, conn: ClientConnection) -> None:
        """Send on what did not fit before. Raises OSError."""
        if conn.outgoing is not None:
            conn.outgoing = conn.send(conn.outgoing)
        if conn.outgoing is None:
            self._sent(conn)
            self._advance(conn)
        self._settle(conn)

    def give_up(self, conn: ClientConnection, why: str) -> None:
        """Close a connection whose client is late; one whose body is missing is told why. Raises OSError."""
        if conn.stage is Stage.BODY:
            self._refuse(conn, BadRequest(f"the body could not be read: {why}"))
        self._host.drop(conn)

    def _settle(self, conn: ClientConnection) -> None:
        """Wait for what a connection needs next."""
        stage = conn.stage
        if stage is Stage.IDLE:
            self._host.wait_for(conn, stage, time.monotonic() + self._host.keep_alive)
        elif stage is Stage.ANSWER:
            self._host.wait_for(conn, stage, conn.until, EVENT_WRITE)
        elif stage is not None:
            self._host.wait_for(conn, stage, conn.until)

    def _advance(self, conn: ClientConnection) -> None:
        """Do all that has arrived allows."""
        going_on = True
        while going_on:
            stage = conn.stage
            if stage is Stage.BODY:
                going_on = self._body(conn)
            elif stage is Stage.IDLE or stage is Stage.HEAD:
                going_on = self._head(conn)
            else:
                going_on = stage is Stage.DRAIN and self._drain(conn)

    def _head(self, conn: ClientConnection) -> bool:
        """Begin a request whose head is there; return whether more can be done."""
        text = conn.received
        end = text.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            if len(text) > LONGEST_HEAD:
                self._host.drop(conn)
            elif text and conn.stage is Stage.IDLE:
                conn.stage, conn.until = Stage.HEAD, time.monotonic() + RECEIVE_SECONDS
            return False
        try:
            head = self._heads.parse(text[:end])
        except NoRequestError:
            return self._reject(conn)
        conn.received = text[end:]
        request = conn.request = Request(head)
        # Known before the application is asked, so that the last answer says that the worker stops.
        conn.closes = self._host.stopping or not head.keeps_alive
        try:
            answer = self._app.answer_head(head, conn.peer, IN_LOOP)
        except NotHereError:
            self._run_in_thread(
                conn,
                lambda turn: self._app.answer_head(head, conn.peer, turn),
                lambda answer: self._after_head(conn, request, answer),
            )
            return False
        return self._after_head(conn, request, answer)

    def _after_head(self, conn: ClientConnection, request: Request, answer: HttpAnswer | None) -> bool:
        """Continue with the body, or with the answer where no body is wanted; return whether to go on."""
        conn.stage, conn.until = Stage.BODY, time.monotonic() + RECEIVE_SECONDS
        if answer is not None:
            return self._send(conn, answer)
        if request.head.expects_continue and request.head.has_body and not conn.received:
            conn.send(CONTINUE)  # So few bytes always fit: nothing else is on its way.
        return True

    def _body(self, conn: ClientConnection) -> bool:
        """Take what has arrived of a body, and answer it if complete; return whether more can be done."""
        request = conn.request
        if request is None:
            return False
        if conn.received:
            try:
                conn.received = request.take(conn.received)
            except NoRequestError as error:
                return self._refuse(conn, BadRequest(f"the body could not be read: {error}"))
        if request.length > MAX_BODY:
            return self._send(conn, self._app.refuse(TooLarge()))
        if not request.complete:
            return False
        body = request.body()
        try:
            answer = self._app.answer(request.head, body, IN_LOOP)
        except NotHereError:
            self._run_in_thread(
                conn,
                lambda turn: self._app.answer(request.head, body, turn),
                lambda answer: answer is not None and self._send(conn, answer),
            )
            return False
        return self._send(conn, answer)

    def _drain(self, conn: ClientConnection) -> bool:
        """Throw away what arrives of a body that nobody wants; return whether more can be done."""
        request, received = conn.request, conn.received
        if request is None or conn.broken or not received:
            conn.received = b""
            return False
        try:
            conn.received = request.take(received)
        except NoRequestError:
            self._host.drop(conn)
            return False
        if request.length > MAX_DISCARDED or (request.complete and conn.closes):
            self._host.drop(conn, politely=True)
        elif request.complete:
            conn.request, conn.stage = None, Stage.IDLE
            return True
        return False

    def _run_in_thread(
        self,
        conn: ClientConnection,
        call: Callable[[Turn], HttpAnswer | None],
        then: Callable[[HttpAnswer | None], object],
    ) -> None:
        def go_on(answer: HttpAnswer | None) -> None:
            then(answer)
            self._advance(conn)
            self._settle(conn)

        conn.stage = None
        self._host.run_in_thread(conn, call, go_on)

    def _reject(self, conn: ClientConnection) -> bool:
        """Answer what is no request, after which nothing on this connection has a meaning."""
        conn.broken, conn.received = True, b""
        conn.request = Request(_NO_HEAD)
        return self._send(conn, HttpAnswer("400 Bad Request", _NO_REQUEST))

    def _refuse(self, conn: ClientConnection, error: BadRequest) -> bool:
        """Answer a body whose end is not known, as `_reject` does."""
        conn.broken, conn.received = True, b""
        return self._send(conn, self._app.refuse(error))

    def _send(self, conn: ClientConnection, answer: HttpAnswer) -> bool:
        """Send an answer; return whether all of it is sent and more can be done."""
        request, now = conn.request, time.monotonic()
        if request is None:
            return False
        head = request.head
        conn.closes = conn.closes or conn.broken
        if head.method == "POST" and answer.good and not conn.reviewed:
            conn.reviewed = True
            self._host.note_review(conn)
        if not request.complete:
            request.discard()
        data = self._writer.write(answer, time.time(), close=conn.closes, without_body=head.method == "HEAD")
        conn.outgoing = conn.send(data)
        if conn.outgoing is not None:
            conn.stage, conn.until = Stage.ANSWER, now + SEND_SECONDS
            return False
        return self._sent(conn)

    def _sent(self, conn: ClientConnection) -> bool:
        """Go on after an answer was sent; return whether more can be done."""
        request = conn.request
        if request is not None and (conn.broken or not request.complete):
            # Closing now would take the answer away from a client that is still sending.
            conn.stage, conn.until = Stage.DRAIN, time.monotonic() + DRAIN_SECONDS
            return True
        if conn.closes:
            self._host.drop(conn, politely=True)
            return False
        conn.request, conn.stage = None, Stage.IDLE
        return bool(conn.received)

    def _ended(self, conn: ClientConnection) -> None:
        """Close a connection whose client has; a body that it did not end is logged."""
        request = conn.request
        if conn.stage is Stage.BODY and request is not None:
            how_much = f"{request.length} of {request.head.length} bytes"
            self._app.refuse(BadRequest(f"the body ended after {how_much}"))
        self._host.drop(conn)
