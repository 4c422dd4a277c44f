"""Which held Workflows are ended because their users want that: stopped, terminated, or being deleted.

They never ran, so they need no slot for it: they are ended at once, whatever is in front of them. A leader
reads no specs. It sees in `managedFields` that a spec was changed since its creation, and then reads the
object, once for each change.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.objects import well_known
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject
from policy.core.queue import wait_messages
from policy.service.release.release_sender import Reporter, decoding_fault, end_held, retry_times
from policy.service.tracking.tracked import Tracked, track
from policy.service.tracking.tracker import Tracker

MOST_AT_ONCE: Final = 20
"""Workflows that one pass reads and ends at most: releases must not wait for thousands."""


class RequestedEnds:
    """Ends them. `more` is true where there were more than one pass ends."""

    def __init__(self, *, cluster: Cluster, clock: Callable[[], datetime], reporter: Reporter) -> None:
        self._cluster = cluster
        self._clock = clock
        self._reporter = reporter
        self._not_requested: dict[str, str] = {}
        self._delays = retry_times()
        self.more = False

    def next_try(self) -> datetime | None:
        """Return when one that could not be ended is to be tried again."""
        return self._delays.next_due()

    def end(self, tracker: Tracker, stopping: Callable[[], bool]) -> None:
        """End those whose end was requested, and take them out of the tracker."""
        ending, self.more = tracker.ending(), False
        if not ending and not self._not_requested:
            return
        self._forget_others({each.uid for each in ending})
        now, tried = self._clock(), 0
        for each in ending:
            if self._is_known(each) or self._delays.is_early(each.uid, now):
                continue
            self.more = tried >= MOST_AT_ONCE
            if self.more or stopping():
                return
            tried += 1
            if self._end(each):
                tracker.ended(each)

    def _end(self, workflow: Tracked) -> bool:
        """Return whether a Workflow is ended now; what changed meanwhile is seen in the watch."""
        try:
            obj = self._cluster.get(WORKFLOWS, workflow.name, namespace=workflow.namespace)
            fresh = track(obj)
            if fresh.uid != workflow.uid or fresh.hold is None:
                return False
            message = _message(fresh, obj)
            if not message or (not fresh.admitted and decoding_fault(obj)):
                self._not_requested[fresh.uid] = fresh.hold.end_mark
                return False
            end_held(self._cluster, fresh, message, self._clock())
        except (Conflict, Invalid, NotFound):
            return False
        except ClusterError as error:
            self._delays.failed(workflow.uid, self._clock(), None)
            self._reporter.failed(workflow, error)
            return False
        self._delays.forget(workflow.uid)
        self._reporter.ended(workflow, message)
        return True

    def _is_known(self, workflow: Tracked) -> bool:
        """Return whether it was read since this change, and its end is not requested."""
        return workflow.hold is not None and self._not_requested.get(workflow.uid) == workflow.hold.end_mark

    def _forget_others(self, ending: set[str]) -> None:
        self._delays.keep(ending)
        self._not_requested = {uid: mark for uid, mark in self._not_requested.items() if uid in ending}


def _message(workflow: Tracked, obj: JsonObject) -> str:
    """Return what the status of a Workflow says that ends by request, or "" where it is to wait on."""
    shutdown, deleted = part(obj, "spec", "shutdown"), part(obj, "metadata", "deletionTimestamp")
    retried = well_known.RETRIED in (workflow.metadata.annotations or {})
    if isinstance(shutdown, str) and shutdown:
        return wait_messages.ended_by_request(
            f"stopped (spec.shutdown: {shutdown})", workflow.namespace, retried=retried
        )
    if deleted:
        return wait_messages.ended_by_request("deleted", workflow.namespace, retried=retried)
    return ""
