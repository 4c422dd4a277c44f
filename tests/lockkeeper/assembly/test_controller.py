"""Terms of a leader over the in-memory cluster, one after the other in one process."""

import gc
from collections import Counter
from collections.abc import Iterator
from itertools import count
from random import Random
from threading import Event, Thread
from threading import enumerate as living_threads
from typing import Final

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.assembly.controller import Terms
from lockkeeper.process.console import utc_now
from lockkeeper.process.controller_log import ControllerLog
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import SYNCHRONIZATION_POLICIES, WORKFLOW_QUOTAS, WORKFLOWS, MergePatch
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from policy.service.locks.lock_metrics import LockMetrics
from policy.sources.snapshot_store import Listeners
from tests.patience import PATIENCE
from webhook.logs import Log

TEAM: Final = "team-a"
TERMS: Final = 50
FIRST: Final = 20
"""Terms after which everything is there that stays for the life of the process."""
A_FEW: Final = 200
"""Objects by which two looks at the same state may differ; each term that stays adds more than ten."""
WATCHES: Final = ("workflow-watch-", "node-watch-", "locks-")
"""Names of threads that end with the next event."""


class Process:
    """What a controller process has for all of its terms, and the cluster that it works on."""

    def __init__(self) -> None:
        self._changes = count(1)
        self.cluster = MemoryCluster(clock=utc_now, rng=Random(1), log_size=20)
        limit: JsonObject = {"limits": {"workflows": 1}}
        pattern: JsonObject = {"validate": {"keyPattern": "^[a-z]+$"}}
        for resource, spec in ((WORKFLOW_QUOTAS, limit), (SYNCHRONIZATION_POLICIES, pattern)):
            self.cluster.create(
                resource,
                {
                    "apiVersion": resource.api_version,
                    "kind": resource.kind,
                    "metadata": {"name": "p", "namespace": TEAM},
                    "spec": spec,
                },
                namespace=TEAM,
            )
        self.cluster.create(
            WORKFLOWS,
            {
                "apiVersion": WORKFLOWS.api_version,
                "kind": WORKFLOWS.kind,
                "metadata": {"name": "w", "namespace": TEAM},
                "spec": {},
            },
            namespace=TEAM,
        )
        log = Log(write=len, clock=utc_now)
        self.policies = ClusterPolicies(cluster=self.cluster, argo=DEFAULT_VERSION, log=log)
        self._subscribed = [
            each
            for owner in (self.policies, self.policies.snapshots)
            for each in vars(owner).values()
            if isinstance(each, Listeners)
        ]
        self.terms = Terms(
            cluster=self.cluster,
            policies=self.policies,
            ledgers=Ledgers(cluster=self.cluster, clock=utc_now),
            reporter=ControllerLog(log=log),
            lock_metrics=LockMetrics(registry=CollectorRegistry()),
            leading=lambda: True,
            me="leader",
        )

    def listeners(self) -> int:
        """Return how many have subscribed to what outlives a term."""
        return sum(map(len, self._subscribed))

    def lead(self) -> int:
        """Lead until the queues were gone through once; returns how many listened meanwhile."""
        term = self.terms.begin({})
        counted = Event()
        unsubscribe = self.policies.snapshots.on_usage(counted.set)
        thread = Thread(target=term.run, daemon=True)
        thread.start()
        assert counted.wait(PATIENCE)
        unsubscribe()
        listened = self.listeners()
        term.stop()
        thread.join(PATIENCE)
        self._move()
        for each in living_threads():
            if each.name.startswith(WATCHES):
                each.join(PATIENCE)
                assert not each.is_alive()
        return listened

    def _move(self) -> None:
        """Change the Workflow, for which the watches of a term that is over wait."""
        change: JsonObject = {"change": str(next(self._changes))}
        patch = MergePatch({"metadata": {"annotations": change}})
        self.cluster.patch(WORKFLOWS, "w", patch, namespace=TEAM)


def alive() -> Counter[str]:
    """Count the objects of the controller's own types."""
    while gc.collect():  # Types that a list made for itself go with the second collection.
        pass
    kinds = [type(each) for each in gc.get_objects()]
    return Counter(
        each.__qualname__
        for each in kinds
        if str(each.__module__).startswith(("policy.service.", "lockkeeper."))
        and not issubclass(each, msgspec.Struct)
    )


@pytest.fixture
def process() -> Iterator[Process]:
    """Give a process that knows its policies."""
    made = Process()
    made.policies.start()
    assert made.policies.wait(PATIENCE)
    yield made
    made.policies.stop()
    made.cluster.close()


def test_fifty_terms_in_one_process_leave_nothing_behind(process: Process) -> None:
    """A process that often loses the lead neither grows nor wakes the controllers of terms that are over."""
    unled = process.listeners()
    led = {process.lead() for _ in range(FIRST)}
    early, early_objects = alive(), len(gc.get_objects())
    led |= {process.lead() for _ in range(TERMS - FIRST)}
    late, late_objects = alive(), len(gc.get_objects())
    assert len(led) == 1, "as many listen in the last term as in the first"
    assert process.listeners() == unled
    assert late == early
    assert "Controller" not in late
    assert late_objects < early_objects + A_FEW
