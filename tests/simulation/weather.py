"""What goes wrong, and how often: drawn once for a run, so that runs differ in kind and not by luck alone.

Probabilities are per call for what happens to calls, and per await point for what happens to processes.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from tests.simulation.choices import Choices
from tests.simulation.scheduler import MILLISECOND, SECOND, Process, Scheduler

START: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MAX_SKEW: Final = 10 * SECOND
"""How far a clock may be from the true time: what is left of a reservation's 90 s after the API server's 60 s
covers clocks that are 20 s apart, and some."""


SHORT_STORM: Final = 16 * SECOND
LONG_STORM: Final = 110 * SECOND


class Fault(StrEnum):
    """What can go wrong."""

    LOST = "request lost"
    ANSWER_LOST = "answer lost after the write"
    LATE = "request arrives after its sender gave up"
    TWICE = "request arrives twice"
    CONFLICT = "conflict"
    THROTTLED = "too many requests"
    WATCH_BROKEN = "watch broken"
    WATCH_GONE = "watch gone (410)"
    WATCH_ENDED = "watch ended"
    STALE_WATCH = "watch lags"
    DROPPED = "request dropped by the API server"
    CRASH = "crash"
    FREEZE = "process frozen"
    STALL = "call takes seconds"
    CUT = "lease out of reach"
    SKEW = "clock set"
    POLICY_LAG = "policies seen late"


class Climate(StrEnum):
    """What kind of bad weather a run has."""

    SQUALLS = "everything can go wrong, each thing in some runs only"
    LEADERS = "controllers are frozen, cut off and slow, so that two believe that they lead"
    DRAGGING = "little breaks, but requests and watches are late by a minute, and Workflows run for long"


_OFTEN: Final[dict[Fault, tuple[float, ...]]] = {
    Fault.LOST: (0, 0, 0.01, 0.05),
    Fault.ANSWER_LOST: (0, 0, 0.02, 0.06),
    Fault.LATE: (0, 0, 0.02, 0.06),
    Fault.TWICE: (0, 0, 0.02, 0.06),
    Fault.CONFLICT: (0, 0, 0.03, 0.1),
    Fault.THROTTLED: (0, 0, 0.01, 0.03),
    Fault.WATCH_BROKEN: (0, 0, 0.02, 0.1),
    Fault.WATCH_GONE: (0, 0, 0.01, 0.05),
    Fault.WATCH_ENDED: (0, 0, 0.02, 0.1),
    Fault.STALE_WATCH: (0, 0.05, 0.2, 0.5),
    Fault.DROPPED: (0, 0, 0.02, 0.06),
    Fault.CRASH: (0, 0, 0.002, 0.006),
    Fault.FREEZE: (0, 0, 0.002, 0.008),
    Fault.STALL: (0, 0, 0.01, 0.03),
    Fault.CUT: (0, 0, 0.002, 0.01),
    Fault.SKEW: (0, 0, 0.002, 0.01),
    Fault.POLICY_LAG: (0, 0.2, 0.5),
}
_RATES: Final[dict[Climate, dict[Fault, tuple[float, ...]]]] = {
    Climate.SQUALLS: _OFTEN,
    Climate.LEADERS: {
        Fault.ANSWER_LOST: (0, 0.03),
        Fault.LATE: (0, 0.05),
        Fault.TWICE: (0, 0.05),
        Fault.STALE_WATCH: (0, 0.3),
        Fault.CRASH: (0, 0, 0.004),
        Fault.FREEZE: (0, 0, 0.004),
        Fault.STALL: (0.03, 0.08),
        Fault.CUT: (0, 0.005, 0.015),
        Fault.POLICY_LAG: (0, 0.3),
    },
    Climate.DRAGGING: {
        Fault.LATE: (0.1, 0.3),
        Fault.STALE_WATCH: (0.2, 0.5),
        Fault.DROPPED: (0, 0.05),
        Fault.SKEW: (0, 0.005),
        Fault.CRASH: (0, 0, 0.0005),
    },
}


class Weather(msgspec.Struct, frozen=True):
    """How often each fault happens, and how often a call is slow."""

    climate: Climate
    rates: dict[Fault, float]
    slow: float

    @classmethod
    def of(cls, choices: Choices) -> "Weather":
        """Return the weather of a seed."""
        drawn = choices.roll("weather climate")[0]
        climate = Climate.SQUALLS if drawn < 0.5 else Climate.LEADERS if drawn < 0.85 else Climate.DRAGGING
        rates = {
            fault: choices.pick(f"weather {fault.name}", rates) for fault, rates in _RATES[climate].items()
        }
        return cls(climate, rates, choices.pick("weather slow", (0.0, 0.05, 0.2)))


def nobody_restarts(_: Process) -> None:
    """Leave a process that crashed where it is."""


class Sky:
    """Brings the weather upon actors at their await points; `clear` ends all faults."""

    def __init__(self, *, scheduler: Scheduler, choices: Choices, weather: Weather) -> None:
        self._scheduler = scheduler
        self._choices = choices
        self._weather = weather
        self._skews: dict[str, int] = {}
        self._cut_until: dict[str, int] = {}
        self.clear = False
        self.on_crash: Callable[[Process], None] = nobody_restarts
        self.steps = 0
        self.counts: Counter[Fault] = Counter()
        self.crashes: Counter[str] = Counter()

    @property
    def long(self) -> bool:
        """Whether the storm is a long one."""
        return self._weather.climate is Climate.DRAGGING

    @property
    def storm(self) -> int:
        """How long faults happen, in microseconds."""
        return LONG_STORM if self.long else SHORT_STORM

    def strikes(self, fault: Fault, drawn: float, question: str) -> bool:
        """Tell whether a fault happens, by a number in [0, 1) that was drawn for the question."""
        if self.clear or drawn >= self._weather.rates.get(fault, 0):
            return False
        if not self._choices.takes(f"{question} {fault.name}"):
            return False
        self.counts[fault] += 1
        return True

    def moment(self) -> None:
        """Let the current actor wait as long as a message travels; its process may suffer meanwhile.

        Raises Unwound.
        """
        actor = self._scheduler.current
        question = f"{actor.name}.{actor.turns}"
        roll = self._choices.roll(question)
        self.steps += 1
        if actor.process is not None:
            self._afflict(actor.process, question)
        delay = MILLISECOND + int(roll[0] ** 3 * 20 * MILLISECOND)
        if not self.clear and roll[1] < self._weather.slow and self._choices.takes(f"{question} slow"):
            delay += int(roll[2] ** 3 * SECOND)
        if self.strikes(Fault.STALL, roll[3], question):
            delay += int((0.5 + 8 * roll[4]) * SECOND)
        self._scheduler.pause(delay)

    def _afflict(self, process: Process, question: str) -> None:
        roll = self._choices.roll(f"{question} process")
        if self.strikes(Fault.CRASH, roll[0], question):
            self._scheduler.note(f"{process.name} crashes")
            self.crashes[process.name.partition("-")[0]] += 1
            self.on_crash(process)
            self._scheduler.crash(process)
        if self.strikes(Fault.FREEZE, roll[1], question):
            duration = int((0.2 + 9 * roll[2]) * SECOND)
            process.frozen_until = self._scheduler.now + duration
            self._scheduler.note(f"{process.name} is frozen for {duration / SECOND:.1f} s")
        if self.strikes(Fault.SKEW, roll[3], question):
            skew = int((2 * roll[4] - 1) * MAX_SKEW)
            self._skews[process.name] = skew
            self._scheduler.note(f"the clock of {process.name} is now {skew / SECOND:+.1f} s wrong")

        if self.strikes(Fault.CUT, roll[5], question):
            self._cut_until[process.name] = self._scheduler.now + int((2 + 6 * roll[6]) * SECOND)
            self._scheduler.note(f"{process.name} reaches no lease any more")

    def cut_off(self, process: Process | None) -> bool:
        """Tell whether a process cannot reach its lease now."""
        return process is not None and self._cut_until.get(process.name, 0) > self._scheduler.now

    def clock(self, process: Process | None) -> datetime:
        """Return what a process takes for the time."""
        skew = self._skews.get(process.name, 0) if process is not None else 0
        return START + timedelta(microseconds=self._scheduler.now + skew)

    def stopwatch(self) -> float:
        """Return a time that only goes forward, in seconds."""
        return self._scheduler.now / SECOND

    def lateness(self, question: str, longest: int) -> int:
        """Return how late something arrives, in microseconds: mostly soon, sometimes after very long."""
        roll = self._choices.roll(f"{question} lateness")
        power = 1 if self.long else 4
        return int(roll[0] ** power * longest) + MILLISECOND
