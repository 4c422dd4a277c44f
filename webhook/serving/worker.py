"""A gthread worker that silent and slow clients cannot stop (docs/adr/0006).

gunicorn's own waits for a connection's first bytes, shakes hands and reads in its few threads, without a
time limit. Two silent connections would stop admission for everybody, and honest clients open
such connections: Go's transport dials a spare one now and then and keeps it idle. Here

- a connection costs no thread until the head of a request is there: the poller drives first byte, handshake
  and head, each within a time of its own, and a thread of its own does the arithmetic of handshakes;
- a thread that must wait for a body, or for its answer to be taken, has no permit to compute meanwhile, of
  which there are `threads`; where too many wait, the one that has waited longest is disconnected;
- connections are bounded, all of them and those of one peer, and a silent one is closed for a new one.

It overrides methods of gunicorn 27 by name; pyproject.toml pins the major version for that reason.
"""

import errno
import ssl
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from socket import socket
from typing import Any, Final

from gunicorn.http import get_parser
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import _DEFER, STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from webhook.serving.connections import MOST, ConnectionTable, Stage
from webhook.serving.timed_socket import RECEIVE_SECONDS, TimedSocket, WaitingThreads
from webhook.time_left import LongReviewSlots, Permits

_FIRST_BYTE_SECONDS: Final = 3.0
"""From the connection to its first byte: a TLS client sends first, and at once."""
WAITING_THREADS: Final = 64
"""Threads beside those that compute: for clients that are slow to send a body or to take their answer."""
_SPARE_THREADS: Final = 2
"""Of those, some that never wait: for heads, and for clients that have just been disconnected."""
_LONGEST_HEAD: Final = 16 * 1024
"""Bytes of a request's head; the API server's are below 1 KiB."""
_ACCEPTS: Final = 64
"""Connections that are accepted at once, when many arrive."""
_DRAIN_SECONDS: Final = 0.5
"""For the rest of a body that was refused unread, so that its connection can be used again."""
_SWEEP_SECONDS: Final = 0.5
_HEAD_END: Final = b"\r\n\r\n"
_CHUNK: Final = 16 * 1024
_NOT_AN_ERROR: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
_NO_MORE_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ClientConnection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection, with what was received of its next request; `events` are what its handshake waits for."""

    def __init__(self, cfg: object, sock: socket, client: object, server: object) -> None:
        super().__init__(cfg, sock, client, server)
        self.sock: Any
        self.initialized: bool
        self.received = bytearray()
        self.events = EVENT_READ
        self.done_by = time.monotonic() + RECEIVE_SECONDS
        """When the handshake, or the head that has begun, has to be there."""

    def continue_handshake(self) -> bool:
        """Take the handshake as far as it goes without waiting; return whether it is done. Raises OSError."""
        if not self.initialized:
            self.initialized = True
            self.sock = ssl_wrap_socket(self.sock, self.cfg)
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self.events = EVENT_READ
            return False
        except ssl.SSLWantWriteError:
            self.events = EVENT_WRITE
            return False
        self.events = EVENT_READ
        self.parser = get_parser(self.cfg, self.sock, self.client)
        return True

    def read_head(self) -> bool:
        """Read what is there of a request; return whether all of its head is, which the parser has then.

        Raises:
            EOFError: the client is gone, or its head is too long.
            OSError: the connection broke.
        """
        received, unreader = self.received, self.parser.unreader
        began = bool(received)
        if unreader.buf.getvalue():
            received += unreader.take_buffered()
        while _HEAD_END not in received:
            chunk = self.sock.recv_now(_CHUNK)
            if chunk == b"" or len(received) > _LONGEST_HEAD:
                raise EOFError
            if chunk and not received and _HEAD_END in chunk:
                unreader.unread(chunk)  # As nearly always: a head arrives in one piece.
                return True
            if chunk is None:
                if received and not began:
                    self.done_by = time.monotonic() + RECEIVE_SECONDS
                return False
            received += chunk
        unreader.unread(bytes(received))
        received.clear()
        return True

    @property
    def has_more(self) -> bool:
        """Whether bytes of a next request are here already, where the poller does not see them."""
        return bool(self.parser.unreader.buf.getvalue() or self.sock.pending())


class TimedWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread with the changes above; `cfg.threads` counts those that may wait as well."""

    def init_process(self) -> None:
        """Create what bounds connections, threads and long reviews, then start as gthread does."""
        computing = max(1, self.cfg.threads - WAITING_THREADS)
        self.permits = Permits(computing)
        self.long_reviews = LongReviewSlots(self.permits, max(1, computing - 1))
        self.waiting = WaitingThreads(WAITING_THREADS - _SPARE_THREADS)
        self.connections: ConnectionTable[ClientConnection] = ConnectionTable()
        self.handshakes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="handshakes")
        self.worker_connections = (
            2 * MOST
        )  # Never reached: silent ones are closed, the others are in threads.
        self._swept = 0.0
        super().init_process()

    def accept(self, listener: socket) -> None:
        """Take the connections that are there, so many at most before others are served."""
        for _ in range(_ACCEPTS):
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in _NO_MORE_FILES:
                    self._drop(self.connections.first_to_close())
                elif error.errno not in _NOT_AN_ERROR:
                    raise
                return
            self._take(client, address, listener)

    def _take(self, client: socket, address: object, listener: socket) -> None:
        """Wait for the first byte of a connection, for which a silent one may be closed."""
        conn = ClientConnection(self.cfg, client, address, listener.getsockname())
        self.nr_conns += 1
        self._drop(self.connections.add(conn, _peer(address)))
        self._await(conn, Stage.FIRST_BYTE, time.monotonic() + _FIRST_BYTE_SECONDS)

    def handle(self, conn: ClientConnection) -> object:
        """Serve a request if all of its head is there, with a permit to compute."""
        try:
            if not conn.read_head():
                return _DEFER
        except (OSError, EOFError):
            return False
        self.permits.acquire()
        try:
            return super().handle(conn)
        finally:
            self.permits.release()

    def finish_request(self, conn: ClientConnection, done: "Future[object]") -> None:
        """Wait for the next request, or for the rest of one; close where nothing more is expected."""
        try:
            self._go_on(conn, done.result())
        except Exception:  # noqa: BLE001 - as gunicorn has it: one connection ends, the worker does not
            self._drop(conn)

    def _go_on(self, conn: ClientConnection, result: object) -> None:
        """Continue with a connection after a thread worked on it."""
        if result is _DEFER:
            if conn.received:
                self._await(conn, Stage.HEAD, conn.done_by)
            else:
                self._idle(conn)
        elif not result:
            self._drop(conn, graceful=True)
        else:
            if conn.sock.reviewed:
                self.connections.set_reviewed(conn)
            if conn.has_more:
                self.enqueue_req(conn)
            else:
                self._idle(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - gthread's own signature
        """Close silent connections whose time is over, or all of them."""
        now = time.monotonic()
        if force:
            gone = self.connections.all_silent()
        elif now - self._swept < _SWEEP_SECONDS:
            return
        else:
            gone = self.connections.overdue(now)
        self._swept = now
        for conn in gone:
            self._drop(conn)

    def murder_pending(self) -> None:
        """Do nothing: there is one list of silent connections."""

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Check for silent connections more often than gthread does."""
        super().wait_for_and_dispatch_events(min(timeout, _SWEEP_SECONDS))

    def _keepalive_after(self, conn: ClientConnection, keepalive: object) -> bool:
        """Wait for the rest of a body that was not read, and briefly: the connection can close as well."""
        conn.sock.receive_by = min(conn.sock.receive_by, time.monotonic() + _DRAIN_SECONDS)
        return bool(super()._keepalive_after(conn, keepalive))

    def _cap_keepalive(self, deadline: float) -> None:
        """Do not wait for silent connections at the end."""
        self.connections.shorten_waits(deadline)

    def _idle(self, conn: ClientConnection) -> None:
        """Keep a connection for its next request."""
        seconds = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        self._await(conn, Stage.IDLE, time.monotonic() + seconds)

    def _await(self, conn: ClientConnection, stage: Stage, until: float) -> None:
        """Have the poller wait for a connection, without a thread."""
        self.connections.set_silent(conn, stage, until)
        self.poller.register(conn.sock, conn.events, partial(self._ready, conn))

    def _ready(self, conn: ClientConnection, _socket: object) -> None:
        """Continue with a connection that can be read, or written where its handshake asks for that."""
        stage = self.connections.stage(conn)
        if stage is None:
            return  # It was closed by an event of the same poll.
        self.poller.unregister(conn.sock)
        self.connections.set_busy(conn)
        if stage in (Stage.IDLE, Stage.HEAD):
            self.enqueue_req(conn)
        else:
            done = self.handshakes.submit(conn.continue_handshake)
            done.add_done_callback(lambda future: self.method_queue.defer(self._shaken, conn, future))

    def _shaken(self, conn: ClientConnection, done: "Future[bool]") -> None:
        """Continue after a step of a handshake."""
        try:
            if not done.result():
                self._await(conn, Stage.HANDSHAKE, conn.done_by)
                return
            conn.sock.permits, conn.sock.waiting = self.permits, self.waiting
            conn.sock.long_reviews = self.long_reviews
            if conn.has_more:
                self.enqueue_req(conn)
            else:
                self._idle(conn)
        except (OSError, ValueError):  # A handshake that failed is the client's fault.
            self._drop(conn)
        except Exception:  # No certificate, for one: this connection ends, the worker does not.
            self.log.exception("a handshake failed")
            self._drop(conn)

    def _drop(self, conn: ClientConnection | None, *, graceful: bool = False) -> None:
        """Close a connection, if there is one, and remove it."""
        if conn is None:
            return
        if self.connections.stage(conn) is not None:
            with suppress(KeyError, ValueError, OSError):
                self.poller.unregister(conn.sock)
        if not self.connections.remove(conn):
            return
        self.nr_conns -= 1
        with suppress(OSError):  # It may be closed already, and that must not end the worker.
            conn.close(graceful=graceful)


def note_review(_worker: object, request: Any, environ: dict[str, Any], response: Any) -> None:
    """Note on the socket whether a request was a review that got its answer; gunicorn's `post_request`."""
    sock = environ.get("gunicorn.socket")
    if isinstance(sock, TimedSocket):
        sock.reviewed = response is not None and request.method == "POST" and response.status_code == 200  # noqa: PLR2004


def _peer(address: object) -> str:
    """Return the address of a client, without its port."""
    return str(address[0]) if isinstance(address, tuple) and address else ""
