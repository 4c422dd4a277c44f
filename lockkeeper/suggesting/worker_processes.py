"""What-ifs played by several processes, or by this one.

Workers are started anew (spawn), so that nothing of this process is in them but what they are given: the
file of the history, and policies. They never see Ctrl-C: this process ends them. Which of them plays what
makes no difference to the answers, which come back in the order of what was asked.
"""

import signal
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import DupFd
from threading import current_thread, main_thread
from typing import Any, Final, Protocol

import msgspec

from lockkeeper.histories.load_description import Load
from lockkeeper.process.console import UsageError, reason_of
from lockkeeper.suggesting.shared_history import RunFile, SharedRuns
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits
from lockkeeper.suggesting.what_if import PolicyWhatIf, WhatIfPlayer
from policy.core.policies.snapshot import Compiled, Snapshot

_PATIENCE: Final = 5.0
"""Seconds for which a worker that is ended is waited for."""


class WorkerEndedError(UsageError):
    """A worker ended before it had answered."""

    def __init__(self, code: int | None) -> None:
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with {code}"
        super().__init__(
            f"a process that played what-ifs {how}, for want of memory perhaps: nothing is suggested; "
            "try again with fewer --processes"
        )


class Answerers(Protocol):
    """Whoever plays what-ifs."""

    def answers(self, asked: Sequence[PolicyWhatIf], played: Callable[[], None]) -> list[AllWaits | None]:
        """Return what comes of each, in their order; `played` is called after each."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class OwnProcess:
    """Plays them in this process."""

    def __init__(self, *, runs: SharedRuns, snapshot: Snapshot) -> None:
        self._player = WhatIfPlayer(runs=runs, snapshot=snapshot)

    def answers(self, asked: Sequence[PolicyWhatIf], played: Callable[[], None]) -> list[AllWaits | None]:
        """Return what comes of each."""
        found = []
        for each in asked:
            found.append(self._player.play(each))
            played()
        return found

    def close(self) -> None:
        """Do nothing: the history is its owner's."""


class WorkerJob:
    """What a worker is given at its start; the file is handed over by its descriptor."""

    def __init__(self, *, file: RunFile, load: Load | None, snapshot: Snapshot) -> None:
        self._file = file
        self._load = load
        self._snapshot = snapshot

    def __reduce__(self) -> tuple[Any, ...]:
        file = self._file
        # Nothing is compiled of it yet, so that less is to be handed over.
        snapshot = msgspec.structs.replace(self._snapshot, compiled=Compiled())
        descriptor = DupFd(file.file.fileno())
        return _handed_over, (descriptor, file.ends, frozenset(file.namespaces), self._load, snapshot)


class WorkerProcesses:
    """Plays them in workers."""

    def __init__(self, count: int, *, job: WorkerJob) -> None:
        self._workers: dict[Connection, SpawnProcess] = {}
        context = get_context("spawn")
        # Ctrl-C reaches the whole group, and a worker would tell where it was: it is blocked there.
        handles = current_thread() is main_thread()
        resource_tracker.ensure_running()  # To start it would let Ctrl-C through again.
        if handles:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(count):
                here, there = context.Pipe()
                process = context.Process(target=_work, args=(there, job), daemon=True)
                process.start()
                there.close()
                self._workers[here] = process
        except OSError as error:
            started = len(self._workers)
            self.close()
            raise UsageError(
                f"only {started} of {count} processes can be started: {reason_of(error)}; "
                "try again with fewer --processes"
            ) from error
        finally:
            if handles:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def answers(self, asked: Sequence[PolicyWhatIf], played: Callable[[], None]) -> list[AllWaits | None]:
        """Return what comes of each; each worker has one at a time."""
        found: list[AllWaits | None] = [None] * len(asked)
        idle, at_work = list(self._workers), dict[Connection, int]()
        upcoming = enumerate(asked)
        left = len(asked)
        while left:
            for worker in idle[:]:
                number, what_if = next(upcoming, (None, None))
                if number is None:
                    break
                idle.remove(worker)
                self._send(worker, what_if)
                at_work[worker] = number
            ready = wait(list(at_work))
            for worker in [each for each in at_work if each in ready]:
                found[at_work.pop(worker)] = self._received(worker)
                idle.append(worker)
                left -= 1
                played()
        return found

    def close(self) -> None:
        """End all of them, whatever they are at: they have nothing that is to be kept."""
        for connection, process in self._workers.items():
            process.kill()
            process.join(_PATIENCE)
            connection.close()
        self._workers.clear()

    def _send(self, worker: Connection, message: object) -> None:
        try:
            worker.send(message)
        except OSError as error:
            raise self._ended(worker) from error

    def _received(self, worker: Connection) -> AllWaits | None:
        try:
            found: AllWaits | None = worker.recv()
        except (EOFError, OSError) as error:
            raise self._ended(worker) from error
        return found

    def _ended(self, worker: Connection) -> WorkerEndedError:
        process = self._workers[worker]
        process.join(_PATIENCE)
        return WorkerEndedError(process.exitcode)


def _handed_over(
    descriptor: Any, ends: "array[int]", namespaces: frozenset[str], load: Load | None, snapshot: Snapshot
) -> tuple[SharedRuns, Snapshot]:
    """Return, in a worker, what it plays."""
    return SharedRuns(descriptor.detach(), ends=ends, namespaces=namespaces, load=load), snapshot


def _work(connection: Connection, job: tuple[SharedRuns, Snapshot]) -> None:
    """Play what is asked for until nobody asks any more."""
    runs, snapshot = job
    player = WhatIfPlayer(runs=runs, snapshot=snapshot)
    with suppress(EOFError, OSError):
        while True:
            connection.send(player.play(connection.recv()))
