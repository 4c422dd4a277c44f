"""The product's processes, webhook replicas and controllers, made of its real parts."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

from policy.cluster.errors import ClusterError
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.cluster.workflow_reads import ClusterRelatives
from policy.core.decision.decision import Decision, Side
from policy.core.policies.snapshot import Snapshot
from policy.core.queue.positions import WaitReason
from policy.core.quota.usage_view import UsageView
from policy.service.leading.leader_election import Elector
from policy.service.release.controller import Controller
from policy.service.release.release_pass import ReleasePass
from policy.service.tracking.tracked import Tracked
from policy.sources.snapshot_store import SnapshotStore
from tests.simulation.client import Client
from tests.simulation.network import Network
from tests.simulation.policies import Book, Version
from tests.simulation.scheduler import Process
from webhook.reservations import Reservations
from webhook.review import Reviewing, review
from webhook.wire import Received

LEASE_NAMESPACE: Final = "lockkeeper"
LEASE_NAME: Final = "lockkeeper-controller"


class Parts(Protocol):
    """How the product's parts are made; planted bugs make one of them wrong."""

    def webhook_cluster(self, client: Cluster) -> Cluster:
        """Return the cluster that a webhook talks to."""
        ...

    def controller_cluster(self, client: Cluster) -> Cluster:
        """Return the cluster that a controller talks to."""
        ...

    def reservations(self, ledgers: Ledgers) -> Reservations:
        """Return the ledger as a review needs it."""
        ...

    def ledgers(self, make: Callable[[type[Ledgers]], Ledgers]) -> Ledgers:
        """Return the ledgers of a controller."""
        ...

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        """Return the release pass."""
        ...

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        """Return the controller."""
        ...

    def asked(self, body: bytes, side: Side) -> bytes:
        """Return the review as the webhook gets it."""
        ...

    def answered(self, body: bytes, answer: bytes) -> bytes:
        """Return the answer as it goes back to `body`."""
        ...


class Silent:
    """The Reporter, the Trouble and the Recorder of a simulation: the trace has it all."""

    def released(self, workflow: Tracked, took: timedelta) -> None:
        """Nothing."""

    def waits(self, workflow: Tracked, message: str) -> None:
        """Nothing."""

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """Nothing."""

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """Nothing."""

    def ended(self, workflow: Tracked, message: str) -> None:
        """Nothing."""

    def superseded(self, workflow: Tracked, message: str) -> None:
        """Nothing."""

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """Nothing."""

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """Nothing."""

    def expired(self, reservations: int) -> None:
        """Nothing."""

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Nothing."""

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Nothing."""


class Machine:
    """What a process of the product has whatever it does: a client, clocks, and a snapshot store."""

    def __init__(self, *, process: Process, network: Network, book: Book) -> None:
        self.process = process
        self.network = network
        self.client = Client(network, process)
        self.clock = partial(network.sky.clock, process)
        self.policies = book.latest
        self.snapshots = SnapshotStore(snapshot=book.latest.snapshot, clock=self.clock)

    def see(self, version: Version) -> None:
        """Put policies in force here."""
        if self.process.alive:
            self.policies = version
            self.snapshots.put_policies(version.snapshot)

    def current(self) -> Snapshot:
        """Return the snapshot in force, and remember which one the actor goes by."""
        found = self.snapshots.current()
        self.network.scheduler.current.memory["policies"] = found.version
        return found


class Replica(Machine):
    """A webhook replica: answers reviews, each in an actor of its own."""

    def __init__(self, *, process: Process, network: Network, book: Book, parts: Parts) -> None:
        super().__init__(process=process, network=network, book=book)
        self._parts = parts
        ledgers = Ledgers(cluster=parts.webhook_cluster(self.client), clock=self.clock)
        self._reviewing = Reviewing(
            snapshot=self.current,
            reservations=parts.reservations(ledgers),
            clock=self.clock,
            stopwatch=network.sky.stopwatch,
            monotonic=network.sky.stopwatch,  # Real time would let a busy machine decide.
            recorder=Silent(),
            relatives=ClusterRelatives(cluster=self.client),
        )

    def answer(self, body: bytes, side: Side, budget: timedelta) -> bytes:
        """Answer a review. Raises ReviewError."""
        return self._parts.answered(
            body, review(self._parts.asked(body, side), side, budget, self._reviewing)
        )


class Candidate(Machine):
    """A controller process: campaigns, and works while it believes that it leads."""

    def __init__(self, *, process: Process, network: Network, book: Book, parts: Parts) -> None:
        super().__init__(process=process, network=network, book=book)
        self._parts = parts
        self._told = Silent()
        self.work: Controller | None = None
        self.elector = Elector(
            cluster=self.client,
            namespace=LEASE_NAMESPACE,
            name=LEASE_NAME,
            me=process.name,
            start=self._begin,
            clock=self.clock,
            stopwatch=network.sky.stopwatch,
            trouble=self._told.trouble,
        )

    def seen(self) -> tuple[Tracked, ...]:
        """Return the Workflows that this process knows of."""
        return tuple(self.work._tracker) if self.work is not None else ()

    def _begin(self) -> Controller:
        cluster = self._parts.controller_cluster(self.client)
        ledgers = self._parts.ledgers(lambda kind: kind(cluster=cluster, clock=self.clock, leads=True))
        release_pass = self._parts.release_pass(
            lambda kind: kind(
                cluster=cluster,
                ledgers=ledgers,
                snapshot=self.current,
                clock=self.clock,
                publish=self._publish,
                reporter=self._told,
            )
        )
        self.work = self._parts.controller(
            lambda kind: kind(
                cluster=cluster, release_pass=release_pass, clock=self.clock, trouble=self._told.trouble
            )
        )
        self.snapshots.on_policies(self.work.wake)
        self.network.scheduler.note("begins to lead")
        return self.work

    def _publish(self, view: UsageView) -> None:
        self.snapshots.put_usage(view)
