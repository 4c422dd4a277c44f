"""Which held runs of a CronWorkflow are deleted because newer ones replace them (concurrencyPolicy Replace).

A run is deleted only in the version that was seen to be held: one that changed since, by its release for
example, is left. Its reservation is dropped when the deletion is seen (protocol rules 4b and 5).
"""

from collections.abc import Callable, Iterable
from typing import Final

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import WORKFLOWS, Cluster, Preconditions
from policy.core.admission.cron_runs import is_replaceable, replaced_runs
from policy.core.objects.owners import scheduled_by
from policy.core.objects.workflow import Metadata
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import WorkflowChange

_MOST_AT_ONCE: Final = 50
"""Runs that one pass deletes at most: releases must not wait for thousands."""


class CronReplace:
    """Knows the held runs by their CronWorkflows, and deletes those that newer ones replace.

    `more` is true where there were more than one pass deletes.
    """

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[str, dict[str, Metadata]] = {}
        self._schedules: dict[str, str] = {}
        self._due: dict[str, None] = {}
        self.more = False

    def observe(self, changes: Iterable[WorkflowChange]) -> None:
        """Record what changed."""
        for change in changes:
            tracked = change.after or change.before
            if tracked is not None:
                self._forget(tracked.uid)
            if change.after is not None and change.after.held and is_replaceable(change.after.metadata):
                self._remember(change.after)

    def delete_replaced(self, stopping: Callable[[], bool]) -> None:
        """Delete the runs that are replaced; what fails is tried again at the next pass."""
        deleted, self.more = 0, False
        for schedule in list(self._due):
            for run in replaced_runs(self._waiting.get(schedule, {}).values()):
                self.more = deleted >= _MOST_AT_ONCE
                if self.more or stopping():
                    return
                deleted += self._delete(run)
            if len(self._waiting.get(schedule, ())) <= 1:
                self._due.pop(schedule, None)

    def _remember(self, tracked: Tracked) -> None:
        owner = scheduled_by(tracked.metadata)
        if owner is None:
            return
        self._schedules[tracked.uid] = owner.uid
        waiting = self._waiting.setdefault(owner.uid, {})
        waiting[tracked.uid] = tracked.metadata
        if len(waiting) > 1:
            self._due[owner.uid] = None

    def _forget(self, uid: str) -> None:
        schedule = self._schedules.pop(uid, "")
        waiting = self._waiting.get(schedule)
        if waiting is not None:
            waiting.pop(uid, None)
            if not waiting:
                del self._waiting[schedule]

    def _delete(self, run: Metadata) -> bool:
        """Delete a run in the version that was seen; the watch shows one that changed since."""
        preconditions = Preconditions(uid=run.uid, resource_version=run.resource_version)
        try:
            self._cluster.delete(
                WORKFLOWS, run.name or "", namespace=run.namespace or "", preconditions=preconditions
            )
        except ClusterError:
            return False
        self._forget(run.uid or "")
        return True
