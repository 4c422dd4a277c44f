"""A TLS socket whose reads and writes end in time, and that gives its thread's turn away while it waits."""

import errno
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from select import POLLIN, POLLOUT, poll
from socket import SHUT_RDWR, socket
from threading import Lock
from typing import Final

from webhook.long_reviews import Places

RECEIVE_SECONDS: Final = 5.0
"""Time for the handshake, for the head of a request, and for its body; the API server sends each at once."""
SEND_SECONDS: Final = 5.0
"""Time in which an answer has to be taken."""


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


class Waiting:
    """Threads that wait for slow clients, at most so many of them: who has waited longest gives way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._sockets: dict[PatientSocket, None] = {}

    def begin(self, waiter: "PatientSocket") -> None:
        """Take note of a thread that is to wait, and let another go where there are too many."""
        with self._lock:
            while len(self._sockets) >= self._most:
                oldest = next(iter(self._sockets))
                del self._sockets[oldest]
                oldest.hang_up()
            self._sockets[waiter] = None

    def end(self, waiter: "PatientSocket") -> None:
        """Take note that a thread waits no more; one that had to give way is forgotten already."""
        with self._lock:
            self._sockets.pop(waiter, None)


@contextmanager
def aside(connection: object) -> Iterator[None]:
    """Give the turn of the thread that serves a connection away while the context lasts."""
    turns = connection.turns if isinstance(connection, PatientSocket) else None
    if turns is None:
        yield
        return
    turns.give()
    try:
        yield
    finally:
        turns.take()


class PatientSocket(ssl.SSLSocket):
    """The socket of a connection that PatientWorker serves.

    gunicorn asks for blocking reads and writes. Here they take what is there at once; where they have to
    wait, they do so without a turn and within the time of the request.
    """

    turns: Turns | None = None
    lane: Places | None = None
    waiting: Waiting | None = None
    receive_by: float = 0.0
    send_by: float = 0.0
    reviewed: bool = False
    """Whether the latest request was a review that got its answer."""

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - socket's own signature
        """Never block; start the time of a request where the worker wants to, because it will read one."""
        if flag:
            self.receive_by = time.monotonic() + RECEIVE_SECONDS
            self.send_by = 0.0
        super().settimeout(0.0)

    def settimeout(self, value: float | None) -> None:
        """Never block, whatever is asked for: only the times of this class count."""
        del value
        super().settimeout(0.0)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return what is there, or what comes in what is left of the time.

        Raises:
            ConnectionResetError: the time is over; gunicorn takes it for a client that went away.
        """
        while True:
            try:
                return super().recv(buflen, flags)
            except ssl.SSLWantReadError:
                self._wait(POLLIN, self.receive_by, "the request did not arrive in time")
            except ssl.SSLWantWriteError:
                self._wait(POLLOUT, self.receive_by, "the request did not arrive in time")

    def recv_now(self, buflen: int) -> bytes | None:
        """Return what is there, b"" at the end, or None where nothing is. Raises OSError."""
        try:
            return super().recv(buflen)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]  # gunicorn sends bytes only
        """Send what fits, or wait for the client to take some of it; a whole answer within SEND_SECONDS.

        Raises:
            ConnectionResetError: the time is over.
        """
        while True:
            try:
                return super().send(data, flags)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                if not self.send_by:
                    self.send_by = time.monotonic() + SEND_SECONDS
                mask = POLLIN if isinstance(wanted, ssl.SSLWantReadError) else POLLOUT
                self._wait(mask, self.send_by, "the answer was not taken in time")

    def hang_up(self) -> None:
        """End the connection under the thread that waits for it; closing it is that thread's."""
        try:
            # Not SSLSocket's own, which would take the TLS away from under the thread.
            socket.shutdown(self, SHUT_RDWR)
        except OSError:
            return  # The client has gone by itself.

    def _wait(self, mask: int, deadline: float, late: str) -> None:
        """Wait without a turn until the socket is readable or writable."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ConnectionResetError(errno.ECONNRESET, late)
        if self.turns is None or self.waiting is None:
            raise ConnectionResetError(errno.ECONNRESET, "nobody waits for this connection")
        self.turns.give()
        self.waiting.begin(self)
        try:
            poller = poll()
            poller.register(self.fileno(), mask)
            ready = poller.poll(left * 1000)
        finally:
            self.waiting.end(self)
            self.turns.take()
        if not ready:
            raise ConnectionResetError(errno.ECONNRESET, late)
