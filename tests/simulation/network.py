"""What all processes share: the cluster, the weather between it and them, and the witness of every write."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, Resource
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.tracked import Tracked
from tests.simulation.choices import Choices
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.threads import Waiters
from tests.simulation.weather import Sky


class Sender(msgspec.Struct, frozen=True):
    """Who sent a write, by which version of the policies, and, of a leader, what it had seen then."""

    process: str
    policies: str
    tracked: tuple[Tracked, ...] | None = None


class Witness(Protocol):
    """Who sees every write at the moment at which it happens."""

    def stored(self, resource: Resource, obj: JsonObject, sender: Sender) -> None:
        """An object was made or changed."""
        ...

    def removed(self, resource: Resource, namespace: str, name: str) -> None:
        """An object was deleted."""
        ...


def nothing_seen(_: Process) -> tuple[Tracked, ...] | None:
    """Return what a process that leads has seen: it does not lead."""
    return None


class Network:
    """What all clients share: the cluster, the weather, and the witness."""

    def __init__(
        self,
        *,
        cluster: MemoryCluster,
        scheduler: Scheduler,
        sky: Sky,
        choices: Choices,
        witness: Witness,
    ) -> None:
        self.cluster = cluster
        self.scheduler = scheduler
        self.sky = sky
        self.choices = choices
        self.witness = witness
        self.seen_by: Callable[[Process], tuple[Tracked, ...] | None] = nothing_seen
        self.in_flight = 0
        """Requests that will arrive after their sender gave up, or a second time."""
        self.moved = Waiters(scheduler)
        """Watches that wait for a Workflow to change."""

    def wrote(self, resource: Resource, obj: JsonObject | None, sender: Sender, *, gone: str = "") -> None:
        """Tell the witness of a write, and wake the watches."""
        if obj is not None:
            self.witness.stored(resource, obj, sender)
        else:
            namespace, _, name = gone.partition("/")
            self.witness.removed(resource, namespace, name)
        if resource == WORKFLOWS:
            self.moved.wake()
