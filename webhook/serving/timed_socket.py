"""A TLS socket whose reads and writes end in time; the thread that waits for one has no permit meanwhile."""

import errno
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from select import POLLIN, POLLOUT, poll
from socket import SHUT_RDWR, socket
from threading import Lock
from typing import Final

from webhook.time_left import LongReviewSlots, Permits

RECEIVE_SECONDS: Final = 5.0
"""Time for the handshake, for the head of a request, and for its body; the API server sends each at once."""
_SEND_SECONDS: Final = 5.0
"""Time in which an answer has to be taken."""


class WaitingThreads:
    """Threads that wait for slow clients, at most so many: the longest waiting is disconnected."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._sockets: dict[TimedSocket, None] = {}

    def begin(self, waiter: "TimedSocket") -> None:
        """Record a thread that is to wait, and disconnect another where there are too many."""
        with self._lock:
            while len(self._sockets) >= self._most:
                oldest = next(iter(self._sockets))
                del self._sockets[oldest]
                oldest.disconnect()
            self._sockets[waiter] = None

    def end(self, waiter: "TimedSocket") -> None:
        """Record that a thread waits no more; one that was disconnected is removed already."""
        with self._lock:
            self._sockets.pop(waiter, None)


@contextmanager
def without_permit(connection: object) -> Iterator[None]:
    """Release the permit of the thread that serves a connection while the context lasts."""
    permits = connection.permits if isinstance(connection, TimedSocket) else None
    if permits is None:
        yield
        return
    permits.release()
    try:
        yield
    finally:
        permits.acquire()


class TimedSocket(ssl.SSLSocket):
    """The socket of a connection that TimedWorker serves.

    gunicorn calls blocking reads and writes. Here they return at once what is there; where they have to
    wait, they do so without a permit and within the time of the request.
    """

    permits: Permits | None = None
    long_reviews: LongReviewSlots | None = None
    waiting: WaitingThreads | None = None
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

    def settimeout(self, _value: float | None) -> None:
        """Never block, whatever the caller sets: only the times of this class count."""
        super().settimeout(0.0)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return what is there, or what arrives in the time that is left.

        Raises:
            ConnectionResetError: the time is over; gunicorn handles it like a client that is gone.
        """
        while True:
            try:
                return super().recv(buflen, flags)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                self._wait(wanted, self.receive_by, "the request did not arrive in time")

    def recv_now(self, buflen: int) -> bytes | None:
        """Return what is there, b"" at the end, or None where nothing is. Raises OSError."""
        try:
            return super().recv(buflen)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]  # gunicorn sends bytes only
        """Send what fits, or wait for the client to take some of it; a whole answer within `_SEND_SECONDS`.

        Raises:
            ConnectionResetError: the time is over.
        """
        while True:
            try:
                return super().send(data, flags)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
                if not self.send_by:
                    self.send_by = time.monotonic() + _SEND_SECONDS
                self._wait(wanted, self.send_by, "the answer was not taken in time")

    def disconnect(self) -> None:
        """End the connection under the thread that waits for it; closing it is that thread's."""
        try:
            # Not SSLSocket's own, which would take the TLS away from under the thread.
            socket.shutdown(self, SHUT_RDWR)
        except OSError:
            return  # The client has closed it already.

    def _wait(self, wanted: ssl.SSLError, deadline: float, late: str) -> None:
        """Wait without a permit until the socket is readable or writable."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ConnectionResetError(errno.ECONNRESET, late)
        if self.permits is None or self.waiting is None:
            raise ConnectionResetError(errno.ECONNRESET, "nobody waits for this connection")
        self.permits.release()
        self.waiting.begin(self)
        try:
            poller = poll()
            poller.register(self.fileno(), POLLIN if isinstance(wanted, ssl.SSLWantReadError) else POLLOUT)
            ready = poller.poll(left * 1000)
        finally:
            self.waiting.end(self)
            self.permits.acquire()
        if not ready:
            raise ConnectionResetError(errno.ECONNRESET, late)
