"""Releases of one pass that are sent by several threads: as by one, all of them, and each once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore

import pytest

from lockkeeper.assembly.controller import sent_beside
from policy.cluster.errors import Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.core.quota.ledger import Reservation
from policy.service.release.release_sender import ReleaseSender
from policy.service.tracking.tracker import LIVE, Tracker
from tests.patience import PATIENCE
from tests.policy.service.world import Call, Clock, Leader, Spy, draft, is_held, quota, snapshot_of, submit

NAMES = [f"run-{number:02d}" for number in range(20)]


@pytest.fixture
def hands() -> Iterator[ThreadPoolExecutor]:
    """Give some threads."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def reserved(cluster: MemoryCluster, clock: Clock) -> tuple[Tracker, list[Reservation]]:
    """Return held Workflows as they are tracked, with a release reserved for each."""
    snapshot = snapshot_of(quota("etl", "q", workflows=0))
    for name in NAMES:
        submit(cluster, snapshot, draft(name), namespace="etl")
    leader = Leader(cluster, snapshot, clock)
    leader.see()
    found = [Reservation(each.release, "etl", each.name, (), each.weight, clock()) for each in leader.tracker]
    return leader.tracker, found


def sent(sender: ReleaseSender, found: list[Reservation], tracker: Tracker, *, stopping: bool = False) -> int:
    """Send all, and return how many were released."""
    sender.start(found, tracker, lambda: stopping)
    return sender.finish()


def test_each_release_is_sent_once(cluster: MemoryCluster, clock: Clock, hands: ThreadPoolExecutor) -> None:
    """They are reported in their order, whichever was answered first."""
    tracker, found = reserved(cluster, clock)
    spy, told = Spy(cluster), Leader(cluster, snapshot_of(), clock).told
    sender = ReleaseSender(cluster=spy, clock=clock, reporter=told, send_all=sent_beside(hands))
    assert sent(sender, found, tracker) == len(NAMES)
    assert sent(sender, found, tracker) == 0
    assert told.released_names == NAMES
    assert sorted(call.name for call in spy.calls if call.releases) == NAMES
    assert not any(is_held(item) for item in cluster.list(WORKFLOWS, labels=LIVE).items)


def test_one_that_fails_delays_no_other(
    cluster: MemoryCluster, clock: Clock, hands: ThreadPoolExecutor
) -> None:
    """It is tried again after a while, by itself."""
    tracker, found = reserved(cluster, clock)
    spy, told = Spy(cluster), Leader(cluster, snapshot_of(), clock).told

    def fail(call: Call) -> None:
        if call.releases and call.name == NAMES[3]:
            raise Unavailable("no answer")

    spy.before = fail
    sender = ReleaseSender(cluster=spy, clock=clock, reporter=told, send_all=sent_beside(hands))
    assert sent(sender, found, tracker) == len(NAMES) - 1
    assert [name for name, _ in told.failures] == [NAMES[3]]
    assert len(sender._delays) == 1


def test_nothing_is_sent_once_the_leader_stops(
    cluster: MemoryCluster, clock: Clock, hands: ThreadPoolExecutor
) -> None:
    """The next leader completes what is reserved."""
    tracker, found = reserved(cluster, clock)
    spy, told = Spy(cluster), Leader(cluster, snapshot_of(), clock).told
    sender = ReleaseSender(cluster=spy, clock=clock, reporter=told, send_all=sent_beside(hands))
    assert sent(sender, found, tracker, stopping=True) == 0
    assert not spy.calls


def test_they_are_sent_while_their_leader_does_something_else(
    cluster: MemoryCluster, clock: Clock, hands: ThreadPoolExecutor
) -> None:
    """It plans the next root meanwhile."""
    tracker, found = reserved(cluster, clock)
    spy, told, arrived = Spy(cluster), Leader(cluster, snapshot_of(), clock).told, Semaphore(0)

    def note(call: Call) -> None:
        if call.releases:
            arrived.release()

    spy.after = note
    sender = ReleaseSender(cluster=spy, clock=clock, reporter=told, send_all=sent_beside(hands))
    sender.start(found, tracker, lambda: False)
    assert all(arrived.acquire(timeout=PATIENCE) for _ in NAMES)
    assert told.released_names == []
    assert sender.finish() == len(NAMES)
    assert told.released_names == NAMES


def test_threads_that_have_other_work_are_not_waited_for(
    cluster: MemoryCluster, clock: Clock, hands: ThreadPoolExecutor
) -> None:
    """The leader sends by itself then."""
    tracker, found = reserved(cluster, clock)
    told, done = Leader(cluster, snapshot_of(), clock).told, Event()
    others = [hands.submit(done.wait, PATIENCE) for _ in range(4)]
    sender = ReleaseSender(cluster=cluster, clock=clock, reporter=told, send_all=sent_beside(hands))
    assert sent(sender, found, tracker) == len(NAMES)
    assert not any(each.done() for each in others)
    done.set()
