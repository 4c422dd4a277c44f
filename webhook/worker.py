"""A gthread worker that slow clients cannot stop.

gunicorn's own waits for a connection's first bytes, shakes hands and reads in its few threads, without a
time limit. Two connections that say nothing would stop admission for everybody, and honest clients open
such connections: Go's transport dials a spare one now and then and keeps it idle. Here

- a connection costs no thread until it can be read, before the handshake and between handshake and request;
- a thread that must wait for bytes gives its turn away meanwhile, so that only `threads` of them compute;
- handshake and request must arrive within RECEIVE_SECONDS.

It overrides methods of gunicorn 27 by name; pyproject.toml pins the major version for that reason.
"""

import errno
import ssl
import time
from functools import partial
from queue import SimpleQueue
from selectors import EVENT_READ
from socket import socket
from typing import Final

from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from webhook.long_reviews import Places

RECEIVE_SECONDS: Final = 5.0
"""Time for the handshake, and then for a whole request; the API server sends both at once."""
WAITING_THREADS: Final = 64
"""Threads that may wait for slow clients beside those that compute."""
_NOT_AN_ERROR: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)


class Turns:
    """A counting semaphore made of a queue of tokens, which is several times faster than threading's."""

    def __init__(self, most: int) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._tokens.put(None)

    def take(self) -> None:
        """Wait for a turn."""
        self._tokens.get()

    def give(self) -> None:
        """Give the turn to somebody else."""
        self._tokens.put(None)


class PatientSocket(ssl.SSLSocket):
    """A TLS socket whose reads end in time, and that gives its thread's turn away while it waits."""

    turns: Turns | None = None
    lane: Places | None = None
    receive_by: float = 0.0

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - ssl's own signature
        """Shake hands within RECEIVE_SECONDS."""
        self.settimeout(RECEIVE_SECONDS)
        super().do_handshake(block)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - socket's own signature
        """Start the time of a request where the worker makes the socket blocking to read one."""
        self.receive_by = time.monotonic() + RECEIVE_SECONDS
        self.settimeout(RECEIVE_SECONDS if flag else 0.0)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return what is there at once; else wait, without a turn, for what is left of the time.

        Raises:
            ConnectionResetError: the time is over; gunicorn takes it for a client that went away.
        """
        self.settimeout(0.0)
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            return self._wait(buflen, flags)
        finally:
            self.settimeout(RECEIVE_SECONDS)

    def _wait(self, buflen: int, flags: int) -> bytes:
        left = self.receive_by - time.monotonic()
        if left <= 0:
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time")
        if self.turns is not None:
            self.turns.give()
        try:
            self.settimeout(left)
            return super().recv(buflen, flags)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from error
        finally:
            if self.turns is not None:
                self.turns.take()


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread with the three changes above; `cfg.threads` counts those that may wait as well."""

    def init_process(self) -> None:
        """Make the turns, then start as gthread does."""
        turns = max(1, self.cfg.threads - WAITING_THREADS)
        self.turns = Turns(turns)
        self.lane = Places(self.turns, max(1, turns - 1))
        super().init_process()

    def accept(self, listener: socket) -> None:
        """Take a connection and wait for its first bytes without a thread."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in _NOT_AN_ERROR:
                return
            raise
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> object:
        """Shake hands if that is still to do, then serve a request if one is there, in this thread's turn."""
        if not conn.initialized:
            try:
                conn.init()
            except (OSError, ValueError):
                return False  # A handshake that failed or took too long is the client's affair.
            conn.sock.turns, conn.sock.lane = self.turns, self.lane
            conn.data_ready = False
            if not conn.sock.pending() and not conn.wait_for_data(0):
                return _DEFER
        self.turns.take()
        try:
            return super().handle(conn)
        finally:
            self.turns.give()

    def _cap_keepalive(self, deadline: float) -> None:
        """Do not wait for silent connections at the end, either."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
