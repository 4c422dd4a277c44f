"""When a release pass is made: the controller's loop lists, watches, and makes a pass after every change.

One thread reads the watch and hands events over; the loop folds in all that arrived and then makes one pass,
so a burst of changes costs one write a root. Nothing is polled.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.list_and_watch import WatchInbox, shaped_objects
from policy.cluster.protocol import (
    WORKFLOWS,
    Cluster,
    Listing,
    Selection,
    Unread,
    WatchEvent,
)
from policy.core.quota.ledger import RESERVATION_TTL
from policy.service.release.release_pass import ReleasePass
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracker import LIVE, Tracker

IDLE_PASS: Final = RESERVATION_TTL / 3
"""Without any change a pass is made this often, so that the reservation of a lost create is dropped."""
_NOW: Final = timedelta(0)
_SOON: Final = timedelta(milliseconds=10)
"""The shortest wait for a time that has passed already, so that the loop never spins."""
RETRY_AFTER: Final = timedelta(seconds=1)
_WATCH_SECONDS: Final = 60.0


class Controller:
    """The main work of a term: `run` works until `stop`. It is a Consumer of live Workflows."""

    def __init__(
        self, *, cluster: Cluster, release_pass: ReleasePass, clock: Callable[[], datetime], trouble: Trouble
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._release_pass = release_pass
        self._trouble = trouble
        self._tracker = Tracker()
        self._stopped = Event()
        self._inbox = WatchInbox(self, name="workflow-watch", stopped=self._stopped)
        self._listed = False
        self._wait = IDLE_PASS

    def wake(self) -> None:
        """Make a pass soon: policies changed."""
        self._inbox.wake()

    def stop(self) -> None:
        """End the loop; its watch ends with the next event or time-out."""
        self._stopped.set()
        self._inbox.wake()

    def listed(self, listing: Listing[LiveMetadata | Unread]) -> None:
        """Start again from a listing."""
        self._tracker.reset(listing)
        self._listed = True

    def changed(self, event: WatchEvent[LiveMetadata | Unread]) -> None:
        """Fold one event in."""
        self._tracker.apply(event)

    def failed(self, error: ClusterError) -> None:
        """Let the next pass list again; the watch has ended."""
        self._trouble("watching Workflows", error)
        self._listed = False
        self._stopped.wait(RETRY_AFTER.total_seconds())

    def run(self) -> None:
        """Work until stopped; an error of the cluster delays the pass, it does not end the loop.

        Raises:
            Deposed: another leader took over.
        """
        try:
            while not self._stopped.is_set():
                self._step()
        finally:
            self._stopped.set()  # The watch ends with the loop, however that ended.

    def _step(self) -> None:
        try:
            self._pass()
        except ClusterError as error:
            self._trouble("a pass over the queues", error)
            self._stopped.wait(RETRY_AFTER.total_seconds())
            return
        self._inbox.deliver(self._wait.total_seconds())  # Else the next pass looks for overdue reservations.

    def _pass(self) -> None:
        """List where that is due, fence roots that are new (then list once more), and make a pass.

        It lists again for labels that no quota selected by before, too.
        """
        if not self._listed:
            self._list()
        self._listed = False  # Should fence or list fail, what was counted before may not be used.
        while self._release_pass.fence_new(self._tracker) or self._tracker.outdated:
            self._list()
        self._listed = True
        self._release_pass.run_pass(
            self._tracker, stopping=self._stopped.is_set, pressed=lambda: not self._inbox.empty
        )
        self._wait = self._until_due()

    def _until_due(self) -> timedelta:
        """Return the time until the next pass, if nothing changes."""
        if self._release_pass.unwritten:
            return _NOW
        due = self._release_pass.next_event()
        return IDLE_PASS if due is None else min(IDLE_PASS, max(_SOON, due - self._clock()))

    def _list(self) -> None:
        """List all live Workflows and watch from there."""
        selection = Selection(WORKFLOWS, labels=LIVE, metadata_only=True)
        shape = self._tracker.shape
        self._inbox.list(shaped_objects(self._cluster, selection, shape, timeout=_WATCH_SECONDS))
