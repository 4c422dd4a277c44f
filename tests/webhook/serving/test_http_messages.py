"""Heads and bodies of requests as they are parsed, and answers as they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.serving.http_messages import (
    AnswerWriter,
    ChunkedBody,
    Head,
    HeadParser,
    HttpAnswer,
    NoRequestError,
)

LINES = ("Host: localhost", "User-Agent: kube-apiserver-admission", "Content-Type: application/json")


def head(*lines: str, first: str = "POST /mutate?timeout=10s HTTP/1.1") -> bytes:
    """Return a head of these lines."""
    return "\r\n".join([first, *LINES, *lines, "", ""]).encode("latin-1")


def test_a_head_is_read() -> None:
    """Method, path, query, media type and length are what admission asks for."""
    wanted = Head("POST", "/mutate", "timeout=10s", "application/json", 5)
    assert HeadParser().parse(head("Content-Length: 5")) == wanted


@given(st.lists(st.integers(0, 10**17), min_size=1, max_size=8))
def test_heads_that_differ_in_length_are_told_apart(lengths: list[int]) -> None:
    """What is remembered of one is right for the next, whatever the number is."""
    parser = HeadParser()
    for length in lengths:
        assert parser.parse(head(f"content-length:\t{length:05d}", "Accept: */*")).length == length


@pytest.mark.parametrize(
    ("first", "path", "query"),
    [
        ("GET /a%20b HTTP/1.1", "/a b", ""),
        ("GET /a?b?c#d HTTP/1.1", "/a", "b?c"),
        ("GET https://host:1/mutate?x=y HTTP/1.1", "/mutate", "x=y"),
        ("GET https://host HTTP/1.1", "/", ""),
        ("GET / HTTP/1.1", "/", ""),
    ],
)
def test_targets_are_read_as_urls(first: str, path: str, query: str) -> None:
    """In the form of clients and in that of proxies."""
    found = HeadParser().parse(head(first=first))
    assert (found.path, found.query) == (path, query)


@pytest.mark.parametrize(
    ("lines", "keeps"),
    [((), True), (("Connection: close",), False), (("Connection: Keep-Alive",), True)],
)
def test_connections_are_kept_unless_told_otherwise(lines: tuple[str, ...], keeps: bool) -> None:  # noqa: FBT001 - a case
    """HTTP/1.1 keeps, and 1.0 only where it says so."""
    assert HeadParser().parse(head(*lines)).keeps_alive is keeps
    old = HeadParser().parse(head(*lines, first="GET / HTTP/1.0"))
    assert old.keeps_alive is (lines == ("Connection: Keep-Alive",))


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 5"),
        ("Content-Length: 5", "content-length: 6"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: -1",),
        ("Content-Length: +5",),
        ("Content-Length: 1e3",),
        ("Content-Length: 0x10",),
        ("Content-Length: 5, 5",),
        ("Content-Length: \xb2",),
        ("Content-Length : 5",),
        (" Content-Length: 5",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding: unheard",),
        ("no colon",),
        ("X: a\x00b",),
        ("X: a\nContent-Length: 7",),
        ("Host: another",),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_what_two_readers_may_take_differently_is_refused(lines: tuple[str, ...], after: bool) -> None:  # noqa: FBT001 - a case
    """Where a body ends is never guessed, also after a head like it was right."""
    parser = HeadParser()
    if after:
        parser.parse(head("Content-Length: 5"))
    with pytest.raises(NoRequestError):
        parser.parse(head(*lines))


@pytest.mark.parametrize(
    "first", ["POST /mutate", "POST  /mutate HTTP/1.1", "GET /\xe9 HTTP/1.1", "G /x HTTP/2.0", ""]
)
def test_a_first_line_that_is_none_is_refused(first: str) -> None:
    """Nothing is made of it."""
    with pytest.raises(NoRequestError):
        HeadParser().parse(head(first=first))


@given(st.binary(max_size=400), st.data())
def test_chunks_are_put_together_however_they_arrive(content: bytes, data: st.DataObject) -> None:
    """In pieces of any size, with what follows them left alone."""
    sent, left = b"", content
    while left:
        size = data.draw(st.integers(1, len(left)))
        sent, left = sent + b"%x\r\n%s\r\n" % (size, left[:size]), left[size:]
    sent += b"0\r\n\r\n"
    body = ChunkedBody(1000)
    while sent and not body.complete:
        size = data.draw(st.integers(1, len(sent)))
        extra = b"GET /" if size == len(sent) else b""
        body.feed(sent[:size] + extra)
        sent = sent[size:]
    assert (body.complete, body.content, body.length) == (True, content, len(content))
    assert body.beyond == b"GET /"


def test_of_a_body_in_chunks_only_so_much_is_kept() -> None:
    """The rest is counted, so that it can be refused."""
    body = ChunkedBody(10)
    for _ in range(5):
        body.feed(b"4\r\nabcd\r\n")
    assert (body.length, body.content) == (20, b"abcdabcd")


def test_an_answer_has_its_length_and_date() -> None:
    """And says so where the connection ends with it; the answer to HEAD has no body."""
    writer, answer = (
        AnswerWriter(),
        HttpAnswer("405 Method Not Allowed", b"no\n", headers=(("Allow", "POST"),)),
    )
    now = 1_700_000_000.5
    lines = [
        "HTTP/1.1 405 Method Not Allowed",
        "Date: Tue, 14 Nov 2023 22:13:20 GMT",
        "Content-Type: text/plain; charset=utf-8",
        "Allow: POST",
        "Content-Length: 3",
    ]
    assert writer.write(answer, now, close=False).decode() == "\r\n".join([*lines, "", "no\n"])
    closing = writer.write(answer, now, close=True, without_body=True)
    assert closing.decode() == "\r\n".join([*lines, "Connection: close", "", ""])
