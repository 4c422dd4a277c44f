"""How an answer of HTTP/1.1 is read, wherever its bytes are cut."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from policy.cluster.kube.http_answer import WholeAnswer, read_answer

LENGTH = b"HTTP/1.1 200 OK\r\nAudit-Id: a\r\ncontent-length: 5\r\n\r\nhello"
CHUNKS = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nT: x\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH
CLOSED = LENGTH.replace(b"Audit-Id: a", b"Connection: close")
OLD = LENGTH.replace(b"1.1", b"1.0")
TO_THE_END = b"HTTP/1.1 502 \r\nServer: proxy\r\n\r\nhello"


def pieces(*sent: bytes) -> Callable[[], bytes]:
    """Return what gives these pieces in turn, and then the end."""
    left = iter(sent)
    return lambda: next(left, b"")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (LENGTH, WholeAnswer(200, b"hello", reusable=True)),
        (CHUNKS, WholeAnswer(201, b"hello", reusable=True)),
        (EMPTY, WholeAnswer(204, b"", reusable=True)),
        (INTERIM, WholeAnswer(200, b"hello", reusable=True)),
        (CLOSED, WholeAnswer(200, b"hello", reusable=False)),
        (OLD, WholeAnswer(200, b"hello", reusable=False)),
        (TO_THE_END, WholeAnswer(502, b"hello", reusable=False)),
    ],
)
@given(cuts=st.lists(st.integers(1, 100), max_size=8))
def test_an_answer_is_the_same_wherever_its_bytes_are_cut(
    sent: bytes, expected: WholeAnswer, cuts: list[int]
) -> None:
    """A connection may give any part of an answer at a time."""
    places = sorted({0, len(sent), *(each for each in cuts if each < len(sent))})
    cut = [sent[start:end] for start, end in pairwise(places)]
    assert read_answer(pieces(*cut)) == expected


def test_what_comes_after_an_answer_ends_the_use_of_its_connection() -> None:
    """It would be read as the answer to the next request."""
    assert read_answer(pieces(LENGTH + b"more")) == WholeAnswer(200, b"hello", reusable=False)


@pytest.mark.parametrize("sent", [LENGTH, CHUNKS])
def test_an_answer_that_breaks_off_is_an_error_wherever_it_does(sent: bytes) -> None:
    """Half of an object is never taken for the whole of it."""
    for end in range(len(sent)):
        with pytest.raises(ProtocolError, match="without an answer" if end == 0 else "in the middle"):
            read_answer(pieces(sent[:end]))


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        LENGTH.replace(b": 5", b": -5"),
        LENGTH.replace(b": 5", b": 5\r\nContent-Length: 6"),
        LENGTH.replace(b": 5", b": 5\r\nTransfer-Encoding: chunked"),
        CHUNKS.replace(b": chunked", b": gzip, chunked"),
        CHUNKS.replace(b"3\r\n", b"three\r\n"),
        CHUNKS.replace(b"hel\r\n", b"hello"),
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000,
    ],
)
def test_an_answer_that_is_not_clear_is_an_error(sent: bytes) -> None:
    """How long it is has to be certain, for the next answer begins there."""
    with pytest.raises(ProtocolError, match=r"is not HTTP/1\.1"):
        read_answer(pieces(sent, *[b"b" * 70_000] * 2))
