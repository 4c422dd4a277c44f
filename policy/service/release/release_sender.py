"""How a reserved release is sent, and how a Workflow that has waited for too long is failed.

A patch that fails is tried again after a delay that grows, for each Workflow by itself: one that is broken
does not delay another.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

import msgspec

from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch
from policy.core.argo_types.decodability import mismatches_of
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
MOST_GIVEN_UP: Final = 50
_NONE: Final = timedelta(0)


class Reporter(Protocol):
    """Where the leader reports what it did."""

    def released(self, workflow: Tracked, took: timedelta) -> None:
        """A Workflow was released, so long after its place was reserved."""
        ...

    def waits(self, workflow: Tracked, message: str) -> None:
        """The message of a held Workflow was written."""
        ...

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """A Workflow waits for another reason than before."""
        ...

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """A Workflow has waited for too long, and never runs."""
        ...

    def ended(self, workflow: Tracked, message: str) -> None:
        """A Workflow that waited was stopped or deleted, and never runs."""
        ...

    def superseded(self, workflow: Tracked, message: str) -> None:
        """A Workflow is ended, or asked to end, because a newer one has the same key."""
        ...

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """A Workflow could not be released; it is tried again."""
        ...

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """A Workflow bypassed admission, though a quota governs it."""
        ...

    def expired(self, reservations: int) -> None:
        """So many reservations ran out in a ledger: what they were for was never created."""
        ...


class Due(msgspec.Struct, frozen=True):
    """A release that is to be sent; where it is `unsure` whether Argo can decode it, it is read first.

    It was reserved `at` that time. `tasks` are those that are reserved for one whose tasks were counted again
    while it waited.
    """

    workflow: Tracked
    release: str
    at: datetime
    unsure: bool = False
    tasks: Amount | None = None


class SendResult(msgspec.Struct, frozen=True):
    """The result of a release: sent and answered, failed, or neither, because no Workflow waits for it.

    `unsafe`: the Workflow was read, and Argo could not decode it.
    """

    due: Due
    released: bool = False
    error: ClusterError | None = None
    unsafe: bool = False


SendAll: TypeAlias = Callable[[Callable[[Due], SendResult], Iterable[Due]], Iterator[SendResult]]
"""Sends some releases, one by one or several at once; yields the results in their order, as `map` does.

