"""The clock of a process and its output: log lines, sentences for people, columns, JSON, usage errors."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final, TextIO

_ERROR_LEVEL: Final = b'"level":"error"'

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)


def write_to(descriptor: int) -> Callable[[bytes], object]:
    """Return a writer of whole lines to a file descriptor; one write each, so that threads do not mix."""
    return partial(os.write, descriptor)


def write_errors(line: bytes) -> object:
    """Write a line to standard error if it logs an error of ours; drop the others."""
    return os.write(sys.stderr.fileno(), line) if _ERROR_LEVEL in line else None


def url_of(host: str, port: int) -> str:
    """Return the address for people; an IPv6 host is in brackets."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def print_message(message: str) -> None:
    """Print one line for a person on standard error."""
    print(f"lockkeeper: {message}", file=sys.stderr, flush=True)


@contextmanager
def for_whoever_reads() -> Iterator[None]:
    """Write findings: a reader that has read enough, such as `head`, does not change the exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        write_to_nobody(sys.stdout, sys.stderr)


def write_to_nobody(*streams: TextIO) -> None:
    """Drop what is still to be written: flushing it at the end would fail once more."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nobody, stream.fileno())


def reason_of(error: OSError) -> str:
    """Return why a file or an address cannot be used, in small letters."""
    return (error.strerror or str(error)).lower()


def printable(text: str) -> str:
    """Return a text that stays in its line and changes nothing of the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_json(value: object) -> str:
    """Return what a program reads, indented."""
    import msgspec  # noqa: PLC0415 - `version` and `--help` start without it

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


class UsageError(Exception):
    """Something that the caller asked for cannot be done; each of its lines says what to do."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)
