"""A controller's terms as the leader: what is done in one, and what wakes each part of it while it lasts.

A process may lead many times. What it keeps from one term to the next (policies, metrics, the log) knows of a
term only until that ends: the list of live Workflows of an ended one would otherwise stay in memory.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.assembly.controller import build_controller, several_at_once
from lockkeeper.process.clock_and_log import utc_now
from lockkeeper.process.controller_log import ControllerLog
from policy.cluster.ledgers import Ledgers
from policy.core.quota.accounts import Root
from policy.service.leading.term_works import Duties, Work
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.locks.lock_traces import WatchedCluster
from policy.service.locks.lock_watch import NOTHING_SEEN, LocksView, LockWatch
from policy.service.release.node_watch import NodeWatch
from policy.service.release.release_pass import unknown_capacity
from policy.service.status.events import EventWriter


class Terms:
    """Begins a term each time that this process comes to lead; `leading` tells whether it does."""

    def __init__(
        self,
        *,
        cluster: WatchedCluster,
        policies: ClusterPolicies,
        ledgers: Ledgers,
        reporter: ControllerLog,
        lock_metrics: LockMetrics,
        leading: Callable[[], bool],
        me: str,
    ) -> None:
        self._cluster = cluster
        self._policies = policies
        self._ledgers = ledgers
        self._reporter = reporter
        self._lock_metrics = lock_metrics
        self._leading = leading
        self._me = me

    def begin(self, upkeep: Mapping[str, Work]) -> Work:
        """Return what is to do in one term; `upkeep` is done beside it."""
        self._reporter.led()
        policies, board, trouble = self._policies, self._policies.board, self._reporter.trouble
        event_writer = EventWriter(cluster=self._cluster, clock=utc_now, me=self._me)
        locks, nodes = self._locks(), self._nodes()
        queues = build_controller(
            cluster=self._cluster,
            board=board,
            ledgers=self._ledgers,
            reporter=self._reporter,
            capacity=nodes.capacity,
            send_all=several_at_once(),
        )
        status = policies.status_writer(trouble)
        semaphores = policies.config_map_writer(trouble, cluster=self._cluster, in_use=locks.uses)
        siblings = policies.siblings(trouble)
        ending = ExitStack()
        for subscribe, wake in (
            (nodes.on_change, queues.wake),
            (board.on_policies, queues.wake),
            (board.on_policies, nodes.wake),
            (board.on_policies, locks.wake),
            (board.on_policies, semaphores.wake),
            (board.on_policies, siblings.wake),
            (board.on_usage, status.wake),
            (policies.on_verdicts, status.wake),
        ):
            ending.callback(subscribe(wake))
        ending.callback(self._forget)
        self._lock_metrics.show(lambda: locks.view if self._leading() else NOTHING_SEEN)
        policies.capacity = nodes.capacity
        self._reporter.event_writer = event_writer
        works: dict[str, Work] = {
            "queues": queues,
            "events": event_writer,
            "nodes": nodes,
            "policy-status": status,
            "semaphores": semaphores,
            "siblings": siblings,
            "locks": locks,
        }
        return Duties({**works, **upkeep}, ending=ending)

    def _locks(self) -> LockWatch:
        return LockWatch(
            cluster=self._cluster,
            snapshot=self._policies.board.current,
            clock=utc_now,
            stopwatch=time.monotonic,
            recorder=self._lock_metrics,
            trouble=self._reporter.trouble,
            me=self._me,
        )

    def _nodes(self) -> NodeWatch:
        return NodeWatch(
            cluster=self._cluster,
            snapshot=self._policies.board.current,
            before=lambda pool: self._ledgers.read(Root.of_pool(pool)).capacity,
            clock=utc_now,
            trouble=self._reporter.trouble,
        )

    def _forget(self) -> None:
        """Let nothing that outlives the term lead back to it."""
        self._lock_metrics.show(_nothing)
        self._policies.capacity = unknown_capacity
        self._reporter.event_writer = None


def _nothing() -> LocksView:
    return NOTHING_SEEN
