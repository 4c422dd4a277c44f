"""The server processes of a run: started together, watched for their CPU time, and ended whatever happens."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

OURS: Final = "lockkeeper"
NULL: Final = "null app"
KOPF: Final = "kopf"
KOPF_ALLOWS: Final = "kopf, no patch"
VARIANTS: Final = (OURS, NULL, KOPF, KOPF_ALLOWS)
HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0
_MODULES: Final = {OURS: "servers", NULL: "servers", KOPF: "kopf_server"}
"""The module of each server; both variants of kopf are handlers of one."""
_SERVING: Final = re.compile(rb"serving on https://[^ ]*:(\d+)")
TICK_US: Final = 1e6 / os.sysconf("SC_CLK_TCK")
"""The step in which the system counts CPU time."""


class Running(msgspec.Struct, frozen=True):
    """A server that answers: its port and the process ids that its CPU time is the sum of."""

    variant: str
    port: int
    pids: tuple[int, ...]

    def path(self, answer_bytes: int) -> str:
        """Return the path to post to; the null app reads from it how long its answer has to be."""
        if self.variant == NULL:
            return f"/null/{answer_bytes}"
        return {KOPF: "/mutate", KOPF_ALLOWS: "/allow"}.get(self.variant, "/mutate") + "?timeout=10s"

    @property
    def echoes(self) -> bool:
        """Whether an answer carries the uid of its request."""
        return self.variant != NULL


def cpu_us(pids: tuple[int, ...]) -> float:
    """Return the CPU time that processes have used, user and system, in microseconds."""
    return sum(sum(map(int, _stat(pid)[11:13])) for pid in pids) * TICK_US


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; the second may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(parent: int) -> tuple[int, ...]:
    """Return the process ids of the children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(_stat(int(entry.name))[1]) == parent:
                found.append(int(entry.name))
        except OSError:
            continue  # It ended meanwhile.
    return tuple(found)


@contextmanager
def running(folder: Path, policies: Path, cpu: int) -> Iterator[dict[str, Running]]:
    """Start all servers at once, wait until each answers, and end them whatever happens.

    One that is not being measured is idle: gunicorn's master looks after its worker once a second.
    """
    with ExitStack() as stack:
        started = {each: stack.enter_context(_process(each, folder, policies)) for each in _MODULES}
        found = {}
        for variant, (process, log) in started.items():
            port = wait_for_port(variant, process, log)
            found[variant] = Running(variant, port, (process.pid, *children(process.pid)))
        found[KOPF_ALLOWS] = msgspec.structs.replace(found[KOPF], variant=KOPF_ALLOWS)
        for server in found.values():
            for pid in server.pids:
                pin(pid, cpu)
        yield found


def pin(pid: int, cpu: int) -> None:
    """Keep a process on one CPU: all of its threads, and those that they start from now on."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu})


@contextmanager
def generator(cpu: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start the load generator and end it."""
    command = [sys.executable, "-m", "bench.load", str(cpu)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            end_process(process)


@contextmanager
def _process(variant: str, folder: Path, policies: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / f"{variant.replace(' ', '-')}.err"
    module = f"bench.{_MODULES[variant]}"
    command = [sys.executable, "-m", module, variant, str(folder / "certs"), str(policies)]
    with log.open("wb") as errors, log.with_suffix(".out").open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        try:
            yield process, log
        finally:
            end_process(process)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a server, and its worker with it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in (*children(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_for_port(variant: str, process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the port of a server as soon as it listens and its worker is there."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        found = _SERVING.search(log.read_bytes())
        if found and (variant == KOPF or children(process.pid)):
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"the server {variant} did not start: {log.read_text(errors='replace')}")
