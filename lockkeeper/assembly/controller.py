"""Puts together the controller that releases Workflows, and all that runs during one term as the leader.

`build_controller` is for the commands `controller` and `run`, `Terms` for `controller` alone. A process may
lead many times. What it keeps from one term to the next (policies, metrics, the log) refers to a term only
until that ends: the list of Workflows of an ended one would otherwise stay in memory.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

import msgspec

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.process.console import utc_now
from lockkeeper.process.controller_log import ControllerLog
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.core.quota.accounts import Root
from policy.core.values.amounts import Limits
from policy.service.leading.term_works import Duties, Work
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.locks.lock_traces import WatchedCluster
from policy.service.locks.lock_watch import NOTHING_SEEN, LockWatch
from policy.service.reading.start_forecasts import StartForecasts
from policy.service.release.controller import Controller
from policy.service.release.node_watch import NodeWatch
from policy.service.release.position_messages import WRITE_EVERY
from policy.service.release.reference_recorder import ReferenceRecorder
from policy.service.release.release_pass import ReleasePass, unknown_capacity
from policy.service.release.release_sender import Due, SendAll, SendResult
from policy.service.status.events import EventWriter
from policy.service.status.run_length_writer import RunLengthWriter
from policy.service.status.start_board import StartBoard
from policy.service.tracking.run_ends import RunEnds
from policy.sources.snapshot_store import SnapshotStore

_BESIDE: Final = 7
"""Threads that send releases beside the one that plans them."""


def several_at_once() -> SendAll:
    """Return what sends releases in some threads: each waits for its answer most of the time."""
    return sent_beside(ThreadPoolExecutor(max_workers=_BESIDE, thread_name_prefix="release"))


def sent_beside(hands: Executor) -> SendAll:
    """Return what begins to send releases in these threads, and helps in the one that takes the results.

    There is a task for each thread and not for each release: to hand one over costs as much CPU time as a
    third of the request.
    """

    def send_all(attempt: Callable[[Due], SendResult], due: Iterable[Due]) -> Iterator[SendResult]:
        todo = list(due)
        results: dict[int, SendResult] = {}
        numbered = iter(
            enumerate(todo)
        )  # Threads share it: to take the next of a list cannot be interrupted.

        def send_some() -> None:
            for number, each in numbered:
                results[number] = attempt(each)

        sending = [hands.submit(send_some) for _ in range(min(len(todo), _BESIDE))]
        return _finished(sending, send_some, results)

    return send_all


def _finished(
    sending: Iterable[Future[None]], send_some: Callable[[], None], results: Mapping[int, SendResult]
) -> Iterator[SendResult]:
    """Send what is left, wait for the threads, and yield all results in their order."""
    send_some()
    for each in sending:
        if not each.cancel():  # One that has not begun would find nothing to send.
            each.result()
    for number in range(len(results)):
        yield results[number]


def build_controller(
    *,
    cluster: Cluster,
    snapshots: SnapshotStore,
    ledgers: Ledgers,
    reporter: ControllerLog,
    capacity: Callable[[str], Limits | None] = unknown_capacity,
    send_all: SendAll = map,
    write_every: timedelta = WRITE_EVERY,
    run_ends: RunEnds | None = None,
    starts: StartBoard | None = None,
) -> Controller:
    """Return the controller; its caller wakes it when policies change.

    `capacity` returns what nodes allow a pool, `send_all` sends releases, and `write_every` is how often at
    most the positions in the queue of a namespace are written. `run_ends` sees who starts and ends, `starts`
    has when those that wait are expected to start.
    """
    release_pass = ReleasePass(
        cluster=cluster,
        ledgers=ledgers,
        snapshot=snapshots.current,
        clock=utc_now,
        publish=snapshots.put_usage,
        reporter=reporter,
        capacity=capacity,
        send_all=send_all,
        write_every=write_every,
        run_ends=run_ends,
        starts=starts,
    )
    return Controller(cluster=cluster, release_pass=release_pass, clock=utc_now, trouble=reporter.trouble)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Begins a term each time that this process comes to lead; `leading` returns whether it does.

    `write_every` is how often at most positions in a queue are written. `starts` are those that are expected
    while this process leads.
    """

    cluster: WatchedCluster
    policies: ClusterPolicies
    ledgers: Ledgers
    reporter: ControllerLog
    lock_metrics: LockMetrics
    leading: Callable[[], bool]
    me: str
    write_every: timedelta = WRITE_EVERY
    starts: StartBoard = msgspec.field(default_factory=StartBoard)

    def begin(self, upkeep: Mapping[str, Work]) -> Work:
        """Return what is to do in one term; `upkeep` is done beside it."""
        self.reporter.led()
        policies, snapshots, trouble = self.policies, self.policies.snapshots, self.reporter.trouble
        event_writer = EventWriter(cluster=self.cluster, clock=utc_now, me=self.me)
        locks, nodes, run_ends = self._locks(), self._nodes(), RunEnds()
        queues = build_controller(
            cluster=self.cluster,
            snapshots=snapshots,
            ledgers=self.ledgers,
            reporter=self.reporter,
            capacity=nodes.capacity,
            send_all=several_at_once(),
            write_every=self.write_every,
            run_ends=run_ends,
            starts=self.starts,
        )
        run_lengths = RunLengthWriter(
            cluster=self.cluster,
            take=run_ends.take,
            take_misses=self.starts.misses.take,
            clock=utc_now,
            trouble=trouble,
        )
        forecasts = StartForecasts(
            cluster=self.cluster,
            snapshot=snapshots.current,
            board=self.starts,
            clock=utc_now,
            cost=time.thread_time,
            trouble=trouble,
        )
        status = policies.status_writer(trouble)
        semaphores = policies.config_map_writer(trouble, cluster=self.cluster, in_use=locks.uses)
        siblings = policies.siblings(trouble)
        references = ReferenceRecorder(
            cluster=self.cluster, snapshot=snapshots.current, stopwatch=time.monotonic, trouble=trouble
        )
        ending = ExitStack()
        for subscribe, wake in (
            (nodes.on_change, queues.wake),
            (snapshots.on_policies, queues.wake),
            (snapshots.on_policies, nodes.wake),
            (snapshots.on_policies, locks.wake),
            (snapshots.on_policies, semaphores.wake),
            (snapshots.on_policies, siblings.wake),
            (snapshots.on_policies, references.wake),
            (snapshots.on_usage, status.wake),
            (policies.on_verdicts, status.wake),
        ):
            ending.callback(subscribe(wake))
        ending.callback(self._forget)
        self.lock_metrics.show(lambda: locks.view if self.leading() else NOTHING_SEEN)
        policies.capacity = nodes.capacity
        self.reporter.event_writer = event_writer
        works: dict[str, Work] = {
            "queues": queues,
            "events": event_writer,
            "nodes": nodes,
            "policy-status": status,
            "semaphores": semaphores,
            "siblings": siblings,
            "references": references,
            "locks": locks,
            "run-lengths": run_lengths,
            "expected-starts": forecasts,
        }
        return Duties({**works, **upkeep}, ending=ending)

    def _locks(self) -> LockWatch:
        return LockWatch(
            cluster=self.cluster,
            snapshot=self.policies.snapshots.current,
            clock=utc_now,
            stopwatch=time.monotonic,
            recorder=self.lock_metrics,
            trouble=self.reporter.trouble,
            me=self.me,
        )

    def _nodes(self) -> NodeWatch:
        return NodeWatch(
            cluster=self.cluster,
            snapshot=self.policies.snapshots.current,
            before=lambda pool: self.ledgers.read(Root.of_pool(pool)).capacity,
            clock=utc_now,
            trouble=self.reporter.trouble,
        )

    def _forget(self) -> None:
        """Remove all references to the term from what outlives it."""
        self.lock_metrics.show(lambda: NOTHING_SEEN)
        self.starts.clear()
        self.policies.capacity = unknown_capacity
        self.reporter.event_writer = None
