"""One JSON line a review, and one for each fault of ours, with the review's uid."""

import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, TypeAlias

import msgspec

from policy.core.decision.decision import Decision
from webhook.wire import Received

_LONGEST_NAME: Final = 253
"""Characters of a Kubernetes name; the API server checks it only after admission."""
_LONGEST_UID: Final = 128
_LONGEST_TEXT: Final = 4096
"""Characters of a message, which may repeat parts of a request."""
_LONGEST_TRACE: Final = 16 * 1024
_MOST_POLICIES: Final = 32
"""All strings of a line are cut and all lists are short, so that no line is longer than some 64 KiB."""
_PAUSE: Final = 0.05
"""Seconds between two writes; at thousands of reviews a second each carries hundreds of lines."""
_CLOSE_WITHIN: Final = 2.0
WriteLine: TypeAlias = Callable[[bytes], object]
_ENCODER: Final = msgspec.json.Encoder()


class _ReviewLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """The log line of an answered review; `took_us` is in microseconds."""

    time: datetime
    level: str
    event: str
    uid: str
    webhook: str
    operation: str
    kind: str
    namespace: str
    name: str
    user: str
    outcome: str
    took_us: int
    dry_run: bool = False
    operations: int = 0
    codes: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()


class _FaultLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """The log line of a request that was not answered with a decision."""

    time: datetime
    level: str
    event: str
    uid: str
    message: str
    status: str = ""
    trace: str = ""


class Log:
    """Writes lines; `write` takes one line with its end and must not interleave lines of several threads."""

    def __init__(self, *, write: WriteLine, clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def review(self, received: Received, decision: Decision, seconds: float) -> None:
        """Log an answered review."""
        review = received.review
        line = _ReviewLine(
            time=self._clock(),
            level="info",
            event="review",
            uid=_cut(review.uid, _LONGEST_UID),
            webhook=review.side,
            operation=review.operation,
            kind=_cut(received.kind, _LONGEST_NAME),
            namespace=_cut(review.namespace, _LONGEST_NAME),
            name=_cut(received.name, _LONGEST_NAME),
            user=_cut(review.user, _LONGEST_NAME),
            outcome=decision.outcome,
            took_us=int(seconds * 1_000_000),
            dry_run=review.dry_run,
            operations=len(decision.patch),
            codes=tuple(dict.fromkeys(reason.code.value for reason in decision.reasons))
            if decision.reasons
            else (),
            policies=decision.policies[:_MOST_POLICIES],
        )
        self._write(_ENCODER.encode(line) + b"\n")

    def refused(self, uid: str, status: str, message: str) -> None:
        """Log a request that could not be answered: a wrong one, or one that we had no time for."""
        uid, message = _cut(uid, _LONGEST_UID), _cut(message, _LONGEST_TEXT)
        line = _FaultLine(self._clock(), "warning", "refused", uid, message, status)
        self._write(_ENCODER.encode(line) + b"\n")

    def bug(self, uid: str, error: BaseException) -> None:
        """Log a bug of ours with its traceback."""
        trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
        uid, message = _cut(uid, _LONGEST_UID), _cut(f"{type(error).__name__}: {error}", _LONGEST_TEXT)
        line = _FaultLine(self._clock(), "error", "bug", uid, message, trace=trace)
        self._write(_ENCODER.encode(line) + b"\n")

    def event(self, event: str, message: str, *, level: str = "info") -> None:
        """Log an event that is no review: policies loaded, refused, shutting down."""
        line = _FaultLine(self._clock(), level, event, "", _cut(message, _LONGEST_TRACE))
        self._write(_ENCODER.encode(line) + b"\n")


class LineWriter:
    """A callable that takes whole lines, and writes them from one thread, many at a time.

    A write to a pipe or file costs a review about half as much as deciding it, mostly for giving Python's
    lock away and getting it back. Lines wait here for at most `_PAUSE`; a process that is killed loses those.
    `close` writes what is left.
    """

    def __init__(self, *, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._closing = Event()
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def __call__(self, line: bytes) -> None:
        """Take a line; it is written soon."""
        self._lines.put(line)

    def close(self) -> None:
        """Write what is left and end; later lines are lost."""
        self._closing.set()
        self._lines.put(None)
        self._thread.join(_CLOSE_WITHIN)

    def _run(self) -> None:
        while not self._closing.is_set():
            batch = [self._lines.get()]
            self._closing.wait(_PAUSE)
            self._write(batch)
        self._write([])

    def _write(self, batch: list[bytes | None]) -> None:
        """Write a batch and all that was logged since; a log that cannot be written stops no review."""
        with suppress(Empty):
            while True:
                batch.append(self._lines.get_nowait())
        text = memoryview(b"".join(line for line in batch if line is not None))
        try:
            while text:
                text = text[os.write(self._descriptor, text) :]
        except OSError:
            return  # The reader is gone, or the disk is full.


def _cut(text: str, most: int) -> str:
    """Return a text that is no longer than `most`, with a sign where something is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
