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

from webhook.time_left import LongReviewPlaces, Permits

RECEIVE_SECONDS: Final = 5.0
"""Time for the handshake, for the head of a request, and for its body; the API server sends each at once."""
_SEND_SECONDS: Final = 5.0
"""Time in which an answer has to be taken."""


class WaitingThreads:
    """Threads that wait for slow clients, at most so many: the one that has waited longest is hung up on."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._sockets: dict[TimedSocket, None] = {}

    def begin(self, waiter: "TimedSocket") -> None:
        """Take note of a thread that is to wait, and let another go where there are too many."""
        with self._lock:
            while len(self._sockets) >= self._most:
                oldest = next(iter(self._sockets))
                del self._sockets[oldest]
                oldest.hang_up()
            self._sockets[waiter] = None

    def end(self, waiter: "TimedSocket") -> None:
        """Take note that a thread waits no more; one that had to give way is forgotten already."""
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

    gunicorn asks for blocking reads and writes. Here they take what is there at once; where they have to
    wait, they do so without a permit and within the time of the request.
    """

    permits: Permits | None = None
    long_reviews: LongReviewPlaces | None = None
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
                    self.send_by = time.monotonic() + _SEND_SECONDS
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
            poller.register(self.fileno(), mask)
            ready = poller.poll(left * 1000)
        finally:
            self.waiting.end(self)
            self.permits.acquire()
        if not ready:
            raise ConnectionResetError(errno.ECONNRESET, late)
