"""Liveness: what only a new process can mend, and nothing else; and an end while a process starts."""

import json
import signal
import threading
from datetime import timedelta
from typing import Final

import pytest

from lockkeeper.process.liveness import LONGEST_ITERATION, Liveness, ending_at_sigterm
from policy.service.leading.fences import Deposed
from tests.webhook.calling import Clock
from webhook.logs import Log

START: Final = 1000.0


class Stopwatch:
    """A stopwatch that moves only when it is told to."""

    def __init__(self) -> None:
        self.seconds = START

    def __call__(self) -> float:
        return self.seconds


class Watched:
    """A liveness with its log and its stopwatch."""

    def __init__(self, *restarted: str) -> None:
        self.lines: list[bytes] = []
        self.stopwatch = Stopwatch()
        log = Log(write=self.lines.append, clock=Clock())
        self.liveness = Liveness(log=log, stopwatch=self.stopwatch, restarted=restarted)

    def logged(self) -> list[tuple[str, str, str]]:
        """Return level, event and message of each line."""
        said = [json.loads(line) for line in self.lines]
        return [(each["level"], each["event"], each["message"]) for each in said]


def end_by(error: BaseException, *, name: str) -> None:
    """Let a thread end by an error."""

    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail, name=name)
    thread.start()
    thread.join()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Return a liveness that hears of every thread's end."""
    made = Watched("leader")
    monkeypatch.setattr(threading, "excepthook", made.liveness.caught)
    return made


def test_a_process_of_which_nothing_is_known_is_alive(watched: Watched) -> None:
    """While it starts, and while the API server is away, there is nothing to mend."""
    watched.stopwatch.seconds += LONGEST_ITERATION.total_seconds() * 10
    assert watched.liveness.faults() == []


def test_a_thread_that_a_bug_has_ended_is_a_fault_for_good(watched: Watched) -> None:
    """Nobody begins it again, so policies would stand still; the log has the trace."""
    end_by(LookupError("no such key"), name="watch-workflowquotas")
    expected = ["the thread watch-workflowquotas was ended by a bug (LookupError)"]
    assert watched.liveness.faults() == expected
    assert watched.liveness.faults() == expected
    assert watched.logged() == [("error", "bug", "LookupError: no such key")]
    assert b"Traceback" in watched.lines[0]


def test_a_thread_that_is_restarted_is_no_fault(watched: Watched) -> None:
    """A leader that was deposed ends by an error, and the election goes on."""
    end_by(Deposed("ledger a is at epoch 3, ours is 2"), name="leader")
    assert watched.liveness.faults() == []
    message = "leader ended and starts again: ledger a is at epoch 3, ours is 2"
    assert watched.logged() == [("warning", "thread", message)]


def test_a_loop_that_turns_is_alive_and_one_that_hangs_is_not(watched: Watched) -> None:
    """It reads its stopwatch in each turn."""
    assert watched.liveness.beating() == START
    watched.stopwatch.seconds += LONGEST_ITERATION.total_seconds()
    assert watched.liveness.faults() == []
    watched.stopwatch.seconds += 1
    assert watched.liveness.faults() == ["the main loop has not turned for 301 s"]
    assert watched.liveness.beating() == START + 301
    assert watched.liveness.faults() == []


def test_every_fault_is_reported(watched: Watched) -> None:
    """Somebody who looks at the probe reads all of it."""
    watched.liveness.beating()
    watched.stopwatch.seconds += timedelta(hours=1).total_seconds()
    end_by(KeyError("x"), name="one")
    end_by(KeyError("x"), name="two")
    assert len(watched.liveness.faults()) == 3


def test_sigterm_ends_a_start_that_waits_and_is_then_as_before() -> None:
    """With an exit code of 0: it was asked to stop, and it stopped."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, ending_at_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0
    assert signal.getsignal(signal.SIGTERM) == before
