"""A gunicorn worker with a loop of its own, which silent and slow clients cannot stop (docs/adr/0034).

One thread serves all connections and answers nearly all reviews itself: it waits for nobody.

- A connection costs no thread: the poller drives first byte, handshake, head, body and answer, each within a
  time of its own; a thread of its own does the arithmetic of handshakes.
- What may wait, or takes long, runs in one of `WAITING_THREADS`, of which `threads` compute at once.
- Connections are bounded, all of them and those of one peer, and a silent one is closed for a new one. So are
  those that have half a body, or an answer that is not taken: the one that has waited longest is closed.

It needs little of gunicorn: the process, its signals, its heartbeat and its sockets.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from socket import socket
from typing import Any, Final

from gunicorn.workers.base import Worker

from webhook.serving.client_connection import ClientConnection
from webhook.serving.connections import SLOW, ConnectionTable, Stage
from webhook.serving.http_flow import HttpFlow
from webhook.serving.http_messages import HttpAnswer
from webhook.turns import LongReviewSlots, Permits, ThreadTurn, Turn

_FIRST_BYTE_SECONDS: Final = 3.0
"""From the connection to its first byte: a TLS client sends first, and at once."""
WAITING_THREADS: Final = 64
"""Threads for what waits: for a ledger, an owner, or others that compute."""
MOST_SLOW: Final = 62
"""Connections with half a body, or with an answer that is not taken: each may hold megabytes."""
_ACCEPTS: Final = 64
"""Connections that are accepted at once, when many arrive."""
_SWEEP_SECONDS: Final = 0.5
_LINGER_SECONDS: Final = 2.0
"""How long silent connections are kept when the worker stops: a request may be on its way in one."""
_PIPE_BYTES: Final = 4096
_NOT_AN_ERROR: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
_NO_MORE_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class LoopWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """The worker; `cfg.threads` is how many threads compute at once beside the loop."""

    def init_process(self) -> None:
        """Create what bounds connections, threads and long reviews, then start as every worker does."""
        self.poller = DefaultSelector()
        self.connections: ConnectionTable[ClientConnection] = ConnectionTable()
        self.permits = Permits(max(1, self.cfg.threads))
        self.long_reviews = LongReviewSlots(self.permits, max(1, self.cfg.threads - 1))
        self.threads = ThreadPoolExecutor(max_workers=WAITING_THREADS, thread_name_prefix="review")
        self.handshakes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="handshakes")
        self.finished: deque[Callable[[], None]] = deque()
        self.slow: dict[ClientConnection, None] = {}
        self._swept = 0.0
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, and then what has begun."""
        self.flow = HttpFlow(self.wsgi, self)
        listeners = [each.sock for each in self.sockets]
        for listener in listeners:
            listener.settimeout(0.0)
            self.poller.register(listener, EVENT_READ, self._accept)
        self.poller.register(self.PIPE[0], EVENT_READ, self._wake)
        while self.alive and self.ppid == os.getppid():
            self._turn(_SWEEP_SECONDS)
        self.alive: bool = False
        for listener in listeners:
            self.poller.unregister(listener)
        self._finish()

    @property
    def stopping(self) -> bool:
        """Whether connections are to close after an answer."""
        return not self.alive

    @property
    def keep_alive(self) -> float:
        """Seconds for which a connection is kept for its next request."""
        return float(self.cfg.keepalive) if self.alive else _LINGER_SECONDS

    def wait_for(self, conn: ClientConnection, stage: Stage, until: float, events: int = EVENT_READ) -> None:
        """Have the poller wait for a client; of too many slow ones another is closed."""
        if conn.events != events:
            self._watch(conn, events)
        self.connections.set_silent(conn, stage, until)
        if stage not in SLOW:
            if self.slow:
                self.slow.pop(conn, None)
            return
        self.slow[conn] = None
        if len(self.slow) > MOST_SLOW:
            self._give_up(next(iter(self.slow)), "others have waited less")

    def note_review(self, conn: ClientConnection) -> None:
        """Record that a review was answered on a connection."""
        self.connections.set_busy(conn)
        self.connections.set_reviewed(conn)

    def run_in_thread(
        self,
        conn: ClientConnection,
        call: Callable[[Turn], HttpAnswer | None],
        then: Callable[[HttpAnswer | None], None],
    ) -> None:
        """Call in a thread that has a permit to compute, then continue in the loop."""
        self._watch(conn, 0)
        self.connections.set_busy(conn)
        self.slow.pop(conn, None)
        since = time.monotonic()

        def with_permit() -> HttpAnswer | None:
            self.permits.acquire()
            try:
                return call(ThreadTurn(self.permits, self.long_reviews, time.monotonic() - since))
            finally:
                self.permits.release()

        def go_on(done: "Future[HttpAnswer | None]") -> None:
            self._guarded(conn, lambda: then(done.result()))

        self._submit(self.threads, with_permit, go_on)

    def drop(self, conn: ClientConnection | None, *, politely: bool = False) -> None:
        """Close a connection, if there is one, and remove it."""
        if conn is None or not self.connections.remove(conn):
            return
        self._watch(conn, 0)
        self.slow.pop(conn, None)
        conn.stage = None
        conn.close(politely=politely)

    def _turn(self, seconds: float) -> None:
        """Serve the connections that are ready, or wait for one."""
        for key, _ in self.poller.select(seconds):
            conn = key.data
            if isinstance(conn, ClientConnection):
                if conn.events:  # Else it was closed by an event of the same turn.
                    self._serve(conn)
            else:
                key.data(key.fileobj)
        now = time.monotonic()
        if now - self._swept >= _SWEEP_SECONDS:
            self._swept = now
            self.notify()
            for conn in self.connections.overdue(now):
                self._give_up(conn, "it did not arrive in time")

    def _serve(self, conn: ClientConnection) -> None:
        """Continue with a connection that is ready."""
        if conn.stage is Stage.FIRST_BYTE or conn.stage is Stage.HANDSHAKE:
            self._shake_hands(conn)
        elif conn.stage is Stage.ANSWER:
            self._guarded(conn, self.flow.resume, conn)
        else:
            self._guarded(conn, self.flow.receive, conn)

    def _guarded(self, conn: ClientConnection, work: Callable[..., object], *given: object) -> None:
        """Work on a connection: it ends where that fails, and the worker does not."""
        try:
            work(*given)
        except OSError:  # The client is gone, or broke TLS.
            self.drop(conn)
        except Exception:
            self.log.exception("a connection failed")
            self.drop(conn)

    def _accept(self, listener: socket) -> None:
        """Take the connections that are there, so many at most before others are served."""
        for _ in range(_ACCEPTS):
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in _NO_MORE_FILES:
                    self.drop(self.connections.first_to_close())
                elif error.errno not in _NOT_AN_ERROR:
                    raise
                return
            conn = ClientConnection(client, _peer(address), self._context)
            self.drop(self.connections.add(conn, conn.peer))
            self.wait_for(conn, Stage.FIRST_BYTE, time.monotonic() + _FIRST_BYTE_SECONDS)

    def _context(self) -> Any:
        """Return the TLS context for a new connection: certificates are swapped while this runs."""
        return self.cfg.ssl_context(self.cfg, lambda: None)

    def _shake_hands(self, conn: ClientConnection) -> None:
        """Take a step of a handshake in the thread for that."""
        self._watch(conn, 0)
        self.connections.set_busy(conn)

        def go_on(done: "Future[int]") -> None:
            if not isinstance(done.exception(), ValueError):  # A handshake that failed is the client's fault.
                self._guarded(conn, lambda: self._shaken(conn, done.result()))
            else:
                self.drop(conn)

        self._submit(self.handshakes, conn.shake_hands, go_on)

    def _shaken(self, conn: ClientConnection, events: int) -> None:
        """Continue after a step of a handshake."""
        if events:
            conn.stage = Stage.HANDSHAKE
            self.wait_for(conn, Stage.HANDSHAKE, conn.until, events)
        else:
            conn.stage = Stage.IDLE
            self.flow.receive(conn)

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[], Any],
        go_on: Callable[["Future[Any]"], None],
    ) -> None:
        """Work in a thread of a pool, then continue in the loop."""

        def finish(done: "Future[Any]") -> None:
            self.finished.append(lambda: go_on(done))
            with suppress(OSError):  # It is full, so the loop wakes anyway; or the worker has ended.
                os.write(self.PIPE[1], b".")

        pool.submit(work).add_done_callback(finish)

    def _wake(self, pipe: int) -> None:
        """Continue with what threads have finished; a signal wakes the loop as well."""
        with suppress(OSError):
            os.read(pipe, _PIPE_BYTES)
        while self.finished:
            self.finished.popleft()()

    def _watch(self, conn: ClientConnection, events: int) -> None:
        """Have the poller watch a connection for these events, or not at all."""
        before, conn.events = conn.events, events
        if before and events:
            self.poller.modify(conn.sock, events, conn)
        elif events:
            self.poller.register(conn.sock, events, conn)
        elif before:
            with suppress(KeyError, ValueError, OSError):
                self.poller.unregister(conn.sock)

    def _give_up(self, conn: ClientConnection, why: str) -> None:
        """Close a connection that has kept us waiting."""
        self._guarded(conn, self.flow.give_up, conn, why)

    def _finish(self) -> None:
        """Finish what has begun, and wait for silent connections only briefly."""
        now = time.monotonic()
        until = now + self.cfg.graceful_timeout
        self.connections.shorten_waits(now + _LINGER_SECONDS)
        while len(self.connections) and time.monotonic() < until:
            self._turn(_SWEEP_SECONDS / 5)
        for pool in (self.threads, self.handshakes):
            pool.shutdown(wait=False, cancel_futures=True)


def _peer(address: object) -> str:
    """Return the address of a client, without its port."""
    return str(address[0]) if isinstance(address, tuple) and address else ""
