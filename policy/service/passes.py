"""Work that is done in passes: one soon after something has changed, and one when the last said it is due."""

from abc import ABC, abstractmethod
from threading import Event


class Passes(ABC):
    """The loop: `run` makes passes until `stop`, and `wake` has it make one soon.

    `settle` is how many seconds there are from a change to the pass over it, so that a burst makes one pass.
    """

    def __init__(self, *, settle: float) -> None:
        self._settle = settle
        self._woken = Event()
        self._stopped = Event()

    def wake(self) -> None:
        """Make a pass soon: something has changed that it looks at."""
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
        """Do what is due; returns the seconds until the next pass is, None where only a change brings one."""
