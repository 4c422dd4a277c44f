"""Requests and answers of HTTP/1.1: heads as they are parsed, chunked bodies, and answers as bytes.

Heads and chunks are parsed by gunicorn's own parser, which refuses whatever two readers may take differently.
The heads of one client differ in the length of the body only, so the rest of a head is parsed once.
"""

import re
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote

import msgspec
from gunicorn.asgi.parser import ParseError, PythonProtocol

from policy.core.values.memo import Memo

HEAD_END: Final = b"\r\n\r\n"
LONGEST_HEAD: Final = 16 * 1024
"""Bytes of a request's head; the API server's are below 1 KiB."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_MOST_HEADS: Final = 256
_NO_LENGTH: Final = -1


class NoRequestError(Exception):
    """What was sent is no request that may be answered otherwise than with 400."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """The head of a request, as far as it matters; `chunked` leaves the `length` of its body open."""

    method: str
    path: str
    query: str
    media_type: str = ""
    length: int = 0
    chunked: bool = False
    keeps_alive: bool = True
    expects_continue: bool = False

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.length > 0 or self.chunked


class HttpAnswer(msgspec.Struct, frozen=True):
    """The answer to a request. `headers` are further ones; none of them is about the connection."""

    status: str
    body: bytes
    media_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def good(self) -> bool:
        """Whether the request was answered as it was meant."""
        return self.status.startswith("200")


class HeadParser:
    """Parses heads; remembers those that differ in the length of the body only."""

    def __init__(self) -> None:
        self._known: Memo[bytes, Head] = Memo(most=_MOST_HEADS)

    def parse(self, text: bytes) -> Head:
        """Return the head in a text that ends with HEAD_END. Raises NoRequestError."""
        found = _LENGTH.search(text)
        if found is None:
            return _parsed(text)
        # Any other number in this place is as good as this one: nothing else depends on it.
        rest = text[: found.start(1)] + text[found.end(1) :]
        head = self._known.get(rest) or self._known.keep(rest, _parsed(text))
        return msgspec.structs.replace(head, length=int(found[1]))


def _parsed(text: bytes) -> Head:
    parser = PythonProtocol(limit_request_line=LONGEST_HEAD, limit_request_field_size=LONGEST_HEAD)
    try:
        parser.feed(text)
    except ParseError as error:
        raise NoRequestError(f"{type(error).__name__}: {error}") from error
    target = parser.path.decode("latin-1")
    if not target.startswith("/"):  # A proxy's form, with scheme and host.
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("#")[0].partition("?")
    fields: dict[bytes, bytes] = dict(parser.headers)
    return Head(
        method=parser.method.decode("latin-1"),
        path=unquote(path, "latin-1"),
        query=query,
        media_type=fields.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower(),
        length=parser.content_length or 0,
        chunked=parser.is_chunked,
        keeps_alive=parser.should_keep_alive,
        expects_continue=fields.get(b"expect", b"").lower() == b"100-continue",
    )


class ChunkedBody:
    """A body in chunks, as it arrives; what is above `most` bytes is counted and not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self.length = 0
        self._parser = PythonProtocol(on_body=self._take)
        self._parser.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")

    @property
    def complete(self) -> bool:
        """Whether its end has arrived."""
        return bool(self._parser.is_complete)

    @property
    def content(self) -> bytes:
        """What was kept of it."""
        return b"".join(self._parts)

    @property
    def beyond(self) -> bytes:
        """What arrived after its end."""
        return bytes(self._parser.remaining())

    def feed(self, data: bytes) -> None:
        """Take what arrived. Raises NoRequestError."""
        try:
            self._parser.feed(data)
        except ParseError as error:
            raise NoRequestError(f"{type(error).__name__}: {error}") from error

    def _take(self, chunk: bytes) -> None:
        self.length += len(chunk)
        if self.length <= self._most:
            self._parts.append(chunk)


class AnswerWriter:
    """Writes answers as bytes; the date is made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._date = b""
        self._starts: dict[tuple[str, str], bytes] = {}
        """Of answers without further headers, all up to the length; they last a second."""

    def write(self, answer: HttpAnswer, now: float, *, close: bool, without_body: bool = False) -> bytes:
        """Return the bytes of an answer; `without_body` is for the method HEAD."""
        second = int(now)
        if self._second != second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
            self._starts.clear()
        if answer.headers or close or without_body:
            return self._unusual(answer, close=close, without_body=without_body)
        kind = (answer.status, answer.media_type)
        start = self._starts.get(kind)
        if start is None:
            start = self._starts[kind] = self._start(answer) + b"Content-Length: "
        return b"%s%d\r\n\r\n%s" % (start, len(answer.body), answer.body)

    def _start(self, answer: HttpAnswer) -> bytes:
        status, media_type = answer.status.encode(), answer.media_type.encode()
        return b"HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: %s\r\n" % (status, self._date, media_type)

    def _unusual(self, answer: HttpAnswer, *, close: bool, without_body: bool) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in answer.headers]
        if not any(name.lower() == "content-length" for name, _ in answer.headers):
            lines.append(f"Content-Length: {len(answer.body)}\r\n")
        if close:
            lines.append("Connection: close\r\n")
        head = self._start(answer) + "".join(lines).encode("latin-1") + b"\r\n"
        return head if without_body else head + answer.body
