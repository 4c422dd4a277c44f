"""One pass of the leader over all roots: balance the books, write them, then send the releases.

The order is the protocol's: the reservation is in the ledger before the patch that frees a Workflow is sent,
and the patch tests uid, hold and resourceVersion.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch
from policy.core import explain, holding, marks
from policy.core.amounts import ZERO, Usage
from policy.core.governing import by_effect
from policy.core.kinds import OnExceed
from policy.core.ledger import Account, Ledger, expire, fence, overdue
from policy.core.queueing import Plan, Waiting
from policy.core.snapshot import Snapshot, pool_root
from policy.core.usage import NamespaceQueue, UsageView
from policy.service.accounting import Books, balance, quotas_of
from policy.service.tracker import LIVE, Tracked, Tracker, track

_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
REFRESHED_POSITIONS: Final = 10
"""How far into a namespace's queue the shown position is kept exact; further back it moves too often."""
TOLD_AT_ONCE: Final = 50
"""Positions that one pass writes at most. A new leader has a whole queue to tell, which may take minutes, and
the next release must not wait for that."""


class Deposed(Exception):  # noqa: N818 - the field's word for a leader that was fenced off
    """Another leader has raised the epoch of a ledger; this one must stop at once."""


class Reporter(Protocol):
    """Where the leader tells what it did."""

    def released(self, workflow: Tracked) -> None:
        """A Workflow was let go."""
        ...

    def waits(self, workflow: Tracked, message: str) -> None:
        """A Workflow was found to wait, or what it shows of its wait has changed."""
        ...

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """A Workflow could not be let go; it is tried again at the next pass."""
        ...


