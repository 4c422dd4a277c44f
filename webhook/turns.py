"""Who computes: the server's loop answers nearly all reviews itself, and threads answer the others.

A review that is over at once costs least where it arrives, in the thread that serves all connections. Nobody
else is served meanwhile. So whatever waits or takes long there raises `NotHereError`, and is done anew in a
thread, of which few compute at once: under Python's lock each further one slows the loop down.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from policy.core.values.budget import Part, TimeSpentError

LONG: Final = 0.1
"""Seconds after which a review in a thread counts as one that takes long; few take a thousandth of it."""
LONG_IN_LOOP: Final = 0.02
"""Seconds after which a review leaves the loop; those that wait behind it are answered later by this much."""


class NotHereError(TimeSpentError):
    """What is to be done is not for the loop: it may wait, or it takes long."""

    def __init__(self) -> None:
        super().__init__(Part.WAITING)


class Turn(Protocol):
    """Where a review computes: when it counts as long there, and what happens when it has to wait.

    `waited` is how many seconds its request waited for this turn.
    """

    @property
    def long(self) -> float:
        """Seconds after which a review takes long here."""

    @property
    def waited(self) -> float:
        """Seconds that were spent before this turn."""

    def may_wait(self) -> None:
        """Raise NotHereError where others would wait as well."""

    def waiting(self) -> AbstractContextManager[None]:
        """Return the context in which to wait for others. Raises NotHereError."""

    def enter(self, seconds: float) -> bool:
        """Take a slot for what takes long, and return whether there was one in time. Raises NotHereError."""

    def leave(self) -> None:
        """Release the slot."""


class _Alone:
    """The turn of a review without a server: nobody else waits."""

    long = LONG
    waited = 0.0

    def may_wait(self) -> None:
        """Continue."""

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait."""
        yield

    def enter(self, _seconds: float) -> bool:
        """Continue."""
        return True

    def leave(self) -> None:
        """Nothing was taken."""


class _InLoop:
    """The turn in the thread that serves all connections."""

    long = LONG_IN_LOOP
    waited = 0.0

    def may_wait(self) -> None:
        """Leave the loop."""
        raise NotHereError

    def waiting(self) -> AbstractContextManager[None]:
        """Leave the loop."""
        raise NotHereError

    def enter(self, _seconds: float) -> bool:
        """Leave the loop."""
        raise NotHereError

    def leave(self) -> None:
        """Nothing was taken."""


ALONE: Final[Turn] = _Alone()
IN_LOOP: Final[Turn] = _InLoop()


class Permits:
    """A counting semaphore built on a queue of tokens, which is several times faster than threading's."""

    def __init__(self, most: int) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._tokens.put(None)

    def acquire(self) -> None:
        """Wait for a permit."""
        self._tokens.get()

    def release(self) -> None:
        """Release the permit for another thread."""
        self._tokens.put(None)


class LongReviewSlots:
    """So many slots for reviews that take long, beside the permits of all threads."""

    def __init__(self, permits: Permits, slots: int) -> None:
        self._permits = permits
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(slots):
            self._slots.put(None)

    def enter(self, seconds: float) -> bool:
        """Take a free slot, or wait for one without a permit; return whether there was one in time."""
        try:
            self._slots.get_nowait()
        except Empty:
            return self._wait(seconds)
        return True

    def leave(self) -> None:
        """Release the slot."""
        self._slots.put(None)

    def _wait(self, seconds: float) -> bool:
        self._permits.release()
        try:
            self._slots.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        finally:
            self._permits.acquire()
        return True


class ThreadTurn:
    """The turn in a thread that has a permit to compute, and gives it to another while it waits."""

    long = LONG

    def __init__(self, permits: Permits, slots: LongReviewSlots, waited: float) -> None:
        self.waited = waited
        self._permits = permits
        self._slots = slots

    def may_wait(self) -> None:
        """Continue: others have threads of their own."""

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Release the permit while the context lasts."""
        self._permits.release()
        try:
            yield
        finally:
            self._permits.acquire()

    def enter(self, seconds: float) -> bool:
        """Take one of the slots for what takes long."""
        return self._slots.enter(seconds)

    def leave(self) -> None:
        """Release the slot."""
        self._slots.leave()
