"""The loop of passes: one for a burst of changes, one when it is due, and none after the end."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from policy.service.leading.term_works import Passes
from tests.policy.service.world import PATIENCE


class Counted(Passes):
    """Tells of each pass, and says when the next one is due."""

    def __init__(self, *, due: float | None = None, then: Callable[[], None] = lambda: None) -> None:
        super().__init__(settle=0.001)
        self.made: SimpleQueue[int] = SimpleQueue()
        self._count = 0
        self._due = due
        self._then = then

    def run_pass(self) -> float | None:
        """Count."""
        self._count += 1
        self.made.put(self._count)
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


def test_the_first_pass_comes_by_itself_and_others_when_woken() -> None:
    """A term begins with a look at what is there."""
    passes = Counted()
    with running(passes):
        assert passes.made.get(timeout=PATIENCE) == 1
        passes.wake()
        assert passes.made.get(timeout=PATIENCE) == 2
        assert passes.made.empty()


def test_what_is_woken_during_a_pass_gets_another() -> None:
    """It may have come after the pass had looked."""
    passes = Counted(then=lambda: passes.wake() if passes.made.qsize() < 3 else None)
    with running(passes):
        assert [passes.made.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]


def test_a_pass_that_is_due_needs_no_waking() -> None:
    """Time alone brings it."""
    with running(passes := Counted(due=0.001)):
        assert [passes.made.get(timeout=PATIENCE) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("due", [None, 0.0])
def test_it_ends_with_the_pass_that_is_under_way(due: float | None) -> None:
    """And makes no other, though one is due."""
    passes = Counted(due=due, then=lambda: passes.stop())  # noqa: PLW0108 - it is bound only afterwards
    with running(passes) as done:
        done.result(PATIENCE)
    assert passes.made.qsize() == 1
