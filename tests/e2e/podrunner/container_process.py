"""One process of a container, from this side: started in namespaces of its own, signalled, and waited for."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tests.e2e.building import ROOT
from tests.e2e.podrunner.confinement import TROUBLE, Confinement

_INSIDE: Final = "tests.e2e.podrunner.inside"
_KILLED: Final = 128
"""Added to the number of the signal that ended a process, this is its exit code."""


class StartError(Exception):
    """A container could not be started; `why` is what went wrong."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class ContainerProcess:
    """The main process of a container; `ended` gets the exit code as soon as the process is gone.

    `pid` is its id on this machine. All that it started ends with it.
    """

    def __init__(self, *, pid: int, handle: int, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self.ended = ended
        self._handle = handle
        ended.add_done_callback(lambda _: os.close(handle))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    async def gone(self, *, within: float | None = None) -> bool:
        """Wait until the process has ended; tell whether it has in that many seconds."""
        await asyncio.wait([self.ended], timeout=within)
        return self.ended.done()


async def start(wanted: Confinement, *, log: Path) -> ContainerProcess:
    """Start a container and return when its command runs; its output is added to the log.

    Has to be called from the main thread: the container is killed when the thread that started it ends.

    Raises:
        StartError: it could not be made, or there is no such command.
    """
    reading, writing = os.pipe()
    try:
        child = _child(writing, log)
    finally:
        os.close(writing)
    ended = _ended(child)
    assert child.stdin is not None
    with child.stdin as order, suppress(BrokenPipeError):
        order.write(msgspec.json.encode(wanted) + b"\n")
        order.flush()
        said = await _read_report(reading)
    first, _, trouble = said.partition(TROUBLE)
    pid = first.strip()
    if trouble or not pid:
        await ended
        raise StartError(trouble or "the process that makes containers has failed: see the container's log")
    try:
        handle = os.pidfd_open(int(pid))
    except ProcessLookupError:  # It has ended already, and the exit code is on its way.
        handle = os.open(os.devnull, os.O_RDONLY)
        await ended
    return ContainerProcess(pid=int(pid), handle=handle, ended=ended)


def _child(report: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the process that makes the namespaces; it ends with the container's, in the same way."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - what the Pod of a test says
            [sys.executable, "-m", _INSIDE, str(report)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(report,),
            start_new_session=True,
            cwd=ROOT,
            env={},
        )


def _ended(child: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """Return the exit code to come; the kernel tells us at once when there is one."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    handle = os.pidfd_open(child.pid)

    def collect() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        code = child.wait()
        ended.set_result(code if code >= 0 else _KILLED - code)

    loop.add_reader(handle, collect)
    return ended


async def _read_report(end: int) -> str:
    """Read a pipe until the command runs, or there will be none."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(end, "rb", buffering=0)
    )
    try:
        return (await reader.read()).decode(errors="replace")
    finally:
        transport.close()
