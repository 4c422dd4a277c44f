"""The writer of log lines, on real pipes."""

import os
from collections.abc import Iterator
from threading import Thread

import pytest

from webhook.logs import LineWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give the two ends of a pipe."""
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        os.close(end)


def read_lines(reader: int, count: int) -> list[bytes]:
    """Return so many lines; waits for them."""
    text = b""
    while text.count(b"\n") < count:
        text += os.read(reader, 65_536)
    return text.splitlines()


def test_every_line_is_written_once_and_in_order(pipe: tuple[int, int]) -> None:
    """More lines than a pipe holds, from one thread."""
    reader, descriptor = pipe
    writer = LineWriter(descriptor=descriptor)
    lines = [b"%d %s" % (index, b"x" * 100) for index in range(3_000)]
    for line in lines:
        writer(line + b"\n")
    assert read_lines(reader, len(lines)) == lines
    writer.close()


def test_lines_of_several_threads_do_not_mix(pipe: tuple[int, int]) -> None:
    """Also those that are longer than a pipe writes at once."""
    reader, descriptor = pipe
    writer = LineWriter(descriptor=descriptor)
    texts = [bytes([letter]) * 9_000 for letter in b"abcdef"]
    threads = [Thread(target=writer, args=(text + b"\n",)) for text in texts]
    for thread in threads:
        thread.start()
    assert sorted(read_lines(reader, len(texts))) == texts
    writer.close()


def test_what_waits_is_written_when_it_is_closed(pipe: tuple[int, int]) -> None:
    """An orderly end loses nothing."""
    reader, descriptor = pipe
    writer = LineWriter(descriptor=descriptor)
    for index in range(100):
        writer(b"%d\n" % index)
    writer.close()
    assert len(read_lines(reader, 100)) == 100


def test_a_reader_that_is_gone_stops_no_review() -> None:
    """Reviews go on when nobody takes the log."""
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = LineWriter(descriptor=descriptor)
    for _ in range(10):
        writer(b"lost\n")
    writer.close()
    assert not writer._thread.is_alive()
    os.close(descriptor)
