"""The clock of the process, and where it writes: log lines to a descriptor, sentences to a person."""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

_ERROR_LEVEL: Final = b'"level":"error"'


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)


def write_to(descriptor: int) -> Callable[[bytes], object]:
    """Return a writer of whole lines to a file descriptor; one write each, so that threads do not mix."""

    def write(line: bytes) -> object:
        return os.write(descriptor, line)

    return write


def write_errors(line: bytes) -> object:
    """Write a line to standard error if it tells of an error of ours; drop the others."""
    return os.write(sys.stderr.fileno(), line) if _ERROR_LEVEL in line else None


def url_of(host: str, port: int) -> str:
    """Return the address for people; an IPv6 host stands in brackets."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def tell(message: str) -> None:
    """Print one line for a person on standard error."""
    print(f"lockkeeper: {message}", file=sys.stderr, flush=True)
