"""Processes of a test that end with it, however it ends.

Each child holds the reading end of a pipe as its standard input and ends when that is closed. The writing end
is ours alone, so the kernel closes it even when this process is killed.
"""

import subprocess
from pathlib import Path
from signal import Signals
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self

from tests.patience import PATIENCE

GRACE: Final = 30.0
"""Seconds that a process may take to end before it is killed."""
_BETWEEN_LOOKS: Final = 0.1
_LOG_TAIL: Final = 2000


class Ready(Protocol):
    """Tells whether something is ready; must return soon."""

    def __call__(self) -> bool:
        """Look once."""
        ...


class NotReadyError(Exception):
    """A process ended, or took too long, before it was ready; `log` is the end of what it said."""

    def __init__(self, name: str, why: str, log: str) -> None:
        super().__init__(name, why, log)
        self.name = name
        self.why = why
        self.log = log

    def __str__(self) -> str:
        return f"{self.name} {self.why}; the end of its log:\n{self.log}"


class Process:
    """One child process, started at once; as a context it is ended on leaving."""

    def __init__(self, command: list[str], *, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(  # noqa: S603 - the binary that the tests built themselves
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._child.pid

    def await_ready(self, ready: Ready, *, patience: float = PATIENCE) -> None:
        """Return once `ready` says so. Raises NotReadyError when the process ended or time is up."""
        deadline = monotonic() + patience
        pause = Event()
        while not ready():
            if self._child.poll() is not None:
                raise NotReadyError(self.name, f"ended with code {self._child.returncode}", self._tail())
            if monotonic() >= deadline:
                raise NotReadyError(self.name, f"was not ready within {patience:g} s", self._tail())
            pause.wait(_BETWEEN_LOOKS)

    def stop(self, number: Signals, *, grace: float = GRACE) -> None:
        """Send a signal and wait until the process is gone; it is killed when it does not go in time."""
        self._child.send_signal(number)
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self.end()

    def end(self) -> None:
        """End the process: ask it by closing its input, and kill it when it does not go."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
