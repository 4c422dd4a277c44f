"""The controller's loop: list, watch, and a pass after every change; nothing is polled.

One thread reads the watch and hands events over; the loop folds in all that came and then makes one pass, so
a burst of changes costs one write a root. Every listing starts a new generation of the watch: events of an
older one are dropped, because folding them into a newer listing would count too little.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, Protocol

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import WORKFLOWS, Cluster, EventOf
from policy.core.ledger import RESERVATION_TTL
from policy.service.releaser import ReleasePass
from policy.service.tracked import LiveMetadata
from policy.service.tracker import LIVE, Tracker

IDLE_PASS: Final = RESERVATION_TTL / 3
"""Without any change a pass is made this often, so that a reservation of a lost create comes back."""
NOW: Final = timedelta(0)
SOON: Final = timedelta(milliseconds=10)
"""The shortest wait for a moment that has come already, so that nothing can keep the loop spinning."""
RETRY_AFTER: Final = timedelta(seconds=1)
WATCH_SECONDS: Final = 60.0


class Trouble(Protocol):
    """Where the loop tells of errors that it survives."""

    def __call__(self, doing: str, error: ClusterError) -> None:
        """Take note that `doing` failed and will be tried again."""
        ...


class Broken(msgspec.Struct, frozen=True):
    """The watch ended with an error; list again."""

    error: ClusterError


class Wake(msgspec.Struct, frozen=True):
    """Make a pass: something other than a Workflow changed."""


class Seen(msgspec.Struct, frozen=True):
    """What the watch of one generation saw."""

    generation: int
    what: EventOf[LiveMetadata] | Broken


class Controller:
    """Runs until it is stopped; `run` is the body of its thread."""

    def __init__(
        self, *, cluster: Cluster, releaser: ReleasePass, clock: Callable[[], datetime], trouble: Trouble
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._releaser = releaser
        self._trouble = trouble
        self._tracker = Tracker()
        self._inbox: SimpleQueue[Seen | Wake] = SimpleQueue()
        self._stopped = Event()
        self._generation = 0
        self._listed = False
        self._wait = IDLE_PASS

    def wake(self) -> None:
        """Make a pass soon: policies changed."""
        self._inbox.put(Wake())

    def stop(self) -> None:
        """End the loop; its watch ends with the next event or time-out."""
        self._stopped.set()
        self._inbox.put(Wake())

    def run(self) -> None:
        """Work until stopped; an error of the cluster delays the pass, it does not end the loop.

        Raises:
            Deposed: another leader took over.
        """
        try:
            while not self._stopped.is_set():
                self._turn()
        finally:
            self._stopped.set()  # The watch ends with the loop, however that ended.

    def _turn(self) -> None:
        try:
            self._pass()
        except ClusterError as error:
            self._trouble("a pass over the queues", error)
            self._stopped.wait(RETRY_AFTER.total_seconds())
            return
        self._take_events()

    def _pass(self) -> None:
        """List where that is due, fence roots that are new (then list once more), and make a pass.

        Labels that nobody asked for before are a reason to list, too.
        """
        if not self._listed:
            self._list()
        self._listed = False  # Should fence or list fail, what was counted before may not be used.
        while self._releaser.fence_new(self._releaser.roots(self._tracker)) or self._tracker.outdated:
            self._list()
        self._listed = True
        self._releaser.run_pass(self._tracker, stopping=self._stopped.is_set, pressed=self._pressed)
        self._wait = self._until_due()

    def _pressed(self) -> bool:
        """Tell whether something has happened since this pass began."""
        return not self._inbox.empty()

    def _until_due(self) -> timedelta:
        """Return how long nothing is to be done, as far as is known."""
        if self._releaser.untold:
            return NOW
        due = self._releaser.next_event()
        return IDLE_PASS if due is None else min(IDLE_PASS, max(SOON, due - self._clock()))

    def _list(self) -> None:
        """List all live Workflows and watch from there."""
        shape = self._tracker.shape
        listing = self._cluster.list_as(WORKFLOWS, shape, labels=LIVE, metadata_only=True)
        self._tracker.reset(listing)
        self._generation += 1
        self._listed = True
        Thread(
            target=self._watch,
            args=(self._generation, listing.resource_version, shape),  # Not the listing: it may be large.
            name=f"workflow-watch-{self._generation}",
            daemon=True,
        ).start()

    def _take_events(self) -> None:
        """Wait for something to happen, then fold in all that did."""
        try:
            self._fold(self._inbox.get(timeout=self._wait.total_seconds()))
            while not self._inbox.empty():
                self._fold(self._inbox.get())
        except Empty:
            return  # Nothing happened; the next pass looks for overdue reservations.

    def _fold(self, item: Seen | Wake) -> None:
        if isinstance(item, Wake) or item.generation != self._generation:
            return
        if isinstance(item.what, Broken):
            self._trouble("watching Workflows", item.what.error)
            self._listed = False
            self._stopped.wait(RETRY_AFTER.total_seconds())
            return
        self._tracker.apply(item.what)

    def _watch(self, generation: int, version: str, shape: type[LiveMetadata]) -> None:
        """Hand over every event after the listing until the watch breaks or another generation begins."""
        try:
            while not self._stopped.is_set() and generation == self._generation:
                for event in self._cluster.watch_as(
                    WORKFLOWS,
                    shape,
                    since=version,
                    labels=LIVE,
                    metadata_only=True,
                    timeout=WATCH_SECONDS,
                ):
                    version = event.resource_version
                    self._inbox.put(Seen(generation, event))
                    if self._stopped.is_set() or generation != self._generation:
                        return
        except ClusterError as error:
            self._inbox.put(Seen(generation, Broken(error)))
