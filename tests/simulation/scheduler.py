"""Actors in virtual time: each has a thread, and only the one whose turn it is runs.

Whoever waits hands its turn to the actor that is due next, so no thread is between two, and a run is decided
by the times alone. Times are whole microseconds since the start of the run; nothing sleeps.
"""

import sys
import threading
import traceback
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

SECOND: Final = 1_000_000
MILLISECOND: Final = 1_000
REAL_PATIENCE: Final = 60.0
"""Real seconds without any turn taken after which an actor must be blocked for real: a fault of the test."""


class Unwound(BaseException):
    """Raised where an actor waits, to end it there."""


class Crashed(Unwound):
    """The process of the actor has died."""


class Ended(Unwound):
    """The run is over."""


class Violation(Exception):  # noqa: N818 - what a run can find
    """Something happened that the product promises will not; `rule` names the promise."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule
        self.text = text


class Process:
    """Actors that die together. `frozen_until` is when a process that was stopped goes on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0
        self.actors: dict[str, Actor] = {}


class Actor:
    """One thread of the simulation. `turns` counts its await points; `doom` ends it at the next."""

    def __init__(self, name: str, target: Callable[[], None], process: Process | None) -> None:
        self.name = name
        self.target = target
        self.process = process
        self.gate = threading.Lock()
        self.gate.acquire()
        self.thread: threading.Thread | None = None
        self.turns = 0
        self.ticket = 0
        self.blocked = False
        self.woken = False
        self.frozen = False
        self.done = False
        self.doom: Unwound | None = None
        self.joiners: list[Actor] = []
        self.memory: dict[str, str] = {}


class Scheduler:
    """Decides whose turn it is. The thread that makes the scheduler is the actor `main`.

    `died` hears of every actor that ended with an error.
    """

    def __init__(self, *, died: Callable[[Actor, Exception], None]) -> None:
        self._died = died
        self._heap: list[tuple[int, int, Actor, int]] = []
        self._sequence = 0
        self._names: dict[str, int] = {}
        self._everybody: list[Actor] = []
        self._over = False
        self.now = 0
        self.failure: Violation | None = None
        self.main = Actor("main", lambda: None, None)
        self.current = self.main
        self.trace: list[tuple[int, str, str]] = []

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append((self.now, self.current.name, text))

    def fail(self, violation: Violation) -> None:
        """End the run with what was found; the first finding counts."""
        if self.failure is None and not self._over:
            self.failure = violation
            self.note(f"VIOLATED {violation}")

    def spawn(
        self, name: str, target: Callable[[], None], *, process: Process | None, after: int = 0
    ) -> Actor:
        """Make an actor whose first turn comes `after` so many microseconds."""
        used = self._names[name] = self._names.get(name, 0) + 1
        actor = Actor(name if used == 1 else f"{name}~{used}", target, process)
        if process is not None:
            process.actors[actor.name] = actor
            if not process.alive:
                actor.doom = Crashed()
        self._everybody.append(actor)
        actor.blocked = True
        self._push(actor, self.now + after)
        return actor

    def pause(self, duration: int) -> None:
        """Let time pass for the current actor. Raises Unwound where it is ended."""
        self._wait(self.now + duration)

    def block(self, timeout: int | None = None) -> bool:
        """Wait until `wake`, or until the time is up; tells whether it was woken. Raises Unwound."""
        self._wait(None if timeout is None else self.now + timeout)
        return self.current.woken

    def wake(self, actor: Actor) -> None:
        """Let an actor that waits go on now."""
        if actor.blocked and not actor.done:
            actor.woken = True
            self._push(actor, self.now)

    def crash(self, process: Process) -> None:
        """End every actor of a process. Raises Crashed in one of its own."""
        process.alive = False
        doomed, process.actors = process.actors, {}
        for actor in doomed.values():
            actor.doom = Crashed()
            self.wake(actor)
        if self.current.process is process:
            raise Crashed

    def join(self, actor: Actor, timeout: int | None) -> None:
        """Wait until an actor has ended, or until the time is up."""
        if not actor.done:
            actor.joiners.append(self.current)
            self.block(timeout)

    def close(self) -> None:
        """Unwind every actor; called by `main` when the run is over."""
        self._over = True
        for actor in self._everybody:
            if actor.thread is None or actor.done:
                actor.done = True
                continue
            actor.doom = Ended()
            self._hand_over(actor, wait=self.main)
            actor.thread.join()

    def _wait(self, until: int | None) -> None:
        me = self.current
        if me.doom is not None:
            raise me.doom
        me.ticket += 1
        me.turns += 1
        me.woken = False
        me.blocked = True
        if until is not None:
            self._push(me, until)
        self._next(me)
        me.blocked = False
        if me.doom is not None:
            raise me.doom

    def _push(self, actor: Actor, at: int) -> None:
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, actor, actor.ticket))

    def _next(self, me: Actor) -> None:
        """Hand over to whoever is due, and return when it is this actor's turn again."""
        due = self._due()
        if due is not me:
            self._hand_over(due, wait=me)
        self.current = me

    def _due(self) -> Actor:
        if self._over or self.failure is not None:
            return self.main
        while self._heap:
            at, _, actor, ticket = heappop(self._heap)
            if actor.done or actor.ticket != ticket or not actor.blocked:
                continue
            if actor.frozen and actor.doom is None:
                self._push(actor, self.now + SECOND)
                continue
            frozen = actor.process.frozen_until if actor.process is not None and actor.doom is None else 0
            if frozen > max(at, self.now):
                self._push(actor, frozen)
                continue
            self.now = max(self.now, at)
            return actor
        raise AssertionError("nobody will ever go on: main has to wait with a time-out")

    def _hand_over(self, actor: Actor, *, wait: Actor | None) -> None:
        self.current = actor
        if actor.thread is None and actor is not self.main:
            actor.thread = threading.Thread(target=self._live, args=(actor,), name=actor.name, daemon=True)
            actor.thread.start()
        actor.gate.release()
        if wait is self.main:
            taken = self._sequence
            while not self.main.gate.acquire(timeout=REAL_PATIENCE):
                if self._sequence == taken:
                    self._complain()
                taken = self._sequence
        elif wait is not None:
            wait.gate.acquire()

    def _live(self, actor: Actor) -> None:
        actor.gate.acquire()
        actor.blocked = False
        try:
            if actor.doom is None:
                actor.target()
        except Unwound:
            pass
        except Violation as found:
            self.fail(found)
        except Exception as error:  # noqa: BLE001 - whoever runs the simulation judges it
            self._died(actor, error)
        actor.done = True
        if actor.process is not None:
            actor.process.actors.pop(actor.name, None)
        for waiting in actor.joiners:
            self.wake(waiting)
        self._hand_over(self._due(), wait=None)

    def _complain(self) -> None:
        """Raise with what the actor does that has not handed its turn on for a minute."""
        identity = self.current.thread.ident if self.current.thread is not None else None
        frame = sys._current_frames().get(identity or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        raise AssertionError(f"{self.current.name} is blocked for real:\n{stack}")
