"""Runs the command line as its users do: as a process of its own, in a folder, with files and pipes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import IO, Final, NamedTuple

from tests.patience import PATIENCE

ROOT: Final = Path(__file__).resolve().parent.parent.parent
EXAMPLES: Final = ROOT / "examples"


class Finished(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


def environment(temporary: Path) -> dict[str, str]:
    """Return the environment of a command whose temporary files go to a folder of the test's."""
    # A developer's own kubeconfig must not lead a test to a cluster.
    kept = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    return {
        **kept,
        "HOME": str(temporary / "no-home"),
        "TMPDIR": str(temporary),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class Lockkeeper:
    """Starts commands; each test has its own, with its own folder for temporary files."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.home = temporary / "no-home"

    def __call__(
        self,
        *arguments: str | Path,
        stdin: bytes = b"",
        cwd: Path = ROOT,
        variables: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a command to its end, with some environment variables more."""
        with self._start(*arguments, cwd=cwd, stderr=subprocess.PIPE, variables=variables) as process:
            try:
                out, err = process.communicate(stdin, PATIENCE)
            finally:
                end(process.pid, process)
        return Finished(process.returncode, out.decode(), err.decode())

    def _start(
        self,
        *arguments: str | Path,
        cwd: Path,
        stderr: int,
        stdout: int = subprocess.PIPE,
        variables: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "lockkeeper", *map(str, arguments)]
        return subprocess.Popen(  # noqa: S603 - our own command, by this very interpreter
            command,
            cwd=cwd,
            env={**environment(self.temporary), **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    @contextmanager
    def started(
        self, *arguments: str | Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None
    ) -> Iterator["Running"]:
        """Start a command that does not end by itself; it and its worker are ended in any case."""
        with self._start(*arguments, cwd=cwd, stderr=subprocess.STDOUT, variables=variables) as process:
            running = Running(process)
            watchdog = Timer(PATIENCE, running.end)
            watchdog.start()
            try:
                yield running
            finally:
                running.end()
                watchdog.cancel()
                watchdog.join()

    def with_closed_output(self, *arguments: str | Path, errors_too: bool = False) -> Finished:
        """Run a command whose standard output nobody reads, as `| head` leaves it."""
        reading, writing = os.pipe()
        os.close(reading)
        return self._writing(writing, writing if errors_too else subprocess.PIPE, *arguments)

    def writing_to(self, file: Path, *arguments: str | Path) -> Finished:
        """Run a command whose standard output goes to a file."""
        return self._writing(os.open(file, os.O_WRONLY), subprocess.PIPE, *arguments)

    def _writing(self, out: int, err: int, *arguments: str | Path) -> Finished:
        try:
            with self._start(*arguments, cwd=ROOT, stderr=err, stdout=out) as process:
                _, said = process.communicate(b"", PATIENCE)
        finally:
            os.close(out)
        return Finished(process.returncode, "", (said or b"").decode())

    def leftovers(self) -> list[str]:
        """Return the names of what is left in the folder for temporary files."""
        return sorted(each.name for each in self.temporary.iterdir())


class Running:
    """A command at work; standard error goes where standard output goes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._workers: set[int] = set()
        self.lines: list[str] = []

    @property
    def pid(self) -> int:
        """The process id of the parent, which is that of its group too."""
        return self._process.pid

    @property
    def text(self) -> str:
        """All that was read of its output."""
        return "".join(self.lines)

    def until(self, *wanted: str) -> bool:
        """Read its output up to a line that holds one of the texts; False at its end."""
        output: IO[bytes] | None = self._process.stdout
        assert output is not None
        for line in output:
            self.lines.append(line.decode())
            if any(each in self.lines[-1] for each in wanted):
                return True
        return False

    def workers(self) -> list[int]:
        """Return the process ids of its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        found = [int(each) for each in children.read_text().split()]
        self._workers.update(found)
        return found

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the parent alone."""
        os.kill(self.pid, number)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to parent and worker, as a terminal does at Ctrl-C."""
        os.killpg(self.pid, number)

    def kill_worker(self, pid: int) -> None:
        """Kill one of its children, as the kernel does when memory is short."""
        assert pid in self._workers
        os.kill(pid, signal.SIGKILL)

    def wait(self) -> int:
        """Read the rest of its output and return its exit code."""
        self.until()
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        """Kill what is left of it, by process id."""
        with suppress(OSError):
            self.workers()
        end(self.pid, self._process)
        for worker in self._workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def end(pid: int, process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that is still there."""
    if process.poll() is None:
        os.kill(pid, signal.SIGKILL)


def group_is_empty(pid: int) -> bool:
    """Return whether no process of the group is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


def has_ended(pid: int) -> bool:
    """Return whether a process is gone, or only waits for somebody to ask how it ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
