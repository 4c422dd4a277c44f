"""The controller's loop: list, watch, and a pass after every change; nothing is polled.

One thread reads the watch and hands events over; the loop folds in all that came and then makes one pass, so
a burst of changes costs one write a root.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.list_and_watch import WatchInbox, shaped_objects
from policy.cluster.protocol import WORKFLOWS, Cluster, Listing, Selection, Unread, WatchEvent
from policy.core.quota.ledger import RESERVATION_TTL
from policy.service.release.release_pass import ReleasePass
from policy.service.tracking.tracked import LiveMetadata
from policy.service.tracking.tracker import LIVE, Tracker

IDLE_PASS: Final = RESERVATION_TTL / 3
"""Without any change a pass is made this often, so that a reservation of a lost create comes back."""
_NOW: Final = timedelta(0)
_SOON: Final = timedelta(milliseconds=10)
"""The shortest wait for a moment that has come already, so that nothing can keep the loop spinning."""
RETRY_AFTER: Final = timedelta(seconds=1)
_WATCH_SECONDS: Final = 60.0


class Controller:
    """Runs until it is stopped; `run` is the body of its thread. It is a Consumer of live Workflows."""

    def __init__(
        self, *, cluster: Cluster, releaser: ReleasePass, clock: Callable[[], datetime], trouble: Trouble
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._releaser = releaser
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
        """Start anew from a listing."""
        self._tracker.reset(listing)
        self._listed = True

    def changed(self, event: WatchEvent[LiveMetadata | Unread]) -> None:
        """Fold one event in."""
        self._tracker.apply(event)

    def failed(self, error: ClusterError) -> None:
        """Have the next pass list again; the watch has ended."""
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
        self._inbox.deliver(self._wait.total_seconds())  # Else the next pass looks for overdue reservations.

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
        return not self._inbox.empty

    def _until_due(self) -> timedelta:
        """Return how long nothing is to be done, as far as is known."""
        if self._releaser.untold:
            return _NOW
        due = self._releaser.next_event()
        return IDLE_PASS if due is None else min(IDLE_PASS, max(_SOON, due - self._clock()))

    def _list(self) -> None:
        """List all live Workflows and watch from there."""
        selection = Selection(WORKFLOWS, labels=LIVE, metadata_only=True)
        shape = self._tracker.shape
        self._inbox.list(shaped_objects(self._cluster, selection, shape, timeout=_WATCH_SECONDS))
