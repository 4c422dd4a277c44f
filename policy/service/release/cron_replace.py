"""Dropping runs of a schedule that wait and were replaced by newer ones (concurrencyPolicy Replace).

A run is deleted only as it was seen, waiting: one that changed since, by its release for one, is left. Its
reservation goes when the deletion is seen (protocol rules 4b and 5).
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


class CronKeeper:
    """Knows the runs that wait, by their schedules, and drops those that newer ones have replaced."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[str, dict[str, Metadata]] = {}
        self._schedules: dict[str, str] = {}
        self._due: dict[str, None] = {}
        self.left = False

    def see(self, changes: Iterable[WorkflowChange]) -> None:
        """Take note of what changed."""
        for change in changes:
            tracked = change.after or change.before
            if tracked is not None:
                self._forget(tracked.uid)
            if change.after is not None and is_replaceable(change.after.metadata):
                self._remember(change.after)

    def drop(self, stopping: Callable[[], bool]) -> int:
        """Delete the runs that are replaced; returns how many.

        What fails is tried at the next pass. `left` says that there were more than one pass deletes.
        """
        dropped, self.left = 0, False
        for schedule in list(self._due):
            for run in replaced_runs(self._waiting.get(schedule, {}).values()):
                self.left = dropped >= _MOST_AT_ONCE
                if self.left or stopping():
                    return dropped
                dropped += self._delete(run)
            if len(self._waiting.get(schedule, ())) <= 1:
                self._due.pop(schedule, None)
        return dropped

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
        """Delete a run as it was seen; of one that changed since, the change is on its way here."""
        preconditions = Preconditions(uid=run.uid, resource_version=run.resource_version)
        try:
            self._cluster.delete(
                WORKFLOWS, run.name or "", namespace=run.namespace or "", preconditions=preconditions
            )
        except ClusterError:
            return False
        self._forget(run.uid or "")
        return True
