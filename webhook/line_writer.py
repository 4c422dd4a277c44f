"""Writes log lines from one thread, many at a time.

A write to a pipe or file costs a review about half as much as deciding it, mostly for giving Python's lock
away and getting it back. Lines wait here for at most PAUSE; a process that is killed loses those.
"""

import os
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final

PAUSE: Final = 0.05
"""Seconds between two writes; at thousands of reviews a second each carries hundreds of lines."""
CLOSE_WITHIN: Final = 2.0


class LineWriter:
    """A callable that takes whole lines; `close` writes what is left."""

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
        """Write what is left and end; lines that come later are lost."""
        self._closing.set()
        self._lines.put(None)
        self._thread.join(CLOSE_WITHIN)

    def _run(self) -> None:
        while not self._closing.is_set():
            batch = [self._lines.get()]
            self._closing.wait(PAUSE)
            self._write(batch)
        self._write([])

    def _write(self, batch: list[bytes | None]) -> None:
        """Write a batch and all that has come since; a log that cannot be written stops no review."""
        with suppress(Empty):
            while True:
                batch.append(self._lines.get_nowait())
        text = memoryview(b"".join(line for line in batch if line is not None))
        try:
            while text:
                text = text[os.write(self._descriptor, text) :]
        except OSError:
            return  # The reader has gone, or the disk is full.
