"""How the works of a term are done: in passes, and several as one."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from threading import Event

import pytest

from policy.service.leading.term_works import Duties, Passes
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
    """Work that ends by itself after `finish`, with an error if it has one."""

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
    """Half a term would look healthy."""
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


def test_a_term_is_closed_after_its_works_whatever_ended_them() -> None:
    """Subscriptions of the term last as long as any of its works."""
    lasting, broken = Endless(), Ending(ValueError("a bug"))
    broken.finish.set()
    ending, ended = ExitStack(), Event()
    ending.callback(lambda: None if lasting.running.is_set() else ended.set())
    with pytest.raises(ValueError, match="a bug"):
        Duties({"lasting": lasting, "broken": broken}, ending=ending).run()
    assert ended.is_set()


class Counted(Passes):
    """Counts passes, and returns when the next one is due."""

    def __init__(self, *, due: float | None = None, then: Callable[[], None] = lambda: None) -> None:
        super().__init__(settle=0.001)
        self.passes: SimpleQueue[int] = SimpleQueue()
        self._count = 0
        self._due = due
        self._then = then

    def run_pass(self) -> float | None:
        """Count."""
        self._count += 1
        self.passes.put(self._count)
        self._then()
        return self._due


@contextmanager
def running(passes: Passes) -> Iterator[Future[None]]:
    """Run the loop in a thread, and see it end."""
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(passes.run)
        try:
            yield done
        finally:
            passes.stop()
            done.result(PATIENCE)


def test_the_first_pass_is_made_at_once_and_others_when_woken() -> None:
    """A term begins with what is there already."""
    counted = Counted()
    with running(counted):
        assert counted.passes.get(timeout=PATIENCE) == 1
        counted.wake()
        assert counted.passes.get(timeout=PATIENCE) == 2
        assert counted.passes.empty()


def test_a_wake_during_a_pass_causes_another() -> None:
    """The change may be newer than what the pass has read."""
    counted = Counted(then=lambda: counted.wake() if counted.passes.qsize() < 3 else None)
    with running(counted):
        assert [counted.passes.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]


def test_a_pass_that_is_due_needs_no_waking() -> None:
    """Time alone is enough."""
    with running(counted := Counted(due=0.001)):
        assert [counted.passes.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("due", [None, 0.0])
def test_it_ends_with_the_pass_that_is_being_made(due: float | None) -> None:
    """And makes no other, though one is due."""
    counted = Counted(due=due, then=lambda: counted.stop())  # noqa: PLW0108 - it is bound only afterwards
    with running(counted) as done:
        done.result(PATIENCE)
    assert counted.passes.qsize() == 1