It may begin at once, and has sent all of them when all results were taken.
"""


class ReleaseSender:
    """Sends releases, each until it is answered."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        reporter: Reporter,
        send_all: SendAll = map,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._reporter = reporter
        self._send_all = send_all
        self._sending: list[Iterator[SendResult]] = []
        self._sent: set[str] = set()
        self._unsure: set[str] = set()
        self._delays = retry_times()

    def next_try(self) -> datetime | None:
        """Return when one that failed is to be tried again."""
        return self._delays.next_due()

    def has_due(self, releases: Iterable[Reservation], now: datetime) -> bool:
        """Return whether one of these releases is due and not answered."""
        return any(not (each.id in self._sent or self._delays.is_early(each.id, now)) for each in releases)

    def start(
        self, reservations: Iterable[Reservation], tracker: Tracker, stopping: Callable[[], bool]
    ) -> None:
        """Begin to send the patch for every held Workflow whose release is in the ledger, new ones and old.

        All that are sent here are reserved, so it does not matter which of them arrives first. It is to be
        followed by `finish`.
        """
        due, now = [], self._clock()
        for each in reservations:
            tracked = tracker.get(workflow_of(each.id))
            if tracked is None or not tracked.held or tracked.release != each.id:
                continue
            if each.id in self._sent or self._delays.is_early(each.id, now):
                continue
            unsure = not tracked.admitted or each.id in self._unsure
            tasks = each.requested.task_amount if tracked.weighed_by else None
            due.append(Due(tracked, each.id, each.at, unsure, tasks))

        def attempt(one: Due) -> SendResult:
            return SendResult(one) if stopping() else self._release(one)

        if due:
            self._sending.append(self._send_all(attempt, due))

    def finish(self) -> int:
        """Wait until all that were begun are sent, and record the results; return how many were released."""
        sending, self._sending = self._sending, []
        return sum(self._record(result) for results in sending for result in results)

    def give_up(self, planner: Planner, tracker: Tracker, stopping: Callable[[], bool]) -> None:
        """Fail those that have waited for too long; they never run."""
        now = self._clock()
        for waiter in planner.pending.overdue(now)[:MOST_GIVEN_UP]:
            tracked = tracker.get(waiter.uid)
            longest = planner.pending.rules(waiter.namespace).max_wait
            if tracked is None or longest is None or stopping() or self._delays.is_early(waiter.uid, now):
                continue
            if waiter.fault:
                continue  # Argo would read it, though as a completed one.
            message = wait_messages.waited_too_long(waiter.namespace, now - waiter.created, longest)
            try:
                end_held(self._cluster, tracked, message, now)
            except (Conflict, Invalid, NotFound):
                continue  # It has changed; the watch shows how.
            except ClusterError as error:
                self._delays.failed(waiter.uid, self._clock(), None)
                self._reporter.failed(tracked, error)
            else:
                self._delays.forget(waiter.uid)
                self._reporter.gave_up(tracked, message)

    def forget_released(self, tracker: Tracker) -> None:
        """Forget releases that no Workflow waits for any more."""
        for key in {*self._delays, *self._sent, *self._unsure}:
            tracked = tracker.get(workflow_of(key))
            waits = tracked is not None and tracked.held
            if tracked is not None and waits and key in (tracked.uid, tracked.release):
                continue
            self._delays.forget(key)
            self._sent.discard(key)
            self._unsure.discard(key)

    def _release(self, due: Due) -> SendResult:
        """Release a Workflow; one that changed meanwhile is read again once, one that was deleted is left.

        It may run in several threads at once, and so it changes no state here.
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
        """Release a Workflow as it is now, unless it does not wait for this or Argo cannot decode it."""
        obj = self._cluster.get(WORKFLOWS, due.workflow.name, namespace=due.workflow.namespace)
        fresh = track(obj)
        if not fresh.held or fresh.release != due.release:
            return SendResult(due)
        fault = decoding_fault(obj)
        if fault:
            return SendResult(due, error=Invalid(fault), unsafe=True)
        self._patch(due, fresh, has_status="status" in obj)
        return SendResult(due, released=True)

    def _record(self, result: SendResult) -> bool:
        """Record the result of a release; return whether it was answered."""
        due = result.due
        if result.unsafe:
            self._unsure.add(due.release)
        if result.error is not None:
            self._delays.failed(due.release, self._clock(), None)
            self._reporter.failed(due.workflow, result.error)
        elif result.released:
            self._sent.add(due.release)
            self._delays.forget(due.release)
            self._reporter.released(due.workflow, max(_NONE, self._clock() - due.at))
        return result.released

    def _patch(self, due: Due, tracked: Tracked, *, has_status: bool) -> None:
        patch = hold.release_patch(tracked.metadata, self._clock(), has_status=has_status, tasks=due.tasks)
        self._cluster.patch(WORKFLOWS, tracked.name, JsonPatch(patch), namespace=tracked.namespace)


def retry_times() -> RetryTimes[str, datetime, None]:
    """Return when work on a Workflow that failed is tried again, by what it was for."""
    return RetryTimes(first=FIRST_DELAY.total_seconds(), last=LAST_DELAY.total_seconds())


def end_held(cluster: Cluster, workflow: Tracked, message: str, now: datetime) -> None:
    """End a held Workflow for good, in the version that was seen. Raises ClusterError."""
    patch = JsonPatch(hold.give_up_patch(workflow.metadata, message, now))
    cluster.patch(WORKFLOWS, workflow.name, patch, namespace=workflow.namespace)


def decoding_fault(obj: JsonObject) -> str:
    """Return why Argo could not decode a Workflow, or nothing."""
    errors = mismatches_of(WORKFLOWS.kind, obj)
    return wait_messages.undecodable(errors) if errors else ""
