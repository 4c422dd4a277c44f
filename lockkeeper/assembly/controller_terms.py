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
from policy.service.leading.leader_election import Duties, Work
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.locks.lock_traces import WatchedCluster
from policy.service.locks.lock_watch import NOTHING_SEEN, LocksView, LockWatch
from policy.service.release.node_watch import NodeFollower
from policy.service.release.release_pass import unknown_capacity
from policy.service.status.events import Announcer


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
        policies, snapshots, trouble = self._policies, self._policies.snapshots, self._reporter.trouble
        announcer = Announcer(cluster=self._cluster, clock=utc_now, me=self._me)
        locks, nodes = self._locks(), self._nodes()
        queues = build_controller(
            cluster=self._cluster,
            snapshots=snapshots,
            ledgers=self._ledgers,
            reporter=self._reporter,
            capacity=nodes.capacity,
            together=several_at_once(),
        )
        status = policies.status_writer(trouble)
        semaphores = policies.projector(trouble, cluster=self._cluster, in_use=locks.uses)
        siblings = policies.siblings(trouble)
        ending = ExitStack()
        for subscribe, wake in (
            (nodes.on_change, queues.wake),
            (snapshots.on_policies, queues.wake),
            (snapshots.on_policies, nodes.wake),
            (snapshots.on_policies, locks.wake),
            (snapshots.on_policies, semaphores.wake),
            (snapshots.on_policies, siblings.wake),
            (snapshots.on_usage, status.wake),
            (policies.on_verdicts, status.wake),
        ):
            ending.callback(subscribe(wake))
        ending.callback(self._forget)
        self._lock_metrics.show(lambda: locks.view if self._leading() else NOTHING_SEEN)
        policies.capacity = nodes.capacity
        self._reporter.announcer = announcer
        works: dict[str, Work] = {
            "queues": queues,
            "events": announcer,
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
            snapshot=self._policies.snapshots.current,
            clock=utc_now,
            stopwatch=time.monotonic,
            recorder=self._lock_metrics,
            trouble=self._reporter.trouble,
            me=self._me,
        )

    def _nodes(self) -> NodeFollower:
        return NodeFollower(
            cluster=self._cluster,
            snapshot=self._policies.snapshots.current,
            before=lambda pool: self._ledgers.read(Root.of_pool(pool)).capacity,
            clock=utc_now,
            trouble=self._reporter.trouble,
        )

    def _forget(self) -> None:
        """Let nothing that outlives the term lead back to it."""
        self._lock_metrics.show(_nothing)
        self._policies.capacity = unknown_capacity
        self._reporter.announcer = None


def _nothing() -> LocksView:
    return NOTHING_SEEN
