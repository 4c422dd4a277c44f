"""The time of a review, and the places of those that take long: all turns but one may be taken by them.

A worker computes in few turns. Reviews of a few milliseconds never notice each other, but some that take
seconds at once would leave no turn to the others. So a review that takes long needs a place, of which there
is one less than there are turns; while it waits for one, its turn is somebody else's.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, Protocol
from wsgiref.types import WSGIEnvironment

from policy.core.budget import Part, TimeSpentError

LONG: Final = 0.1
"""Seconds after which a review counts as one that takes long; nearly all take a thousandth of it."""


class Turns(Protocol):
    """The turns of a worker; see `webhook.patient_socket.Turns`."""

    def take(self) -> None:
        """Wait for a turn."""
        ...

    def give(self) -> None:
        """Give the turn to somebody else."""
        ...


class Lane(Protocol):
    """Where reviews that take long get their places."""

    def enter(self, seconds: float) -> bool:
        """Wait for a place, and tell whether there was one in time."""
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...


class Places:
    """A lane of so many places beside the turns of a worker."""

    def __init__(self, turns: Turns, places: int) -> None:
        self._turns = turns
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._places.put(None)

    def enter(self, seconds: float) -> bool:
        """Take a place that is free; else wait for one without a turn."""
        try:
            self._places.get_nowait()
        except Empty:
            return self._wait(seconds)
        return True

    def leave(self) -> None:
        """Give the place back."""
        self._places.put(None)

    def _wait(self, seconds: float) -> bool:
        self._turns.give()
        try:
            self._places.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        finally:
            self._turns.take()
        return True


class Unlimited:
    """Places for everybody: without a server there are no turns."""

    def enter(self, _seconds: float) -> bool:
        """Go on."""
        return True

    def leave(self) -> None:
        """Nothing was taken."""


UNLIMITED: Final[Lane] = Unlimited()


def lane_of(environ: WSGIEnvironment) -> Lane:
    """Return the lane of the worker that serves a request; its socket knows it."""
    lane: Lane | None = getattr(environ.get("gunicorn.socket"), "lane", None)
    return lane or UNLIMITED


class TimeLeft:
    """The budget of one review, which takes a place in a lane when it takes long, until it is `done`."""

    __slots__ = ("_clock", "_entered", "_lane", "_next", "_until")

    def __init__(self, clock: Callable[[], float], seconds: float, lane: Lane) -> None:
        self._clock = clock
        self._lane = lane
        started = clock()
        self._until = started + seconds
        self._next = started + min(LONG, seconds)
        self._entered = False

    def check(self, part: Part) -> None:
        """Raise TimeSpentError where no time is left."""
        now = self._clock()
        if now > self._next:  # Nearly always this is all.
            self._go_on(part, now)

    def _go_on(self, part: Part, now: float) -> None:
        if now > self._until:
            raise TimeSpentError(part)
        self._next = self._until
        self._entered = self._lane.enter(self._until - now)
        if not self._entered:
            raise TimeSpentError(Part.WAITING)

    def done(self) -> None:
        """Give the place back, if one was taken."""
        if self._entered:
            self._entered = False
            self._lane.leave()
