"""An answer of HTTP/1.1 as it is read from a connection: its status, its body, and whether more may follow.

The client's own reading makes an object of every header, as for mail. Of an answer of the API server only the
length of the body matters here, and a leader reads thousands of answers a minute.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from urllib3.exceptions import ProtocolError

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?")
_LONGEST_HEAD: Final = 1 << 16
_END: Final = b"\r\n"
_INTERIM: Final = range(100, 200)
_WITHOUT_BODY: Final = frozenset({204, 304})
_BROKEN_OFF: Final = "the connection ended in the middle of the answer"
_NO_ANSWER: Final = "the server closed the connection without an answer"
_UNREADABLE: Final = "the answer is not HTTP/1.1"


class WholeAnswer(msgspec.Struct, frozen=True):
    """A whole answer; `reusable` is whether the next request may use the same connection."""

    status: int
    body: bytes
    reusable: bool


class _Head(msgspec.Struct, frozen=True):
    """What the head of an answer says of its body; a `length` of None is: until the connection ends."""

    status: int
    length: int | None
    chunked: bool
    kept: bool


def read_answer(receive: Callable[[], bytes]) -> WholeAnswer:
    """Return the answer to a request; `receive` returns the next bytes, or none at the end.

    Raises ProtocolError where it breaks off, or is not as HTTP/1.1 has it.
    """
    reading = _Reading(receive)
    while (head := reading.head()).status in _INTERIM:
        pass
    if head.status in _WITHOUT_BODY:
        body, kept = b"", head.kept
    elif head.chunked:
        body, kept = reading.chunks(), head.kept
    elif head.length is not None:
        body, kept = reading.exactly(head.length), head.kept
    else:
        body, kept = reading.to_the_end(), False
    return WholeAnswer(head.status, body, kept and not reading.left)


class _Reading:
    """Reads the parts of one answer; `left` is what was received and not yet read."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self.left = b""
        self._receive = receive

    def head(self) -> _Head:
        """Return what the next head says."""
        while (end := self.left.find(_END + _END)) < 0:
            if len(self.left) > _LONGEST_HEAD:
                raise ProtocolError(_UNREADABLE)
            self._more(_BROKEN_OFF if self.left else _NO_ANSWER)
        lines = self.left[:end].split(_END)
        self.left = self.left[end + 4 :]
        return _read_head(lines)

    def exactly(self, length: int) -> bytes:
        """Return so many bytes."""
        if len(self.left) < length:
            parts, missing = [self.left], length - len(self.left)
            while missing > 0:
                self._more(_BROKEN_OFF, keep=False)
                parts.append(self.left)
                missing -= len(self.left)
            self.left = b"".join(parts)
        found, self.left = self.left[:length], self.left[length:]
        return found

    def chunks(self) -> bytes:
        """Return a body that is sent in chunks, each with its length before it."""
        parts = []
        while length := self._chunk_length():
            parts.append(self.exactly(length))
            if self.exactly(len(_END)) != _END:
                raise ProtocolError(_UNREADABLE)
        while self._line():  # Headers after the body.
            pass
        return b"".join(parts)

    def to_the_end(self) -> bytes:
        """Return all that comes until the connection ends."""
        parts = [self.left]
        while part := self._receive():
            parts.append(part)
        self.left = b""
        return b"".join(parts)

    def _chunk_length(self) -> int:
        found = _CHUNK.fullmatch(self._line())
        if found is None:
            raise ProtocolError(_UNREADABLE)
        return int(found[1], 16)

    def _line(self) -> bytes:
        while (end := self.left.find(_END)) < 0:
            if len(self.left) > _LONGEST_HEAD:
                raise ProtocolError(_UNREADABLE)
            self._more(_BROKEN_OFF)
        line, self.left = self.left[:end], self.left[end + 2 :]
        return line

    def _more(self, otherwise: str, *, keep: bool = True) -> None:
        """Receive more, after what is left or in its place; `otherwise` is why there is none."""
        received = self._receive()
        if not received:
            raise ProtocolError(otherwise)
        self.left = self.left + received if keep else received


def _read_head(lines: list[bytes]) -> _Head:
    """Return what a head says. Raises ProtocolError where that is not clear."""
    found = _STATUS.fullmatch(lines[0])
    if found is None:
        raise ProtocolError(_UNREADABLE)
    lengths, codings, connection = set[bytes](), b"", b""
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        match name.lower():
            case b"content-length":
                lengths.add(value.strip())
            case b"transfer-encoding":
                codings = value.strip().lower()
            case b"connection":
                connection = value.strip().lower()
    unclear = len(lengths) > 1 or any(not _LENGTH.fullmatch(each) for each in lengths)
    if unclear or codings not in {b"", b"chunked"} or (codings and lengths):
        raise ProtocolError(_UNREADABLE)
    length = int(next(iter(lengths))) if lengths else None
    kept = found[1] == b"1" and b"close" not in connection
    return _Head(int(found[2]), length, bool(codings), kept)