class Releaser:
    """Carries out passes; `publish` receives the view of usage after each."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        ledgers: Ledgers,
        snapshot: Callable[[], Snapshot],
        clock: Callable[[], datetime],
        publish: Callable[[UsageView], None],
        reporter: Reporter,
    ) -> None:
        self._cluster = cluster
        self._ledgers = ledgers
        self._snapshot = snapshot
        self._clock = clock
        self._publish = publish
        self._reporter = reporter
        self._epochs: dict[str, int] = {}
        self._shown: dict[str, str] = {}
        self._stopping: Callable[[], bool] = lambda: False
        self.unsent = 0
        self.untold = False

    def fence_new(self, roots: Sequence[str]) -> bool:
        """Raise the epoch of every root that this leader has not fenced yet; tells whether there were any.

        The caller lists the objects after it and before the next pass (protocol rule 1).
        """
        new = [root for root in roots if root not in self._epochs]
        for root in new:
            self._epochs[root] = self._ledgers.update(root, fence).epoch
        return bool(new)

    def roots(self, tracker: Tracker) -> list[str]:
        """Return the roots that quotas speak of, and those where a Workflow is held; every pool is one.

        A namespace that nobody governs needs no ledger.
        """
        snapshot = self._snapshot()
        live = tracker.by_namespace()
        namespaces = {*live, *snapshot.quotas, *snapshot.namespace_labels}
        governed = [snapshot.policies(each) for each in namespaces]
        roots = {
            each.root
            for each in governed
            if each.quotas or any(tracked.held for tracked in live.get(each.namespace, ()))
        }
        return sorted(roots | {pool_root(pool) for pool in snapshot.pools})

    def run_pass(self, tracker: Tracker, *, stopping: Callable[[], bool] = lambda: False) -> int:
        """Balance every root, release what fits, refresh what waits; returns how many were released.

        A root that appeared since `fence_new` waits for the next pass. `unsent` then counts the releases
        that stand in a ledger and could not be sent, and `untold` says that some were left that do not show
        their position yet. Once `stopping` says so nothing more is sent: whoever
        leads next completes what is reserved, and the lease is given up without waiting for thousands.

        Raises:
            Deposed: a ledger carries a higher epoch than ours.
        """
        self._stopping = stopping
        snapshot = self._snapshot()
        grouped: dict[str, list[Tracked]] = {root: [] for root in self._epochs}
        self.unsent = 0
        for namespace, workflows in tracker.by_namespace().items():
            grouped.get(snapshot.policies(namespace).root, []).extend(workflows)
        taken: dict[Account, Usage] = {}
        plans: list[Plan] = []
        released = 0
        for root, workflows in grouped.items():
            books = self._write(root, workflows, snapshot, tracker.departed)
            taken.update(books.ledger.taken())
            plans.append(books.plan)
            released += self._send_releases(books.ledger, workflows)
        tracker.forget_departed()
        self._shown = {uid: text for uid, text in self._shown.items() if tracker.get(uid) is not None}
        view = _view(tracker, taken, plans)
        self._publish(view)
        left = TOLD_AT_ONCE
        for decided in plans:
            left = self._refresh(decided, tracker, snapshot, view, left)
        self.untold = left <= 0
        return released

    def _write(
        self, root: str, workflows: Sequence[Tracked], snapshot: Snapshot, departed: frozenset[str]
    ) -> Books:
        now = self._clock()
        books: Books | None = None

        def change(ledger: Ledger) -> Ledger:
            nonlocal books
            if ledger.epoch != self._epochs[root]:
                raise Deposed(f"ledger {root} is at epoch {ledger.epoch}, ours is {self._epochs[root]}")
            books = balance(self._expired(ledger, now), workflows, snapshot, now, departed=departed)
            return books.ledger

        self._ledgers.update(root, change)
        if books is None:
            raise AssertionError("update() calls change() before it returns")
        return books

    def _expired(self, ledger: Ledger, now: datetime) -> Ledger:
        """Drop create reservations of which a consistent list knows no live object (protocol rule 4c)."""
        due = overdue(ledger, now)
        wanted = ",".join(each.id for each in due if _LABEL_VALUE.fullmatch(each.id))
        if not wanted:  # What is no label value can be on no object.
            return expire(ledger, now, ())
        selector = f"{LIVE},{marks.RESERVATION} in ({wanted})"
        listing = self._cluster.list(WORKFLOWS, labels=selector, metadata_only=True)
        return expire(ledger, now, [track(item).reservation for item in listing.items])

    def _send_releases(self, ledger: Ledger, workflows: Sequence[Tracked]) -> int:
        """Send the patch for every held Workflow whose release stands in the ledger, new ones and old."""
        return sum(
            self._release(tracked)
            for tracked in workflows
            if tracked.held
            and holding.release_id(tracked.metadata) in ledger.reservations
            and not self._stopping()
        )

    def _release(self, tracked: Tracked) -> bool:
        """Let a Workflow go; one that changed meanwhile is read again once, one that is gone is left."""
        try:
            try:
                self._patch_release(tracked, has_status=True)
            except (Conflict, Invalid):
                obj = self._cluster.get(WORKFLOWS, tracked.name, namespace=tracked.namespace)
                fresh = track(obj)
                if not fresh.held or holding.release_id(fresh.metadata) != holding.release_id(
                    tracked.metadata
                ):
                    return False
                self._patch_release(fresh, has_status="status" in obj)
        except NotFound:
            return False
        except ClusterError as error:
            self.unsent += 1
            self._reporter.failed(tracked, error)
            return False
        self._shown.pop(tracked.uid, None)
        self._reporter.released(tracked)
        return True

    def _patch_release(self, tracked: Tracked, *, has_status: bool) -> None:
        patch = JsonPatch(holding.release_patch(tracked.metadata, self._clock(), has_status=has_status))
        self._cluster.patch(WORKFLOWS, tracked.name, patch, namespace=tracked.namespace)

    def _refresh(
        self, decided: Plan, tracker: Tracker, snapshot: Snapshot, view: UsageView, most: int
    ) -> int:
        """Show the new position on those in front whose message has changed, and on new ones further back.

        Returns how many of `most` writes are left.
        """
        for waiting in decided.waiting:
            if self._stopping() or most <= 0:
                break
            tracked = tracker.get(waiting.waiter.uid)
            shown = self._shown.get(waiting.waiter.uid)
            if tracked is None or (waiting.position > REFRESHED_POSITIONS and shown is not None):
                continue
            message = self._message(waiting, tracked, snapshot, view)
            if shown == message:
                continue
            most -= 1
            if self._show(tracked, message):
                self._shown[tracked.uid] = message
                self._reporter.waits(tracked, message)
        return most

    def _show(self, tracked: Tracked, message: str) -> bool:
        """Write the message into a held Workflow; False where it is gone or released meanwhile."""
        try:
            patch = JsonPatch(holding.refresh_patch(tracked.metadata, message))
            self._cluster.patch(WORKFLOWS, tracked.name, patch, namespace=tracked.namespace)
        except ClusterError:
            return False
        return True

    def _message(self, waiting: Waiting, tracked: Tracked, snapshot: Snapshot, view: UsageView) -> str:
        queueing = by_effect(quotas_of(tracked, snapshot), OnExceed.QUEUE)
        depth = view.queues[tracked.namespace].depth
        place = explain.queue_message(
            tracked.namespace, queueing, view, position=waiting.position, depth=depth
        )
        never = next((each for each in waiting.short if each.never_fits), None)
        reason = f"; {explain.never_fits(never)}" if never else ""
        return f"{marks.HELD_MESSAGE_PREFIX}: {place}{reason}"


def _view(tracker: Tracker, taken: dict[Account, Usage], plans: Sequence[Plan]) -> UsageView:
    waiting: dict[str, dict[int, int]] = {}
    for decided in plans:
        for each in decided.waiting:
            by_priority = waiting.setdefault(each.waiter.namespace, {})
            by_priority[each.waiter.priority] = by_priority.get(each.waiter.priority, 0) + 1
    running: dict[str, Usage] = {}
    released = {each.uid for decided in plans for each in decided.released}
    for tracked in tracker:
        if not tracked.held or tracked.uid in released:
            running[tracked.namespace] = running.get(tracked.namespace, ZERO) + tracked.weight
    queues = {namespace: NamespaceQueue(by_priority) for namespace, by_priority in waiting.items()}
    return UsageView(taken, queues, running)
