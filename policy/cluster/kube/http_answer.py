"""An answer of HTTP/1.1 as it is read from a connection: its status, its body, and whether more may follow.

urllib3's own reading makes an object of every header, as for mail. Of an answer of the API server only the
body matters here, and a leader reads thousands of answers a minute; so they are parsed by llhttp (httptools).
"""

from collections.abc import Callable
from typing import Final

import httptools
import msgspec
from urllib3.exceptions import ProtocolError

_LONGEST_HEAD: Final = 1 << 16
_INTERIM: Final = range(100, 200)
_BROKEN_OFF: Final = "the connection ended in the middle of the answer"
_NO_ANSWER: Final = "the server closed the connection without an answer"
_UNREADABLE: Final = "the answer is not HTTP/1.1"
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_WHOLE: Final = b"chunked"
_VERSIONS: Final = frozenset({"1.0", "1.1"})


class WholeAnswer(msgspec.Struct, frozen=True):
    """A whole answer; `reusable` is whether the next request may use the same connection."""

    status: int
    body: bytes
    reusable: bool


def read_answer(receive: Callable[[], bytes]) -> WholeAnswer:
    """Return the answer to a request; `receive` returns the next bytes, or none at the end.

    Raises ProtocolError where it breaks off, or is not as HTTP/1.1 has it.
    """
    reading, received = _Reading(), 0
    while not reading.over:
        piece = receive()
        received += len(piece)
        if not piece:
            if not reading.to_the_end:
                raise ProtocolError(_BROKEN_OFF if received else _NO_ANSWER)
            break
        reading.feed(piece)
        if not reading.in_body and received > _LONGEST_HEAD:
            raise ProtocolError(_UNREADABLE)
    return reading.answer()


class _Reading:
    """What the parser tells of one answer; answers of status 1xx before it are passed over."""

    def __init__(self) -> None:
        self.over = False
        self.in_body = False
        self._framed = False
        self._kept = False
        self._followed = False
        self._status = 0
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    @property
    def to_the_end(self) -> bool:
        """Whether the body is all that comes until the connection ends."""
        return self.in_body and not self._framed

    def feed(self, piece: bytes) -> None:
        """Parse what was received. Raises ProtocolError."""
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.over:  # What follows an answer is none of it.
                self._followed = True
                return
            raise ProtocolError(_UNREADABLE) from error

    def answer(self) -> WholeAnswer:
        """Return the answer, when it is over or the connection has ended."""
        kept = self.over and self._kept and not self._followed
        return WholeAnswer(self._status, b"".join(self._parts), kept)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Another answer begins."""
        self._followed = self.over

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header that says how long the body is; a body that is coded is not read."""
        name = name.lower()
        if self.over or name not in _FRAMING:
            return
        self._framed = True
        if name == b"transfer-encoding" and value.strip().lower() != _WHOLE:
            raise ValueError(value)

    def on_headers_complete(self) -> None:
        """Note what the head says; another version of HTTP is not understood."""
        if self.over:
            return
        if self._parser.get_http_version() not in _VERSIONS:
            raise ValueError(self._parser.get_http_version())
        self._status, self.in_body = self._parser.get_status_code(), True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self.over:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """End the answer, or wait for the one after an answer of status 1xx."""
        if self.over:
            return
        if self._status in _INTERIM:
            self.in_body = self._framed = False
            return
        self.over, self._kept = True, self._parser.should_keep_alive()
