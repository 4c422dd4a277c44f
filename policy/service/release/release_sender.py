"""Sends releases: the patch that frees a Workflow whose release is reserved, and the end of a long wait.

A patch that fails is tried again after a while that grows, each Workflow by itself: one that is broken holds
nobody else up.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch
from policy.core.argo_types.decodability import misfits_of
from policy.core.objects import hold
from policy.core.objects.json_patch import JsonObject
from policy.core.queue import wait_messages
from policy.core.queue.planner import Planner
from policy.core.queue.positions import WaitReason
from policy.core.quota.ledger import Reservation, workflow_of
from policy.core.values.amounts import Amount
from policy.core.values.backoff import RetryTimes
from policy.service.tracking.tracked import Tracked, track
from policy.service.tracking.tracker import Tracker

FIRST_DELAY: Final = timedelta(seconds=1)
LAST_DELAY: Final = timedelta(minutes=1)
"""Until a release that failed is tried again: the first, doubled each time up to the last."""
GIVEN_UP_AT_ONCE: Final = 50


class Reporter(Protocol):
    """Where the leader tells what it did."""

    def released(self, workflow: Tracked) -> None:
        """A Workflow was let go."""
        ...

    def waits(self, workflow: Tracked, message: str) -> None:
        """A Workflow was found to wait, or what it shows of its wait has changed."""
        ...

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """The reason why a Workflow waits is another one than before."""
        ...

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """A Workflow has waited for as long as it may, and never runs."""
        ...

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """A Workflow could not be let go; it is tried again."""
        ...

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """A Workflow bypassed admission, though a quota governs it."""
        ...


class Together(Protocol):
    """Does something for each of some releases; gives what became of them, in their order, as `map` does."""

    def __call__(
        self, do: Callable[["Due"], "SendResult"], due: Iterable["Due"], /
    ) -> Iterator["SendResult"]:
        """Do it for each, one after the other or several at once."""
        ...


class Due(msgspec.Struct, frozen=True):
    """A release that is to be sent; `unsure` whether Argo can decode the Workflow, it is read first.

    `tasks` are those that are reserved for one that was weighed again while it waited.
    """

    workflow: Tracked
    release: str
    unsure: bool = False
    tasks: Amount | None = None


class SendResult(msgspec.Struct, frozen=True):
    """What became of a release: sent and answered, failed, or neither, because nobody waits for it.

    `unsafe` says that the Workflow was read, and Argo could not decode it.
    """

    due: Due
    released: bool = False
    error: ClusterError | None = None
    unsafe: bool = False


class ReleaseSender:
    """Sends releases, each until it is answered. `unsent` counts those that are still owed."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        reporter: Reporter,
        together: Together = map,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._reporter = reporter
        self._together = together
        self._sent: set[str] = set()
        self._unsure: set[str] = set()
        self._delays: RetryTimes[str, datetime, None] = RetryTimes(
            first=FIRST_DELAY.total_seconds(), last=LAST_DELAY.total_seconds()
        )

    @property
    def unsent(self) -> int:
        """How many are owed that failed."""
        return len(self._delays)

    def next_try(self) -> datetime | None:
        """Return when one that failed is to be tried again."""
        return self._delays.next_due()

    def owes(self, releases: Iterable[Reservation], now: datetime) -> bool:
        """Tell whether one of these releases is due that is not answered."""
        return any(each.id not in self._sent and self._due(each.id, now) for each in releases)

    def send(
        self, reservations: Iterable[Reservation], tracker: Tracker, stopping: Callable[[], bool]
    ) -> int:
        """Send the patch for every held Workflow whose release stands in the ledger, new ones and old.

        All that are sent here are reserved, so it does not matter which of them arrives first.
        """
        due, now = [], self._clock()
        for each in reservations:
            tracked = tracker.get(workflow_of(each.id))
            if tracked is None or not tracked.held or tracked.release != each.id:
                continue
            if each.id not in self._sent and self._due(each.id, now):
                unsure = not tracked.admitted or each.id in self._unsure
                tasks = each.requested.task_amount if tracked.weighed_by else None
                due.append(Due(tracked, each.id, unsure, tasks))

        def attempt(one: Due) -> SendResult:
            return SendResult(one) if stopping() else self._release(one)

        return sum(self._noted(outcome) for outcome in self._together(attempt, due))

    def give_up(self, planner: Planner, tracker: Tracker, stopping: Callable[[], bool]) -> None:
        """End those that have waited for as long as they may: they fail, and never run."""
        now = self._clock()
        for waiter in planner.pending.overdue(now)[:GIVEN_UP_AT_ONCE]:
            tracked = tracker.get(waiter.uid)
            longest = planner.pending.rules(waiter.namespace).max_wait
            if tracked is None or longest is None or stopping() or not self._due(waiter.uid, now):
                continue
            if waiter.fault:
                continue  # Argo would see it, though as one that is over.
            message = wait_messages.waited_too_long(waiter.namespace, now - waiter.created, longest)
            try:
                patch = JsonPatch(hold.give_up_patch(tracked.metadata, message, now))
                self._cluster.patch(WORKFLOWS, tracked.name, patch, namespace=tracked.namespace)
            except (Conflict, Invalid, NotFound):
                continue  # It has changed; the watch tells how.
            except ClusterError as error:
                self._put_off(waiter.uid)
                self._reporter.failed(tracked, error)
            else:
                self._delays.forget(waiter.uid)
                self._reporter.gave_up(tracked, message)

    def forget_gone(self, tracker: Tracker) -> None:
        """Forget what is known of those that do not wait any more, or wait anew."""
        for key in {*self._delays, *self._sent, *self._unsure}:
            tracked = tracker.get(workflow_of(key))
            waits = tracked is not None and tracked.held
            if tracked is not None and waits and key in (tracked.uid, tracked.release):
                continue
            self._delays.forget(key)
            self._sent.discard(key)
            self._unsure.discard(key)

    def _due(self, key: str, now: datetime) -> bool:
        return not self._delays.is_early(key, now)

    def _put_off(self, key: str) -> None:
        self._delays.failed(key, self._clock(), None)

    def _release(self, due: Due) -> SendResult:
        """Let a Workflow go; one that changed meanwhile is read again once, one that is gone is left.

        It may run in several threads at once, and so it takes note of nothing.
        """
        try:
            if due.unsure:
                return self._read_and_release(due)
            try:
                self._patch(due, due.workflow, has_status=True)
            except (Conflict, Invalid):
                return self._read_and_release(due)
        except NotFound:
            return SendResult(due)
        except ClusterError as error:
            return SendResult(due, error=error)
        return SendResult(due, released=True)

    def _read_and_release(self, due: Due) -> SendResult:
        """Let a Workflow go as it stands now, unless it does not wait for this or Argo cannot decode it."""
        obj = self._cluster.get(WORKFLOWS, due.workflow.name, namespace=due.workflow.namespace)
        fresh = track(obj)
        if not fresh.held or fresh.release != due.release:
            return SendResult(due)
        fault = fault_in(obj)
        if fault:
            return SendResult(due, error=Invalid(fault), unsafe=True)
        self._patch(due, fresh, has_status="status" in obj)
        return SendResult(due, released=True)

    def _noted(self, outcome: SendResult) -> bool:
        """Take note of what became of a release; tells whether it was answered."""
        due = outcome.due
        if outcome.unsafe:
            self._unsure.add(due.release)
        if outcome.error is not None:
            self._put_off(due.release)
            self._reporter.failed(due.workflow, outcome.error)
        elif outcome.released:
            self._sent.add(due.release)
            self._delays.forget(due.release)
            self._reporter.released(due.workflow)
        return outcome.released

    def _patch(self, due: Due, tracked: Tracked, *, has_status: bool) -> None:
        patch = hold.release_patch(tracked.metadata, self._clock(), has_status=has_status, tasks=due.tasks)
        self._cluster.patch(WORKFLOWS, tracked.name, JsonPatch(patch), namespace=tracked.namespace)


def fault_in(obj: JsonObject) -> str:
    """Return why a Workflow may not be let go, or nothing."""
    misfits = misfits_of(WORKFLOWS.kind, obj)
    return wait_messages.undecodable(misfits) if misfits else ""
