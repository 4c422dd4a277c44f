"""Which held Workflows may not be released because Argo cannot decode them: those that bypassed admission.

One such Workflow stops Argo's controller for all others. Admission has checked what it held; of the others
the object is read, each version once, and until that is done it waits without a slot.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.queue.wait_messages import NOT_LOOKED_AT
from policy.service.release.release_sender import Reporter, decoding_fault
from policy.service.tracking.tracked import Tracked, track
from policy.service.tracking.tracker import WorkflowChange

MOST_AT_ONCE: Final = 20
"""Objects that one pass reads at most: releases must not wait for thousands."""
RETRY_AFTER: Final = timedelta(seconds=1)


class _Checked(msgspec.Struct, frozen=True):
    """What was found in one version of an object: why it may not be released, or nothing."""

    version: str | None
    fault: str


class DecodeCheck:
    """Knows the faults in held Workflows that bypassed admission."""

    def __init__(self, *, cluster: Cluster, reporter: Reporter) -> None:
        self._cluster = cluster
        self._reporter = reporter
        self._checked: dict[str, _Checked] = {}
        self._due: dict[str, Tracked] = {}
        self._next_try: datetime | None = None

    def fault(self, workflow: Tracked) -> str:
        """Return why a held Workflow may not be released, or nothing."""
        if workflow.admitted or workflow.hold is None:
            return ""
        checked = self._checked.get(workflow.uid)
        if checked is None or checked.version != workflow.hold.version:
            return NOT_LOOKED_AT
        return checked.fault

    def observe(self, changes: Iterable[WorkflowChange]) -> None:
        """Record what is to be checked."""
        for each in changes:
            after = each.after
            if after is not None and self.fault(after) == NOT_LOOKED_AT:
                self._due[after.uid] = after
            elif self._due or self._checked:
                self._forget(each)

    def check(self, now: datetime) -> list[str]:
        """Read some of them; return the uids of those that are checked now."""
        if self._next_try is not None and now < self._next_try:
            return []
        found = []
        self._next_try = None
        for uid, workflow in list(self._due.items())[:MOST_AT_ONCE]:
            try:
                obj = self._cluster.get(WORKFLOWS, workflow.name, namespace=workflow.namespace)
            except NotFound:
                del self._due[uid]
                continue
            except ClusterError as error:
                self._reporter.failed(workflow, error)
                self._next_try = now + RETRY_AFTER
                break
            del self._due[uid]
            seen = track(obj)
            if seen.uid == uid and seen.hold is not None:  # Else it has changed; the watch shows how.
                self._checked[uid] = _Checked(seen.hold.version, decoding_fault(obj))
                found.append(uid)
        return found

    def next_check(self, now: datetime) -> datetime | None:
        """Return when there is more to be checked."""
        return (self._next_try or now) if self._due else None

    def _forget(self, change: WorkflowChange) -> None:
        """Forget a Workflow that is completed or released."""
        tracked = change.after or change.before
        if tracked is not None:
            self._due.pop(tracked.uid, None)
            if change.after is None or not change.after.held:
                self._checked.pop(tracked.uid, None)
