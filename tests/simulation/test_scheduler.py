"""Virtual time: actors take turns by their times alone, and what blocks a thread blocks an actor."""

import queue
from collections.abc import Callable

import pytest

from tests.simulation.scheduler import SECOND, Actor, Process, Scheduler
from tests.simulation.threads import VirtualCondition, VirtualEvent, VirtualLock, VirtualQueue


class Stage:
    """A scheduler with what its actors have said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.errors: list[Exception] = []
        self.scheduler = Scheduler(died=self._died)

    def _died(self, actor: Actor, error: Exception) -> None:
        del actor
        self.errors.append(error)

    def says(self, *lines: str, every: int = SECOND) -> Callable[[], None]:
        """Return an actor that says lines, one after each pause."""

        def act() -> None:
            for line in lines:
                self.scheduler.pause(every)
                self.said.append(line)

        return act

    def run(self, seconds: int = 60) -> None:
        """Let time pass, then unwind whoever is left."""
        self.scheduler.block(seconds * SECOND)
        self.scheduler.close()


def test_whoever_is_due_first_goes_first() -> None:
    """And at the same time, whoever asked first."""
    stage = Stage()
    stage.scheduler.spawn("slow", stage.says("s1", "s2", every=3 * SECOND), process=None)
    stage.scheduler.spawn("fast", stage.says("f1", "f2", "f3", every=2 * SECOND), process=None)
    stage.run()
    assert stage.said == ["f1", "s1", "f2", "s2", "f3"]
    assert stage.scheduler.now == 60 * SECOND


def test_a_crash_ends_every_actor_of_the_process_where_it_waits() -> None:
    """What they would have done later is never done; their clean-up is."""
    stage = Stage()
    process = Process("p")

    def tidy() -> None:
        try:
            stage.says("late", every=9 * SECOND)()
        finally:
            stage.said.append("unwound")

    def crash() -> None:
        stage.scheduler.pause(SECOND)
        stage.scheduler.crash(process)

    stage.scheduler.spawn("one", tidy, process=process)
    stage.scheduler.spawn("two", crash, process=process)
    stage.scheduler.spawn("other", stage.says("unharmed", every=20 * SECOND), process=Process("q"))
    stage.run()
    assert stage.said == ["unwound", "unharmed"]


def test_a_frozen_process_goes_on_when_it_thaws() -> None:
    """Its actors do nothing meanwhile, however early they were due."""
    stage = Stage()
    process = Process("p")
    process.frozen_until = 10 * SECOND
    stage.scheduler.spawn("one", stage.says("mine"), process=process)
    stage.scheduler.spawn("two", stage.says("theirs", every=5 * SECOND), process=None)
    stage.run()
    assert stage.said == ["theirs", "mine"]


def test_an_error_of_an_actor_is_told() -> None:
    """It ends the actor, and nobody else."""
    stage = Stage()

    def fail() -> None:
        raise ValueError("no")

    stage.scheduler.spawn("one", fail, process=None)
    stage.scheduler.spawn("two", stage.says("two"), process=None)
    stage.run()
    assert [str(each) for each in stage.errors] == ["no"]
    assert stage.said == ["two"]


def test_a_lock_is_held_by_one_and_given_to_whoever_waits() -> None:
    """While its holder waits for something else."""
    stage = Stage()
    lock = VirtualLock(stage.scheduler)

    def work(name: str) -> Callable[[], None]:
        def act() -> None:
            with lock:
                stage.said.append(f"{name} in")
                stage.scheduler.pause(SECOND)
                stage.said.append(f"{name} out")

        return act

    stage.scheduler.spawn("a", work("a"), process=None)
    stage.scheduler.spawn("b", work("b"), process=None)
    stage.run()
    assert stage.said == ["a in", "a out", "b in", "b out"]


def test_events_and_queues_wait_and_time_out() -> None:
    """As those of the standard library do, in virtual seconds."""
    stage = Stage()
    event, items = VirtualEvent(stage.scheduler), VirtualQueue[str](stage.scheduler)

    def listen() -> None:
        stage.said.append(f"event {event.wait(1)} at {stage.scheduler.now // SECOND}")
        stage.said.append(f"event {event.wait(9)} at {stage.scheduler.now // SECOND}")
        stage.said.append(f"{items.get()} at {stage.scheduler.now // SECOND}")
        with pytest.raises(queue.Empty):
            items.get(timeout=2)
        stage.said.append(f"empty at {stage.scheduler.now // SECOND}")

    def tell() -> None:
        stage.scheduler.pause(5 * SECOND)
        event.set()
        stage.scheduler.pause(2 * SECOND)
        items.put("word")

    stage.scheduler.spawn("listener", listen, process=None)
    stage.scheduler.spawn("teller", tell, process=None)
    stage.run()
    assert stage.said == ["event False at 1", "event True at 5", "word at 7", "empty at 9"]


def test_a_condition_wakes_whoever_waits_for_it() -> None:
    """`wait_for` looks again at every wake, and gives up in time."""
    stage = Stage()
    condition = VirtualCondition(stage.scheduler)
    count = [0]

    def wait() -> None:
        with condition:
            stage.said.append(f"{condition.wait_for(lambda: count[0] >= 2, 10)} {count[0]}")
            stage.said.append(f"{condition.wait_for(lambda: count[0] >= 9, 10)} {count[0]}")

    def tell() -> None:
        for _ in range(3):
            stage.scheduler.pause(SECOND)
            with condition:
                count[0] += 1
                condition.notify_all()

    stage.scheduler.spawn("waiter", wait, process=None)
    stage.scheduler.spawn("teller", tell, process=None)
    stage.run()
    assert stage.said == ["True 2", "False 3"]
