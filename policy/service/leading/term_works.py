"""How a leader's term is worked: each work in passes (`Passes`), and all end together (`Duties`)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Event, Thread
from typing import Protocol


class Work(Protocol):
    """What a leader does; `run` returns soon after `stop`."""

    def run(self) -> None:
        """Work until stopped."""
        ...

    def stop(self) -> None:
        """End the work."""
        ...


class Passes(ABC):
    """Work done in passes: one soon after a change, and one when the last pass said that the next is due.

    `settle` is how many seconds there are from a change to the pass over it, so that a burst makes one pass.
    """

    def __init__(self, *, settle: float) -> None:
        self._settle = settle
        self._woken = Event()
        self._stopped = Event()

    def wake(self) -> None:
        """Make a pass soon: something that it depends on has changed."""
        self._woken.set()

    def stop(self) -> None:
        """End the work after the write that is under way."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Work until stopped; no error of the cluster ends it."""
        while not self._stopped.wait(self._settle):
            self._woken.clear()
            self._woken.wait(self.run_pass())

    @abstractmethod
    def run_pass(self) -> float | None:
        """Do what is due; return the seconds until the next pass, None where only a change causes one."""


class Duties:
    """Does several works as one, each in a thread with its name: all end when one of them ends.

    A term of which a part has died would look healthy and do half of what it should. So the whole term ends;
    the elector then gives the lease up, and the next leader begins with all works. `ending` is closed when
    all have ended. The works are forgotten then, for they may be large.
    """

    def __init__(self, works: Mapping[str, Work], *, ending: ExitStack | None = None) -> None:
        self._works = works
        self._ending = ending or ExitStack()
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def stop(self) -> None:
        """End all works."""
        for work in self._works.values():
            work.stop()

    def run(self) -> None:
        """Work until one of the works ends, then end the others.

        Raises:
            Exception: what the first work that ended was ended by, if it was an error.
        """
        with self._ending:
            first = self._run()
        self._works = {}
        if first is not None:
            raise first

    def _run(self) -> BaseException | None:
        """Work until all have ended; returns what ended the first, None where that was no error."""
        threads = [
            Thread(target=self._do, args=(work,), name=name, daemon=True)
            for name, work in self._works.items()
        ]
        for thread in threads:
            thread.start()
        first = self._ended.get()
        self.stop()
        for thread in threads:
            thread.join()
        return first

    def _do(self, work: Work) -> None:
        error: BaseException | None = None
        try:
            work.run()
        except Exception as failure:  # noqa: BLE001 - it is raised again where the term is run
            error = failure
        self._ended.put(error)
