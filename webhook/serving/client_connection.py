"""One connection of a client: its TLS socket that never blocks, what has arrived, and what is to be sent."""

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from ssl import SSLContext, SSLSocket
from typing import Final

from webhook.http_errors import MAX_BODY
from webhook.serving.connections import Stage
from webhook.serving.http_messages import ChunkedBody, Head

RECEIVE_SECONDS: Final = 5.0
"""Time for the handshake, for the head of a request, and for its body; the API server sends each at once."""
_READ: Final = 16 * 1024
"""Bytes of one read: as many as a TLS record has at most, so nothing stays where the poller cannot see it."""


class Request:
    """One request as it arrives: its head, and the parts of its body."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self._wanted = True
        self._parts: list[bytes] = []
        self._chunks = ChunkedBody(MAX_BODY) if head.chunked else None
        self.length = 0
        """Bytes of its body that have arrived."""

    @property
    def complete(self) -> bool:
        """Whether all of its body has arrived."""
        return self._chunks.complete if self._chunks is not None else self.length >= self.head.length

    def take(self, data: bytes) -> bytes:
        """Take what arrived, and return what follows its end. Raises NoRequestError."""
        if self._chunks is not None:
            self._chunks.feed(data)
            self.length = self._chunks.length
            return self._chunks.beyond if self._chunks.complete else b""
        missing = self.head.length - self.length
        data, beyond = (data, b"") if len(data) <= missing else (data[:missing], data[missing:])
        self.length += len(data)
        if self._wanted:
            self._parts.append(data)
        return beyond

    def body(self) -> bytes:
        """Return its body."""
        return self._chunks.content if self._chunks is not None else b"".join(self._parts)

    def discard(self) -> None:
        """Keep nothing more of its body, which nobody wants."""
        self._wanted = False
        self._parts.clear()


class ClientConnection:
    """A connection; `stage` is what its client is waited for, until `until`, `events` what the poller sees.

    `request` is the one that arrives, is answered, or whose rest is thrown away, and `received` what has
    arrived and was not taken yet. With `closes` it ends after the answer, and with `broken` what arrives
    from now on has no meaning.
    """

    def __init__(self, sock: socket, peer: str, wrap: Callable[[], SSLContext]) -> None:
        self.peer = peer
        self.stage: Stage | None = Stage.FIRST_BYTE
        self.until = time.monotonic() + RECEIVE_SECONDS
        self.events = 0
        self.received = b""
        self.outgoing: memoryview | None = None
        self.request: Request | None = None
        self.closes = False
        self.broken = False
        self.reviewed = False
        """Whether a review was answered on it."""
        self._plain = sock
        self._wrap = wrap
        self._tls: SSLSocket | None = None
        sock.settimeout(0.0)
        with suppress(OSError):
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    @property
    def sock(self) -> socket:
        """The socket to watch."""
        return self._tls or self._plain

    def shake_hands(self) -> int:
        """Take the handshake as far as it goes; return the events that it waits for, 0 where it is done.

        Raises:
            OSError: the handshake failed.
        """
        if self._tls is None:
            self._tls = self._wrap().wrap_socket(
                self._plain, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return EVENT_READ
        except ssl.SSLWantWriteError:
            return EVENT_WRITE
        return 0

    def read(self) -> bytes | None:
        """Return what has arrived, b"" at the end, None where nothing has. Raises OSError."""
        if self._tls is None:
            return b""
        try:
            return self._tls.read(_READ)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def send(self, data: bytes | memoryview) -> memoryview | None:
        """Send what fits, and return the rest, None where all is sent. Raises OSError."""
        left = memoryview(data)
        try:
            while left and self._tls is not None:
                left = left[self._tls.send(left) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return left
        return None

    def close(self, *, politely: bool = False) -> None:
        """Close the connection, and say so where the client is to know that it has everything."""
        if politely and self._tls is not None:
            with suppress(OSError, ValueError):
                self._tls.unwrap()
        with suppress(OSError):
            self.sock.close()
