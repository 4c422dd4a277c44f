"""Ends what newer Workflows of the same key supersede: those that wait at once, and Argo those that run.

One that waits never ran, and fails with a message that names the newer one. One that runs is asked to stop
or to terminate by `spec.shutdown`, as `argo stop` and `argo terminate` do, and Argo ends it. Nothing starts
in its place before it has ended, so there are never two of one key.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch
from policy.core.objects.json_parts import metadata_of, part
from policy.core.objects.json_patch import Op, PatchOp
from policy.core.policy_kinds.quota_parts import CancelBy
from policy.core.queue import wait_messages
from policy.service.release.release_sender import Reporter, end_held, retry_times
from policy.service.release.superseded import Superseded
from policy.service.tracking.tracker import Tracker

MOST_AT_ONCE: Final = 50
"""Workflows that one pass ends at most: releases must not wait for thousands."""


class Superseding:
    """Ends them. `more` is true where there were more than one pass ends."""

    def __init__(self, *, cluster: Cluster, clock: Callable[[], datetime], reporter: Reporter) -> None:
        self._cluster = cluster
        self._clock = clock
        self._reporter = reporter
        self._asked: set[str] = set()
        self._delays = retry_times()
        self.more = False

    def next_try(self) -> datetime | None:
        """Return when one that could not be ended is to be tried again."""
        return self._delays.next_due()

    def end(self, found: Iterable[Superseded], tracker: Tracker, stopping: Callable[[], bool]) -> bool:
        """End those that are superseded; return whether any that waited was ended, and left the tracker."""
        ended, tried, now = False, 0, self._clock()
        self.more = False
        self._asked = {uid for uid in self._asked if tracker.get(uid) is not None}
        for each in found:
            uid = each.workflow.uid
            if uid in self._asked or self._delays.is_early(uid, now):
                continue
            self.more = tried >= MOST_AT_ONCE
            if self.more or stopping():
                break
            tried += 1
            if self._end(each) and each.cancel is None:
                tracker.ended(each.workflow)
                ended = True
        return ended

    def _end(self, one: Superseded) -> bool:
        """Return whether a Workflow is ended or asked to end now; the watch shows one that has changed."""
        workflow = one.workflow
        try:
            if one.cancel is None:
                self._give_up(one)
            else:
                self._ask(one, one.cancel)
        except (Conflict, Invalid, NotFound):
            return False
        except ClusterError as error:
            self._delays.failed(workflow.uid, self._clock(), None)
            self._reporter.failed(workflow, error)
            return False
        self._delays.forget(workflow.uid)
        return True

    def _give_up(self, one: Superseded) -> None:
        workflow = one.workflow
        message = wait_messages.superseded(one.by, one.group, one.key)
        end_held(self._cluster, workflow, message, self._clock())
        self._reporter.superseded(workflow, message)

    def _ask(self, one: Superseded, cancel: CancelBy) -> None:
        """Ask Argo to end a Workflow, unless somebody has done so already."""
        workflow = one.workflow
        obj = self._cluster.get(WORKFLOWS, workflow.name, namespace=workflow.namespace)
        metadata = metadata_of(obj)
        if metadata.get("uid") != workflow.uid:
            return
        if not part(obj, "spec", "shutdown"):
            patch = (
                PatchOp(Op.TEST, "/metadata/uid", workflow.uid),
                PatchOp(Op.TEST, "/metadata/resourceVersion", str(metadata.get("resourceVersion"))),
                PatchOp(Op.ADD, "/spec/shutdown", cancel.value),
            )
            self._cluster.patch(WORKFLOWS, workflow.name, JsonPatch(patch), namespace=workflow.namespace)
            message = wait_messages.cancelled(cancel.value, one.by, one.group, one.key)
            self._reporter.superseded(workflow, message)
        self._asked.add(workflow.uid)
