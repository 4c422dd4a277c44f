"""Several works of a leader as one."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest

from policy.service.leading.term_works import Duties
from tests.patience import PATIENCE


class Endless:
    """Work that runs until it is stopped."""

    def __init__(self) -> None:
        self.running = Event()
        self._end = Event()

    def run(self) -> None:
        self.running.set()
        assert self._end.wait(PATIENCE)
        self.running.clear()

    def stop(self) -> None:
        self._end.set()


class Ending(Endless):
    """Work that ends by itself once it is told to, with an error if it has one."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.finish = Event()
        self._error = error

    def run(self) -> None:
        assert self.finish.wait(PATIENCE)
        if self._error is not None:
            raise self._error


def test_all_works_run_until_they_are_stopped() -> None:
    """Every work has its own thread, and `run` returns when all have ended."""
    works = {"one": Endless(), "two": Endless()}
    duties = Duties(works)
    with ThreadPoolExecutor(1) as pool:
        term = pool.submit(duties.run)
        assert all(work.running.wait(PATIENCE) for work in works.values())
        assert not term.done()
        duties.stop()
        term.result(PATIENCE)
    assert not any(work.running.is_set() for work in works.values())


def test_when_one_work_ends_by_itself_the_term_ends_with_it() -> None:
    """A term that does only half of its work is not a term."""
    lasting, short = Endless(), Ending()
    with ThreadPoolExecutor(1) as pool:
        term = pool.submit(Duties({"lasting": lasting, "short": short}).run)
        assert lasting.running.wait(PATIENCE)
        short.finish.set()
        term.result(PATIENCE)
    assert not lasting.running.is_set()


def test_the_error_that_ended_a_work_is_raised_by_the_term() -> None:
    """The elector's thread shows the bug; it is not swallowed."""
    lasting, broken = Endless(), Ending(ValueError("a bug"))
    broken.finish.set()
    with pytest.raises(ValueError, match="a bug"):
        Duties({"lasting": lasting, "broken": broken}).run()
    assert not lasting.running.is_set()


def test_the_end_of_a_term_is_seen_to_after_the_works_whatever_ended_them() -> None:
    """Who was subscribed for the term still hears while a work is running, and never after."""
    lasting, broken = Endless(), Ending(ValueError("a bug"))
    broken.finish.set()
    ending, ended = ExitStack(), Event()
    ending.callback(lambda: None if lasting.running.is_set() else ended.set())
    with pytest.raises(ValueError, match="a bug"):
        Duties({"lasting": lasting, "broken": broken}, ending=ending).run()
    assert ended.is_set()
