"""One reader for all who ask, and what they get meanwhile."""

from collections.abc import Callable
from threading import Event, Thread

from lockkeeper.page_state.last_read import FRESH_SECONDS, LastRead
from policy.cluster.errors import Unavailable
from tests.patience import PATIENCE


def last_read(read: Callable[[int | None], int], seconds: list[float]) -> LastRead[int]:
    """Return a value that is read so, by a stopwatch that the test sets."""
    return LastRead(read=read, stopwatch=lambda: seconds[0], cost=lambda: 0.0)


def test_what_is_fresh_is_not_read_again() -> None:
    """Afterwards it is, from what was there before."""
    seconds = [0.0]
    kept = last_read(lambda before: (before or 0) + 1, seconds)
    assert [kept.current().value for _ in range(3)] == [1, 1, 1]
    seconds[0] = FRESH_SECONDS
    assert kept.current().value == 2


def test_a_failed_read_keeps_the_value_and_is_tried_again() -> None:
    """Not at once: the cluster has trouble enough."""
    seconds, fails = [0.0], [False]
    reads = []

    def read(before: int | None) -> int:
        reads.append(before)
        if fails[0]:
            raise Unavailable("away")
        return 7

    kept = last_read(read, seconds)
    assert kept.current().value == 7
    fails[0], seconds[0] = True, 5.0
    for _ in range(3):
        latest = kept.current()
        assert (latest.value, str(latest.error)) == (7, "away")
    assert len(reads) == 2
    fails[0], seconds[0] = False, 10.0
    assert kept.current().error is None


def test_while_one_reads_the_others_get_what_there_is() -> None:
    """A slow cluster makes nobody wait who has something to see."""
    seconds, begun, go_on = [0.0], Event(), Event()

    def read(before: int | None) -> int:
        if before is not None:
            begun.set()
            assert go_on.wait(PATIENCE)
        return (before or 0) + 1

    kept = last_read(read, seconds)
    kept.current()
    seconds[0] = 5.0
    reader = Thread(target=kept.current)
    reader.start()
    assert begun.wait(PATIENCE)
    assert kept.current().value == 1
    go_on.set()
    reader.join(PATIENCE)
    assert kept.current().value == 2
